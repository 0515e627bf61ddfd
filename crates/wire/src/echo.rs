//! What a device says of its terminals' echo, to a gateway that records input and has asked
//! ([`ToAgent::TellEcho`](crate::message::ToAgent::TellEcho)). Since version 2.
//!
//! # Invariants
//! - Positions only: the input is not in it.
//! - The variants of [`Echo`] stand in the order in which they outdo each other, the least to be
//!   trusted last.

use serde::{Deserialize, Serialize};

use crate::message::SessionName;

/// What a terminal does with input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Echo {
    /// It echoes.
    Terminal,
    /// It neither echoes nor gathers lines: programs that edit lines echo by themselves, others do
    /// not.
    Program,
    /// It gathers lines and does not echo, as for a password; or how it stands cannot be told.
    Hidden,
}

/// How a terminal stood when it took a stretch of input. Without the input: the gateway has that,
/// and a password travels once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echoed {
    /// Which session.
    pub session: SessionName,
    /// Position of the first byte of input.
    pub from: u64,
    /// Position behind the last; `from` for the answer to
    /// [`ToAgent::TellEcho`](crate::message::ToAgent::TellEcho).
    pub until: u64,
    /// Output that the agent had read by then, bytes: an echo comes behind it.
    pub output: u64,
    /// How it stood right before. Of stretches that were joined the one that stands last in
    /// [`Echo`].
    pub echo: Echo,
}
