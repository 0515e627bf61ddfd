//! Many connections over one session: the frames of smux, and the state of each connection at one
//! end.
//!
//! A tunnel's `io` stream carries these frames as opaque bytes from the operator's client to the
//! agent, so credit, resume and counting work as for a shell. The client opens streams, the agent
//! dials for each; the agent never opens one.
//!
//! Way in: bytes -> [`parser::Parser`] -> [`Streams::on_bytes`] -> [`Event`]s. Way out:
//! [`Streams::next_control`], then data in pieces of [`Streams::quota`] behind the header that
//! [`Streams::data_header`] gives.
//!
//! # Two versions
//! - **1**, as session-manager-plugin speaks it: no window, and FIN closes a stream whole.
//! - **2**, between our own ends: each stream has a window, FIN ends one direction, RESET ends both
//!   and says why. Frames are those of smux 2; FIN's meaning and RESET are ours, so it is spoken
//!   only where both ends are.
//!
//! # Invariants
//! - No payload is kept here: what arrives is handed out at once. Who holds it is bounded by the
//!   windows that were given (version 2) or by the session's own credit (version 1).
//! - Streams, and resets that wait to be sent, are bounded by the [`Rule`] given to
//!   [`Streams::server`].
//!
//! # Not here
//! - No keep-alive frames are sent: the link below has its own. Those that come are ignored.

mod header;
pub mod parser;
mod streams;
mod window;

pub use header::{
    Broken, Command, HEADER, Header, INITIAL_WINDOW, MAX_CONTROL, MAX_DATA, MAX_REASON, Version,
};
pub use streams::{Event, Rule, Streams};
