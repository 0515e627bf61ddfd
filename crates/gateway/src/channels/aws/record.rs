//! What is written down of one end, so that another process goes on with its client: numbers, and
//! no byte of output.
//!
//! Data flow: [`AwsEndpoint::record`](super::endpoint::AwsEndpoint::record) -> [`Record::encode`]
//! -> journal; journal -> [`Record::decode`] ->
//! [`AwsEndpoint::resume`](super::endpoint::AwsEndpoint::resume).
//!
//! # Invariants
//! - At most [`MAX_RECORD`] bytes.
//! - What decodes cannot make an end that grows without bound or panics.

use std::ops::Range;

use towline_ssm::channel::{ChannelState, MAX_STATE};
use towline_wire::lane::Lanes;
use towline_wire::message::Size;

use crate::limits::MAX_AWS_CLIENT_ID;

/// Marks, size, four positions, length of the client id.
const HEAD: usize = 1 + 2 * 2 + 4 * 8 + 1;
/// Longest encoded form, bytes.
pub(super) const MAX_RECORD: usize = HEAD + 2 * (1 + MAX_PREFIX) + MAX_AWS_CLIENT_ID + MAX_STATE;

const ATTACHED: u8 = 1;
const SEPARATE: u8 = 2;
const SIZED: u8 = 4;
const PREFIXED: u8 = 8;
/// Standard output, or standard error, is at the beginning of a line.
const LINES: Lanes<u8> = Lanes::new(16, 32);
/// Longest prefix, bytes; session documents allow fewer.
const MAX_PREFIX: usize = 64;

/// What another process needs to go on with a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Tells a resumption from a second client.
    pub(super) client_id: String,
    /// The device has answered once: the positions are its own.
    pub(super) attached: bool,
    /// The client keeps standard error apart.
    pub(super) separate_output: bool,
    /// What stands before the text of standard output and standard error.
    pub(super) prefixes: [String; 2],
    /// Whether the next text gets its prefix.
    pub(super) line_begins: Lanes<bool>,
    /// The terminal's size, as the client said it last.
    pub(super) size: Option<Size>,
    /// Where the device's output begins that the client has not acknowledged.
    pub(super) output: Lanes<u64>,
    /// The input that was acknowledged to the client and that the device may not have.
    pub(super) input: Range<u64>,
    /// The numbers; none when this end cannot be gone on with.
    pub(super) channel: Option<ChannelState>,
}

impl Record {
    /// As bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let channel = self.channel.as_ref().map(ChannelState::encode).unwrap_or_default();
        let mut out = Vec::with_capacity(HEAD + self.client_id.len() + channel.len());
        let mark = |is, mark| if is { mark } else { 0 };
        out.push(
            mark(self.attached, ATTACHED)
                | mark(self.separate_output, SEPARATE)
                | mark(self.size.is_some(), SIZED)
                | mark(self.is_prefixed(), PREFIXED)
                | mark(self.line_begins.io, LINES.io)
                | mark(self.line_begins.err, LINES.err),
        );
        let size = self.size.unwrap_or(Size { rows: 0, cols: 0 });
        out.extend(size.rows.to_be_bytes());
        out.extend(size.cols.to_be_bytes());
        for position in [self.output.io, self.output.err, self.input.start, self.input.end] {
            out.extend(position.to_be_bytes());
        }
        // Nobody with a longer one has a journal.
        out.push(u8::try_from(self.client_id.len()).unwrap_or(u8::MAX));
        out.extend(self.client_id.as_bytes());
        if self.is_prefixed() {
            for prefix in &self.prefixes {
                let prefix = &prefix.as_bytes()[..prefix.len().min(MAX_PREFIX)];
                out.push(u8::try_from(prefix.len()).unwrap_or(u8::MAX));
                out.extend(prefix);
            }
        }
        out.extend(channel);
        out
    }

    fn is_prefixed(&self) -> bool {
        self.prefixes.iter().any(|prefix| !prefix.is_empty())
    }

    /// Reads [`Record::encode`]; nothing when it is something else.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(HEAD)?;
        let two = |at: usize| Some(u16::from_be_bytes(head.get(at..at + 2)?.try_into().ok()?));
        let eight = |at: usize| Some(u64::from_be_bytes(head.get(at..at + 8)?.try_into().ok()?));
        let (client_id, mut channel) = rest.split_at_checked(usize::from(head[HEAD - 1]))?;
        let marks = head[0];
        let mut prefixes = <[String; 2]>::default();
        if marks & PREFIXED != 0 {
            for prefix in &mut prefixes {
                let (length, rest) = channel.split_first()?;
                let length = usize::from(*length);
                let (text, rest) =
                    rest.split_at_checked(length).filter(|_| length <= MAX_PREFIX)?;
                *prefix = String::from_utf8(text.to_vec()).ok()?;
                channel = rest;
            }
        }
        Some(Self {
            client_id: String::from_utf8(client_id.to_vec()).ok()?,
            attached: marks & ATTACHED != 0,
            separate_output: marks & SEPARATE != 0,
            prefixes,
            line_begins: LINES.map(|line| marks & line != 0),
            size: (marks & SIZED != 0).then_some(Size { rows: two(1)?, cols: two(3)? }),
            output: Lanes::new(eight(5)?, eight(13)?),
            input: eight(21)?..eight(29)?,
            channel: if channel.is_empty() {
                None
            } else {
                Some(ChannelState::decode(channel).ok()?)
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use towline_ssm::channel::{Cut, CutKind, Reached, Stream};

    #[test]
    fn a_record_is_read_as_it_was_written_and_a_damaged_one_is_none() {
        let cuts = vec![Cut { kind: CutKind::Bytes(Stream::Stdout), len: 1000 }];
        let state = ChannelState {
            reached: Reached::Open,
            sized: true,
            ready: true,
            ahead: true,
            base: 40,
            taken: 9,
            cuts,
        };
        let whole = Record {
            client_id: "0b0f5c9e-0000-4000-8000-00000000000a".into(),
            attached: true,
            separate_output: true,
            prefixes: ["OUT:".into(), String::new()],
            line_begins: Lanes::new(false, true),
            size: Some(Size { rows: 43, cols: 132 }),
            output: Lanes::new(70_000, 3),
            input: 12..80,
            channel: Some(state),
        };
        let over = Record {
            size: None,
            attached: false,
            separate_output: false,
            channel: None,
            ..whole.clone()
        };
        for record in [whole, over] {
            let bytes = record.encode();
            assert!(bytes.len() <= MAX_RECORD);
            assert_eq!(Record::decode(&bytes), Some(record));
            assert_eq!(Record::decode(&bytes[..HEAD + 20]), None);
        }
        assert_eq!(Record::decode(&[0xff; HEAD + 300]), None);
    }
}
