//! Devices: how they enroll, and the links over which they are reached.
//!
//! Data flow: TLS listener -> [`towline`] (the Towline agent's protocol), or HTTP -> [`aws`]
//! (amazon-ssm-agent) -> [`crate::sessions`].
//! [`enrollment`] turns an unknown key and an activation into a device.
//!
//! # Not here
//! - What a session does with a device's bytes: [`crate::sessions`].

mod arrival;
pub mod aws;
pub mod enrollment;
mod signs;
pub mod towline;
