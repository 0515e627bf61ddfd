//! Devices that run amazon-ssm-agent: its calls, its control channel, and the data channel of each
//! of its sessions.
//!
//! Data flow: HTTP -> `calls` (operations on `POST /`) and `channels` (websockets) -> `proof`
//! (which device) -> `control` (the connection in the hub) -> `order` (a session begins) ->
//! `carrier` (its bytes).
//!
//! # Invariants
//! - A device's key opens the operations of `towline_ssm::vendor::DeviceOperation` and its own
//!   channels, nothing else. No operator's key opens these.
//! - A request counts for the device of its key, whatever its path or body names.
//! - Nothing of a session survives the gateway's process: the agent is told that it is over.
//!
//! # Not here
//! - Formats and signatures: `towline_ssm::vendor`, `towline_ssm::sigv4`. Sessions:
//!   [`crate::sessions`].

mod admission;
mod agents;
mod calls;
mod carrier;
mod channels;
mod control;
mod device;
mod health;
mod job;
mod keys;
mod news;
mod order;
mod output;
mod proof;
mod registration;
mod registry;
mod session;
#[cfg(test)]
mod tests;
mod ticket;

pub use agents::{VendorAgents, VendorParts};
pub use calls::calls;
pub use channels::{data_channels, routes};
