//! One session: a client on one side, an agent's link on the other, either of which may vanish and
//! come back.
//!
//! Way of output: link task -> [`Session::output`] -> client's queue. Way of input: client's task
//! -> [`Session::input`] -> link's outbox. The positions in both are the agent's and the client's
//! own; this file only checks and passes on, so nothing is lost with this process.
//!
//! # Invariants
//! - At most one client is attached; a newer one takes over, and the older one is told.
//! - Bytes flow only between an [`Attached`](towline_wire::message::FromAgent::Attached) that
//!   answers the latest attach and the next loss. What comes outside of that is dropped, since it
//!   will be sent again.
//! - The first end is the end: [`Session::end`] gives true exactly once.
//!
//! # Not here
//! - Who may do what (the API decided), deadlines (`watch`), the store (`mod`). What the two sides
//!   may tell it stands in `device_side` and `client_side`.

mod client_side;
mod device_side;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use towline_wire::client::ToClient;
use towline_wire::frame::StreamId;
use towline_wire::message::{Destination, EndReason, ExitStatus, Size, ToAgent};

use super::lanes::{Broken, Lanes};
use super::queue::{ClientQueue, ToChannel};
use super::token::Token;
use super::tunnel::Totals;
use crate::agents::{Lane, Link};
use crate::evidence::Tape;
use crate::seam::{LiveState, StartError};

/// What never changes about a session.
#[derive(Debug, Clone)]
pub struct Meta {
    /// Its id.
    pub name: String,
    /// The device.
    pub device: String,
    /// ARN of its owner.
    pub owner: String,
    /// What the AWS dialect calls its kind.
    pub session_type: &'static str,
    /// What the AWS dialect tells its client of it.
    pub properties: serde_json::Value,
    /// Where it leads, when it is a tunnel.
    pub tunnel: Option<Destination>,
    /// The AWS dialect keeps standard error apart.
    pub separate_output: bool,
    /// Ends it when nothing moves for so long.
    pub idle: std::time::Duration,
    /// When it ends whatever it does.
    pub end_at: Option<Instant>,
    /// How long it waits for a lost device or a lost client.
    pub grace: std::time::Duration,
    /// A step of a command: it has no row among the sessions and no watch, and one that was being
    /// opened when the link was lost may run all the same. What becomes of it is decided by
    /// [`crate::commands`].
    pub step: bool,
    /// Its input is recorded, as far as the device says that it was echoed.
    pub input: bool,
}

/// What the recording says when the input is not in it after all.
const TOO_OLD: &str =
    "input: not recorded, for the device's agent is of a version that does not say what is echoed";

/// Where a session stands.
enum Phase {
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
pub(super) struct Since {
    pub(super) activity: Instant,
    pub(super) no_client: Option<Instant>,
    pub(super) no_link: Option<Instant>,
    pub(super) ever_attached: bool,
}

struct Core {
    phase: Phase,
    carried: Option<Carried>,
    client: Option<Arc<ClientQueue>>,
    token: Option<Token>,
    lanes: Lanes,
    exited: Option<ExitStatus>,
    since: Since,
    /// Credit that the agent gets when the recorder has caught up.
    held: [Option<(u64, u64)>; 2],
}

/// See the module.
pub struct Session {
    /// What never changes.
    pub meta: Meta,
    core: Mutex<Core>,
    /// Where its output is recorded, if it is.
    tape: OnceLock<Arc<Tape>>,
    /// Wakes the watch when a deadline may have come nearer.
    pub(super) changed: Notify,
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

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its output is recorded on this tape from now on. The first call counts. The tape of a
    /// session that is over already is ended at once: its recording began while the session was
    /// opened, and nobody else would end it.
    pub fn record(self: &Arc<Self>, tape: Arc<Tape>) {
        let session = Arc::downgrade(self);
        tape.when_taken(move || {
            if let Some(session) = session.upgrade() {
                session.release_credit();
            }
        });
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
    pub(super) fn ask_for_echo(&self, link: &Link) {
        if self.meta.input && link.tells_echo() {
            link.send(&ToAgent::TellEcho { session: self.meta.name.clone() });
        }
    }

    /// Says in the recording that this device cannot tell what is echoed.
    pub(super) fn own_up_to_lost_input(&self, link: &Link) {
        if self.meta.input && !link.tells_echo() {
            self.mark(TOO_OLD);
        }
    }

    fn resized(&self, size: Size) {
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
    pub(super) fn since(&self) -> Option<(Since, Option<ExitStatus>)> {
        let core = self.lock();
        (!matches!(core.phase, Phase::Ended)).then_some((core.since, core.exited))
    }
}

impl Carried {
    fn stream(&self, lane: Lane) -> Option<StreamId> {
        match lane {
            Lane::Io => Some(self.io),
            Lane::Err => self.err,
        }
    }
}

impl Core {
    fn credit(&self, lane: Lane, acked: u64, limit: u64) {
        if let Some(carried) = &self.carried
            && let Some(stream) = carried.stream(lane)
        {
            carried.link.send_credit(stream, acked, limit);
        }
    }

    fn is_client(&self, queue: &Arc<ClientQueue>) -> bool {
        self.client.as_ref().is_some_and(|client| Arc::ptr_eq(client, queue))
    }

    /// Asks the agent to go on from what the client has; does nothing while one of them is missing.
    fn attach(&mut self, session: &str) {
        let (Some(carried), Some(_)) = (&self.carried, &self.client) else { return };
        carried.link.clear_stream(carried.io);
        let (attachment, received, room) = self.lanes.attach();
        carried.link.send(&ToAgent::Attach {
            session: session.to_owned(),
            attachment,
            received,
            room,
        });
    }

    /// Gives something to the client; one whose queue is full loses its place and may attach again.
    fn tell(&self, item: ToChannel) {
        if let Some(client) = &self.client
            && !client.push(item)
        {
            let text = "output was not taken within the credit that was given".to_owned();
            client.close(ToClient::Refused { text, taken_over: false });
        }
    }

    /// The device broke the rules of the stream.
    fn blame_device(&self, session: &str, broken: Broken) {
        if let Some(carried) = &self.carried {
            carried.link.close(&format!("session {session}: {broken}"));
        }
    }

    fn complete(&self) -> Option<EndReason> {
        self.exited.filter(|_| self.lanes.all_delivered()).map(EndReason::Exited)
    }
}
