//! What waits for one agent's link: control messages, credits, and stream data in fair turns.
//!
//! Data flow: sessions push from any task -> the link's own task takes batches and writes them.
//! Nobody waits here: what does not fit is an error, and the error ends the link, because
//! everything in here is sent again after a reconnect.
//!
//! # Invariants
//! - Control bytes stay below [`MAX_CONTROL_BYTES`]; data bytes are bounded by the credit that the
//!   agent gave, and in any case by [`MAX_DATA_BYTES`] for a link.
//! - A credit is a state, not an event: a newer one replaces an older one that still waits.
//! - A stream with little to send goes before bulk once per round, as in `towline_wire::mux`.

use std::collections::VecDeque;

use towline_wire::frame::{Frame, StreamId};
use towline_wire::mux::SPARSE;

use crate::limits::{MAX_CONTROL_BYTES, MAX_DATA_BYTES};

/// Something did not fit: the link has to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the agent's link does not drain: {0}")]
pub(super) struct Overflow(&'static str);

/// Data frames of one stream.
#[derive(Debug)]
struct Waiting {
    stream: StreamId,
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
    round: u32,
}

/// What waits for one link.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    control: VecDeque<Vec<u8>>,
    control_bytes: usize,
    credits: Vec<(StreamId, u64, u64)>,
    data: VecDeque<Waiting>,
    data_bytes: usize,
    round: u32,
}

impl Outbox {
    /// Queues a frame that goes before all data.
    ///
    /// # Errors
    /// [`Overflow`] when too many wait already, or the frame is larger than a frame may be.
    pub(super) fn push_control(&mut self, frame: &Frame<'_>) -> Result<(), Overflow> {
        let bytes = encoded(frame)?;
        if self.control_bytes + bytes.len() > MAX_CONTROL_BYTES {
            return Err(Overflow("control messages"));
        }
        self.control_bytes += bytes.len();
        self.control.push_back(bytes);
        Ok(())
    }

    /// Queues a control message that came from a client: only in the first half of the room, so
    /// that clients who send too many harm nobody but themselves. False: there was no room.
    pub(super) fn offer_control(&mut self, frame: &Frame<'_>) -> bool {
        let Ok(bytes) = encoded(frame) else { return false };
        if self.control_bytes + bytes.len() > MAX_CONTROL_BYTES / 2 {
            return false;
        }
        self.control_bytes += bytes.len();
        self.control.push_back(bytes);
        true
    }

    /// Queues or replaces the credit of a stream.
    pub(super) fn push_credit(&mut self, stream: StreamId, acked: u64, limit: u64) {
        match self.credits.iter_mut().find(|(id, ..)| *id == stream) {
            Some(held) => (held.1, held.2) = (held.1.max(acked), held.2.max(limit)),
            None => self.credits.push((stream, acked, limit)),
        }
    }

    /// Queues a data or fin frame of a stream.
    ///
    /// # Errors
    /// [`Overflow`] when more waits than any credit allows.
    pub(super) fn push_data(
        &mut self,
        stream: StreamId,
        frame: &Frame<'_>,
    ) -> Result<(), Overflow> {
        let bytes = encoded(frame)?;
        if self.data_bytes + bytes.len() > MAX_DATA_BYTES {
            return Err(Overflow("stream data"));
        }
        self.data_bytes += bytes.len();
        let at =
            self.data.iter().position(|waiting| waiting.stream == stream).unwrap_or_else(|| {
                let round = self.round.wrapping_sub(1);
                self.data.push_back(Waiting { stream, frames: VecDeque::new(), bytes: 0, round });
                self.data.len() - 1
            });
        let waiting = &mut self.data[at];
        waiting.bytes += bytes.len();
        waiting.frames.push_back(bytes);
        Ok(())
    }

    /// Drops what waits for a stream: its client has gone back to another position, or it is over.
    pub(super) fn clear_stream(&mut self, stream: StreamId) {
        if let Some(at) = self.data.iter().position(|waiting| waiting.stream == stream)
            && let Some(gone) = self.data.remove(at)
        {
            self.data_bytes -= gone.bytes;
        }
        self.credits.retain(|(id, ..)| *id != stream);
    }

    /// Appends frames to `out` until it holds about `most` bytes or nothing waits any more.
    pub(super) fn take(&mut self, out: &mut Vec<u8>, most: usize) {
        // With their room: what is empty holds none.
        for bytes in std::mem::take(&mut self.control) {
            self.control_bytes -= bytes.len();
            out.extend_from_slice(&bytes);
        }
        for (stream, acked, limit) in std::mem::take(&mut self.credits) {
            // A credit is three numbers: it always fits a frame.
            let _ = Frame::Credit { stream, acked, limit }.encode(out);
        }
        while out.len() < most {
            let Some(bytes) = self.next_data() else { break };
            out.extend_from_slice(&bytes);
        }
    }

    fn next_data(&mut self) -> Option<Vec<u8>> {
        let round = self.round;
        let sparse = |w: &Waiting| w.round != round && w.bytes as u64 <= SPARSE;
        let at = match self.data.iter().position(sparse) {
            Some(at) => at,
            None => {
                self.round = self.round.wrapping_add(1);
                0
            }
        };
        let mut waiting = self.data.remove(at)?;
        waiting.round = round;
        let bytes = waiting.frames.pop_front()?;
        waiting.bytes -= bytes.len();
        self.data_bytes -= bytes.len();
        if !waiting.frames.is_empty() {
            self.data.push_back(waiting);
        }
        Some(bytes)
    }
}

fn encoded(frame: &Frame<'_>) -> Result<Vec<u8>, Overflow> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes).map_err(|_| Overflow("a frame is too large"))?;
    Ok(bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use towline_wire::frame::FrameReader;

    #[test]
    fn clients_fill_half_of_the_room_for_control_messages_and_the_gateway_has_the_rest() {
        let (mut outbox, body) = (Outbox::default(), [7; 100]);
        let taken =
            (0..10_000).take_while(|_| outbox.offer_control(&Frame::Control(&body))).count();
        assert_eq!(taken, MAX_CONTROL_BYTES / 2 / 103);
        let own =
            (0..10_000).take_while(|_| outbox.push_control(&Frame::Control(&body)).is_ok()).count();
        assert!(own >= taken, "{own} after {taken}");
        outbox.take(&mut Vec::new(), 1);
        assert!(outbox.offer_control(&Frame::Control(&body)));
    }

    fn data(outbox: &mut Outbox, stream: StreamId, n: usize) {
        outbox.push_data(stream, &Frame::Data { stream, offset: 0, data: &vec![1; n] }).unwrap();
    }

    /// Each frame in `bytes`, in words.
    pub(crate) fn in_words(bytes: &[u8], words: impl Fn(Frame<'_>) -> String) -> Vec<String> {
        let (mut told, mut reader, mut rest) = (Vec::new(), FrameReader::new(), bytes);
        while !rest.is_empty() {
            let spare = reader.spare();
            let n = spare.len().min(rest.len());
            spare[..n].copy_from_slice(&rest[..n]);
            rest = &rest[n..];
            reader.filled(n);
            while let Some(frame) = reader.next().unwrap() {
                told.push(words(frame));
            }
        }
        told
    }

    fn taken(outbox: &mut Outbox) -> Vec<String> {
        let mut out = Vec::new();
        outbox.take(&mut out, usize::MAX);
        in_words(&out, |frame| match frame {
            Frame::Data { stream, .. } => format!("data {stream}"),
            Frame::Credit { stream, acked, limit } => format!("credit {stream} {acked} {limit}"),
            Frame::Pong => "pong".to_owned(),
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn control_goes_first_then_the_newest_credits_then_a_keystroke_then_bulk_in_turns() {
        let mut outbox = Outbox::default();
        for stream in [1, 2] {
            data(&mut outbox, stream, 10_000);
            data(&mut outbox, stream, 10_000);
        }
        data(&mut outbox, 3, 1);
        outbox.push_credit(1, 5, 10);
        outbox.push_credit(1, 7, 12);
        outbox.push_control(&Frame::Pong).unwrap();
        let expected = ["pong", "credit 1 7 12", "data 3", "data 1", "data 2", "data 1", "data 2"];
        assert_eq!(taken(&mut outbox), expected);
        assert!(taken(&mut outbox).is_empty());
    }

    #[test]
    fn a_link_that_does_not_drain_is_an_error_on_both_queues() {
        let mut outbox = Outbox::default();
        let body = vec![0; 10_000];
        assert!((0..10).any(|_| outbox.push_control(&Frame::Control(&body)).is_err()));
        let big = vec![0; 16_000];
        let frame = Frame::Data { stream: 1, offset: 0, data: &big };
        assert!((0..=MAX_DATA_BYTES / 16_000).any(|_| outbox.push_data(1, &frame).is_err()));
    }

    #[test]
    fn a_cleared_stream_leaves_nothing_behind() {
        let mut outbox = Outbox::default();
        data(&mut outbox, 1, 10);
        outbox.push_credit(1, 1, 1);
        outbox.clear_stream(1);
        assert!(taken(&mut outbox).is_empty());
        assert_eq!(outbox.data_bytes, 0);
    }
}
