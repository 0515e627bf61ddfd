//! The session's bytes: counted, acknowledged, and the same whatever is lost on the way.
//!
//! Data flow out: keyboard -> [`Streams::push_input`] -> ring -> [`Streams::next_message`] ->
//! websocket. Data flow in: websocket -> [`Streams::on_message`] -> the new bytes -> local output
//! -> [`Streams::consumed`].
//!
//! # Invariants
//! - Input waits in at most [`INPUT_RING`] bytes, output in at most [`OUTPUT_WINDOW`] bytes a
//!   stream.
//! - Positions on the wire are the agent's. A client that takes a session over joins in the middle
//!   of its input: what it sends first has the position
//!   [`Attached.input`](towline_wire::client::ToClient::Attached), not 0.

use bytes::Bytes;
use towline_wire::client::{ERR, FromClient, IO};
use towline_wire::frame::{Frame, FrameError, MAX_DATA, StreamId};
use towline_wire::message::{MessageError, encode};
use towline_wire::mux::{Full, Incoming, Mux};
use towline_wire::stream::{Receiver, Sender, Violation};

use crate::limits::{INPUT_RING, OUTPUT_WINDOW};

/// The gateway or the device violated the protocol: the session cannot continue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Broken {
    /// Not a frame.
    #[error("the gateway sent an invalid frame: {0}")]
    Frame(#[from] FrameError),
    /// Not a message.
    #[error("the gateway sent an invalid message: {0}")]
    Message(#[from] MessageError),
    /// Against the rules of the stream.
    #[error("protocol violation on stream {0}: {1}")]
    Stream(StreamId, Violation),
    /// Our own control messages do not leave.
    #[error(transparent)]
    Full(#[from] Full),
    /// Against the rules of a tunnel.
    #[error(transparent)]
    Tunnel(#[from] towline_wire::smux::Broken),
}

/// What a message of the gateway was.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received<'a> {
    /// New output.
    Output(StreamId, &'a [u8]),
    /// A control message, to be decoded.
    Control(&'a [u8]),
    /// The device took input, or gave room for more.
    Room,
    /// Nothing to act upon.
    Nothing,
}

/// The streams of a session.
#[derive(Debug)]
pub(super) struct Streams {
    mux: Mux,
    /// The agent's position of our first input byte; known with the first attach.
    base: Option<u64>,
    finish_wanted: bool,
    pong_due: bool,
    /// Room for output, bytes a stream, and for input.
    window: u32,
    ring: usize,
    /// What the room was counted with that was stated last.
    stated: [u64; 2],
}

impl Streams {
    /// No bytes yet, not attached.
    #[must_use]
    pub(super) fn new() -> Self {
        Self::sized(OUTPUT_WINDOW, INPUT_RING)
    }

    /// The same with room for so many bytes of output (a stream) and of input.
    #[must_use]
    pub(super) fn sized(window: u32, ring: usize) -> Self {
        // A ring grows by no more than half of what is left: with twice its size it has all of it.
        let mux = Mux::new(2, 2 * ring);
        Self {
            mux,
            base: None,
            finish_wanted: false,
            pong_due: false,
            window,
            ring,
            stated: [0; 2],
        }
    }

    /// What an attach says of the output received; nothing before the first time.
    pub(super) fn received(&mut self) -> Option<[u64; 2]> {
        let io = self.mux.stream(IO)?.0.rx.received();
        let err = self.mux.stream(ERR)?.0.rx.received();
        Some([io, err])
    }

    /// Room for output, bytes, for each stream.
    pub(super) fn room(&mut self) -> [u32; 2] {
        for (at, id) in [IO, ERR].into_iter().enumerate() {
            self.stated[at] = self.mux.stream(id).map_or(0, |(stream, _)| stream.rx.passed_on());
        }
        [IO, ERR].map(|id| self.mux.stream(id).map_or(self.window, |(stream, _)| stream.rx.room()))
    }

    /// Whether the device took input up to `input` that was never sent from here: another client
    /// had the seat meanwhile and typed. What waits here was meant for the screen before that, and
    /// is dropped; says how many bytes that were.
    pub(super) fn give_way(&mut self, input: u64) -> Option<u64> {
        let base = self.base?;
        let (stream, budget) = self.mux.stream(IO)?;
        let own = stream.tx.state();
        if input <= base.saturating_add(own.sent) {
            return None;
        }
        stream.tx.release(budget);
        stream.tx = Sender::new(self.ring);
        self.base = Some(input);
        Some(own.end - own.sent)
    }

    /// Bytes flow from these positions on. Returns how many bytes of output are missing, which is 0
    /// unless the device could not keep them.
    ///
    /// # Errors
    /// [`Broken::Stream`] when the device wants input again that it had acknowledged.
    pub(super) fn attached(
        &mut self,
        output: [u64; 2],
        input: u64,
        room: u32,
    ) -> Result<u64, Broken> {
        let mut missed = 0;
        for (at, (id, position)) in [(IO, output[0]), (ERR, output[1])].into_iter().enumerate() {
            match self.mux.stream(id) {
                None => self.mux.add(
                    id,
                    Sender::new(self.ring),
                    Receiver::starting_at(position, self.window),
                )?,
                Some((stream, _)) if position > stream.rx.received() => {
                    missed += position - stream.rx.received();
                    stream.rx = Receiver::starting_at(position, self.window);
                }
                Some((stream, _)) => stream.rx.restate(self.stated[at]),
            }
        }
        let base = *self.base.get_or_insert(input);
        let Some((stream, budget)) = self.mux.stream(IO) else { return Ok(missed) };
        stream
            .tx
            .attach(Some(input.saturating_sub(base)), room, budget)
            .map_err(|v| Broken::Stream(IO, v))?;
        if self.finish_wanted {
            stream.tx.finish();
        }
        Ok(missed)
    }

    /// Whether input should be read.
    pub(super) fn wants_input(&mut self) -> bool {
        !self.finish_wanted
            && self.mux.stream(IO).is_some_and(|(stream, budget)| stream.tx.wants_more(budget))
    }

    /// Takes as much input as there is room for; how many bytes that were.
    pub(super) fn push_input(&mut self, bytes: &[u8]) -> usize {
        self.mux.stream(IO).map_or(0, |(stream, budget)| stream.tx.push(bytes, budget))
    }

    /// There will be no more input.
    pub(super) fn finish_input(&mut self) {
        self.finish_wanted = true;
        if let Some((stream, _)) = self.mux.stream(IO) {
            stream.tx.finish();
        }
    }

    /// Output bytes have reached the local end.
    pub(super) fn consumed(&mut self, id: StreamId, bytes: usize) {
        if let Some((stream, _)) = self.mux.stream(id) {
            stream.rx.consumed(bytes);
        }
    }

    /// Queues a control message.
    ///
    /// # Errors
    /// [`Broken::Full`] when the link does not drain, [`Broken::Message`] when it is too large.
    pub(super) fn control(&mut self, message: &FromClient) -> Result<(), Broken> {
        Ok(self.mux.push_control(encode(message)?)?)
    }

    /// The websocket is gone: nothing is sent until [`Streams::attached`].
    pub(super) fn link_lost(&mut self) {
        self.mux.link_lost();
        self.pong_due = false;
    }

    /// The next message for the websocket.
    pub(super) fn next_message(&mut self) -> Option<Bytes> {
        let mut out = Vec::new();
        if std::mem::take(&mut self.pong_due) {
            Frame::Pong.encode_body(&mut out);
            return Some(out.into());
        }
        let base = self.base.unwrap_or(0);
        let any = self.mux.next_frame(MAX_DATA, |frame| {
            let frame = match frame {
                Frame::Data { stream: IO, offset, data } => {
                    out.reserve_exact(data.len() + towline_wire::frame::DATA_OVERHEAD);
                    Frame::Data { stream: IO, offset: offset + base, data }
                }
                Frame::Fin { stream: IO, length } => {
                    Frame::Fin { stream: IO, length: length + base }
                }
                other => other,
            };
            frame.encode_body(&mut out);
        });
        any.then(|| out.into())
    }

    /// Takes a message of the websocket.
    ///
    /// # Errors
    /// [`Broken`].
    pub(super) fn on_message<'a>(&mut self, message: &'a [u8]) -> Result<Received<'a>, Broken> {
        let mut frame = Frame::decode(message)?;
        if let Frame::Credit { stream: IO, acked, limit } = &mut frame {
            let base = self.base.unwrap_or(0);
            (*acked, *limit) = (acked.saturating_sub(base), limit.saturating_sub(base));
        }
        match self.mux.on_frame(frame).map_err(|(id, violation)| Broken::Stream(id, violation))? {
            Incoming::Data(id, data) => Ok(Received::Output(id, data)),
            Incoming::Control(body) => Ok(Received::Control(body)),
            Incoming::Credit(_) => Ok(Received::Room),
            Incoming::Ping(_) => {
                self.pong_due = true;
                Ok(Received::Nothing)
            }
            Incoming::End(_) | Incoming::Pong | Incoming::Nothing => Ok(Received::Nothing),
        }
    }
}

impl Default for Streams {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(streams: &mut Streams) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| streams.next_message()).map(|bytes| bytes.to_vec()).collect()
    }

    fn body(frame: Frame<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        frame.encode_body(&mut out);
        out
    }

    #[test]
    fn nothing_is_sent_or_read_before_the_device_is_there() {
        let mut streams = Streams::new();
        assert_eq!(
            (streams.received(), streams.room(), streams.wants_input()),
            (None, [OUTPUT_WINDOW; 2], false)
        );
        streams.attached([0, 0], 0, 100).unwrap();
        assert_eq!((streams.received(), streams.wants_input()), (Some([0, 0]), true));
        assert_eq!(streams.push_input(b"ls\r"), 3);
        assert_eq!(
            sent(&mut streams),
            [body(Frame::Data { stream: IO, offset: 0, data: b"ls\r" })]
        );
    }

    #[test]
    fn who_takes_a_session_over_goes_on_at_the_positions_of_the_device() {
        let mut streams = Streams::new();
        streams.attached([700, 0], 40, 100).unwrap();
        streams.push_input(b"x");
        assert_eq!(sent(&mut streams), [body(Frame::Data { stream: IO, offset: 40, data: b"x" })]);
        let output = body(Frame::Data { stream: IO, offset: 700, data: b"y" });
        assert_eq!(streams.on_message(&output).unwrap(), Received::Output(IO, b"y"));
        streams.on_message(&body(Frame::Credit { stream: IO, acked: 41, limit: 141 })).unwrap();
        streams.finish_input();
        assert_eq!(sent(&mut streams), [body(Frame::Fin { stream: IO, length: 41 })]);
        streams.on_message(&body(Frame::Credit { stream: IO, acked: 42, limit: 141 })).unwrap();
    }

    #[test]
    fn after_a_lost_link_input_is_sent_again_from_where_the_device_has_it() {
        let mut streams = Streams::new();
        streams.attached([0, 0], 0, 100).unwrap();
        streams.push_input(b"hello");
        assert_eq!(sent(&mut streams).len(), 1);
        streams.link_lost();
        streams.push_input(b"!");
        assert!(sent(&mut streams).is_empty());
        streams.attached([0, 0], 2, 100).unwrap();
        assert_eq!(
            sent(&mut streams),
            [body(Frame::Data { stream: IO, offset: 2, data: b"llo!" })]
        );
    }

    #[test]
    fn who_finds_that_another_client_typed_goes_on_behind_it_and_drops_what_waits() {
        let mut streams = Streams::new();
        streams.attached([0, 0], 0, 100).unwrap();
        streams.push_input(b"hello");
        assert_eq!(sent(&mut streams).len(), 1);
        streams.link_lost();
        streams.push_input(b" world");
        assert_eq!(streams.give_way(5), None, "all of it was sent from here");
        assert_eq!(streams.give_way(40), Some(6), "the rest was taken");
        streams.attached([0, 0], 40, 100).unwrap();
        assert!(sent(&mut streams).is_empty());
        streams.push_input(b"x");
        assert_eq!(sent(&mut streams), [body(Frame::Data { stream: IO, offset: 40, data: b"x" })]);
        streams.on_message(&body(Frame::Credit { stream: IO, acked: 41, limit: 141 })).unwrap();
    }

    #[test]
    fn output_that_comes_twice_is_seen_once_and_what_is_missing_is_told() {
        let mut streams = Streams::new();
        streams.attached([0, 0], 0, 100).unwrap();
        let first = body(Frame::Data { stream: ERR, offset: 0, data: b"abc" });
        assert_eq!(streams.on_message(&first).unwrap(), Received::Output(ERR, b"abc"));
        assert_eq!(streams.on_message(&first).unwrap(), Received::Nothing);
        assert_eq!(streams.attached([0, 3], 0, 100).unwrap(), 0);
        assert_eq!(streams.attached([10, 3], 0, 100).unwrap(), 10);
        assert_eq!(streams.received(), Some([10, 3]));
    }

    #[test]
    fn output_that_is_not_taken_leaves_no_room_for_more() {
        let mut streams = Streams::new();
        streams.attached([0, 0], 0, 100).unwrap();
        for n in 0..16 {
            let data = [0; 16_000];
            streams
                .on_message(&body(Frame::Data { stream: IO, offset: n * 16_000, data: &data }))
                .unwrap();
        }
        assert_eq!(streams.room(), [OUTPUT_WINDOW - 256_000, OUTPUT_WINDOW]);
        assert!(
            streams
                .on_message(&body(Frame::Data { stream: IO, offset: 256_000, data: &[0; 16_000] }))
                .is_err()
        );
        streams.consumed(IO, 256_000);
        assert_eq!(streams.room(), [OUTPUT_WINDOW; 2]);
    }

    #[test]
    fn room_that_was_made_while_an_attach_was_under_way_is_told_after_it() {
        let mut streams = Streams::new();
        streams.attached([0, 0], 0, 0).unwrap();
        for n in 0..16 {
            let data = [0; 16_000];
            streams
                .on_message(&body(Frame::Data { stream: IO, offset: n * 16_000, data: &data }))
                .unwrap();
        }
        streams.link_lost();
        assert_eq!(streams.room(), [OUTPUT_WINDOW - 256_000, OUTPUT_WINDOW]);
        streams.consumed(IO, 256_000);
        assert_eq!(sent(&mut streams).len(), 1, "said while nobody listens");
        streams.attached([256_000, 0], 0, 0).unwrap();
        let credit =
            Frame::Credit { stream: IO, acked: 256_000, limit: 256_000 + u64::from(OUTPUT_WINDOW) };
        assert_eq!(sent(&mut streams), [body(credit)]);
    }

    #[test]
    fn a_full_ring_takes_no_more_and_a_ping_is_answered() {
        let mut streams = Streams::new();
        streams.attached([0, 0], 0, 0).unwrap();
        assert_eq!(streams.push_input(&vec![0; 2 * INPUT_RING]), INPUT_RING);
        assert!(!streams.wants_input());
        streams.on_message(&body(Frame::Ping { next_in: 9 })).unwrap();
        assert_eq!(sent(&mut streams), [body(Frame::Pong)]);
    }

    #[test]
    fn an_end_of_input_before_the_device_is_there_is_not_forgotten() {
        let mut streams = Streams::new();
        streams.finish_input();
        streams.attached([0, 0], 0, 100).unwrap();
        assert_eq!(sent(&mut streams), [body(Frame::Fin { stream: IO, length: 0 })]);
    }
}
