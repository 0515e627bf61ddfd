//! Presence: who holds which device.
//!
//! Data flow: API -> [`plane::Presence`](crate::plane::Presence) -> [`LocalPresence`] -> the hub.

mod local;

pub use local::LocalPresence;
