//! What the device's connection tells a session: it carries it, opened it, attached; output,
//! credit, the exit.
//!
//! Data flow: the connection's task -> one of these -> the client's queue. Nothing here waits.
//!
//! # Invariants
//! - A device that breaks the rules of the stream loses its connection; its sessions wait for it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;
use towline_evidence::typed::{self, Said};
use towline_wire::client::ToClient;
use towline_wire::echo::{Echo, Echoed};
use towline_wire::lane::{Lane, Lanes};
use towline_wire::message::ExitStatus;

use super::session::{Phase, Session};
use crate::plane::{EndReason, StartError};
use crate::sessions::device_end::{ConnectionId, DeviceEnd};
use crate::sessions::queue::ToChannel;

impl Session {
    /// A connection of the device carries the session now; a client that waits is attached.
    pub fn device_up(&self, end: Arc<dyn DeviceEnd>) {
        let mut core = self.lock();
        if matches!(core.phase, Phase::Ended) {
            return;
        }
        core.positions.set_separate_err(end.separates_err());
        core.device = Some(end);
        core.since.no_device = None;
        if matches!(core.phase, Phase::Running) {
            core.ask_for_echo(&self.meta);
            core.record_lost_input(&self.meta);
            core.attach();
        }
        self.changed.notify_one();
    }

    /// What the device's terminal did with input. Not asked for, it means nothing.
    pub fn echoed(&self, told: &Echoed) {
        if let Some(tape) = self.lock().tape.as_ref().filter(|_| self.meta.input) {
            let echo = match told.echo {
                Echo::Terminal => typed::Echo::Terminal,
                Echo::Program => typed::Echo::Program,
                Echo::Hidden => typed::Echo::Hidden,
            };
            tape.said(Said { from: told.from, until: told.until, output: told.output, echo });
        }
    }

    /// The connection is gone. True when the session was still being opened: it is over then.
    pub fn device_lost(&self, connection: ConnectionId) -> bool {
        let mut core = self.lock();
        if !core.device.as_ref().is_some_and(|end| end.connection() == connection) {
            return false;
        }
        core.device = None;
        core.positions.stop();
        core.since.no_device = Some(Instant::now());
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

    /// True while the device has not answered its order.
    #[must_use]
    pub fn is_opening(&self) -> bool {
        matches!(self.lock().phase, Phase::Opening(_) | Phase::TurnedAway)
    }

    /// Another node carries it: nothing is told to the device, and the client is hung up on. True
    /// for a session that was not over.
    #[must_use]
    pub fn let_go(&self, why: &str) -> bool {
        let mut core = self.lock();
        if matches!(core.phase, Phase::Ended) {
            return false;
        }
        core.phase = Phase::Ended;
        if let Some(tape) = &core.tape {
            tape.end(why);
        }
        core.viewers.end(&ToClient::Refused { text: why.to_owned(), taken_over: false });
        if let Some(client) = core.client.take() {
            client.hang_up();
        }
        if let Some(device) = core.device.take() {
            device.release();
        }
        drop(core);
        self.changed.notify_one();
        true
    }

    /// How the process ended, if that was told.
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.lock().exited
    }

    /// True while a connection carries it.
    #[must_use]
    pub fn is_carried(&self) -> bool {
        self.lock().device.is_some()
    }

    /// Waits until its exit, its connection or its end may have changed. For one waiter.
    pub async fn has_changed(&self) {
        self.changed.notified().await;
    }

    /// True when a device that does not name it as held has lost it: it was opened, and not on this
    /// very connection.
    #[must_use]
    pub fn is_missed_by(&self, connection: ConnectionId) -> bool {
        let core = self.lock();
        let here = core.device.as_ref().is_some_and(|end| end.connection() == connection);
        matches!(core.phase, Phase::Running) && !here
    }

    /// The device opened it.
    pub fn opened(&self) {
        let mut core = self.lock();
        if let Phase::Opening(tell) = std::mem::replace(&mut core.phase, Phase::Running) {
            let _ = tell.send(Ok(()));
            core.attach();
        }
    }

    /// The device has no place for it. Its opener hears it, and may order it again.
    pub fn turned_away(&self, why: StartError) {
        let mut core = self.lock();
        match std::mem::replace(&mut core.phase, Phase::TurnedAway) {
            Phase::Opening(tell) => {
                if let Some(device) = core.device.take() {
                    device.release();
                }
                let _ = tell.send(Err(why));
            }
            other => core.phase = other,
        }
    }

    /// It is ordered again: how that goes. `None` when it is over, or was not turned away.
    #[must_use]
    pub fn order_again(&self) -> Option<oneshot::Receiver<Result<(), StartError>>> {
        let mut core = self.lock();
        if !matches!(core.phase, Phase::TurnedAway) {
            return None;
        }
        let (tell, told) = oneshot::channel();
        core.phase = Phase::Opening(tell);
        Some(told)
    }

    /// The device did not open it, or its connection went away. False when it was past that.
    pub fn not_opened(&self, why: StartError) -> bool {
        let mut core = self.lock();
        match std::mem::replace(&mut core.phase, Phase::Ended) {
            Phase::Opening(tell) => {
                if let Some(device) = core.device.take() {
                    device.release();
                }
                if let Some(tape) = &core.tape {
                    tape.end(&why.to_string());
                }
                core.viewers.end(&ToClient::Ended {
                    reason: EndReason::NotOpened.into(),
                    text: why.to_string(),
                });
                let _ = tell.send(Err(why));
                true
            }
            other => {
                core.phase = other;
                false
            }
        }
    }

    /// The device answers an attach: bytes flow from these positions.
    pub fn attached(&self, attachment: u32, output: Lanes<u64>, input: u64, room: u32) {
        let mut core = self.lock();
        match core.positions.start(attachment, output, input, room) {
            Ok(true) => {
                core.tell(ToChannel::Word(ToClient::Attached { output, input, room }));
                core.record_seat(&self.meta.owner, input);
                core.hold_room(output);
            }
            Ok(false) => {}
            Err(broken) => core.blame_device(&self.meta.name, broken),
        }
    }

    /// Output bytes from the device.
    pub fn output(&self, lane: Lane, offset: u64, data: &[u8]) {
        let mut core = self.lock();
        match core.positions.output(lane, offset, data.len()) {
            Ok(true) => {
                core.since.activity = Instant::now();
                if let Some(tape) = &core.tape {
                    tape.output(lane, offset, data);
                }
                let data = Bytes::copy_from_slice(data);
                if lane == Lane::Io && self.meta.has_terminal() {
                    core.viewers.output(offset, &data);
                }
                core.tell(ToChannel::Data(lane, offset, data));
            }
            Ok(false) => {}
            Err(broken) => core.blame_device(&self.meta.name, broken),
        }
    }

    /// The end of a lane's output.
    pub fn output_ended(&self, lane: Lane, length: u64) {
        let mut core = self.lock();
        if core.positions.output_ended(lane, length) {
            if let Some(tape) = &core.tape {
                tape.length(lane, length);
            }
            core.tell(ToChannel::Fin(lane, length));
        }
    }

    /// The device took input and has room.
    pub fn input_credit(&self, acked: u64, limit: u64) {
        let mut core = self.lock();
        if core.positions.input_credit(limit) {
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
