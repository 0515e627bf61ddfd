//! What the device's link tells a session: it is carried, opened, attached; output, credit, the
//! exit.
//!
//! Way: link task -> one of these -> the client's queue, by [`Core::tell`](super::session::Core). Nothing
//! here waits.
//!
//! # Invariants
//! - A device that breaks the rules of the stream loses its link; its sessions wait for it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;
use towline_evidence::typed::Said;
use towline_wire::client::ToClient;
use towline_wire::echo::Echoed;
use towline_wire::frame::StreamId;
use towline_wire::message::{EndReason, ExitStatus};

use super::session::{Carried, Phase, Session};
use crate::devices::towline::Link;
use crate::plane::StartError;
use crate::sessions::Lane;
use crate::sessions::queue::ToChannel;

impl Session {
    /// The session is carried by these streams now; a client that waits is attached.
    pub fn link_up(&self, link: &Arc<Link>, io: StreamId, err: Option<StreamId>) {
        let mut core = self.lock();
        if matches!(core.phase, Phase::Ended) {
            return;
        }
        core.lanes.set_separate_err(err.is_some());
        core.carried = Some(Carried { link: Arc::clone(link), io, err });
        core.since.no_link = None;
        if matches!(core.phase, Phase::Running) {
            self.ask_for_echo(link);
            self.own_up_to_lost_input(link);
            core.attach(&self.meta.name);
        }
        self.changed.notify_one();
    }

    /// What the device's terminal did with input. Not asked for, it means nothing.
    pub fn echoed(&self, told: &Echoed) {
        if let Some(tape) = self.tape.get().filter(|_| self.meta.input) {
            tape.said(Said {
                from: told.from,
                until: told.until,
                output: told.output,
                echo: told.echo,
            });
        }
    }

    /// The link is gone. True when the session was still being opened: it is over then.
    pub fn link_down(&self, link: &Arc<Link>) -> bool {
        let mut core = self.lock();
        if !core.carried.as_ref().is_some_and(|carried| Arc::ptr_eq(&carried.link, link)) {
            return false;
        }
        core.carried = None;
        core.lanes.stop();
        core.since.no_link = Some(Instant::now());
        if let Some(client) = &core.client {
            let grace = u32::try_from(self.meta.grace.as_secs()).unwrap_or(u32::MAX);
            let _ = client.push(ToChannel::Word(ToClient::Waiting { grace }));
        }
        self.changed.notify_one();
        if self.meta.step && matches!(core.phase, Phase::Opening(_)) {
            // Dropping the sender tells the opener that there is no answer.
            core.phase = Phase::Running;
            return false;
        }
        matches!(core.phase, Phase::Opening(_))
    }

    /// How the process ended, if that was told.
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.lock().exited
    }

    /// True while a link carries it.
    #[must_use]
    pub fn is_carried(&self) -> bool {
        self.lock().carried.is_some()
    }

    /// Waits until its exit, its link or its end may have changed. For one waiter.
    pub async fn has_changed(&self) {
        self.changed.notified().await;
    }

    /// True when an agent that does not name it as held has lost it: it was opened, and not on this
    /// very link.
    #[must_use]
    pub fn is_missed_by(&self, link: &Arc<Link>) -> bool {
        let core = self.lock();
        let here = core.carried.as_ref().is_some_and(|carried| Arc::ptr_eq(&carried.link, link));
        matches!(core.phase, Phase::Running) && !here
    }

    /// The agent opened it.
    pub fn opened(&self) {
        let mut core = self.lock();
        if let Phase::Opening(tell) = std::mem::replace(&mut core.phase, Phase::Running) {
            let _ = tell.send(Ok(()));
            core.attach(&self.meta.name);
        }
    }

    /// The agent did not open it, or the link went away. False when it was past that.
    pub fn not_opened(&self, why: StartError) -> bool {
        let mut core = self.lock();
        match std::mem::replace(&mut core.phase, Phase::Ended) {
            Phase::Opening(tell) => {
                if let Some(Carried { link, io, err }) = core.carried.take() {
                    link.unbind(io, err);
                }
                if let Some(tape) = self.tape.get() {
                    tape.end(&why.to_string());
                }
                let _ = tell.send(Err(why));
                true
            }
            other => {
                core.phase = other;
                false
            }
        }
    }

    /// The agent answers an attach: bytes flow from these positions.
    pub fn attached(&self, attachment: u32, output: [u64; 2], input: u64, room: u32) {
        let mut core = self.lock();
        match core.lanes.start(attachment, output, input, room) {
            Ok(true) => {
                let output = output.into();
                core.tell(ToChannel::Word(ToClient::Attached { output, input, room }));
            }
            Ok(false) => {}
            Err(broken) => core.blame_device(&self.meta.name, broken),
        }
    }

    /// Output bytes from the agent.
    pub fn output(&self, lane: Lane, offset: u64, data: &[u8]) {
        let mut core = self.lock();
        match core.lanes.output(lane, offset, data.len()) {
            Ok(true) => {
                core.since.activity = Instant::now();
                if let Some(tape) = self.tape.get() {
                    tape.output(lane, offset, data);
                }
                core.tell(ToChannel::Data(lane, offset, Bytes::copy_from_slice(data)));
            }
            Ok(false) => {}
            Err(broken) => core.blame_device(&self.meta.name, broken),
        }
    }

    /// The end of a lane's output.
    pub fn output_ended(&self, lane: Lane, length: u64) {
        let mut core = self.lock();
        if core.lanes.output_ended(lane, length) {
            if let Some(tape) = self.tape.get() {
                tape.length(lane, length);
            }
            core.tell(ToChannel::Fin(lane, length));
        }
    }

    /// The agent took input and has room.
    pub fn input_credit(&self, acked: u64, limit: u64) {
        let mut core = self.lock();
        if core.lanes.input_credit(limit) {
            core.tell(ToChannel::Credit { acked, limit });
        }
    }

    /// The process has ended. Some: nothing is left to deliver, end the session so.
    #[must_use]
    pub fn exited(&self, status: ExitStatus) -> Option<EndReason> {
        let mut core = self.lock();
        core.exited = Some(status);
        self.changed.notify_one();
        core.complete()
    }
}
