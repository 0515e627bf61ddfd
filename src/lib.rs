//! The Towline agent, the program on the device. It dials out and has no listener.
//!
//! | module | content |
//! |---|---|
//! | [`agent`] | the one loop: its events, and what the agent does for each |
//! | [`link`] | the connection to the gateway: dial, TLS, frames, back-off |
//! | [`session`] | sessions: opened by a grant, bytes both ways, ended |
//! | [`tunnel`] | sessions that carry connections to an address the device reaches |
//! | [`copy`] | file copies, in a process of the session's user |
//! | [`process`] | child processes: started, ended, reaped |
//! | [`pty`] | pseudo-terminals |
//! | [`sys`] | system calls, accounts, the process table, cgroups: the lowest folder |
//! | [`command_log`] | the programs that sessions execute, from the kernel |
//! | [`policy`] | what the device itself permits |
//! | [`config`] | the settings and their files |
//! | [`state`] | the device's key, its enrollment, the journal of commands |
//! | [`first_boot`] | a device without an enrollment waits, or enrolls by an order |
//! | [`enroll`], [`status`] | the other commands of the program |
//! | [`handover`] | state transfer: another program takes over the sessions |
//! | [`separation`] | the process without rights that reads the network |
//! | [`service`] | the service manager: ready, alive, stopping |
//! | [`signals`] | what the agent hears, and what it outlives |
//! | [`inherited`] | limits and masks that a parent has handed down |
//! | [`logger`] | the agent's log |
//! | [`alarm`] | the loop's timer |
//! | [`clock`] | the time, on a device that may not know it |
//! | [`limits`] | every capacity, its reason, its cost in RAM |
//!
//! # Invariants
//! - One thread, one loop, one closed list of events. Nothing is unbounded.
//! - A session survives the link. Nothing survives a session.
//!
//! # Not here
//! - A listener: no socket of this program accepts connections.
//! - Decisions about users: the gateway's authority signs grants. The agent adds the device's
//!   own policy.

pub mod agent;
pub mod alarm;
pub mod arguments;
pub mod clock;
pub mod command_log;
pub mod config;
pub mod copy;
pub mod enroll;
pub mod first_boot;
pub mod handover;
pub mod inherited;
pub mod limits;
pub mod link;
pub mod logger;
pub mod platform;
pub mod policy;
pub mod process;
pub mod pty;
pub mod separation;
pub mod service;
pub mod session;
pub mod signals;
mod start;
mod start_error;
pub mod state;
pub mod status;
pub mod sys;
pub mod tunnel;

pub use start::{run, would_run};
pub use start_error::StartError;
