//! The session itself: its state, its end, and what its two sides share.
//!
//! # Invariants
//! - Everything that changes stands behind one lock, which is never held while something waits.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use towline_archive::{OnTaken, Tape};
use towline_wire::client::ToClient;
use towline_wire::lane::{Lane, Lanes};
use towline_wire::message::{ExitStatus, Size};

use super::access_side::Ends;
use super::seat_side::Seat;
use crate::plane::{EndReason, LiveState, StartError};
use crate::sessions::device_end::{Control, DeviceEnd};
use crate::sessions::meta::Meta;
use crate::sessions::positions::{Broken, Positions};
use crate::sessions::queue::{ClientQueue, ToChannel};
use crate::sessions::token::Token;
use crate::sessions::tunnel::Totals;
use crate::sessions::viewers::Viewers;

/// What the recording says when the input is not in it after all.
const TOO_OLD: &str =
    "input: not recorded, for the device's agent is of a version that does not say what is echoed";

/// Where a session stands.
pub(super) enum Phase {
    /// The device was asked; the caller of StartSession waits for the answer.
    Opening(oneshot::Sender<Result<(), StartError>>),
    /// The device had no place: the opener orders it again, or gives up.
    TurnedAway,
    Running,
    Ended,
}

/// What happens to time in a session; the watch computes deadlines from it.
#[derive(Debug, Clone, Copy)]
pub(in crate::sessions) struct Since {
    pub(in crate::sessions) activity: Instant,
    pub(in crate::sessions) no_client: Option<Instant>,
    pub(in crate::sessions) no_device: Option<Instant>,
    pub(in crate::sessions) ever_attached: bool,
}

pub(super) struct Core {
    pub(super) phase: Phase,
    /// The connection of the device that carries it.
    pub(super) device: Option<Arc<dyn DeviceEnd>>,
    pub(super) client: Option<Arc<ClientQueue>>,
    pub(super) token: Option<Token>,
    /// The one before it, for the same user: an answer that its page did not wait for may be later
    /// than that to the next page.
    pub(super) earlier: Option<Token>,
    pub(super) positions: Positions,
    pub(super) exited: Option<ExitStatus>,
    pub(super) since: Since,
    /// Credit that the device gets when the recorder has caught up: acknowledged, and limit.
    pub(super) held: Lanes<Option<(u64, u64)>>,
    /// The latest attach told the device of no room, because the recorder is behind.
    pub(super) withheld: bool,
    /// Where its output is recorded, if it is.
    pub(super) tape: Option<Arc<Tape>>,
    /// Who watches it.
    pub(super) viewers: Viewers,
    /// The client takes notices.
    pub(super) hears: bool,
    /// Who types.
    pub(super) seat: Seat,
    /// When the access ends that permits it.
    pub(super) access: Option<Ends>,
}

/// One session. Its header is the module's.
pub struct Session {
    /// What never changes.
    pub meta: Meta,
    core: Mutex<Core>,
    /// What a client of AWS is told before the session's first byte.
    notice: OnceLock<String>,
    /// Wakes the watch when a deadline may have come nearer.
    pub(in crate::sessions) changed: Notify,
    /// Held while it is stored who has the seat.
    pub(in crate::sessions) storing_seat: tokio::sync::Mutex<()>,
}

impl Session {
    /// A session that is about to be opened; the receiver tells how that went.
    #[must_use]
    pub fn opening(meta: Meta) -> (Arc<Self>, oneshot::Receiver<Result<(), StartError>>) {
        let (tell, told) = oneshot::channel();
        (Arc::new(Self::new(meta, Phase::Opening(tell), false)), told)
    }

    /// A session that was alive when the gateway stopped: its device and its client are awaited.
    #[must_use]
    pub fn restored(meta: Meta) -> Arc<Self> {
        Arc::new(Self::new(meta, Phase::Running, true))
    }

    fn new(meta: Meta, phase: Phase, restored: bool) -> Self {
        let now = Instant::now();
        let since = Since {
            activity: now,
            no_client: Some(now),
            no_device: restored.then_some(now),
            ever_attached: restored,
        };
        let core = Core {
            phase,
            device: None,
            client: None,
            token: None,
            earlier: None,
            positions: Positions::new(false),
            exited: None,
            since,
            held: Lanes::default(),
            withheld: false,
            tape: None,
            viewers: Viewers::default(),
            hears: false,
            seat: Seat::default(),
            access: None,
        };
        Self {
            meta,
            core: Mutex::new(core),
            notice: OnceLock::new(),
            changed: Notify::new(),
            storing_seat: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What its recorder calls after it has emptied the tape: the device gets the credit that was
    /// held back.
    #[must_use]
    pub fn on_taken(self: &Arc<Self>) -> OnTaken {
        let session = Arc::downgrade(self);
        Box::new(move || {
            if let Some(session) = session.upgrade() {
                session.release_credit();
            }
        })
    }

    /// Its output is recorded on this tape from now on. The tape of a session that is over already
    /// is ended at once: its recording began while the session was opened, and nobody else would
    /// end it.
    pub fn record(&self, tape: Arc<Tape>) {
        let mut core = self.lock();
        core.positions.be_recorded();
        if matches!(core.phase, Phase::Ended) {
            tape.end("the session ended while it was opened");
        }
        core.tape = Some(tape);
    }

    /// Sets what a client of AWS is told before the first byte. The first call counts.
    pub fn set_notice(&self, text: String) {
        let _ = self.notice.set(text);
    }

    /// What that is; empty: nothing.
    #[must_use]
    pub fn notice(&self) -> &str {
        self.notice.get().map_or("", String::as_str)
    }

    /// Writes a marker into its recording, if there is one.
    pub fn mark(&self, text: &str) {
        if let Some(tape) = &self.lock().tape {
            tape.marker(text);
        }
    }

    /// Asks the device what its terminal does with input, if that is to be recorded; or writes into
    /// the recording why it is not. The device forgets it with its connection.
    pub(in crate::sessions) fn ask_for_echo(&self) {
        self.lock().ask_for_echo(&self.meta);
    }

    /// Writes into the recording that this device cannot report what is echoed.
    pub(in crate::sessions) fn record_lost_input(&self) {
        self.lock().record_lost_input(&self.meta);
    }

    /// Ends the session: tells the client, tells the device. True for the first call only.
    pub fn end(&self, reason: EndReason, text: &str) -> bool {
        let mut core = self.lock();
        match std::mem::replace(&mut core.phase, Phase::Ended) {
            Phase::Ended => return false,
            Phase::Opening(tell) => {
                let _ = tell.send(Err(StartError::Refused { why: text.to_owned() }));
            }
            Phase::TurnedAway | Phase::Running => {}
        }
        if let Some(tape) = &core.tape {
            tape.end(text);
        }
        let last = ToClient::Ended { reason: reason.into(), text: text.to_owned() };
        core.viewers.end(&last);
        if let Some(client) = core.client.take() {
            client.close(last);
        }
        if let Some(device) = core.device.take() {
            device.release();
            device.control(if core.exited.is_some() {
                Control::Forget
            } else {
                Control::Close(reason)
            });
        }
        drop(core);
        self.changed.notify_one();
        true
    }

    /// What a tunnel has carried; `None` for other sessions.
    #[must_use]
    pub fn totals(&self) -> Option<Totals> {
        let to = self.meta.tunnel.as_ref()?;
        let (sent, received) = self.lock().positions.carried();
        Some(Totals::new(to, sent, received))
    }

    /// A connection of a tunnel was not made: the client may want to know.
    pub fn not_connected(&self, text: &str) {
        self.lock().tell(ToChannel::Word(ToClient::NotConnected { text: text.to_owned() }));
    }

    /// What the API shows.
    #[must_use]
    pub fn live(&self) -> LiveState {
        let core = self.lock();
        match (&core.phase, &core.client, core.since.ever_attached) {
            (Phase::Ended, ..) => LiveState::Terminating,
            (_, Some(_), _) if core.device.is_some() => LiveState::Connected,
            (_, None, false) => LiveState::Connecting,
            _ => LiveState::Disconnected,
        }
    }

    /// For the watch: how time stands, and how the process ended if it did; `None` when the session
    /// is over.
    pub(in crate::sessions) fn since(&self) -> Option<(Since, Option<ExitStatus>)> {
        let core = self.lock();
        (!matches!(core.phase, Phase::Ended)).then_some((core.since, core.exited))
    }
}

impl Core {
    pub(super) fn ask_for_echo(&self, meta: &Meta) {
        if let Some(device) =
            self.device.as_ref().filter(|device| meta.input && device.tells_echo())
        {
            device.control(Control::TellEcho);
        }
    }

    pub(super) fn record_lost_input(&self, meta: &Meta) {
        if let (Some(device), Some(tape)) = (&self.device, &self.tape)
            && meta.input
            && !device.tells_echo()
        {
            tape.marker(TOO_OLD);
        }
    }

    pub(super) fn resized(&mut self, size: Size) {
        self.viewers.resized(size);
        if let Some(tape) = &self.tape {
            tape.resize(size.cols, size.rows);
        }
    }

    pub(super) fn credit(&self, lane: Lane, acked: u64, limit: u64) {
        if let Some(device) = &self.device {
            device.credit(lane, acked, limit);
        }
    }

    pub(super) fn is_client(&self, queue: &Arc<ClientQueue>) -> bool {
        self.client.as_ref().is_some_and(|client| Arc::ptr_eq(client, queue))
    }

    /// Asks the device to go on from what the client has; does nothing while one of them is
    /// missing.
    pub(super) fn attach(&mut self) {
        let (Some(device), Some(_)) = (&self.device, &self.client) else { return };
        let (attachment, received, room) = self.positions.attach();
        // A client that attaches anew gets no way round a recorder that is behind.
        self.withheld = self.is_behind();
        device.attach(attachment, received, if self.withheld { Lanes::default() } else { room });
    }

    /// The room that an attach did not tell is credit that is held back.
    pub(super) fn hold_room(&mut self, output: Lanes<u64>) {
        if !std::mem::take(&mut self.withheld) {
            return;
        }
        for lane in Lane::ALL {
            let limit = self.positions.output_limit(lane);
            self.held[lane] = (limit > output[lane]).then_some((output[lane], limit));
        }
        if !self.is_behind() {
            self.release_credit(); // nobody else will: the tape was emptied meanwhile
        }
    }

    /// Gives the device the credit that was held back.
    pub(super) fn release_credit(&mut self) {
        for lane in Lane::ALL {
            if let Some((acked, limit)) = self.held[lane].take()
                && self.positions.flows()
            {
                self.credit(lane, acked, limit);
            }
        }
    }

    pub(super) fn is_behind(&self) -> bool {
        self.tape.as_ref().is_some_and(|tape| tape.is_behind())
    }

    /// Gives something to the client; one whose queue is full loses its place and may attach again.
    pub(super) fn tell(&self, item: ToChannel) {
        if let Some(client) = &self.client
            && !client.push(item)
        {
            let text = "output was not taken within the credit that was given".to_owned();
            client.close(ToClient::Refused { text, taken_over: false });
        }
    }

    /// The device broke the rules of the stream.
    pub(super) fn blame_device(&self, session: &str, broken: Broken) {
        if let Some(device) = &self.device {
            device.violated(&format!("session {session}: {broken}"));
        }
    }

    pub(super) fn complete(&self) -> Option<EndReason> {
        self.exited.filter(|_| self.positions.all_delivered()).map(EndReason::Exited)
    }
}
