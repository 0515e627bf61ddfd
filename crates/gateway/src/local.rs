//! The local socket: tools on the server ask the gateway that runs in a directory.
//!
//! Data flow: `control.sock` in the gateway's directory (0600) -> peer's uid -> one line of JSON
//! with the order -> one line with the answer.
//!
//! # Invariants
//! - Only root and the user that the gateway runs as are answered, whatever the file's mode became.
//! - One order a connection; a line of at most [`MAX_LINE`]; [`PATIENCE`] for it; one at a time.
//!   Only a snapshot and a list of the sink may take longer.
//!
//! # Not here
//! - Remote callers: there is no way here from the network.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use towline_archive::Archive;
use towline_host::clock::Clock;
use towline_store::{Store, StoreError};

use crate::audit::{AuditLog, Event};
use crate::authority::Authority;
use crate::backup::snapshot;
use crate::certificate::Signing;
use crate::cluster::{Drain, NodeOrders};
use crate::limits::LONGEST_DRAIN;
use crate::listener::stopped;
use crate::origins::Origins;
use crate::plane::AgentAcceptor;
use crate::rescue::{self, RescueKey};
use crate::server_pins::{self, PinReport, ServerPins};
use crate::sign_in_links::{self, SignInLink};
use crate::vault::Vault;

/// Name of the socket in the gateway's directory.
pub const SOCKET: &str = "control.sock";
/// Longest order or answer, bytes.
const MAX_LINE: u64 = 4096;
/// How long a gateway may take from locking its folder until it listens.
const STARTING: Duration = Duration::from_secs(5);
/// Pause between two looks whether it listens.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long an order may take to come, and an answer to be taken.
const PATIENCE: Duration = Duration::from_secs(10);

/// What can be ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// A new administrator's key.
    AdminKey,
    /// A snapshot for a backup.
    Snapshot,
    /// The pin of the server's next key, or none.
    NextPin(Option<[u8; 32]>),
    /// How far the last pin has come.
    Pins,
    /// A link that signs this user in.
    SignInLink(String),
    /// An index for each recording that has none.
    IndexRecordings,
    /// Give devices and sessions to the other gateways, within so many seconds, and end.
    Drain(u64),
    /// How much of that is left to do.
    DrainLeft,
    /// A token for one further gateway; with the key of the CA, or without it.
    Invite(bool),
    /// The node of this name may work, or may not any more.
    Decide(String, bool),
    /// A request for a certificate is signed, or refused: into the audit trail with it.
    Signing(Signing),
}

/// What comes back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// For [`Order::AdminKey`].
    Key(RescueKey),
    /// For [`Order::Snapshot`]: the folder. Who asked removes it.
    Snapshot(PathBuf),
    /// For [`Order::NextPin`] and [`Order::Pins`].
    Pins(PinReport),
    /// For [`Order::SignInLink`].
    Link(SignInLink),
    /// For [`Order::IndexRecordings`]: recordings that were queued, and whether those are all.
    Queued(usize, bool),
    /// For [`Order::Drain`] and [`Order::DrainLeft`].
    Left {
        /// Devices that are here.
        devices: usize,
        /// Sessions that are here.
        sessions: usize,
        /// The gateway's process.
        process: u32,
    },
    /// For [`Order::Invite`].
    JoinToken(String),
    /// For [`Order::Decide`] and [`Order::Signing`].
    Done,
    /// It was not done; why.
    Failed(String),
}

/// Nothing is given out that is not on record.
fn not_on_record(error: &StoreError) -> Answer {
    Answer::Failed(format!("the audit trail takes no lines, so this is not given out: {error}"))
}

/// Who asks waits for a line, whatever has failed.
fn not_done(error: &io::Error) -> Answer {
    Answer::Failed(match error.kind() {
        io::ErrorKind::TimedOut => "the gateway could not do this in time: does its store answer? \
                                    `towline health` and its log tell; then try again"
            .to_owned(),
        _ => error.to_string(),
    })
}

/// What orders are carried out with.
pub struct Local {
    /// The store.
    pub store: Store,
    /// Seals secrets.
    pub vault: Arc<Vault>,
    /// The audit trail.
    pub audit: AuditLog,
    /// Recordings, and the node's chain.
    pub archive: Arc<Archive>,
    /// Signs pins.
    pub authority: Arc<Authority>,
    /// The pin of the server's next key.
    pub pins: Arc<ServerPins>,
    /// Gives it to devices.
    pub agents: Arc<dyn AgentAcceptor>,
    /// Gives devices and sessions to other gateways, where there are some.
    pub drain: Option<Arc<Drain>>,
    /// What concerns nodes, where there are some.
    pub orders: Option<NodeOrders>,
    /// Where the console is.
    pub origins: Origins,
    /// The time.
    pub clock: Clock,
}

impl Local {
    /// Serves until `stop`. Without the socket the gateway runs on; the log says so.
    pub async fn serve(self, dir: &Path, mut stop: watch::Receiver<bool>) {
        let path = dir.join(SOCKET);
        let listener = match bind(&path) {
            Ok(listener) => listener,
            Err(error) => {
                let path = path.display();
                tracing::warn!(
                    %error,
                    "no local socket at {path}: admin-key, backup and pin need a stopped gateway"
                );
                return;
            }
        };
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stopped(&mut stop) => break,
            };
            match stream {
                Ok((stream, _)) => {
                    if let Err(error) = self.answer(dir, stream).await {
                        tracing::warn!(%error, "an order on the local socket was not answered");
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the local socket failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        let _ = std::fs::remove_file(&path);
    }

    async fn answer(&self, dir: &Path, mut stream: UnixStream) -> io::Result<()> {
        let uid = stream.peer_cred()?.uid();
        if uid != 0 && uid != nix::unistd::geteuid().as_raw() {
            tracing::warn!(uid, "a user without the right knocked at the local socket");
            return Ok(());
        }
        let (from, mut to) = stream.split();
        let mut line = String::new();
        let mut reader = BufReader::new(from.take(MAX_LINE));
        within(PATIENCE, reader.read_line(&mut line)).await?;
        let answer = match serde_json::from_str(line.trim()) {
            Ok(order) => {
                let done = within(order_patience(&order), self.obey(order, dir, uid)).await;
                done.unwrap_or_else(|error| not_done(&error))
            }
            Err(error) => Answer::Failed(format!("this gateway does not know the order: {error}")),
        };
        let mut text = serde_json::to_string(&answer)?;
        text.push('\n');
        within(PATIENCE, to.write_all(text.as_bytes())).await
    }

    async fn obey(&self, order: Order, dir: &Path, uid: u32) -> io::Result<Answer> {
        let (store, audit, now) = (&self.store, &self.audit, self.clock.now());
        Ok(match order {
            Order::AdminKey => rescue::make(store, &self.vault, audit, now, uid)
                .await
                .map_or_else(|error| Answer::Failed(error.to_string()), Answer::Key),
            Order::Snapshot => {
                let taken = snapshot::of_running(dir, store, &self.archive.recorder).await;
                let error =
                    taken.as_ref().err().map(|error| ("Failed".to_owned(), error.to_string()));
                let event = Event {
                    source: "towline",
                    name: "Backup".to_owned(),
                    source_ip: "local".to_owned(),
                    facts: vec![("uid", uid.to_string())],
                    error,
                    ..Event::default()
                };
                audit.write(event).await;
                taken.map_or_else(|error| Answer::Failed(error.to_string()), Answer::Snapshot)
            }
            Order::NextPin(pin) => {
                let said = self.pins.say(store, &self.authority, pin, now).await;
                if said.is_ok() {
                    self.agents.give_pin();
                    audit.write(server_pins::event(pin, uid)).await;
                }
                match said {
                    Ok(()) => self.pin_report().await,
                    Err(error) => Answer::Failed(error.to_string()),
                }
            }
            Order::Pins => self.pin_report().await,
            Order::SignInLink(user) => {
                let made = sign_in_links::make(store, &self.origins, &user, now).await;
                let event = sign_in_links::event(&user, uid, made.as_ref().err());
                match (made, audit.write_first(event).await) {
                    (Ok(link), Ok(())) => Answer::Link(link),
                    (Ok(_), Err(error)) => not_on_record(&error),
                    (Err(error), _) => Answer::Failed(error.to_string()),
                }
            }
            Order::IndexRecordings => {
                let asked = self.archive.index_recordings().await;
                asked.map_or_else(
                    |error| Answer::Failed(error.to_string()),
                    |(queued, all)| Answer::Queued(queued, all),
                )
            }
            Order::Drain(seconds) => self.drain(seconds, uid).await,
            Order::DrainLeft => self.drain_left(),
            Order::Invite(_) | Order::Decide(..) => self.of_nodes(&order, uid).await,
            Order::Signing(signing) => match audit.write_first(signing.event(uid)).await {
                Ok(()) => Answer::Done,
                Err(error) => not_on_record(&error),
            },
        })
    }

    async fn drain(&self, seconds: u64, uid: u32) -> Answer {
        if let Some(drain) = &self.drain {
            let event = Event {
                source: "towline",
                name: "DrainGateway".to_owned(),
                source_ip: "local".to_owned(),
                facts: vec![("uid", uid.to_string()), ("seconds", seconds.to_string())],
                ..Event::default()
            };
            self.audit.write(event).await;
            drain.begin(Duration::from_secs(seconds).min(LONGEST_DRAIN));
        }
        self.drain_left()
    }

    async fn of_nodes(&self, order: &Order, uid: u32) -> Answer {
        let Some(orders) = &self.orders else {
            let text =
                "this gateway works alone: put the section [cluster] into gateway.toml first";
            return Answer::Failed(text.to_owned());
        };
        let done = match order {
            Order::Invite(ca_key) => orders.invite(*ca_key, uid).await.map(Answer::JoinToken),
            Order::Decide(name, may_work) => {
                orders.decide(name, *may_work, uid).await.map(|()| Answer::Done)
            }
            _ => Err("this is no order about nodes".to_owned()),
        };
        done.unwrap_or_else(Answer::Failed)
    }

    fn drain_left(&self) -> Answer {
        let Some(drain) = &self.drain else {
            let text = "this gateway works alone (no section [cluster] in gateway.toml): there is \
                        no \
                        other one that takes its devices; stop it, and they wait for it";
            return Answer::Failed(text.to_owned());
        };
        let (devices, sessions) = drain.left();
        Answer::Left { devices, sessions, process: std::process::id() }
    }

    async fn pin_report(&self) -> Answer {
        let report = self.pins.report(&self.store).await;
        report.map_or_else(|error| Answer::Failed(error.to_string()), Answer::Pins)
    }
}

async fn within<T>(patience: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(patience, work)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// A large store takes its time to be copied, and a large sink to be listed.
const fn order_patience(order: &Order) -> Duration {
    match order {
        Order::AdminKey
        | Order::NextPin(_)
        | Order::Pins
        | Order::SignInLink(_)
        | Order::Drain(_)
        | Order::DrainLeft
        | Order::Invite(_)
        | Order::Decide(..)
        | Order::Signing(_) => PATIENCE,
        Order::Snapshot | Order::IndexRecordings => Duration::from_secs(1800),
    }
}

/// The directory is locked, so a socket that is there is a dead gateway's.
fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Gives an order to the gateway that runs in `dir`.
///
/// # Errors
/// When it cannot be reached or does not answer.
pub async fn ask(dir: &Path, order: Order) -> io::Result<Answer> {
    let patience = PATIENCE + order_patience(&order);
    let told = async {
        let mut stream = connect(&dir.join(SOCKET)).await?;
        let (from, mut to) = stream.split();
        to.write_all(format!("{}\n", serde_json::to_string(&order)?).as_bytes()).await?;
        let mut line = String::new();
        BufReader::new(from.take(MAX_LINE)).read_line(&mut line).await?;
        if line.is_empty() {
            let text = "the gateway did not answer: only root and its own user are answered";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        Ok(serde_json::from_str(line.trim())?)
    };
    within(patience, told).await
}

/// Connects to a gateway that has the folder. One that starts has locked the folder and does not
/// listen yet: it is waited for.
async fn connect(socket: &Path) -> io::Result<UnixStream> {
    let end = tokio::time::Instant::now() + STARTING;
    loop {
        match UnixStream::connect(socket).await {
            Err(error) if starts(&error) && tokio::time::Instant::now() < end => {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            told => return told,
        }
    }
}

/// Whether a gateway that only starts answers so.
fn starts(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
