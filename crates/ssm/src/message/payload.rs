//! What is in the payloads: JSON objects, one number for flags, and the text frame that opens a
//! channel.
//!
//! Data flow: payload bytes -> `from_payload` of the type that the header names ->
//! `crate::channel`, and back.
//!
//! # Invariants
//! - Unknown members are ignored, as both ends of AWS do.
//! - The token of [`OpenDataChannel`] does not show in `Debug`.

use core::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A payload that is not what its type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the payload is not a readable {0}")]
pub struct BadPayload(pub &'static str);

/// A payload in JSON.
pub trait JsonPayload: Serialize + DeserializeOwned {
    /// Its name in errors.
    const NAME: &'static str;

    /// Reads it.
    ///
    /// # Errors
    /// [`BadPayload`] for anything else.
    fn from_payload(bytes: &[u8]) -> Result<Self, BadPayload> {
        serde_json::from_slice(bytes).map_err(|_| BadPayload(Self::NAME))
    }

    /// Writes it. The shapes here cannot fail to be written.
    #[must_use]
    fn to_payload(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_else(|_| b"{}".to_vec())
    }
}

macro_rules! json_payload {
    ($($name:ident: $text:literal),+ $(,)?) => { $(impl JsonPayload for $name { const NAME: &'static str = $text; })+ };
}
json_payload! {
    OpenDataChannel: "opening frame",
    Acknowledge: "acknowledgement",
    Size: "terminal size",
    HandshakeRequest: "handshake request",
    HandshakeResponse: "handshake response",
    HandshakeComplete: "end of handshake",
    ChannelClosed: "end of channel",
}

/// The first frame on a websocket, as text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OpenDataChannel {
    /// `1.0`.
    pub message_schema_version: String,
    /// A UUID.
    #[serde(default)]
    pub request_id: String,
    /// The token of StartSession or ResumeSession.
    pub token_value: String,
    /// A UUID; the same as long as the client lives, so that a resumption is told from a second
    /// client.
    #[serde(default)]
    pub client_id: String,
    /// Version of the client; old ones say none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_version: Option<String>,
}

/// The version in [`OpenDataChannel::message_schema_version`].
pub const OPEN_SCHEMA_VERSION: &str = "1.0";
/// Longest opening frame in bytes; tokens have at most 300 characters, the rest is UUIDs.
pub const MAX_OPEN_FRAME: usize = 4096;

impl fmt::Debug for OpenDataChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenDataChannel")
            .field("client_id", &self.client_id)
            .field("client_version", &self.client_version)
            .finish_non_exhaustive()
    }
}

/// Says that one numbered message arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledge {
    /// Type of the message that arrived.
    #[serde(rename = "AcknowledgedMessageType")]
    pub message_type: String,
    /// Its id.
    #[serde(rename = "AcknowledgedMessageId")]
    pub message_id: String,
    /// Its number; the only member that readers go by.
    #[serde(rename = "AcknowledgedMessageSequenceNumber")]
    pub sequence: i64,
    /// Always true.
    #[serde(rename = "IsSequentialMessage")]
    pub is_sequential: bool,
}

/// Size of the client's terminal in character cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Width.
    pub cols: u32,
    /// Height.
    pub rows: u32,
}

/// The agent's first message: who it is and what the client has to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HandshakeRequest {
    /// Four dotted numbers; clients choose their ways by it.
    pub agent_version: String,
    /// In order.
    pub requested_client_actions: Vec<RequestedAction>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RequestedAction {
    /// [`ACTION_SESSION_TYPE`] or [`ACTION_KMS`].
    pub action_type: String,
    /// Depends on the type.
    #[serde(default)]
    pub action_parameters: Value,
}

/// Start the handler of a session type.
pub const ACTION_SESSION_TYPE: &str = "SessionType";
/// Agree on a key by a key service; not spoken here.
pub const ACTION_KMS: &str = "KMSEncryption";

/// Parameters of [`ACTION_SESSION_TYPE`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SessionTypeParameters {
    /// For example `Standard_Stream`.
    pub session_type: String,
    /// Depends on the session type.
    #[serde(default)]
    pub properties: Value,
}

/// The client's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HandshakeResponse {
    /// Version of the client.
    #[serde(default)]
    pub client_version: String,
    /// One for each requested action.
    pub processed_client_actions: Vec<ProcessedAction>,
    /// What went wrong, for people.
    #[serde(default)]
    pub errors: Option<Vec<String>>,
}

/// What became of one action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProcessedAction {
    /// As requested.
    #[serde(default)]
    pub action_type: String,
    /// [`ACTION_SUCCESS`], [`ACTION_FAILED`] or [`ACTION_UNSUPPORTED`]; anything else is a failure
    /// too.
    #[serde(default)]
    pub action_status: i64,
    /// Depends on the type.
    #[serde(default)]
    pub action_result: Value,
    /// For people.
    #[serde(default)]
    pub error: String,
}

/// Done.
pub const ACTION_SUCCESS: i64 = 1;
/// Tried and failed.
pub const ACTION_FAILED: i64 = 2;
/// Not known to the client.
pub const ACTION_UNSUPPORTED: i64 = 3;

/// The agent's go-ahead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HandshakeComplete {
    /// Nanoseconds.
    #[serde(default)]
    pub handshake_time_to_complete: i64,
    /// Shown to the user as a line of its own when not empty.
    #[serde(default)]
    pub customer_message: String,
}

/// The end of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ChannelClosed {
    /// `channel_closed`.
    #[serde(default)]
    pub message_type: String,
    /// A UUID.
    #[serde(default)]
    pub message_id: String,
    /// ISO 8601 text.
    #[serde(default)]
    pub created_date: String,
    /// The device.
    #[serde(default)]
    pub destination_id: String,
    /// The session.
    #[serde(default)]
    pub session_id: String,
    /// 1.
    #[serde(default)]
    pub schema_version: i64,
    /// Why, for the user; empty for an ordinary end.
    #[serde(default)]
    pub output: String,
}

/// A signal of port sessions: one number of four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// Client to agent: the local connection was closed.
    DisconnectToPort,
    /// Client to agent: end the session.
    TerminateSession,
    /// Agent to client: the target could not be reached.
    ConnectToPortError,
}

impl Flag {
    /// Reads the number.
    ///
    /// # Errors
    /// [`BadPayload`] for another length or number.
    pub fn from_payload(bytes: &[u8]) -> Result<Self, BadPayload> {
        match bytes {
            [0, 0, 0, 1] => Ok(Self::DisconnectToPort),
            [0, 0, 0, 2] => Ok(Self::TerminateSession),
            [0, 0, 0, 3] => Ok(Self::ConnectToPortError),
            _ => Err(BadPayload("flag")),
        }
    }

    /// Writes the number.
    #[must_use]
    pub const fn to_payload(self) -> [u8; 4] {
        match self {
            Self::DisconnectToPort => [0, 0, 0, 1],
            Self::TerminateSession => [0, 0, 0, 2],
            Self::ConnectToPortError => [0, 0, 0, 3],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_opening_frame_of_every_client_version_is_read_and_hides_its_token() {
        let new = br#"{"MessageSchemaVersion":"1.0","RequestId":"r","TokenValue":"hush","ClientId":"c","ClientVersion":"1.2.677.0"}"#;
        let open = OpenDataChannel::from_payload(new).unwrap();
        assert_eq!(open.client_version.as_deref(), Some("1.2.677.0"));
        assert!(!format!("{open:?}").contains("hush"));
        let old =
            br#"{"MessageSchemaVersion":"1.0","RequestId":"r","TokenValue":"t","ClientId":"c"}"#;
        assert_eq!(OpenDataChannel::from_payload(old).unwrap().client_version, None);
        assert!(OpenDataChannel::from_payload(b"{}").is_err());
    }

    #[test]
    fn an_answer_with_null_members_is_read() {
        let text = br#"{"ClientVersion":"1.2.0.0","ProcessedClientActions":[{"ActionType":"SessionType","ActionStatus":1,"ActionResult":null,"Error":""}],"Errors":null}"#;
        let response = HandshakeResponse::from_payload(text).unwrap();
        assert_eq!(response.processed_client_actions[0].action_status, ACTION_SUCCESS);
    }

    #[test]
    fn an_acknowledgement_has_the_names_that_aws_reads() {
        let ack = Acknowledge {
            message_type: "output_stream_data".into(),
            message_id: "i".into(),
            sequence: 7,
            is_sequential: true,
        };
        let expected = r#"{"AcknowledgedMessageType":"output_stream_data","AcknowledgedMessageId":"i","AcknowledgedMessageSequenceNumber":7,"IsSequentialMessage":true}"#;
        assert_eq!(String::from_utf8(ack.to_payload()).unwrap(), expected);
    }

    #[test]
    fn flags_are_four_bytes() {
        for flag in [Flag::DisconnectToPort, Flag::TerminateSession, Flag::ConnectToPortError] {
            assert_eq!(Flag::from_payload(&flag.to_payload()), Ok(flag));
        }
        for bad in [&[0, 0, 0, 0][..], &[0, 0, 0, 4], &[1], &[]] {
            assert!(Flag::from_payload(bad).is_err());
        }
    }
}
