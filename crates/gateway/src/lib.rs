//! The Towline gateway: one TLS port for agents, the AWS-compatible API and data channels.
//!
//! Map, control plane: [`config`] and [`init`] (the directory) -> [`wiring`] (the only file that
//! puts things together) -> [`port`] (TLS, two doors) -> [`api`] (signature, policy, operation) ->
//! [`store`]. Beside them [`enrollment`], [`authority`], [`vault`], [`audit`], [`monitor`]. The
//! data plane hangs on [`seam`].
//!
//! # Invariants
//! - Every request passes signature and policy, and leaves an audit line.
//! - Everything is bounded, by a line in [`limits`].
//!
//! # Not here
//! - Formats of AWS: `towline_ssm`. The policy language: `towline_policy`. The agents' wire:
//!   `towline_wire`.
#![forbid(unsafe_code)]

pub mod agents;
pub mod api;
pub mod audit;
pub mod authority;
pub mod channels;
pub mod clock;
pub mod commands;
pub mod config;
pub mod enrollment;
pub mod entropy;
pub mod evidence;
pub mod files;
pub mod init;
pub mod limits;
pub mod logging;
pub mod metrics;
pub mod monitor;
pub mod port;
pub mod seam;
pub mod sessions;
pub mod store;
pub mod throttle;
pub mod unattached;
pub mod vault;
pub mod wiring;
