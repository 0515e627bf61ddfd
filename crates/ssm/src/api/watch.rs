//! Watching a live session (`Towline.WatchSession`): a token for a viewer's data channel.
//!
//! Data flow: as in [`super`]; an operation of ours. The token goes into the first message of the
//! websocket at `StreamUrl`.

use core::fmt;

use serde::{Deserialize, Serialize};

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
