//! All streams of one end on one link, and whose turn it is.
//!
//! Way out: control messages first, then due credits, then data in fair turns. Way in:
//! [`Mux::on_frame`] finds the stream, checks the rules and hands out what is new.
//!
//! # Fair turns
//! Each turn is one frame. A stream with little to send ([`SPARSE`] bytes or less: a keystroke's
//! echo) goes before bulk, once per round, so it never waits behind more than the frame being sent,
//! and can never starve the bulk either.
//!
//! # Invariants
//! - At most `most` streams, [`CONTROL_QUEUE`] bytes of control messages, and the budget's bytes of
//!   replay rings.
//! - A frame for a stream that is not there is ignored: it was on its way when the stream was
//!   removed.
//!
//! # Not here
//! - No meaning of control messages; no bytes received are kept (see [`crate::stream::Receiver`]).

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::frame::{Frame, StreamId};
use crate::stream::{Budget, Receiver, Sender, Violation};

/// Bytes of control messages that may wait for the link. A full queue means that the link does not
/// drain: the caller should drop the link, since all control messages are said again after a
/// reconnect.
pub const CONTROL_QUEUE: usize = 48 * 1024;
/// A stream with so many bytes to send, or fewer, goes before bulk.
pub const SPARSE: u64 = 1024;

/// Why something could not be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// See [`CONTROL_QUEUE`].
    #[error("{CONTROL_QUEUE} bytes of control messages are waiting: the link does not drain")]
    Control,
    /// As many streams as there may be.
    #[error("the limit of {0} streams is reached")]
    Streams(usize),
    /// A stream of that number is there already.
    #[error("stream {0} exists already")]
    Taken(StreamId),
}

/// What a frame meant.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// New bytes, in order. Keep them, and call [`Receiver::consumed`] when they have been passed
    /// on.
    Data(StreamId, &'a [u8]),
    /// Nothing more will come on this stream; everything before has come.
    End(StreamId),
    /// The far end took bytes or made room: the producer may be worth reading again.
    Credit(StreamId),
    /// A control message, for [`crate::message::decode`].
    Control(&'a [u8]),
    /// A ping that wants an answer, with the seconds until the next.
    Ping(u32),
    /// The answer to a ping.
    Pong,
    /// Nothing to do: a repetition, a stream that is gone, a kind from the future, a late version.
    Nothing,
}

/// One stream with both directions.
#[derive(Debug)]
pub struct Stream {
    id: StreamId,
    round: u32,
    /// Towards the other end.
    pub tx: Sender,
    /// From the other end.
    pub rx: Receiver,
}

/// All streams of one link, and the control messages that wait for it.
#[derive(Debug)]
pub struct Mux {
    control: VecDeque<Vec<u8>>,
    control_bytes: usize,
    streams: Vec<Stream>,
    most: usize,
    next: usize,
    round: u32,
    budget: Budget,
}

impl Mux {
    /// No streams yet; at most `most` of them, with `budget` bytes of replay rings together.
    #[must_use]
    pub fn new(most: usize, budget: usize) -> Self {
        Self {
            control: VecDeque::new(),
            control_bytes: 0,
            streams: Vec::new(),
            most,
            next: 0,
            round: 0,
            budget: Budget::new(budget),
        }
    }

    /// Adds a stream, detached, from position 0 in both directions.
    ///
    /// # Errors
    /// [`Full`] when there are too many, or the number is taken.
    pub fn add(&mut self, id: StreamId, tx: Sender, rx: Receiver) -> Result<(), Full> {
        if self.position(id).is_some() {
            return Err(Full::Taken(id));
        }
        if self.streams.len() >= self.most {
            return Err(Full::Streams(self.most));
        }
        self.streams.push(Stream { id, round: self.round.wrapping_sub(1), tx, rx });
        Ok(())
    }

    /// Removes a stream and gives its memory back.
    pub fn remove(&mut self, id: StreamId) {
        if let Some(at) = self.position(id) {
            let mut stream = self.streams.swap_remove(at);
            stream.tx.release(&mut self.budget);
        }
    }

    /// Allows `most` streams at least, whatever was allowed before.
    pub fn allow(&mut self, most: usize) {
        self.most = self.most.max(most);
    }

    /// Both directions of a stream, to be looked at.
    #[must_use]
    pub fn ends(&self, id: StreamId) -> Option<(&Sender, &Receiver)> {
        self.position(id).map(|at| (&self.streams[at].tx, &self.streams[at].rx))
    }

    /// A stream with the budget that its sender's methods want.
    pub fn stream(&mut self, id: StreamId) -> Option<(&mut Stream, &mut Budget)> {
        let at = self.position(id)?;
        Some((&mut self.streams[at], &mut self.budget))
    }

    /// Bytes of replay rings in use.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.budget.used()
    }

    fn position(&self, id: StreamId) -> Option<usize> {
        self.streams.iter().position(|stream| stream.id == id)
    }

    /// Queues an encoded control message.
    ///
    /// # Errors
    /// [`Full::Control`]: drop the link.
    pub fn push_control(&mut self, message: Vec<u8>) -> Result<(), Full> {
        if self.control_bytes + message.len() > CONTROL_QUEUE {
            return Err(Full::Control);
        }
        self.control_bytes += message.len();
        self.control.push_back(message);
        Ok(())
    }

    /// Bytes of control messages that wait for the link. Who has many to say waits until there are
    /// none: they go first.
    #[must_use]
    pub fn control_waiting(&self) -> usize {
        self.control_bytes
    }

    /// The link is gone: nothing is sent until each stream is attached again, and control messages
    /// are forgotten.
    pub fn link_lost(&mut self) {
        self.control.clear();
        self.control_bytes = 0;
        for stream in &mut self.streams {
            stream.tx.detach();
        }
    }

    /// True when [`Mux::next_frame`] would give a frame.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.control.is_empty()
            || self.streams.iter().any(|s| s.tx.is_ready() || s.rx.is_credit_due())
    }

    /// Gives the next frame to `send`; false when there is none. `most` bounds the data bytes of
    /// the frame.
    pub fn next_frame(&mut self, most: usize, send: impl FnOnce(Frame<'_>)) -> bool {
        if let Some(message) = self.control.pop_front() {
            self.control_bytes -= message.len();
            send(Frame::Control(&message));
            return true;
        }
        for stream in &mut self.streams {
            if let Some(credit) = stream.rx.credit_due(stream.id) {
                send(credit);
                return true;
            }
        }
        let Some(at) = self.whose_turn() else { return false };
        let stream = &mut self.streams[at];
        match stream.tx.next_frame(stream.id, most) {
            Some(frame) => {
                send(frame);
                true
            }
            None => false,
        }
    }

    /// A sparse stream that has not had its turn in this round, else the next ready one, which ends
    /// the round.
    fn whose_turn(&mut self) -> Option<usize> {
        let round = self.round;
        let sparse = |s: &Stream| s.round != round && s.tx.is_ready() && s.tx.backlog() <= SPARSE;
        if let Some(at) = self.streams.iter().position(sparse) {
            self.streams[at].round = round;
            return Some(at);
        }
        let n = self.streams.len();
        let in_turn =
            || (0..n).map(|i| (self.next + i) % n).filter(|&i| self.streams[i].tx.is_ready());
        let had_its_turn =
            |&i: &usize| self.streams[i].round == round && self.streams[i].tx.backlog() <= SPARSE;
        let at = in_turn().find(|i| !had_its_turn(i)).or_else(|| in_turn().next())?;
        self.next = (at + 1) % n;
        self.round = self.round.wrapping_add(1);
        Some(at)
    }

    /// Takes a frame from the link.
    ///
    /// # Errors
    /// A stream and the rule that was broken on it: end its session.
    pub fn on_frame<'a>(
        &mut self,
        frame: Frame<'a>,
    ) -> Result<Incoming<'a>, (StreamId, Violation)> {
        let (id, result) = match frame {
            Frame::Control(body) => return Ok(Incoming::Control(body)),
            Frame::Ping { next_in } => return Ok(Incoming::Ping(next_in)),
            Frame::Pong => return Ok(Incoming::Pong),
            Frame::Version { .. } | Frame::Extension { .. } | Frame::Unknown(_) => {
                return Ok(Incoming::Nothing);
            }
            Frame::Data { stream, offset, data } => match self.position(stream) {
                Some(at) => (
                    stream,
                    self.streams[at]
                        .rx
                        .on_data(offset, data)
                        .map(|new| data_or_nothing(stream, new)),
                ),
                None => return Ok(Incoming::Nothing),
            },
            Frame::Fin { stream, length } => match self.position(stream) {
                Some(at) => (
                    stream,
                    self.streams[at].rx.on_fin(length).map(|whole| end_or_nothing(stream, whole)),
                ),
                None => return Ok(Incoming::Nothing),
            },
            Frame::Credit { stream, acked, limit } => match self.position(stream) {
                Some(at) => {
                    let taken = self.streams[at].tx.on_credit(acked, limit, &mut self.budget);
                    (stream, taken.map(|()| Incoming::Credit(stream)))
                }
                None => return Ok(Incoming::Nothing),
            },
        };
        result.map_err(|violation| (id, violation))
    }
}

fn data_or_nothing(id: StreamId, new: &[u8]) -> Incoming<'_> {
    if new.is_empty() { Incoming::Nothing } else { Incoming::Data(id, new) }
}

fn end_or_nothing(id: StreamId, whole: bool) -> Incoming<'static> {
    if whole { Incoming::End(id) } else { Incoming::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mux_with(streams: u32) -> Mux {
        let mut mux = Mux::new(8, 1 << 20);
        for id in 0..streams {
            mux.add(id, Sender::new(1 << 18), Receiver::new(4096)).unwrap();
            let (stream, budget) = mux.stream(id).unwrap();
            stream.tx.attach(None, u32::MAX, budget).unwrap();
        }
        mux
    }

    fn push(mux: &mut Mux, id: StreamId, n: usize) {
        let (stream, budget) = mux.stream(id).unwrap();
        assert_eq!(stream.tx.push(&vec![0; n], budget), n);
    }

    fn order(mux: &mut Mux, frames: usize) -> Vec<StreamId> {
        let mut order = Vec::new();
        for _ in 0..frames {
            mux.next_frame(1 << 14, |frame| {
                if let Frame::Data { stream, .. } = frame {
                    order.push(stream);
                }
            });
        }
        order
    }

    #[test]
    fn bulk_streams_take_turns() {
        let mut mux = mux_with(3);
        for id in 0..3 {
            push(&mut mux, id, 100_000);
        }
        assert_eq!(order(&mut mux, 6), [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn an_echo_goes_before_bulk_and_control_before_both() {
        let mut mux = mux_with(3);
        push(&mut mux, 0, 100_000);
        push(&mut mux, 1, 100_000);
        push(&mut mux, 2, 1);
        mux.push_control(vec![1]).unwrap();
        mux.next_frame(1 << 14, |frame| assert!(matches!(frame, Frame::Control(_))));
        assert_eq!(order(&mut mux, 3), [2, 0, 1]);
    }

    #[test]
    fn a_chatty_stream_cannot_starve_bulk() {
        let mut mux = mux_with(2);
        push(&mut mux, 0, 100_000);
        let mut seen = Vec::new();
        for _ in 0..4 {
            push(&mut mux, 1, 1);
            seen.extend(order(&mut mux, 1));
        }
        assert_eq!(seen, [1, 0, 1, 0]);
    }

    #[test]
    fn a_full_control_queue_is_an_error_and_a_lost_link_empties_it() {
        let mut mux = Mux::new(1, 0);
        mux.push_control(vec![0; CONTROL_QUEUE]).unwrap();
        assert_eq!(mux.push_control(vec![0]), Err(Full::Control));
        mux.link_lost();
        mux.push_control(vec![0]).unwrap();
    }

    #[test]
    fn frames_for_streams_that_are_gone_are_ignored() {
        let mut mux = mux_with(1);
        mux.remove(0);
        for frame in [
            Frame::Data { stream: 0, offset: 0, data: b"x" },
            Frame::Fin { stream: 0, length: 9 },
            Frame::Credit { stream: 0, acked: 9, limit: 9 },
        ] {
            assert_eq!(mux.on_frame(frame), Ok(Incoming::Nothing));
        }
        assert_eq!(mux.memory(), 0);
    }

    #[test]
    fn more_streams_than_allowed_are_refused() {
        let mut mux = mux_with(8);
        assert_eq!(mux.add(8, Sender::new(0), Receiver::new(1)), Err(Full::Streams(8)));
        assert_eq!(mux.add(7, Sender::new(0), Receiver::new(1)), Err(Full::Taken(7)));
    }
}
