//! Bytes to message and back. The layout is in the header of [`super`].

use super::{MessageId, MessageType, PayloadType};
use crate::sigv4::sha256;

/// Bytes in front of the payload.
pub const HEADER: usize = 120;
/// What the header says of its own length.
const HEADER_LENGTH: u32 = 116;
/// The only version there is.
const SCHEMA_VERSION: u32 = 1;
/// Largest payload in bytes. The official ends send 1,024; ours send up to 64 KiB, because the
/// plugin takes those twenty times faster; nothing needs more, and a channel's memory is counted in
/// messages of this size.
pub const MAX_PAYLOAD: usize = 64 * 1024;

/// Largest payload of an agent's control channel in bytes: the official agent's limit for replies.
pub const MAX_CONTROL_PAYLOAD: usize = 120_000;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentMessage {
    /// What it is.
    pub message_type: MessageType,
    /// When it was made, in milliseconds since the epoch; never 0 on the wire.
    pub created: u64,
    /// Its place in the numbered stream of its direction; 0 outside of the stream.
    pub sequence: i64,
    /// [`super::FLAGS_SYN`] and [`super::FLAGS_FIN`].
    pub flags: u64,
    /// Its id.
    pub id: MessageId,
    /// What the payload is.
    pub payload_type: PayloadType,
    /// At most [`MAX_PAYLOAD`] bytes.
    pub payload: Vec<u8>,
}

/// A frame that is no message. The reader drops it; the writer has a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Less than a header, or more than header and largest payload.
    #[error(
        "a message of {0} bytes cannot be: it has at least {HEADER} bytes, and a bounded payload"
    )]
    Length(usize),
    /// The header does not say it is 116 bytes long.
    #[error("the header length must be {HEADER_LENGTH}, not {0}")]
    HeaderLength(u32),
    /// The name of the type is empty or no visible ASCII.
    #[error("the message type is not readable")]
    Type,
    /// Not version 1.
    #[error("schema version {0} is not known")]
    Schema(u32),
    /// No time of creation.
    #[error("the time of creation is missing")]
    Created,
    /// The payload is longer or shorter than announced.
    #[error("{announced} bytes of payload were announced, {there} are there")]
    PayloadLength {
        /// In the header.
        announced: u32,
        /// In the frame.
        there: usize,
    },
    /// The payload is not the one that was sent.
    #[error("the digest does not match the payload")]
    Digest,
}

impl AgentMessage {
    /// The frame for this message. A payload over [`MAX_PAYLOAD`] would be refused by our own
    /// reader: callers cut.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + self.payload.len());
        out.extend_from_slice(&HEADER_LENGTH.to_be_bytes());
        let mut name = [b' '; 32];
        let text = self.message_type.as_str().as_bytes();
        let len = text.len().min(32);
        name[..len].copy_from_slice(&text[..len]);
        out.extend_from_slice(&name);
        out.extend_from_slice(&SCHEMA_VERSION.to_be_bytes());
        out.extend_from_slice(&self.created.max(1).to_be_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.flags.to_be_bytes());
        out.extend_from_slice(&self.id.to_header());
        out.extend_from_slice(&sha256(&self.payload));
        out.extend_from_slice(&u32::from(self.payload_type).to_be_bytes());
        out.extend_from_slice(&u32::try_from(self.payload.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&self.payload);
        out
    }

    /// Reads a frame without looking at the digest, as official agents do: there are clients that
    /// write something else into its place, and the websocket's TLS has checked the bytes already.
    ///
    /// # Errors
    /// [`MessageError`]; the frame is to be dropped without an acknowledgement.
    pub fn decode(frame: &[u8]) -> Result<Self, MessageError> {
        Self::decode_with_digest(frame, MAX_PAYLOAD).map(|(message, _)| message)
    }

    /// Reads a frame of an agent's control channel: its payload may have up to
    /// [`MAX_CONTROL_PAYLOAD`] bytes, and its digest must be right.
    ///
    /// # Errors
    /// [`MessageError`]; the frame is to be dropped.
    pub fn decode_control(frame: &[u8]) -> Result<Self, MessageError> {
        Self::checked(Self::decode_with_digest(frame, MAX_CONTROL_PAYLOAD)?)
    }

    /// Reads a frame and checks the digest of its payload, as official clients do.
    ///
    /// # Errors
    /// [`MessageError`]; the frame is to be dropped without an acknowledgement.
    pub fn decode_checked(frame: &[u8]) -> Result<Self, MessageError> {
        Self::checked(Self::decode_with_digest(frame, MAX_PAYLOAD)?)
    }

    fn checked((message, digest): (Self, [u8; 32])) -> Result<Self, MessageError> {
        if !message.payload.is_empty() && sha256(&message.payload) != digest {
            return Err(MessageError::Digest);
        }
        Ok(message)
    }

    fn decode_with_digest(frame: &[u8], most: usize) -> Result<(Self, [u8; 32]), MessageError> {
        let mut reader = Reader { frame, at: 0 };
        if frame.len() < HEADER || frame.len() > HEADER + most {
            return Err(MessageError::Length(frame.len()));
        }
        let header_length = u32::from_be_bytes(reader.take());
        if header_length != HEADER_LENGTH {
            return Err(MessageError::HeaderLength(header_length));
        }
        let message_type = type_of(&reader.take::<32>())?;
        let schema = u32::from_be_bytes(reader.take());
        if schema != SCHEMA_VERSION {
            return Err(MessageError::Schema(schema));
        }
        let created = u64::from_be_bytes(reader.take());
        // Both ends of AWS let these two pass without a time.
        let timeless =
            matches!(message_type, MessageType::PausePublication | MessageType::StartPublication);
        if created == 0 && !timeless {
            return Err(MessageError::Created);
        }
        let sequence = i64::from_be_bytes(reader.take());
        let flags = u64::from_be_bytes(reader.take());
        let id = MessageId::from_header(reader.take());
        let digest: [u8; 32] = reader.take();
        let payload_type = PayloadType::from(u32::from_be_bytes(reader.take()));
        let announced = u32::from_be_bytes(reader.take());
        let payload = frame.get(HEADER..).unwrap_or_default();
        if usize::try_from(announced) != Ok(payload.len()) {
            return Err(MessageError::PayloadLength { announced, there: payload.len() });
        }
        let message = Self {
            message_type,
            created,
            sequence,
            flags,
            id,
            payload_type,
            payload: payload.to_vec(),
        };
        Ok((message, digest))
    }
}

fn type_of(field: &[u8; 32]) -> Result<MessageType, MessageError> {
    let text = core::str::from_utf8(field).map_err(|_| MessageError::Type)?;
    MessageType::from_name(text.trim_matches([' ', '\0'])).ok_or(MessageError::Type)
}

/// Takes fixed fields off a frame whose length was checked; past the end there are only zeros.
struct Reader<'a> {
    frame: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        if let Some(bytes) = self.frame.get(self.at..self.at + N) {
            out.copy_from_slice(bytes);
        }
        self.at += N;
        out
    }
}
