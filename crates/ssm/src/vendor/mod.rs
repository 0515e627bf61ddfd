//! What amazon-ssm-agent and its service say to each other, besides the data channel.
//!
//! Data flow: `X-Amz-Target` -> [`DeviceOperation`] -> a request of [`calls`]; control channel:
//! text frame [`control::OpenControlChannel`], then binary messages whose payloads are in
//! [`control`]. What a session is to do: [`session_content()`].
//!
//! # Invariants
//! - Unknown members are ignored, as both ends of AWS do; unknown operations are not.
//! - No token and no code shows in `Debug`.
//!
//! # Not here
//! - No decision whose request it is (`crate::sigv4`), no socket, no state. The data channel is
//!   `crate::channel`.

pub mod calls;
mod content;
pub mod control;
mod operation;

pub use content::{SessionOrder, session_content};
pub use operation::{DeviceOperation, DeviceProof};

#[cfg(test)]
mod tests;
