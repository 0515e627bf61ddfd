//! Live sessions of other users: watching one (`Towline.WatchSession`), taking its seat over
//! (`Towline.JoinSession`), a message to its user (`Towline.SendSessionMessage`).
//!
//! Data flow: as in [`super`]; operations of ours. A token goes into the first message of the
//! websocket at `StreamUrl`. JoinSession answers as StartSession does.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::session::check_seat;
use super::{Request, Violations};
use crate::ids::MAX_SESSION_ID;

/// Asks to watch a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct WatchSessionRequest {
    /// The session.
    pub session_id: String,
    /// The owner is not told. It needs a right of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<bool>,
}

impl Request for WatchSessionRequest {
    fn check(&self, v: &mut Violations) {
        v.length("SessionId", &self.session_id, 1, MAX_SESSION_ID);
    }
}

/// How to watch the session.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct WatchSessionResponse {
    /// The session.
    pub session_id: String,
    /// Opens a viewer's data channel once; a secret.
    pub token_value: String,
    /// Websocket address of the stream.
    pub stream_url: String,
    /// ARN of the session's owner.
    pub owner: String,
    /// The device.
    pub target: String,
}

impl fmt::Debug for WatchSessionResponse {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchSessionResponse")
            .field("session_id", &self.session_id)
            .finish_non_exhaustive()
    }
}

/// Asks for the seat of a session: to type into it in place of who does now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct JoinSessionRequest {
    /// The session.
    pub session_id: String,
    /// The seat that the client had, as in ResumeSession.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline_seat: Option<String>,
}

impl Request for JoinSessionRequest {
    fn check(&self, v: &mut Violations) {
        v.length("SessionId", &self.session_id, 1, MAX_SESSION_ID);
        check_seat(v, self.towline_seat.as_deref());
    }
}

/// Longest message, characters.
pub const MAX_MESSAGE: usize = 1000;

/// A message to who has the seat of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SendSessionMessageRequest {
    /// The session.
    pub session_id: String,
    /// The text: one line.
    pub message: String,
}

impl Request for SendSessionMessageRequest {
    fn check(&self, v: &mut Violations) {
        v.length("SessionId", &self.session_id, 1, MAX_SESSION_ID);
        v.length("Message", &self.message, 1, MAX_MESSAGE);
        v.shown("Message", &self.message, false);
    }
}

/// Whether the message has reached a client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SendSessionMessageResponse {
    /// False: no client is attached, or one that shows no messages.
    pub delivered: bool,
}
