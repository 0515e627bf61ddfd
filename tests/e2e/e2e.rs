//! The real agent, gateway and command line against each other, as separate processes on loopback.
//!
//! Every test has a gateway and devices of its own in a scratch directory. `TOWLINE_BIN_DIR` names
//! the folder of the programs (`cargo xtask try` and `test` set it); without it they are taken from
//! the target directory, in the profiles they ship in (`cargo xtask build`).
//!
//! # Invariants
//! - A test waits for what it can see, with a deadline; it never waits for time alone where it can
//!   see something.
//! - Tests whose name holds `alone` measure, and run with nothing beside them.

mod access;
mod access_requests;
mod accounts;
mod api;
mod audit_trail;
mod aws;
mod backup;
mod bulk;
mod cluster;
mod cluster_commands;
mod cluster_copies;
mod cluster_recordings;
mod cluster_sign_in_links;
mod cluster_unreached;
mod cluster_versions;
mod codes;
mod command_log;
mod commands;
mod console;
mod constrained_devices;
mod database;
mod database_clock;
mod database_failures;
mod dead_links;
mod detached;
mod documents;
mod drain;
mod echo;
mod evidence;
mod evidence_faults;
mod exec;
mod first_boot;
mod fleet;
mod foreign;
mod gateway_life;
mod grants;
mod hostile;
#[cfg(target_arch = "x86_64")] // the numbers of calls are its own
mod hostile_network;
mod identities;
mod independent;
mod input;
mod joining_gateways;
mod killed_requests;
mod lagging_standby;
mod links;
mod mail;
mod moved_store;
mod names;
mod output_location;
mod own_names;
mod peers;
mod piped;
mod playback;
mod plugin;
mod policies;
mod policy_attacks;
mod process_limits;
mod programs;
mod protocol_violations;
mod returning;
mod rotation;
mod run_command;
mod scarcity;
mod screen;
mod second_factor;
mod separation;
mod server_pin;
mod session_life;
mod several_gateways;
mod shared_throttles;
mod shell;
mod start_cost;
mod strangers;
mod tampering;
mod tokens;
mod tunnel;
mod upgrade;
mod vendor;
mod watching;
mod web_identity;
