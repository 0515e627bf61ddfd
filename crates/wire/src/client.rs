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
//! A client that offers [`SUBPROTOCOL_2`] and gets it is also told what concerns the session
//! outside of its bytes: who watches, messages, requests for its seat, the end of granted access.
//! Nothing else differs.
//!
//! A viewer sends [`FromClient::Watch`] instead, with the token of WatchSession, and nothing after
//! it. It gets [`ToClient::Watching`], then bytes on stream 0 whose positions count from 0 for this
//! viewer alone. The token decides: a client that never asks for one meets none of these messages.
//!
//! # Invariants
//! - The token is in the first message, never in the URL.
//! - [`ToClient::Ended`] is the last message; it comes after the last byte of output was
//!   acknowledged.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::frame::StreamId;
use crate::lane::Lanes;
use crate::message::{EndReason, Size};

/// The websocket subprotocol (RFC 6455, section 1.9).
pub const SUBPROTOCOL: &str = "towline.stream.1";
/// The same with notices: [`ToClient::Watched`], [`ToClient::Message`], [`ToClient::SeatAsked`],
/// [`ToClient::AccessEnds`] and [`FromClient::AnswerSeat`].
pub const SUBPROTOCOL_2: &str = "towline.stream.2";
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
    /// The first message of a viewer.
    Watch {
        /// `TokenValue` of WatchSession: a secret.
        token: String,
    },
    /// The answer to [`ToClient::SeatAsked`].
    AnswerSeat {
        /// The number of the request.
        request: u32,
        /// The other user gets the seat.
        give: bool,
    },
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
            Self::Watch { .. } => f.write_str("Watch"),
            Self::AnswerSeat { request, give } => {
                f.debug_struct("AnswerSeat").field("request", request).field("give", give).finish()
            }
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
    /// To a viewer: it sees the session from now on. First comes the end of what was shown before.
    Watching {
        /// Size of the terminal; `None` while no client has told one.
        size: Option<Size>,
    },
    /// To a viewer: the terminal has another size.
    Resized(Size),
    /// To a viewer: so many bytes of output did not fit into its queue. The end of what was shown
    /// follows, for a fresh screen.
    Missed {
        /// Bytes.
        bytes: u64,
    },
    /// These users watch the session now, by ARN. Nobody: an empty list.
    Watched {
        /// At most as many as a session may have viewers.
        by: Vec<String>,
    },
    /// A message of another user or of an administrator, outside of the session's bytes.
    Message {
        /// ARN of who sent it.
        from: String,
        /// The text.
        text: String,
    },
    /// Another user asks for the seat: to type into the session in place of this client.
    SeatAsked {
        /// The number of the request, for [`FromClient::AnswerSeat`].
        request: u32,
        /// ARN of the user.
        by: String,
    },
    /// When the access ends that permits the session; told again when that changes.
    AccessEnds {
        /// The request for access.
        request: String,
        /// Seconds until then; 0: it has ended.
        seconds: u32,
        /// The session ends with it.
        ends_session: bool,
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
    fn golden_bytes_of_viewers_messages() {
        let watch = FromClient::Watch { token: "t".into() };
        assert_eq!(encode(&watch).unwrap(), [4, 1, b't']);
        let size = Size { rows: 24, cols: 80 };
        assert_eq!(encode(&ToClient::Watching { size: None }).unwrap(), [5, 0]);
        assert_eq!(encode(&ToClient::Watching { size: Some(size) }).unwrap(), [5, 1, 24, 80]);
        assert_eq!(encode(&ToClient::Resized(size)).unwrap(), [6, 24, 80]);
        assert_eq!(encode(&ToClient::Missed { bytes: 300 }).unwrap(), [7, 0xac, 2]);
    }

    #[test]
    fn golden_bytes_of_notices() {
        let by = alloc::vec!["a".into(), "b".into()];
        assert_eq!(encode(&ToClient::Watched { by }).unwrap(), [8, 2, 1, b'a', 1, b'b']);
        let message = ToClient::Message { from: "a".into(), text: "hi".into() };
        assert_eq!(encode(&message).unwrap(), [9, 1, b'a', 2, b'h', b'i']);
        let asked = ToClient::SeatAsked { request: 300, by: "a".into() };
        assert_eq!(encode(&asked).unwrap(), [10, 0xac, 2, 1, b'a']);
        let ends = ToClient::AccessEnds { request: "a".into(), seconds: 300, ends_session: true };
        assert_eq!(encode(&ends).unwrap(), [11, 1, b'a', 0xac, 2, 1]);
        let answer = FromClient::AnswerSeat { request: 300, give: true };
        assert_eq!(encode(&answer).unwrap(), [5, 0xac, 2, 1]);
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
