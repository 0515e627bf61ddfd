//! What a network process may say while it dials, and when.
//!
//! Data flow: its messages, in their order -> [`Turns`] -> what the monitor does next. No sockets
//! and no key are here, so the fuzzer can play the process.
//!
//! # Invariants
//! - One signature for each process, over the form of a TLS 1.3 client handshake, and nothing after
//!   the link is open, has failed, or a message was not due.
//! - Texts of the process are plain characters, bounded.

use crate::limits;
use towline_wire::separation::{FromNetwork, certificate_verify};
use towline_wire::text::plain;

/// What the monitor does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Signs these bytes with the device's key, and answers.
    Sign(Vec<u8>),
    /// Takes the link.
    Linked {
        /// The device's own address on it, as the process says.
        local: String,
        /// The gateway showed the next key, as the process says.
        met_next: bool,
    },
    /// Dials again later.
    Failed {
        /// Why.
        text: String,
        /// What the log should have as well; may be empty.
        note: String,
    },
    /// Ends the process: its message was not due.
    Broken,
}

/// How far the process is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Turns {
    /// It connects, and does TLS.
    #[default]
    Dialling,
    /// It has its one signature.
    Signed,
    /// It is done with messages.
    Over,
}

impl Turns {
    /// The process says something.
    pub fn take(&mut self, message: FromNetwork) -> Turn {
        let (next, turn) = match (*self, message) {
            (Self::Dialling, FromNetwork::Sign(hash)) => match certificate_verify(&hash) {
                Some(form) => (Self::Signed, Turn::Sign(form)),
                None => (Self::Over, Turn::Broken),
            },
            (Self::Signed, FromNetwork::Linked { local, met_next }) => {
                (Self::Over, Turn::Linked { local: shown(&local), met_next })
            }
            (Self::Dialling | Self::Signed, FromNetwork::Failed { text, note }) => {
                (Self::Over, Turn::Failed { text: shown(&text), note: shown(&note) })
            }
            _ => (Self::Over, Turn::Broken),
        };
        *self = next;
        turn
    }
}

/// A text of the process, for people.
pub(super) fn shown(text: &str) -> String {
    plain(text, limits::SEPARATED_TEXT)
}
