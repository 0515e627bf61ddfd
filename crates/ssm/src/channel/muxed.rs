//! Messages of a port session with many connections: whole frames of smux, and what a message
//! becomes when nobody can know whether the client has handled it.
//!
//! The official client handles a message before it acknowledges it. When the websocket is lost in
//! between, it handles the same number once more: its connections would get bytes twice, and a
//! frame that was cut would break all of them.
//!
//! Data flow: bytes of the device -> [`Muxed::whole`] (where a message ends) -> [`Muxed::passed`]
//! -> the sender. After a lost websocket the oldest message -> [`Muxed::harmless`].
//!
//! # Invariants
//! - A message holds whole frames. One frame that is larger than a message, and bytes that are no
//!   frames, pass as they are.
//! - Of the doubtful message the connections with data in it end; all others go on. No connection
//!   gets bytes twice, and none has a hole: behind its end it gets no bytes at all.
//! - At most [`MAX_ENDED`] connections are remembered, the latest.
//!
//! # Not here
//! - Which message is doubtful: the sender knows.

use std::collections::VecDeque;

use towline_wire::smux::{Command, HEADER, Header};

/// Ended connections that are remembered; a port session has far fewer at a time.
const MAX_ENDED: usize = 1024;

/// The frames of one direction.
#[derive(Debug, Default)]
pub(super) struct Muxed {
    ended: VecDeque<u32>,
}

impl Muxed {
    /// The length of the whole frames at the beginning that fit a message of `max` bytes. Nothing:
    /// more bytes have to come.
    pub(super) fn whole(data: &[u8], max: usize) -> Option<usize> {
        let mut end = 0;
        loop {
            let rest = &data[end..];
            let Some(head) = rest.first_chunk::<HEADER>() else { break };
            let Ok(header) = Header::decode(*head) else { return Some(data.len().min(max)) };
            let length = HEADER + usize::from(header.length);
            if length > max && end == 0 {
                return Some(data.len().min(max));
            }
            if length > rest.len() || end + length > max {
                break;
            }
            end += length;
        }
        (end > 0).then_some(end)
    }

    /// A message that is sent for the first time: connections that have ended get no data.
    pub(super) fn passed(&self, payload: Vec<u8>) -> Vec<u8> {
        if self.ended.is_empty() { payload } else { self.without_data(&payload) }
    }

    /// A message that the client may have handled: its connections with data end here.
    pub(super) fn harmless(&mut self, payload: &[u8]) -> Vec<u8> {
        for (header, _) in frames(payload) {
            if header.command == Command::Psh && !self.ended.contains(&header.stream) {
                if self.ended.len() >= MAX_ENDED {
                    self.ended.pop_front();
                }
                self.ended.push_back(header.stream);
            }
        }
        self.without_data(payload)
    }

    /// The payload with an end in place of the data of ended connections.
    fn without_data(&self, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(payload.len());
        let mut read = 0;
        for (header, frame) in frames(payload) {
            read += frame.len();
            if header.command == Command::Psh && self.ended.contains(&header.stream) {
                let end = Header { command: Command::Fin, length: 0, ..header };
                out.extend_from_slice(&end.encode());
            } else {
                out.extend_from_slice(frame);
            }
        }
        out.extend_from_slice(&payload[read..]);
        out
    }
}

/// The whole frames at the beginning.
fn frames(mut data: &[u8]) -> impl Iterator<Item = (Header, &[u8])> {
    std::iter::from_fn(move || {
        let header = Header::decode(*data.first_chunk::<HEADER>()?).ok()?;
        let (frame, rest) = data.split_at_checked(HEADER + usize::from(header.length))?;
        data = rest;
        Some((header, frame))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use towline_wire::smux::Version;

    fn frame(command: Command, stream: u32, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).unwrap();
        let header = Header { version: Version::One, command, length, stream };
        [&header.encode()[..], data].concat()
    }

    #[test]
    fn a_message_ends_behind_a_whole_frame() {
        let data = [frame(Command::Psh, 3, b"abc"), frame(Command::Psh, 5, b"defg")].concat();
        assert_eq!(Muxed::whole(&data, 100), Some(23));
        assert_eq!(Muxed::whole(&data, 22), Some(11));
        assert_eq!(Muxed::whole(&data[..20], 100), Some(11));
        assert_eq!(Muxed::whole(&data[..10], 100), None, "more has to come");
        assert_eq!(Muxed::whole(&data[..3], 100), None);
        assert_eq!(Muxed::whole(&data, 10), Some(10), "a frame larger than a message is cut");
        assert_eq!(Muxed::whole(b"no frames at all", 100), Some(16));
    }

    #[test]
    fn connections_with_data_in_a_doubtful_message_end_and_others_go_on() {
        let mut muxed = Muxed::default();
        let message = [frame(Command::Psh, 3, b"abc"), frame(Command::Fin, 5, b"")].concat();
        let ends = [frame(Command::Fin, 3, b""), frame(Command::Fin, 5, b"")].concat();
        assert_eq!(muxed.harmless(&message), ends);
        assert_eq!(muxed.harmless(&ends), ends, "said again it is the same");
        let later = [frame(Command::Psh, 3, b"more"), frame(Command::Psh, 7, b"x")].concat();
        let kept = [frame(Command::Fin, 3, b""), frame(Command::Psh, 7, b"x")].concat();
        assert_eq!(muxed.passed(later), kept);
        let harmless = frame(Command::Nop, 0, b"");
        assert_eq!(muxed.harmless(&harmless), harmless);
    }

    #[test]
    fn the_number_of_ended_connections_is_bounded() {
        let mut muxed = Muxed::default();
        for stream in 0..3 * MAX_ENDED as u32 {
            let _ = muxed.harmless(&frame(Command::Psh, stream, b"x"));
        }
        assert_eq!(muxed.ended.len(), MAX_ENDED);
    }
}
