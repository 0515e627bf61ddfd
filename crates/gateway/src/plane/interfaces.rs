//! The interfaces between the control plane (this crate's API and TLS listener) and the data plane
//! (agents' links, sessions, data channels). Each side knows only what stands here.
//!
//! Data flow: the TLS port hands agents to [`AgentAcceptor`] and websockets to [`DataChannels`];
//! the API asks [`Sessions`].
//!
//! # Invariants
//! - The API has decided by policy before it calls [`Sessions::start`]; the data plane asks no
//!   policy.
//! - Nothing here names a store, a socket library's session type beyond the two streams handed
//!   over, or SQL.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::BoxFuture;
use towline_ssm::command_document::Platform;
use towline_ssm::documents::SessionPlan;
use towline_ssm::documents::preferences::SessionPreferences;
use towline_ssm::ids::{DeviceId, SessionId};
use towline_wire::lane::{Lane, Lanes};
use towline_wire::message::ExitStatus;

use super::seats::{Resumed, SeatError, Sitter};

/// An agent whose TLS handshake proved the possession of `spki`'s private key. Whether that key is
/// known is not yet asked.
pub struct AgentConnection<S = crate::link_tls::LinkStream> {
    /// The connection, past its handshake.
    pub stream: S,
    /// `SubjectPublicKeyInfo` (DER) of the agent's Ed25519 key.
    pub spki: Vec<u8>,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// Its standing at the port; to be proved when the key is known.
    pub visitor: Visitor,
}

/// Takes agents from the TLS port. Returns when the link has ended; the port counts it as open
/// until then.
pub trait AgentAcceptor: Send + Sync + 'static {
    /// Serves one agent's link until its end.
    fn serve(&self, connection: AgentConnection) -> BoxFuture<'static, ()>;
    /// Gives the pin of the server's next key to all devices that are connected.
    fn give_pin(&self);
}

/// Where a request comes from; an extension of each request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// A connection at the port: a stranger's, until somebody proves over it who they are.
pub trait Standing: std::fmt::Debug + Send + Sync + 'static {
    /// Somebody has: the connection leaves the share of its source for that of `who`, the id of a
    /// user, person or device, and stays a stranger's when that share is used up. `None`: of who
    /// cannot have many, or is trusted with them.
    fn prove(&self, who: Option<&str>);

    /// Whether somebody has.
    fn is_proven(&self) -> bool;
}

/// The connection that a request came over; an extension of each request.
#[derive(Debug, Clone)]
pub struct Visitor(pub std::sync::Arc<dyn Standing>);

/// A request for a session's websocket, before the upgrade.
pub struct ChannelRequest {
    /// The `{session}` of the path; not yet known to exist.
    pub session: String,
    /// The query, names and values decoded; at most what [`crate::limits::MAX_HEAD`] can hold.
    pub query: HashMap<String, String>,
    /// The request's headers (subprotocol, possibly a signature).
    pub headers: axum::http::HeaderMap,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// The connection; a client that has attached has proved itself.
    pub visitor: Option<Visitor>,
    /// Completes the handshake.
    pub upgrade: axum::extract::ws::WebSocketUpgrade,
}

/// Takes websockets from the TLS port.
pub trait DataChannels: Send + Sync + 'static {
    /// Answers the upgrade request; what follows the answer runs on its own.
    fn open(&self, request: ChannelRequest) -> axum::response::Response;
}

/// Where something is, seen from this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<T = ()> {
    /// On this node, with this answer.
    Here(T),
    /// On another node.
    There,
    /// On no node.
    Nowhere,
}

impl<T> Found<T> {
    /// The answer, when it is here.
    #[must_use]
    pub fn here(self) -> Option<T> {
        match self {
            Self::Here(answer) => Some(answer),
            Self::There | Self::Nowhere => None,
        }
    }
}

impl<T> From<Option<T>> for Found<T> {
    fn from(answer: Option<T>) -> Self {
        answer.map_or(Self::Nowhere, Self::Here)
    }
}

/// Who holds which device.
pub trait Presence: Send + Sync + 'static {
    /// Where the device's connection is.
    fn whereabouts(&self, device: &DeviceId) -> BoxFuture<'_, Found>;
    /// What the device said of its network process, when its connection is on this node.
    fn separation(&self, device: &str) -> Option<String>;
}

/// What the API needs from the running sessions.
pub trait Sessions: Send + Sync + 'static {
    /// Opens a session and stores its row; waits until the device opened it or refused.
    fn start(&self, start: SessionStart) -> BoxFuture<'_, Result<SessionStarted, StartError>>;
    /// A new token for a session that is alive; `user`: who has it, if not the owner. `seat`: the
    /// seat that her client had, if it returns to that one alone.
    fn resume(
        &self,
        id: &SessionId,
        user: Option<Sitter>,
        seat: Option<&str>,
    ) -> BoxFuture<'_, Found<Resumed>>;
    /// A token with which this user takes the seat of a session. `ask`: only with the consent of
    /// who has it, unless the user has it already. `seat`: as in `resume`.
    fn join(
        &self,
        id: &SessionId,
        user: Sitter,
        ask: bool,
        seat: Option<String>,
    ) -> BoxFuture<'_, Found<Result<Resumed, SeatError>>>;
    /// Principals or persons of these ids have lost rights: the number of the seats that they have
    /// in sessions of others, or hold a token for. `end`: they lose them. An id may be that of a
    /// person [`in_role`](super::in_role).
    fn leave_seats(&self, ids: &[String], end: bool) -> BoxFuture<'_, u64>;
    /// Shows a message to who has the seat. False: nobody sees it.
    fn message(&self, id: &SessionId, from: &str, text: &str) -> BoxFuture<'_, Found<bool>>;
    /// Keeps a place for a viewer of a session, and gives a token for it.
    fn watch(
        &self,
        id: &SessionId,
        who: Watcher,
    ) -> BoxFuture<'_, Found<Result<WatchGrant, WatchError>>>;
    /// Tells who has the seat when the access ends that permits the session.
    fn access_ends(&self, id: &SessionId, end: AccessEnd) -> BoxFuture<'_, Found>;
    /// Ends a session, with this sentence for users and records.
    fn terminate(&self, id: &SessionId, sentence: &str) -> BoxFuture<'_, Found>;
    /// What a live session is doing.
    fn live(&self, id: &SessionId) -> BoxFuture<'_, Found<LiveState>>;
    /// The device was deregistered or its key revoked: ends its sessions, waits a moment until it
    /// has heard of that, and ends its connection.
    fn drop_device(&self, device: &DeviceId, why: &str) -> BoxFuture<'_, Found<Dropped>>;
    /// Asks the device to make a new key, and admits that key; its fingerprint. The older keys are
    /// retired when the device has connected with it.
    fn rotate_key(&self, device: &DeviceId) -> BoxFuture<'_, Result<String, RotateError>>;
    /// This process is about to stop: each device is told when to reconnect, so that thousands do
    /// not come at once.
    fn going_away(&self);
}

/// What the API needs from the running commands. What was sent is in the store before they hear of
/// it.
pub trait Commands: Send + Sync + 'static {
    /// A command was stored: begin with it.
    fn sent(&self, id: &str) -> BoxFuture<'_, ()>;
    /// Stops a command, on these devices or on all. Returns when that is written down; what runs
    /// takes its time to end.
    fn cancel(&self, id: &str, devices: Option<Vec<String>>) -> BoxFuture<'_, ()>;
    /// Another node has changed commands.
    fn look(&self) -> BoxFuture<'_, ()>;
    /// The device was deregistered: nothing will reach it any more.
    fn device_removed(&self, device: &DeviceId) -> BoxFuture<'_, ()>;
    /// The beginning of the output of a step that runs, standard output and standard error, at most
    /// so many bytes.
    fn running_output(
        &self,
        id: &str,
        device: &str,
        folder: &str,
        most: Lanes<u64>,
    ) -> BoxFuture<'_, Lanes<Vec<u8>>>;
    /// A piece of a step's stream as long as it is on this machine; `None` when it is in the sink,
    /// or nowhere.
    ///
    /// # Errors
    /// The disk's.
    fn local_output(
        &self,
        what: OutputName,
        offset: u64,
        most: u64,
    ) -> BoxFuture<'_, std::io::Result<Option<OutputPiece>>>;
    /// Whether a bucket of this name can get output.
    ///
    /// # Errors
    /// Why not, for the caller.
    fn accepts_bucket(&self, bucket: &str) -> Result<(), String>;
    /// Whether CloudWatch Logs can get output.
    ///
    /// # Errors
    /// Why not, for the caller.
    fn accepts_logs(&self) -> Result<(), String>;
    /// Where an object of the outputs lies, or will lie.
    fn url(&self, object: &str) -> String;
    /// What keys of outputs begin with when their command names no bucket.
    fn outputs_prefix(&self) -> String;
}

/// One stream of one step of a command on one device.
#[derive(Debug, Clone)]
pub struct OutputName {
    /// The command.
    pub command: String,
    /// The device.
    pub device: String,
    /// The step's folder.
    pub folder: String,
    /// The stream.
    pub lane: Lane,
    /// Its key in the sink.
    pub object: String,
}

/// A piece of a stream.
#[derive(Debug, Default)]
pub struct OutputPiece {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Bytes of the whole stream that are there.
    pub length: u64,
}

/// The user behind a request, whatever role was assumed on the way: the bearer of the long-lived
/// access key that began the chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    /// The user's id, which is never given again.
    pub id: String,
    /// The user's name.
    pub name: String,
}

/// What became of the sessions of a device that was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Sessions and steps of commands whose processes the device was told to end, and it has heard
    /// it.
    pub ended: u32,
    /// Those of which it has not: it is away, or did not answer. It ends them when it is refused.
    pub unreached: u32,
}

/// A decided session, for the data plane to open.
#[derive(Debug, Clone)]
pub struct SessionStart {
    /// Its id, made by the API.
    pub session: SessionId,
    /// The device.
    pub device: DeviceId,
    /// Who asked: full ARN.
    pub principal_arn: String,
    /// Who asked: the name alone.
    pub principal_name: String,
    /// Who asked: the id of the user, or of the role that was assumed.
    pub principal_id: String,
    /// The user behind it.
    pub person: Person,
    /// The session document.
    pub document: String,
    /// What the document means with its parameters.
    pub plan: SessionPlan,
    /// User to run as; `None`: the device's own default.
    pub run_as: Option<String>,
    /// The system of the device by which all of this was judged; `None`: it has not said one, and
    /// was judged as Linux.
    pub platform: Option<Platform>,
    /// Terminal of the first open, if the client told it.
    pub terminal: Option<Terminal>,
    /// The caller's reason, if given.
    pub reason: Option<String>,
    /// The approved request for access that permits it.
    pub access_request: Option<String>,
    /// What is wanted of this session: of the account's preferences, and of its document. Times and
    /// user are in the members below and above; the shell profile is for the data plane, the logs
    /// for the recorder.
    pub preferences: SessionPreferences,
    /// Ends a session in which nobody types and nothing is shown.
    pub idle_timeout: Duration,
    /// Ends a session whatever it does; `None`: never.
    pub max_duration: Option<Duration>,
    /// Where the caller's request came from.
    pub source_ip: IpAddr,
    /// What policy judged it by, as JSON: kept with the session for who joins it.
    pub facts: String,
    /// The caller may use the device's place for a repair, and this session may stand in it.
    pub may_use_reserve: bool,
}

impl SessionStart {
    /// Whose share of a device and of the gateway it takes: the id of the user behind it. A user
    /// cannot have more shares by roles.
    #[must_use]
    pub fn share_of(&self) -> &str {
        if self.person.id.is_empty() { &self.principal_arn } else { &self.person.id }
    }

    /// Whether what is typed is recorded: preferences want it, and there is a terminal, which alone
    /// can tell what it echoes.
    #[must_use]
    pub fn records_input(&self) -> bool {
        self.preferences.record_input == Some(true) && self.plan.has_terminal()
    }
}

/// A terminal's type and size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminal {
    /// Value for `TERM`.
    pub term: String,
    /// Rows of characters.
    pub rows: u16,
    /// Columns of characters.
    pub cols: u16,
}

/// A session that the agent opened.
pub struct SessionStarted {
    /// Opens the data channel once.
    pub token: String,
    /// Why it is not recorded, though a recording is wanted.
    pub not_recorded: Option<String>,
}

/// The end of the access that permits a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessEnd {
    /// The request for access.
    pub request: String,
    /// Time until then; zero: it has ended.
    pub left: Duration,
    /// The session ends with it.
    pub ends_session: bool,
}

/// Who watches a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watcher {
    /// ARN.
    pub arn: String,
    /// The id of the user behind it, whatever role she is in.
    pub person: String,
    /// The session's owner is not told.
    pub unseen: bool,
}

/// A viewer of a session, as the API holds it: it ends when its right does.
pub trait Watching: Send + Sync + 'static {
    /// It is over, or its token is too old and was not used.
    fn is_over(&self) -> bool;
    /// Ends it with this sentence for the viewer. The session goes on.
    fn end(&self, why: &str);
}

/// A place among the viewers of a session.
pub struct WatchGrant {
    /// Opens the viewer's data channel once.
    pub token: String,
    /// The viewer, as long as it is there.
    pub watching: std::sync::Weak<dyn Watching>,
}

/// Why a session cannot be watched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// There is nothing to see.
    #[error("the session has no terminal: only sessions with a terminal can be watched")]
    NoTerminal,
    /// It ended meanwhile.
    #[error("the session is over")]
    Over,
    /// It has all the viewers that it may have.
    #[error("the session has {most} viewers, and may not have more")]
    TooManyViewers {
        /// That number.
        most: usize,
    },
    /// Something of ours failed.
    #[error("internal error: {0}")]
    Internal(String),
}

/// Why no session was opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The device's link is down.
    #[error("the device is not connected")]
    NotConnected,
    /// The device's own policy, or the device itself, said no.
    #[error("the device refused: {why}")]
    Refused {
        /// The device's words.
        why: String,
    },
    /// The device has no such program.
    #[error("{why}")]
    ProgramNotFound {
        /// The device's words.
        why: String,
    },
    /// The device cannot execute the program.
    #[error("{why}")]
    ProgramNotExecutable {
        /// The device's words.
        why: String,
    },
    /// The place that a tunnel should lead to cannot be reached from the device.
    #[error("{why}")]
    Unreachable {
        /// The device's words.
        why: String,
    },
    /// The device has all the sessions that it allows itself, in its words.
    #[error("the device refused: {why}")]
    Busy {
        /// The device's words.
        why: String,
    },
    /// The device refuses for the time being, in its words.
    #[error("the device refused: {why}")]
    NotNow {
        /// The device's words.
        why: String,
    },
    /// The device has started the same before, or cannot tell that it has not.
    #[error("{why}")]
    AlreadyStarted {
        /// The device's words.
        why: String,
    },
    /// The device has all the sessions it allows.
    #[error("the device allows {limit} sessions at once, and has them")]
    TooManySessions {
        /// That number.
        limit: u32,
    },
    /// The principal has its share of the device's sessions.
    #[error(
        "you have {share} sessions on this device, and one user may have half of the {most} that \
         it allows (sessions.max): end one with `towline terminate`"
    )]
    ShareTaken {
        /// What one principal may have.
        share: u32,
        /// What the device allows.
        most: u32,
    },
    /// Too many grants of the device are alive.
    #[error("too many sessions were started on this device within a minute: try again in a minute")]
    TooManyGrants,
    /// The gateway gives its devices to other gateways.
    #[error("its gateway is about to end, and the device goes to another one: try again")]
    Draining,
    /// The device did not answer in time.
    #[error("the device did not answer in time")]
    Timeout,
    /// It must be recorded, and cannot be.
    #[error("recording is required, and this session cannot be recorded: {why}")]
    NotRecorded {
        /// What is in the way.
        why: String,
    },
    /// The store takes no new sessions for now.
    #[error("the session could not be stored: {0}")]
    NoStore(String),
    /// Something of ours failed.
    #[error("internal error: {0}")]
    Internal(String),
}

/// Why a device has no new key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RotateError {
    /// The device's link is down, or was lost meanwhile.
    #[error("the device is not connected: try again when it is")]
    NotConnected,
    /// The device says no.
    #[error("the device made no new key: {why}")]
    Refused {
        /// The device's words.
        why: String,
    },
    /// Somebody else asks just now.
    #[error("the device is being asked for a new key already")]
    Busy,
    /// The device did not answer in time.
    #[error("the device did not answer in time; its old key stays")]
    Timeout,
    /// Something of ours failed.
    #[error("internal error: {0}")]
    Internal(String),
}

/// What a live session is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveState {
    /// Opened by the agent, no client yet.
    Connecting,
    /// A client is attached.
    Connected,
    /// No client is attached; the shell goes on.
    Disconnected,
    /// On its way to the end.
    Terminating,
}

/// Why a session ended. Stored, shown to the user and written to the audit trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The program ended.
    Exited(ExitStatus),
    /// Nobody typed and nothing was shown for too long.
    IdleTimeout,
    /// It reached its maximum duration.
    MaxDuration,
    /// The API ended it, or its recording failed.
    Terminated,
    /// The client closed it.
    ClosedByClient,
    /// The client did not come back within the grace time, or never came.
    ClientLost,
    /// The device did not come back within the grace time, or came back without the session.
    DeviceLost,
    /// The device could not open it.
    NotOpened,
    /// The device was deregistered, or its key revoked.
    DeviceRemoved,
    /// One side broke the rules of the stream.
    Violation,
}

impl EndReason {
    /// The sentence that users and records see.
    #[must_use]
    pub fn sentence(self) -> String {
        let text = match self {
            Self::Exited(ExitStatus::Code(0)) => "the program ended",
            Self::Exited(ExitStatus::Code(code)) => {
                return format!("the program ended with exit code {code}");
            }
            Self::Exited(ExitStatus::Signal(signal)) => {
                return format!("the program was killed by signal {signal}");
            }
            Self::Exited(ExitStatus::TimedOut) => "the program took longer than it may",
            Self::IdleTimeout => "ended: nothing was typed or shown for the idle time-out",
            Self::MaxDuration => "ended: the session reached its maximum duration",
            Self::Terminated => "terminated",
            Self::ClosedByClient => "closed by the operator",
            Self::ClientLost => "ended: no client came back in time",
            Self::DeviceLost => "ended: the device did not come back in time",
            Self::NotOpened => "could not be opened",
            Self::DeviceRemoved => "ended: the device was removed",
            Self::Violation => "ended: one side broke the rules of the stream",
        };
        text.to_owned()
    }
}
