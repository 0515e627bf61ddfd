//! Data channels: the websockets at a session's `StreamUrl`, in the dialect that the client speaks.
//!
//! Data flow: upgrade request -> dialect by subprotocol -> `towline` (our own clients) or `aws`
//! (session-manager-plugin and its kin, which offer none). The session's bytes are not looked into.
//!
//! # Invariants
//! - The upgrade is accepted whatever the session: clients of AWS hang without a word on a refused
//!   upgrade, so the refusal is sent inside the channel.
//! - The token is in the first message, never in the URL.

mod aws;
mod dialects;
mod towline;
mod upgrade;
mod viewer;

pub use dialects::Channels;
pub use upgrade::routes;
