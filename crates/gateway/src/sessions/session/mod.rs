//! One session: a client on one side, a device's connection on the other, either of which may
//! vanish and come back.
//!
//! Data flow of output: connection's task -> [`Session::output`] -> client's queue. Way of input:
//! client's task -> [`Session::input`] -> device's outbox. The positions in both are the device's
//! and the client's own; this file only checks and passes on, so nothing is lost with this process.
//!
//! # Invariants
//! - At most one client is attached; a newer one takes over, and the older one is told.
//! - Bytes flow only between an answer to the latest attach and the next loss. What comes outside
//!   of that is dropped, since it will be sent again.
//! - The first end is the end: [`Session::end`] gives true exactly once.
//!
//! # Not here
//! - Who may do what (the API decided), deadlines (`watch`), the store (`mod`). What the two sides
//!   may tell it stands in `device_side` and `client_side`.

mod access_side;
mod client_side;
mod device_side;
mod seat_side;
mod session;
mod viewer_side;

pub use session::Session;
pub(super) use session::Since;
