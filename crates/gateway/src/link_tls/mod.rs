//! TLS of devices' links, with buffers that are held only while something is under way.
//!
//! Data flow: [`Heard`] keeps what the port has read until it knows who dials -> [`LinkStream`]
//! shakes hands and carries bytes, by [`records`] and [`queue`].
//!
//! # Invariants
//! - An idle link holds no buffer.
//!
//! # Not here
//! - HTTP and other gateways: their connections are `tokio_rustls` streams.

mod heard;
mod queue;
mod records;
mod stream;
#[cfg(test)]
mod tests;

pub use heard::Heard;
pub use stream::LinkStream;
