//! The dialect `towline.stream.1`: how our own clients speak to the gateway at a `StreamUrl`.
//!
//! Each binary websocket message is one [`crate::frame::Frame`] without length prefix. Stream 0
//! carries the terminal, or stdin and stdout; stream 1 carries stderr. Positions are those of the
//! agent: the gateway only passes on, so a session survives its restart.
//!
//! Order: the client sends [`FromClient::Attach`] first; the gateway answers [`ToClient::Attached`]
//! once the device is there, or [`ToClient::Waiting`] until then, or [`ToClient::Ended`].
//! `Attached` may come again at any time (the device's link was lost and is back): the client then
//! sends its input again from the position named there.
//!
//! # Invariants
//! - The token is in the first message, never in the URL.
//! - [`ToClient::Ended`] is the last message; it comes after the last byte of output was
//!   acknowledged.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::frame::StreamId;
use crate::lane::Lanes;
use crate::message::{EndReason, Size};

/// The websocket subprotocol (RFC 6455, section 1.9).
pub const SUBPROTOCOL: &str = "towline.stream.1";
/// The terminal, or stdin and stdout.
pub const IO: StreamId = 0;
/// Stderr, where it is apart.
pub const ERR: StreamId = 1;

/// From the client to the gateway.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromClient {
    /// The first message.
    Attach {
        /// `TokenValue` of StartSession or ResumeSession: a secret.
        token: String,
        /// Output bytes already there, for [`IO`] and [`ERR`]; `None` for a client that starts
        /// anew.
        received: Option<Lanes<u64>>,
        /// Room for output from there on, bytes, for [`IO`] and [`ERR`].
        room: Lanes<u32>,
        /// Size of the terminal, when there is one.
        size: Option<Size>,
    },
    /// The terminal's size has changed.
    Resize(Size),
    /// A signal for a session without a terminal; number as in signal(7) on Linux.
    Signal(u8),
    /// The operator ends the session.
    Close,
}

impl core::fmt::Debug for FromClient {
    /// Without the token.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Attach { received, room, size, .. } => f
                .debug_struct("Attach")
                .field("received", received)
                .field("room", room)
                .field("size", size)
                .finish(),
            Self::Resize(size) => f.debug_tuple("Resize").field(size).finish(),
            Self::Signal(signal) => f.debug_tuple("Signal").field(signal).finish(),
            Self::Close => f.write_str("Close"),
        }
    }
}

/// From the gateway to the client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToClient {
    /// The device is there; bytes flow from these positions on.
    Attached {
        /// First output position that follows, for [`IO`] and [`ERR`].
        output: Lanes<u64>,
        /// Input bytes that the device has taken.
        input: u64,
        /// Room for input from there on, bytes.
        room: u32,
    },
    /// The device is not connected now; the session waits for it.
    Waiting {
        /// Seconds that the session will wait at most.
        grace: u32,
    },
    /// The session is over. The connection will be closed.
    Ended {
        /// Why.
        reason: EndReason,
        /// For people; may be empty.
        text: String,
    },
    /// The client was not attached, or is attached no longer; the session itself goes on.
    Refused {
        /// What happened and what to do.
        text: String,
        /// True when a newer client took the session over.
        taken_over: bool,
    },
    /// A connection of a tunnel was not made; the tunnel goes on.
    NotConnected {
        /// What happened.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{ExitStatus, decode, encode};

    #[test]
    fn golden_bytes_of_client_messages() {
        let attach = FromClient::Attach {
            token: "t".into(),
            received: None,
            room: Lanes::new(300, 1),
            size: Some(Size { rows: 24, cols: 80 }),
        };
        assert_eq!(encode(&attach).unwrap(), [0, 1, b't', 0, 0xac, 2, 1, 1, 24, 80]);
        let ended =
            ToClient::Ended { reason: EndReason::Exited(ExitStatus::Code(3)), text: String::new() };
        assert_eq!(encode(&ended).unwrap(), [2, 0, 0, 3, 0]);
        assert_eq!(decode::<ToClient>(&[2, 0, 0, 3, 0]).unwrap(), ended);
    }

    #[test]
    fn a_token_is_not_printed() {
        let attach = FromClient::Attach {
            token: "SECRET".into(),
            received: None,
            room: Lanes::default(),
            size: None,
        };
        assert!(!alloc::format!("{attach:?}").contains("SECRET"));
    }
}
