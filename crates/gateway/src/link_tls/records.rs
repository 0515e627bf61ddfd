//! TLS of one link without its socket.
//!
//! Data flow: what came, behind [`Records::held`] -> [`Records::receive`], which decrypts it in
//! place -> [`Records::take`]. [`Records::say`] encrypts -> [`Records::to_send`].
//!
//! # Invariants
//! - Buffers belong to this type, and are held only while something is in them. rustls holds what
//!   it needs of keys and of the protocol.
//! - Of what came at most [`LINK_RECORD`] bytes are held: the beginning of a record, or of a
//!   message of the handshake.
//! - After a failure nothing is decrypted or encrypted any more; the alert that tells it waits to
//!   be sent.
//!
//! # Not here
//! - Sockets: [`super::stream`]. Cryptography and the rules of TLS: rustls.

use std::mem;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{CommonState, Error, server::ServerConnectionData};
use tokio::io::ReadBuf;

use super::queue::Queue;
use crate::limits::{LINK_RECORD, LINK_RECORD_OVERHEAD};

/// TLS of one link.
pub(super) struct Records {
    tls: UnbufferedServerConnection,
    /// The beginning of something whose end has not come.
    held: Vec<u8>,
    /// Decrypted, and not taken yet.
    plain: Queue,
    /// Encrypted, and not sent yet.
    out: Queue,
    /// The device has said that nothing more comes.
    is_closed_by_device: bool,
    has_failed: bool,
}

/// What is to be encrypted.
enum Words<'a> {
    Nothing,
    Data(&'a [u8]),
    Goodbye,
}

impl Records {
    /// Before the first byte.
    pub(super) fn new(tls: UnbufferedServerConnection) -> Self {
        Self {
            tls,
            held: Vec::new(),
            plain: Queue::default(),
            out: Queue::default(),
            is_closed_by_device: false,
            has_failed: false,
        }
    }

    /// What was agreed on.
    pub(super) fn session(&self) -> &CommonState {
        &self.tls
    }

    /// Whether the device has said that nothing more comes.
    pub(super) const fn is_closed_by_device(&self) -> bool {
        self.is_closed_by_device
    }

    /// What stands before the bytes that come next.
    pub(super) fn held(&self) -> &[u8] {
        &self.held
    }

    /// What is to be sent.
    pub(super) fn to_send(&self) -> &[u8] {
        self.out.waiting()
    }

    /// So many bytes of it were sent.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.out.advance(bytes);
    }

    /// Moves decrypted bytes into `buf`, as many as there is room for. False: there are none.
    pub(super) fn take(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let waiting = self.plain.waiting();
        if waiting.is_empty() {
            return false;
        }
        let moved = waiting.len().min(buf.remaining());
        buf.put_slice(&waiting[..moved]);
        self.plain.advance(moved);
        true
    }

    /// Takes what came: [`Records::held`], and new bytes behind it.
    ///
    /// # Errors
    /// The device broke the rules of TLS, or sent an alert.
    pub(super) fn receive(&mut self, came: &mut [u8]) -> Result<(), Error> {
        self.held = Vec::new();
        let used = self.turn(came, &Words::Nothing)?;
        if self.is_closed_by_device {
            return Ok(()); // what stands behind the end is nothing (RFC 8446, section 6.1)
        }
        let rest = came.get(used..).unwrap_or_default();
        if rest.len() > LINK_RECORD {
            self.has_failed = true;
            return Err(Error::General("a message of the TLS handshake is too long".to_owned()));
        }
        self.held = rest.to_vec();
        Ok(())
    }

    /// Encrypts `data`.
    ///
    /// # Errors
    /// The link has failed, or is closed.
    pub(super) fn say(&mut self, data: &[u8]) -> Result<(), Error> {
        self.speak(&Words::Data(data))
    }

    /// Encrypts the notice that nothing more comes.
    ///
    /// # Errors
    /// The link has failed.
    pub(super) fn close(&mut self) -> Result<(), Error> {
        self.speak(&Words::Goodbye)
    }

    fn speak(&mut self, words: &Words<'_>) -> Result<(), Error> {
        let mut held = mem::take(&mut self.held);
        let used = self.turn(&mut held, words)?;
        held.drain(..used);
        self.held = held;
        Ok(())
    }

    /// Has rustls do all that it can with these bytes, then say `words`. Returns how many of the
    /// bytes are done with.
    fn turn(&mut self, bytes: &mut [u8], words: &Words<'_>) -> Result<usize, Error> {
        if self.has_failed {
            return Err(Error::General("the TLS connection has failed before".to_owned()));
        }
        let turned = self.turn_on(bytes, words);
        if turned.is_err() {
            self.has_failed = true;
            self.tell_failure();
        }
        turned
    }

    fn turn_on(&mut self, bytes: &mut [u8], words: &Words<'_>) -> Result<usize, Error> {
        let mut used = 0;
        loop {
            let rest = bytes.get_mut(used..).unwrap_or_default();
            let UnbufferedStatus { discard, state } = self.tls.process_tls_records(rest);
            match state? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        self.plain.push(record.payload);
                        used += record.discard;
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => encode(&mut self.out, &mut data)?,
                // It is sent before everything that is encrypted later: one queue.
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.is_closed_by_device = true,
                ConnectionState::WriteTraffic(mut traffic) => {
                    encrypt(&mut self.out, &mut traffic, words)?;
                    return Ok(used + discard);
                }
                ConnectionState::BlockedHandshake | ConnectionState::Closed => {
                    return match words {
                        Words::Data(_) => Err(Error::General("the link is closed".to_owned())),
                        Words::Nothing | Words::Goodbye => Ok(used + discard),
                    };
                }
                // Data before the handshake is over is off.
                _ => return Err(Error::General("unexpected state of the TLS library".to_owned())),
            }
            used += discard;
        }
    }

    /// Moves the alert about a failure behind what waits to be sent, if there is one.
    fn tell_failure(&mut self) {
        while self.tls.wants_write() {
            let UnbufferedStatus { state, .. } = self.tls.process_tls_records(&mut []);
            let Ok(ConnectionState::EncodeTlsData(mut data)) = state else { return };
            if encode(&mut self.out, &mut data).is_err() {
                return;
            }
        }
    }

    /// Memory that buffers hold, bytes.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.held.capacity() + self.plain.held() + self.out.held()
    }
}

fn encode(
    out: &mut Queue,
    data: &mut EncodeTlsData<'_, ServerConnectionData>,
) -> Result<(), Error> {
    out.push_written(0, |room| {
        data.encode(room).map_err(|error| match error {
            EncodeError::InsufficientSize(more) => Ok(more.required_size),
            EncodeError::AlreadyEncoded => Err(Error::EncryptError),
        })
    })
}

fn encrypt(
    out: &mut Queue,
    traffic: &mut WriteTraffic<'_, ServerConnectionData>,
    words: &Words<'_>,
) -> Result<(), Error> {
    let needed = |error| match error {
        EncryptError::InsufficientSize(more) => Ok(more.required_size),
        EncryptError::EncryptExhausted => Err(Error::EncryptError),
    };
    match words {
        Words::Nothing => Ok(()),
        Words::Data(data) => {
            let records = data.len().div_ceil(16 * 1024);
            let room = data.len() + records * LINK_RECORD_OVERHEAD;
            out.push_written(room, |room| traffic.encrypt(data, room).map_err(needed))
        }
        Words::Goodbye => {
            out.push_written(0, |room| traffic.queue_close_notify(room).map_err(needed))
        }
    }
}
