//! The task of one agent's link: both directions of the socket always go on, and silence has an
//! end.
//!
//! # Invariants
//! - Reading never waits for writing, nor writing for reading: a peer that does the same cannot
//!   deadlock with us.
//! - At most one frame is held on the way in, and one batch on the way out.
//! - A link on which nothing was heard for the announced interval (and half of it, and 30 s) is
//!   dead.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, WriteHalf};
use tokio::time::Instant;
use towline_wire::frame::Frame;
use towline_wire::lane::Lane;
use towline_wire::message::{FromAgent, decode};
use towline_wire::text::connection_error;

use super::agents::Agents;
use super::io::Io;
use super::link::Link;
use super::texts::harmless;
use crate::limits::{FIRST_PING, LINK_BATCH, MAX_HELD_SESSIONS};
use crate::link_tls::LinkStream;

/// Carries frames until the link ends; returns why it did.
pub(super) async fn drive(agents: &Arc<Agents>, link: &Arc<Link>, mut io: Io) -> String {
    let mut inbound =
        Inbound { agents, link, held: Some(HashSet::new()), patience: patience(FIRST_PING) };
    let (mut out, mut sent, mut unflushed) = (Vec::new(), 0, false);
    let silence = tokio::time::sleep(inbound.patience);
    tokio::pin!(silence);
    let mut heard = Instant::now();
    loop {
        // What the greeting read along with the hello stands in the reader already.
        loop {
            match io.reader.next() {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    if let Err(why) = inbound.take(frame) {
                        return why;
                    }
                }
                Err(error) => return error.to_string(),
            }
        }
        if sent == out.len() && !unflushed {
            out.clear();
            sent = 0;
            link.take(&mut out, LINK_BATCH);
            if out.is_empty() {
                out = Vec::new(); // an idle link holds none
            }
        }
        tokio::select! {
            read = io.read.read(io.reader.spare()) => match read {
                Ok(0) => return "the agent hung up".to_owned(),
                Ok(n) => {
                    io.reader.filled(n);
                    heard = Instant::now();
                    link.hear();
                }
                Err(error) => return connection_error(&error),
            },
            moved = move_on(&mut io.write, &out[sent..]), if sent < out.len() || unflushed => match moved {
                Ok(0) => unflushed = false,
                Ok(n) => (sent, unflushed) = (sent + n, true),
                Err(error) => return connection_error(&error),
            },
            () = link.ready.notified(), if sent == out.len() && !unflushed => {}
            () = link.closing.notified() => return link.why_closed().unwrap_or_default(),
            () = &mut silence => {
                let deadline = heard + inbound.patience;
                if Instant::now() >= deadline {
                    return "nothing was heard for longer than announced".to_owned();
                }
                io.reader.relax();
                silence.as_mut().reset(deadline);
            }
        }
    }
}

/// Writes some of `rest`, or flushes when there is none (then 0). Losing the future loses nothing.
async fn move_on(write: &mut WriteHalf<LinkStream>, rest: &[u8]) -> io::Result<usize> {
    if rest.is_empty() {
        write.flush().await.map(|()| 0)
    } else {
        match write.write(rest).await? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            n => Ok(n),
        }
    }
}

fn patience(next_in: u32) -> Duration {
    Duration::from_secs(u64::from(next_in.min(crate::limits::LONGEST_PING)) * 3 / 2 + 30)
}

/// Frames on their way in.
struct Inbound<'a> {
    agents: &'a Arc<Agents>,
    link: &'a Arc<Link>,
    /// Sessions named so far; `None` after `HeldEnd`.
    held: Option<HashSet<String>>,
    patience: Duration,
}

impl Inbound<'_> {
    fn take(&mut self, frame: Frame<'_>) -> Result<(), String> {
        match frame {
            Frame::Data { stream, offset, data } => {
                if let Some((session, lane)) = self.link.session(stream) {
                    session.output(lane, offset, data);
                }
            }
            Frame::Credit { stream, acked, limit } => {
                if let Some((session, Lane::Io)) = self.link.session(stream) {
                    session.input_credit(acked, limit);
                }
            }
            Frame::Fin { stream, length } => {
                if let Some((session, lane)) = self.link.session(stream) {
                    session.output_ended(lane, length);
                }
            }
            Frame::Ping { next_in } => {
                if next_in > 0 {
                    self.patience = patience(next_in);
                }
                self.link.send_frame(&Frame::Pong);
            }
            // A span for each message, not for the link's task: an idle link must not keep one, and
            // stream data must not enter one.
            Frame::Control(body) => {
                let span = tracing::info_span!("link", device = %self.link.device);
                return span.in_scope(|| self.control(body));
            }
            Frame::Pong => self.link.pong(),
            Frame::Extension { tag, body } => self.link.extended(tag, body),
            Frame::Version { .. } | Frame::Unknown(_) => {}
        }
        Ok(())
    }

    fn control(&mut self, body: &[u8]) -> Result<(), String> {
        let message: FromAgent = decode(body).map_err(|error| error.to_string())?;
        match (message, &mut self.held) {
            (FromAgent::Held(held), Some(names)) => {
                if names.len() >= MAX_HELD_SESSIONS {
                    return Err(format!(
                        "more than {MAX_HELD_SESSIONS} sessions were named as held"
                    ));
                }
                names.insert(held.session.clone());
                self.agents.held(self.link, &held);
            }
            (FromAgent::HeldEnd, held @ Some(_)) => {
                if let Some(names) = held.take() {
                    self.link.settle();
                    self.agents.hub.device_settled(&**self.link, &names);
                }
            }
            (message, _) => self.agents.report(self.link, harmless(message)),
        }
        Ok(())
    }
}
