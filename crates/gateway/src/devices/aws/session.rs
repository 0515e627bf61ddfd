//! One session of such a device as the hub sees it: what the session told, for the task that
//! carries it.
//!
//! Data flow: session -> [`Told`] -> `carrier`, which has the channel and the websocket. The other
//! direction: `carrier` calls the session.
//!
//! # Invariants
//! - Nothing here waits, and no lock but the one around [`Told`] is taken: the session is locked
//!   while it calls.
//! - Input that waits is at most [`VENDOR_INPUT`]: that is the credit which clients get.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::ws::WebSocket;
use tokio::sync::{Notify, mpsc};
use towline_ssm::message::payload::Size as VendorSize;
use towline_ssm::vendor::control::TaskComplete;
use towline_wire::lane::{Lane, Lanes};

use super::news::{Job, News};
use crate::limits::{VENDOR_INPUT, VENDOR_SIGNALS};
use crate::lock::lock;
use crate::sessions::{ConnectionId, Control, DeviceEnd, Session};

/// What a session is on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A plain shell: it begins without a handshake.
    Shell,
    /// A command on a terminal: without a handshake, too, by the agents that were seen.
    Interactive,
    /// A command without a terminal. It takes three signals and no input.
    Command,
    /// Bytes of a port.
    Port,
}

/// An attach of the session that was not answered yet.
pub(super) struct Attach {
    pub(super) number: u32,
    pub(super) received: Option<Lanes<u64>>,
    pub(super) room: Lanes<u32>,
}

/// What the session has told since the task looked last.
#[derive(Default)]
pub(super) struct Told {
    pub(super) attach: Option<Attach>,
    pub(super) detach: bool,
    pub(super) credit: Lanes<Option<(u64, u64)>>,
    pub(super) size: Option<VendorSize>,
    pub(super) signals: VecDeque<u8>,
    pub(super) input: VecDeque<u8>,
    /// The agent has said on its control channel how it ended.
    pub(super) completed: Option<TaskComplete>,
    /// What was said about its job.
    pub(super) news: VecDeque<News>,
}

/// One session.
pub(super) struct VendorSession {
    pub(super) device: String,
    pub(super) kind: Kind,
    pub(super) session: Arc<Session>,
    /// A step of a command is this job.
    pub(super) job: Option<Job>,
    /// Whether standard error comes apart.
    pub(super) separate: bool,
    /// Whether an exit code follows the output.
    pub(super) tells_exit: bool,
    connection: ConnectionId,
    told: Mutex<Told>,
    ending: AtomicBool,
    pub(super) ready: Notify,
    sockets: mpsc::Sender<WebSocket>,
}

impl VendorSession {
    /// A session, and where its websockets arrive.
    pub(super) fn new(
        device: &str,
        (kind, tells_exit): (Kind, bool),
        session: &Arc<Session>,
    ) -> (Arc<Self>, mpsc::Receiver<WebSocket>) {
        Self::made(device, (kind, tells_exit), session, None)
    }

    /// The same, of a step of a command: it has no websockets.
    pub(super) fn with_job(device: &str, session: &Arc<Session>, job: Job) -> Arc<Self> {
        Self::made(device, (Kind::Command, false), session, Some(job)).0
    }

    fn made(
        device: &str,
        (kind, tells_exit): (Kind, bool),
        session: &Arc<Session>,
        job: Option<Job>,
    ) -> (Arc<Self>, mpsc::Receiver<WebSocket>) {
        let (sockets, arrivals) = mpsc::channel(1);
        let new = Self {
            device: device.to_owned(),
            kind,
            session: Arc::clone(session),
            job,
            separate: kind == Kind::Command,
            tells_exit,
            connection: ConnectionId::fresh(),
            told: Mutex::default(),
            ending: AtomicBool::new(false),
            ready: Notify::new(),
            sockets,
        };
        (Arc::new(new), arrivals)
    }

    /// Its id.
    pub(super) fn name(&self) -> &str {
        &self.session.meta.name
    }

    /// Looks at, and takes from, what was told.
    pub(super) fn told<T>(&self, look: impl FnOnce(&mut Told) -> T) -> T {
        look(&mut lock(&self.told))
    }

    fn tell(&self, change: impl FnOnce(&mut Told)) {
        self.told(change);
        self.ready.notify_one();
    }

    /// The gateway has ended it; its task ends it on the device.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    /// Nothing more is told to its task but this.
    fn end(&self) {
        self.ending.store(true, Ordering::Release);
        self.ready.notify_one();
    }

    /// A websocket of the agent for it. Nothing happens to one that comes while another waits.
    pub(super) fn arrives(&self, socket: WebSocket) {
        let _ = self.sockets.try_send(socket);
    }

    /// The agent said something about its job.
    pub(super) fn hears(&self, news: News) {
        self.tell(|told| {
            if told.news.len() < VENDOR_SIGNALS {
                told.news.push_back(news);
            }
        });
    }

    /// The agent says how it ended.
    pub(super) fn completed(&self, how: TaskComplete) {
        self.tell(|told| told.completed = Some(how));
    }
}

impl DeviceEnd for VendorSession {
    fn connection(&self) -> ConnectionId {
        self.connection
    }

    fn separates_err(&self) -> bool {
        self.separate
    }

    fn tells_echo(&self) -> bool {
        false
    }

    fn attach(&self, attachment: u32, received: Option<Lanes<u64>>, room: Lanes<u32>) {
        self.tell(|told| {
            told.input.clear();
            told.credit = Lanes::default();
            told.detach = false;
            told.attach = Some(Attach { number: attachment, received, room });
        });
    }

    fn input(&self, _: u64, data: &[u8]) {
        self.tell(|told| {
            if told.input.len() + data.len() <= VENDOR_INPUT as usize {
                told.input.extend(data);
            }
        });
    }

    fn input_end(&self, _: u64) {} // the agent knows no end of input

    fn credit(&self, lane: Lane, acked: u64, limit: u64) {
        self.tell(|told| told.credit[lane] = Some((acked, limit)));
    }

    fn control(&self, control: Control) {
        if matches!(control, Control::Close(_) | Control::Forget) {
            return self.end();
        }
        self.tell(|told| match control {
            Control::Resize(size) => {
                told.size = Some(VendorSize { cols: size.cols.into(), rows: size.rows.into() });
            }
            Control::Signal(signal) => {
                if told.signals.len() < VENDOR_SIGNALS {
                    told.signals.push_back(signal);
                }
            }
            Control::Detach => told.detach = true,
            Control::Close(_) | Control::Forget | Control::TellEcho => {}
        });
    }

    fn offer(&self, control: Control) -> bool {
        let full = self.told(|told| told.signals.len() >= VENDOR_SIGNALS);
        self.control(control);
        !(full && matches!(control, Control::Signal(_)))
    }

    fn release(&self) {
        self.told(|told| told.input.clear());
        self.end();
    }

    fn violated(&self, why: &str) {
        tracing::warn!(why, "the output of a session of amazon-ssm-agent is out of step");
        self.end();
    }
}
