//! The Towline gateway: one TLS listener for agents, the AWS-compatible API and data channels.
//!
//! Map, control plane: [`config`] and [`init`] (the directory) -> [`wiring`] (the only file that
//! puts things together) -> [`listener`] (TLS) -> [`api`] (signature, policy, operation) ->
//! [`towline_store`]. Beside them [`devices::enrollment`], [`authority`], [`vault`], [`audit`]. The
//! data plane hangs on [`plane`].
//!
//! # Invariants
//! - Every request passes signature and policy, and leaves an audit line.
//! - Everything is bounded, by a line in [`limits`].
//!
//! # Not here
//! - Formats of AWS: `towline_ssm`. The policy language: `towline_policy`. The agents' wire:
//!   `towline_wire`.
#![forbid(unsafe_code)]

pub mod api;
pub mod audit;
pub mod authority;
pub mod backup;
pub mod capacity;
pub mod certificate;
pub mod changes;
pub mod channels;
pub mod checkup;
pub mod cluster;
pub mod config;
pub mod console;
pub mod devices;
mod error_response;
pub mod exports;
pub mod federation;
pub mod init;
pub mod limits;
pub mod link_tls;
pub mod listener;
pub mod local;
mod lock;
pub mod log_queue;
pub mod logging;
pub mod metrics;
mod news;
pub mod notifications;
pub mod origins;
pub mod outbound;
pub mod pace;
pub mod plane;
pub mod presence;
mod program_file;
pub mod readiness;
pub mod rescue;
pub mod routes;
pub mod run_command;
pub mod server_pins;
pub mod sessions;
pub mod sign_in_links;
mod starting;
pub mod throttle;
pub mod transport;
pub mod unattached;
pub mod vault;
pub mod wiring;
