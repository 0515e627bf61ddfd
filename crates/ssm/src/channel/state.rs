//! What has to be written down of an agent's half, so that a process which takes its place goes on
//! under the same numbers.
//!
//! Data flow: after each round of the owner [`AgentChannel::state`](super::AgentChannel::state) ->
//! [`ChannelState::encode`] -> the owner's journal, *before* what
//! [`poll_transmit`](super::AgentChannel::poll_transmit) gives leaves; another process ->
//! [`ChannelState::decode`] -> [`AgentChannel::resume`](super::AgentChannel::resume).
//!
//! # Invariants
//! - At most [`MAX_STATE`] bytes, whatever was sent.
//! - What decodes obeys the bounds of a channel: a damaged journal cannot make one that grows or
//!   panics.
//!
//! # Not here
//! - No payload: output comes from its source again, cut as it was; input is the owner's once it
//!   was taken.

use super::limits::{SEND_WINDOW_BYTES, SEND_WINDOW_MESSAGES};
use super::stream::Stream;
use crate::message::MAX_PAYLOAD;

/// First byte of the encoded form; another form gets another number.
const FORM: u8 = 1;
/// Form, stage, two marks, two numbers, count.
const HEAD: usize = 1 + 1 + 1 + 8 + 8 + 2;
/// Kind and length.
const CUT: usize = 1 + 4;
/// Longest encoded form, bytes.
pub const MAX_STATE: usize = HEAD + SEND_WINDOW_MESSAGES * CUT;

/// How far a channel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// The client has not answered yet.
    Handshake,
    /// Its first size is awaited.
    Size,
    /// Bytes flow.
    Open,
}

/// What a message is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutKind {
    /// Made anew from the configuration.
    HandshakeRequest,
    /// The same.
    HandshakeComplete,
    /// Bytes of a stream.
    Bytes(Stream),
    /// A connection of a port session was not made.
    Flag,
    /// What stands before the text of a stream, made anew from the configuration.
    Prefix(Stream),
    /// The empty message in front of one that goes ahead of its turn.
    Opener,
}

/// One message that is not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// What it is made of.
    pub kind: CutKind,
    /// Bytes of its payload.
    pub len: u32,
}

/// The journal entry of an agent's half: enough for another process to go on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelState {
    /// How far it is.
    pub reached: Reached,
    /// A size has come.
    pub sized: bool,
    /// The client is known to consume ordinary data.
    pub ready: bool,
    /// Messages go ahead of their turn.
    pub ahead: bool,
    /// Number of the oldest message that is not acknowledged.
    pub base: i64,
    /// Number of the client's message that is taken next.
    pub taken: i64,
    /// The messages from `base` on.
    pub cuts: Vec<Cut>,
}

/// Bytes that are no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the state of a channel cannot be read: {0}")]
pub struct BadState(&'static str);

impl ChannelState {
    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD + self.cuts.len() * CUT);
        let reached = match self.reached {
            Reached::Handshake => 0,
            Reached::Size => 1,
            Reached::Open => 2,
        };
        let marks = [self.sized, self.ready, self.ahead];
        let marks = marks.iter().rev().fold(0, |marks, mark| marks << 1 | u8::from(*mark));
        out.extend([FORM, reached, marks]);
        out.extend(self.base.to_be_bytes());
        out.extend(self.taken.to_be_bytes());
        // The window is far below 65,536 messages.
        out.extend(u16::try_from(self.cuts.len()).unwrap_or(u16::MAX).to_be_bytes());
        for cut in &self.cuts {
            out.push(match cut.kind {
                CutKind::HandshakeRequest => 0,
                CutKind::HandshakeComplete => 1,
                CutKind::Bytes(Stream::Stdout) => 2,
                CutKind::Bytes(Stream::Stderr) => 3,
                CutKind::Flag => 4,
                CutKind::Prefix(Stream::Stdout) => 5,
                CutKind::Prefix(Stream::Stderr) => 6,
                CutKind::Opener => 7,
            });
            out.extend(cut.len.to_be_bytes());
        }
        out
    }

    /// Reads [`ChannelState::encode`].
    ///
    /// # Errors
    /// [`BadState`] names what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadState> {
        let (head, rest) = bytes.split_at_checked(HEAD).ok_or(BadState("it is too short"))?;
        let number = |at: usize| {
            let eight = head.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
            eight
                .map(i64::from_be_bytes)
                .filter(|number| *number >= 0)
                .ok_or(BadState("a number is negative"))
        };
        if head[0] != FORM || head[2] > 7 {
            return Err(BadState("it has another form"));
        }
        let reached = match head[1] {
            0 => Reached::Handshake,
            1 => Reached::Size,
            2 => Reached::Open,
            _ => return Err(BadState("its stage is not known")),
        };
        let count = usize::from(u16::from_be_bytes([head[HEAD - 2], head[HEAD - 1]]));
        if count > SEND_WINDOW_MESSAGES || rest.len() != count * CUT {
            return Err(BadState("the number of its messages is not right"));
        }
        let cuts = rest.chunks_exact(CUT).map(read_cut).collect::<Result<Vec<_>, _>>()?;
        let total: usize = cuts.iter().map(|cut| cut.len as usize).sum();
        if total > SEND_WINDOW_BYTES + MAX_PAYLOAD {
            return Err(BadState("its messages are more than a window"));
        }
        let [sized, ready, ahead] = [1, 2, 4].map(|mark| head[2] & mark != 0);
        Ok(Self { reached, sized, ready, ahead, base: number(3)?, taken: number(11)?, cuts })
    }
}

fn read_cut(bytes: &[u8]) -> Result<Cut, BadState> {
    let &[kind, a, b, c, d] = bytes else { return Err(BadState("a message is too short")) };
    let kind = match kind {
        0 => CutKind::HandshakeRequest,
        1 => CutKind::HandshakeComplete,
        2 => CutKind::Bytes(Stream::Stdout),
        3 => CutKind::Bytes(Stream::Stderr),
        4 => CutKind::Flag,
        5 => CutKind::Prefix(Stream::Stdout),
        6 => CutKind::Prefix(Stream::Stderr),
        7 => CutKind::Opener,
        _ => return Err(BadState("a message is of no known kind")),
    };
    let len = u32::from_be_bytes([a, b, c, d]);
    if (len == 0) != (kind == CutKind::Opener) || len as usize > MAX_PAYLOAD {
        return Err(BadState("a message has an impossible length"));
    }
    Ok(Cut { kind, len })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some() -> ChannelState {
        let bytes = |stream, len| Cut { kind: CutKind::Bytes(stream), len };
        let cuts = vec![
            Cut { kind: CutKind::HandshakeComplete, len: 70 },
            bytes(Stream::Stdout, 32_768),
            bytes(Stream::Stderr, 1),
            Cut { kind: CutKind::Flag, len: 4 },
            Cut { kind: CutKind::Prefix(Stream::Stderr), len: 4 },
            Cut { kind: CutKind::Opener, len: 0 },
        ];
        let (sized, ready, ahead) = (true, true, true);
        ChannelState { reached: Reached::Open, sized, ready, ahead, base: 1, taken: 77, cuts }
    }

    #[test]
    fn a_state_is_read_as_it_was_written_and_a_shortened_one_is_not() {
        let bytes = some().encode();
        assert_eq!(ChannelState::decode(&bytes), Ok(some()));
        for len in 0..bytes.len() {
            assert!(ChannelState::decode(&bytes[..len]).is_err(), "{len}");
        }
    }

    proptest! {
        #[test]
        fn a_damaged_state_is_an_error_or_within_the_bounds(at in 0_usize..64, with: u8, noise in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut bytes = some().encode();
            let at = at % bytes.len();
            bytes[at] = with;
            for bytes in [bytes, noise] {
                if let Ok(state) = ChannelState::decode(&bytes) {
                    prop_assert!(state.base >= 0 && state.taken >= 0 && state.cuts.len() <= SEND_WINDOW_MESSAGES);
                }
            }
        }
    }
}
