//! What both halves of a channel have in common: numbered messages in both directions and their
//! acknowledgements.
//!
//! Data flow: frame -> [`Half::on_frame`] -> receiver or sender; [`Half::poll_transmit`] ->
//! acknowledgements, then messages.
//!
//! # Invariants
//! - Acknowledgements go before data, so a peer never repeats because of our own bulk.
//! - A numbered message whose acknowledgement would find no room is not taken in.
//! - What an acknowledgement promises is the receiver's [`Promise`].

use core::time::Duration;
use std::collections::VecDeque;

use super::limits::PENDING_ACKS;
use super::receiver::{Item, Promise, Receiver, Verdict};
use super::sender::{Next, Sender};
use super::stream::Stream;
use super::transmit::{Transmit, acknowledgement};
use crate::message::payload::{Acknowledge, JsonPayload};
use crate::message::{AgentMessage, MessageError, MessageId, MessageIds, MessageType, PayloadType};

/// One half without its character.
#[derive(Debug)]
pub(super) struct Half {
    pub(super) ids: MessageIds,
    pub(super) sender: Sender,
    pub(super) receiver: Receiver,
    /// The type of numbered messages that come in.
    incoming: MessageType,
    acks: VecDeque<Vec<u8>>,
    pub(super) attached: bool,
    /// The peer asked us to hold output back.
    pub(super) paused: bool,
}

/// A message that the half itself has nothing to do with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Done.
    Handled,
    /// An acknowledgement came: things go on.
    Progress,
    /// The peer says it is over, with this payload.
    Closed(Vec<u8>),
}

impl Half {
    pub(super) fn new(
        sender: Sender,
        receiver: Receiver,
        incoming: MessageType,
        seed: [u8; 16],
    ) -> Self {
        Self {
            ids: MessageIds::new(seed),
            sender,
            receiver,
            incoming,
            acks: VecDeque::new(),
            attached: false,
            paused: false,
        }
    }

    pub(super) fn attach(&mut self) {
        self.attached = true;
        self.paused = false;
        self.sender.attach();
    }

    pub(super) fn push(&mut self, kind: PayloadType, payload: Vec<u8>, now: Duration) {
        self.sender.push(kind, None, payload, &mut self.ids, now);
    }

    /// The next payload in order. It counts as taken.
    pub(super) fn receive(&mut self, now: Duration) -> Option<(PayloadType, Vec<u8>)> {
        let Item { sequence, id, kind, payload } = self.receiver.pop()?;
        // Without room for it, or without a websocket, the peer asks again.
        if self.receiver.promise() == Promise::Taken
            && self.attached
            && self.acks.len() < PENDING_ACKS
        {
            self.acknowledge(sequence, &id, now);
        }
        Some((kind, payload))
    }

    fn acknowledge(&mut self, sequence: i64, id: &MessageId, now: Duration) {
        let ack = acknowledgement(&self.incoming, sequence, id, &mut self.ids, now);
        self.acks.push_back(ack);
    }

    pub(super) fn on_frame(&mut self, frame: &[u8], now: Duration) -> Result<Seen, MessageError> {
        // Only clients check digests; see the codec for why agents must not.
        let message = match self.incoming {
            MessageType::OutputStreamData => AgentMessage::decode_checked(frame)?,
            _ => AgentMessage::decode(frame)?,
        };
        match &message.message_type {
            MessageType::Acknowledge => {
                // An unreadable acknowledgement is none: the message will be repeated.
                let Ok(ack) = Acknowledge::from_payload(&message.payload) else {
                    return Ok(Seen::Handled);
                };
                self.sender.on_ack(ack.sequence, now);
                return Ok(Seen::Progress);
            }
            MessageType::ChannelClosed => return Ok(Seen::Closed(message.payload)),
            MessageType::PausePublication => self.paused = true,
            MessageType::StartPublication => self.paused = false,
            kind if *kind == self.incoming => self.on_numbered(message, now),
            _ => {}
        }
        Ok(Seen::Handled)
    }

    fn on_numbered(&mut self, message: AgentMessage, now: Duration) {
        if self.acks.len() >= PENDING_ACKS {
            return;
        }
        let AgentMessage { sequence, id, payload_type, payload, .. } = message;
        if self.receiver.accept(Item { sequence, id, kind: payload_type, payload })
            == Verdict::Acknowledge
        {
            self.acknowledge(sequence, &id, now);
        }
    }

    pub(super) fn poll_transmit(&mut self, now: Duration) -> Option<Transmit> {
        if !self.attached {
            return None;
        }
        if let Some(ack) = self.acks.pop_front() {
            return Some(Transmit::Binary(ack));
        }
        if self.paused {
            return None;
        }
        match self.sender.poll(now) {
            Next::Frame(frame) => Some(Transmit::Binary(frame)),
            Next::Ping(content) => Some(Transmit::Ping(content)),
            Next::Nothing => None,
        }
    }

    /// When something is to be repeated.
    pub(super) fn repeat_at(&self) -> Option<Duration> {
        if self.attached && !self.paused { self.sender.repeat_at() } else { None }
    }

    /// Whether further messages of the peer may find no room.
    pub(super) fn is_full(&self) -> bool {
        self.receiver.is_full() || self.acks.len() > PENDING_ACKS / 2
    }

    /// Bytes of payload kept in both directions.
    pub(super) fn bytes(&self) -> usize {
        self.receiver.bytes() + self.sender.bytes()
    }

    /// Cuts `data` into messages of at most `max` bytes while there is room, and returns how many
    /// bytes went in.
    pub(super) fn write(
        &mut self,
        kind: PayloadType,
        stream: Option<Stream>,
        data: &[u8],
        max: usize,
        now: Duration,
    ) -> usize {
        let mut taken = 0;
        while taken < data.len() && self.sender.room() > 0 {
            let rest = &data[taken..];
            let len = whole_characters(rest, max);
            self.sender.push(kind, stream, rest[..len].to_vec(), &mut self.ids, now);
            taken += len;
        }
        taken
    }
}

/// The largest length of at most `max` (at least 4) that cuts no UTF-8 character in two. Bytes that
/// are no UTF-8 are cut anywhere.
fn whole_characters(data: &[u8], max: usize) -> usize {
    if data.len() <= max {
        return data.len();
    }
    let back = (0..4).find(|back| data[max - back] & 0xc0 != 0x80).unwrap_or(0);
    if back < max { max - back } else { max }
}

#[cfg(test)]
mod tests {
    use super::whole_characters;

    #[test]
    fn a_cut_goes_around_characters() {
        let text = "aaa\u{20ac}b".as_bytes();
        assert_eq!(whole_characters(text, 100), 7);
        assert_eq!(whole_characters(text, 6), 6);
        assert_eq!(whole_characters(text, 5), 3);
        assert_eq!(whole_characters(text, 4), 3);
        assert_eq!(whole_characters(&[0x80; 9], 6), 6);
        assert_eq!(whole_characters("\u{1f600}\u{1f600}".as_bytes(), 4), 4);
    }
}
