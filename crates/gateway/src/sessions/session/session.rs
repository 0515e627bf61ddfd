//! The session itself: its state, its end, and what its two sides share.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use towline_wire::client::ToClient;
use towline_wire::frame::StreamId;
use towline_wire::message::{EndReason, ExitStatus, Size, ToAgent};

use crate::devices::towline::Link;
use crate::plane::{LiveState, StartError};
use crate::sessions::Lane;
use crate::sessions::lanes::{Broken, Lanes};
use crate::sessions::meta::Meta;
use crate::sessions::queue::{ClientQueue, ToChannel};
use crate::sessions::token::Token;
use crate::sessions::tunnel::Totals;
use towline_archive::{OnTaken, Tape};

/// What the recording says when the input is not in it after all.
const TOO_OLD: &str =
    "input: not recorded, for the device's agent is of a version that does not say what is echoed";

/// Where a session stands.
pub(super) enum Phase {
    /// The agent was asked; the caller of StartSession waits for the answer.
    Opening(oneshot::Sender<Result<(), StartError>>),
    Running,
    Ended,
}

/// The streams that carry it on the present link.
#[derive(Clone)]
pub(super) struct Carried {
    pub(super) link: Arc<Link>,
    pub(super) io: StreamId,
    pub(super) err: Option<StreamId>,
}

/// What happens to time in a session; the watch computes deadlines from it.
#[derive(Debug, Clone, Copy)]
pub(in crate::sessions) struct Since {
    pub(in crate::sessions) activity: Instant,
    pub(in crate::sessions) no_client: Option<Instant>,
    pub(in crate::sessions) no_link: Option<Instant>,
    pub(in crate::sessions) ever_attached: bool,
}

pub(super) struct Core {
    pub(super) phase: Phase,
    pub(super) carried: Option<Carried>,
    pub(super) client: Option<Arc<ClientQueue>>,
    pub(super) token: Option<Token>,
    pub(super) lanes: Lanes,
    pub(super) exited: Option<ExitStatus>,
    pub(super) since: Since,
    /// Credit that the agent gets when the recorder has caught up.
    pub(super) held: [Option<(u64, u64)>; 2],
}

/// See the module.
pub struct Session {
    /// What never changes.
    pub meta: Meta,
    pub(super) core: Mutex<Core>,
    /// Where its output is recorded, if it is.
    pub(super) tape: OnceLock<Arc<Tape>>,
    /// Wakes the watch when a deadline may have come nearer.
    pub(in crate::sessions) changed: Notify,
}

impl Session {
    /// A session that is about to be opened; the receiver tells how that went.
    #[must_use]
    pub fn opening(
        meta: Meta,
        separate_err: bool,
    ) -> (Arc<Self>, oneshot::Receiver<Result<(), StartError>>) {
        let (tell, told) = oneshot::channel();
        (Arc::new(Self::new(meta, Phase::Opening(tell), separate_err, false)), told)
    }

    /// A session that was alive when the gateway stopped: its device and its client are awaited.
    #[must_use]
    pub fn restored(meta: Meta) -> Arc<Self> {
        Arc::new(Self::new(meta, Phase::Running, false, true))
    }

    fn new(meta: Meta, phase: Phase, separate_err: bool, restored: bool) -> Self {
        let now = Instant::now();
        let since = Since {
            activity: now,
            no_client: Some(now),
            no_link: restored.then_some(now),
            ever_attached: restored,
        };
        let lanes = Lanes::new(separate_err);
        let core = Core {
            phase,
            carried: None,
            client: None,
            token: None,
            lanes,
            exited: None,
            since,
            held: [None; 2],
        };
        Self { meta, core: Mutex::new(core), tape: OnceLock::new(), changed: Notify::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What its recorder calls after it has emptied the tape: the agent gets the credit that was
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

    /// Its output is recorded on this tape from now on. The first call counts. The tape of a
    /// session that is over already is ended at once: its recording began while the session was
    /// opened, and nobody else would end it.
    pub fn record(self: &Arc<Self>, tape: Arc<Tape>) {
        let tape = self.tape.get_or_init(move || tape);
        let over = {
            let mut core = self.lock();
            core.lanes.be_recorded();
            matches!(core.phase, Phase::Ended)
        };
        if over {
            tape.end("the session ended while it was opened");
        }
    }

    /// A marker in its recording, if there is one.
    pub fn mark(&self, text: &str) {
        if let Some(tape) = self.tape.get() {
            tape.marker(text);
        }
    }

    /// Asks the device what its terminal does with input, if that is to be recorded; or says in the
    /// recording why it is not. The device forgets it with the link.
    pub(in crate::sessions) fn ask_for_echo(&self, link: &Link) {
        if self.meta.input && link.tells_echo() {
            link.send(&ToAgent::TellEcho { session: self.meta.name.clone() });
        }
    }

    /// Says in the recording that this device cannot tell what is echoed.
    pub(in crate::sessions) fn own_up_to_lost_input(&self, link: &Link) {
        if self.meta.input && !link.tells_echo() {
            self.mark(TOO_OLD);
        }
    }

    pub(super) fn resized(&self, size: Size) {
        if let Some(tape) = self.tape.get() {
            tape.resize(size.cols, size.rows);
        }
    }

    /// Ends the session: tells the client, tells the agent. True for the first call only.
    pub fn end(&self, reason: EndReason, text: &str) -> bool {
        let mut core = self.lock();
        match std::mem::replace(&mut core.phase, Phase::Ended) {
            Phase::Ended => return false,
            Phase::Opening(tell) => {
                let _ = tell.send(Err(StartError::Refused { why: text.to_owned() }));
            }
            Phase::Running => {}
        }
        if let Some(tape) = self.tape.get() {
            tape.end(text);
        }
        if let Some(client) = core.client.take() {
            client.close(ToClient::Ended { reason, text: text.to_owned() });
        }
        let exited = core.exited.is_some();
        if let Some(Carried { link, io, err }) = core.carried.take() {
            let session = self.meta.name.clone();
            link.unbind(io, err);
            link.send(&if exited {
                ToAgent::Forget { session }
            } else {
                ToAgent::Close { session, reason }
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
        let (sent, received) = self.lock().lanes.carried();
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
            (_, Some(_), _) if core.carried.is_some() => LiveState::Connected,
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

impl Carried {
    pub(super) fn stream(&self, lane: Lane) -> Option<StreamId> {
        match lane {
            Lane::Io => Some(self.io),
            Lane::Err => self.err,
        }
    }
}

impl Core {
    pub(super) fn credit(&self, lane: Lane, acked: u64, limit: u64) {
        if let Some(carried) = &self.carried
            && let Some(stream) = carried.stream(lane)
        {
            carried.link.send_credit(stream, acked, limit);
        }
    }

    pub(super) fn is_client(&self, queue: &Arc<ClientQueue>) -> bool {
        self.client.as_ref().is_some_and(|client| Arc::ptr_eq(client, queue))
    }

    /// Asks the agent to go on from what the client has; does nothing while one of them is missing.
    pub(super) fn attach(&mut self, session: &str) {
        let (Some(carried), Some(_)) = (&self.carried, &self.client) else { return };
        carried.link.clear_stream(carried.io);
        let (attachment, received, room) = self.lanes.attach();
        carried.link.send(&ToAgent::Attach {
            session: session.to_owned(),
            attachment,
            received: received.map(Into::into),
            room: room.into(),
        });
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
        if let Some(carried) = &self.carried {
            carried.link.close(&format!("session {session}: {broken}"));
        }
    }

    pub(super) fn complete(&self) -> Option<EndReason> {
        self.exited.filter(|_| self.lanes.all_delivered()).map(EndReason::Exited)
    }
}
