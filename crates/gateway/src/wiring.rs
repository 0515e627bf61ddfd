//! Puts the gateway together: the only file that names the concrete parts.
//!
//! Data flow: a directory made by `init` -> [`Gateway::open`] (everything read and checked) ->
//! [`Gateway::serve`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio::sync::watch;
use towline_archive::{Archive, ArchiveError, Recorder, RecordingEvent, RecordingEvents};
use towline_host::clock::{Clock, UnixMillis};
use towline_host::entropy::NoRandom;
use towline_host::files::{self, FileError};
use towline_host::lock::{DirLock, LockError};
use towline_ssm::ids::{Realm, SessionId};
use towline_store::{EPOCH, IDLE_MINUTES, MAX_MINUTES, SeenRequest, Store, StoreError};

use crate::api::{self, Api, Parts, SignInSettings};
use crate::audit::AuditLog;
use crate::authority::{Authority, AuthorityError};
use crate::backup::snapshot;
use crate::capacity::{Capacity, Host};
use crate::certificate::{self, Facts, Watched};
use crate::channels::{self, Channels};
use crate::config::{self, Config, ConfigError};
use crate::console;
use crate::devices::aws::{self, VendorAgents, VendorParts};
use crate::devices::enrollment::Enrollment;
use crate::devices::towline::{AgentParts, AgentsHandle};
use crate::exports::{Exports, command_log, trail};
use crate::federation::ProviderKeys;
use crate::limits::{MAX_SEEN_SIGNATURES, MAX_SESSIONS};
use crate::listener::http::HttpServer;
use crate::listener::monitor::Monitor;
use crate::listener::tls::{TlsConfigs, TlsError};
use crate::listener::{Bounds, Pipes, TlsListener, socket};
use crate::local::Local;
use crate::metrics::Metrics;
use crate::notifications::{Bell, Sender};
use crate::origins::Origins;
use crate::pace::Pace;
use crate::plane::{self, AgentAcceptor, DataChannels, Presence, Sessions};
use crate::presence::LocalPresence;
use crate::readiness::{self, Readiness};
use crate::routes;
use crate::run_command::Commands;
use crate::server_pins::ServerPins;
use crate::sessions::{Hub, HubHandle, HubParts, HubSettings};
use crate::sign_in_links::SignInLinks;
use crate::throttle::LogBudget;
use crate::vault::{Vault, VaultError};

/// Why the gateway does not run.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A key file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another gateway works in the directory.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The disk has no room to work with.
    #[error(
        "the disk of {} is full: {free} bytes are free, at least {LEAST_ROOM} are needed",
        path.display()
    )]
    NoRoom {
        /// The directory.
        path: PathBuf,
        /// Free bytes.
        free: u64,
    },
    /// The server's certificate cannot be read.
    #[error("{0}")]
    Certificate(String),
    /// Certificate and key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The authority's key.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The store's key.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Recordings and audit files.
    #[error(transparent)]
    Evidence(#[from] ArchiveError),
    /// More CAs for requests to identity providers.
    #[error("the file of `ca` in the section [outbound] of gateway.toml is not usable: {0}")]
    OutboundCa(String),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] NoRandom),
    /// A listening socket.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's answer.
        source: std::io::Error,
    },
}

/// Free bytes below which a gateway does not start: the store's log and a recording's first blocks.
const LEAST_ROOM: u64 = 1 << 20;

impl GatewayError {
    /// Whether a later try may succeed, because the disk is full now.
    #[must_use]
    pub fn is_full_disk(&self) -> bool {
        match self {
            Self::NoRoom { .. } => true,
            Self::Store(error) => error.is_full_disk(),
            other => {
                let mut cause = std::error::Error::source(other);
                std::iter::from_fn(|| {
                    let now = cause?;
                    cause = now.source();
                    Some(now)
                })
                .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
                .any(|error| error.kind() == std::io::ErrorKind::StorageFull)
            }
        }
    }
}

/// What the control plane gives to the data plane.
pub struct Foundation {
    /// The configuration.
    pub config: Config,
    /// Region and account.
    pub realm: Realm,
    /// The store.
    pub store: Store,
    /// Signs grants.
    pub authority: Arc<Authority>,
    /// Lets devices in.
    pub enrollment: Arc<Enrollment>,
    /// The audit trail.
    pub audit: AuditLog,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The pin of the server's next key.
    pub pins: Arc<ServerPins>,
    /// What it costs to let devices in.
    pub pace: Arc<Pace>,
    /// The time.
    pub clock: Clock,
}

/// The data plane, as the control plane sees it.
pub struct DataPlane {
    /// Behind the agents' door.
    pub agents: Arc<dyn AgentAcceptor>,
    /// Behind the API.
    pub sessions: Arc<dyn Sessions>,
    /// Who holds which device.
    pub presence: Arc<dyn Presence>,
    /// Devices with amazon-ssm-agent.
    pub vendor: Option<Arc<VendorAgents>>,
    /// Behind the websockets' path.
    pub channels: Arc<dyn DataChannels>,
    /// Behind Run Command.
    pub commands: Arc<dyn plane::Commands>,
}

/// A gateway that listens and is about to serve.
pub struct Gateway {
    foundation: Foundation,
    vault: Arc<Vault>,
    tls: TlsConfigs,
    listener: TcpListener,
    monitor: Option<TcpListener>,
    evidence: Arc<Archive>,
    news: RecordingEvents,
    certificate: Arc<Watched>,
    links: Arc<SignInLinks>,
    seen: Vec<SeenRequest>,
    _lock: DirLock,
}

impl Gateway {
    /// Reads the directory and opens the ports. `listen` and `metrics` win over the configuration.
    ///
    /// # Errors
    /// [`GatewayError`] names the file or address.
    #[allow(clippy::too_many_lines)] // one line for each part of the gateway
    pub async fn open(
        dir: &Path,
        listen: Option<SocketAddr>,
        metrics: Option<SocketAddr>,
    ) -> Result<Self, GatewayError> {
        let mut config = Config::load(dir)?;
        config.listen = listen.unwrap_or(config.listen);
        config.metrics = metrics.or(config.metrics);
        let lock = DirLock::take(dir)?;
        room(dir)?;
        let read = |name: &str| {
            files::read(&dir.join(name), crate::limits::MAX_CONFIG_FILE)
                .map(zeroize::Zeroizing::new)
        };
        let authority = Arc::new(Authority::from_pkcs8(&read(config::AUTHORITY_KEY)?)?);
        let vault = Vault::new(&read(config::STORE_KEY)?)?;
        let clock = Clock::system();
        let tls = certificate::configs(&config, clock.now())?;
        let facts = Facts::read(&config.tls_certificate, &config.public_names())
            .map_err(GatewayError::Certificate)?;
        certificate::log(&facts, clock.now());
        let certificate = Arc::new(Watched::new(facts));
        let store = config.store.open().await?;
        let epoch = store.settings().get(EPOCH).await?.unwrap_or_default();
        let vault = Arc::new(vault.of_epoch(epoch));
        keep_limits(&store, &config).await?;
        let seen = seen(&store, clock.now()).await?;
        let listener = bind(config.listen)?;
        let monitor = config.metrics.map(bind).transpose()?;
        let metrics = Arc::new(Metrics::default());
        let (audit, _) = AuditLog::start(store.clone(), clock.clone());
        let enrollment =
            Arc::new(Enrollment::new(store.clone(), audit.clone(), Arc::clone(&metrics)));
        let pins = Arc::new(ServerPins::load(&store).await?);
        let pace = Arc::new(Pace::new(tokio::runtime::Handle::current().metrics().num_workers()));
        let realm = Realm { region: config.region.clone(), account: config.account_id.clone() };
        let foundation = Foundation {
            config,
            realm,
            store,
            authority,
            enrollment,
            audit,
            metrics,
            pins,
            pace,
            clock,
        };
        let (evidence, news) =
            Archive::start(dir, foundation.config.evidence.clone(), &foundation.clock)?;
        let evidence = Arc::new(evidence);
        let exports = Exports {
            store: foundation.store.clone(),
            recorder: Arc::clone(&evidence.recorder),
            realm: foundation.realm.clone(),
            clock: foundation.clock.clone(),
        };
        tokio::spawn(exports.keep(foundation.audit.clone()));
        Ok(Self {
            foundation,
            vault,
            tls,
            listener,
            monitor,
            evidence,
            news,
            certificate,
            links: Arc::default(),
            seen,
            _lock: lock,
        })
    }

    /// What a data plane is built on.
    #[must_use]
    pub const fn foundation(&self) -> &Foundation {
        &self.foundation
    }

    /// The data plane on this foundation, waiting for the sessions that were alive when the gateway
    /// stopped.
    ///
    /// # Errors
    /// The store's.
    pub async fn data_plane(&self) -> Result<DataPlane, GatewayError> {
        let Foundation { config, store, authority, enrollment, audit, pins, pace, clock, .. } =
            &self.foundation;
        let settings = HubSettings { grace: config.session_grace, most_sessions: MAX_SESSIONS };
        let parts = HubParts {
            store: store.clone(),
            clock: clock.clone(),
            recorder: Arc::clone(&self.evidence.recorder),
            trail: audit.clone(),
        };
        let hub = Hub::restore(parts, settings).await?;
        let recorder = Arc::clone(&self.evidence.recorder);
        let (own, changes) = (Arc::clone(&hub), audit.changes().clone());
        let commands =
            Commands::start(own, recorder, store.clone(), clock.clone(), changes).await?;
        let agents = AgentsHandle::start(AgentParts {
            hub: Arc::clone(&hub),
            store: store.clone(),
            enrollment: Arc::clone(enrollment),
            audit: audit.clone(),
            authority: Arc::clone(authority),
            clock: clock.clone(),
            pins: Arc::clone(pins),
            grace: config.session_grace,
        });
        let vendor = VendorAgents::new(VendorParts {
            hub: Arc::clone(&hub),
            store: store.clone(),
            enrollment: Arc::clone(enrollment),
            audit: audit.clone(),
            vault: Arc::clone(&self.vault),
            clock: clock.clone(),
            region: self.foundation.realm.region.clone(),
        });
        Ok(DataPlane {
            agents: Arc::new(agents),
            vendor: Some(vendor),
            sessions: Arc::new(HubHandle::new(&hub, pace)),
            presence: Arc::new(LocalPresence(Arc::clone(&hub))),
            channels: Arc::new(Channels::new(hub, &config.dir)),
            commands,
        })
    }

    /// The address that clients and agents reach, with its real port.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The address of the monitoring listener, with its real port, if there is one.
    #[must_use]
    pub fn monitor_address(&self) -> Option<SocketAddr> {
        self.monitor.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Starts what looks after the gateway itself: its certificate and its local socket. What
    /// judges whether it is ready.
    fn keep_house(
        &self,
        agents: &Arc<dyn AgentAcceptor>,
        stop: &watch::Receiver<bool>,
    ) -> Arc<Readiness> {
        let Foundation { config, store, authority, audit, pins, clock, .. } = &self.foundation;
        tokio::spawn(certificate::keep(
            config.clone(),
            self.tls.clone(),
            Arc::clone(&self.certificate),
            clock.clone(),
            stop.clone(),
        ));
        let local = Local {
            store: store.clone(),
            vault: Arc::clone(&self.vault),
            audit: audit.clone(),
            archive: Arc::clone(&self.evidence),
            authority: Arc::clone(authority),
            pins: Arc::clone(pins),
            agents: Arc::clone(agents),
            links: Arc::clone(&self.links),
            origins: origins(&self.foundation),
            clock: clock.clone(),
        };
        snapshot::clean(&config.dir);
        let (dir, stopping) = (config.dir.clone(), stop.clone());
        tokio::spawn(async move { local.serve(&dir, stopping).await });
        let certificate = Arc::clone(&self.certificate);
        Arc::new(Readiness::new(store.clone(), clock.clone(), stop.clone(), certificate))
    }

    /// Serves until `stop` becomes true; then finishes what is under way and closes the store.
    ///
    /// # Errors
    /// [`GatewayError::Random`].
    pub async fn serve(
        self,
        plane: DataPlane,
        stop: watch::Receiver<bool>,
    ) -> Result<(), GatewayError> {
        self.serve_piped(plane, None, stop).await
    }

    /// As [`Gateway::serve`], and connections that come by pipes in memory.
    ///
    /// # Errors
    /// As [`Gateway::serve`].
    #[allow(clippy::too_many_lines)] // one line for each part of the gateway
    pub async fn serve_piped(
        self,
        plane: DataPlane,
        pipes: Option<Pipes>,
        stop: watch::Receiver<bool>,
    ) -> Result<(), GatewayError> {
        let ready = self.keep_house(&plane.agents, &stop);
        let Self {
            foundation,
            vault,
            tls,
            listener,
            monitor,
            evidence,
            news,
            links,
            seen,
            _lock,
            ..
        } = self;
        let (store, metrics) = (foundation.store.clone(), Arc::clone(&foundation.metrics));
        let sessions = plane.sessions;
        tokio::spawn(handle_news(Arc::clone(&sessions), store.clone(), news));
        let bell = Bell::default();
        let sender = Sender {
            store: store.clone(),
            vault: Arc::clone(&vault),
            client: foundation.config.outbound.client().map_err(GatewayError::OutboundCa)?,
            clock: foundation.clock.clone(),
        };
        tokio::spawn(sender.run(bell.clone(), stop.clone(), Arc::clone(&metrics)));
        let api = Api::new(Parts {
            seen,
            store: store.clone(),
            vault,
            clock: foundation.clock.clone(),
            realm: foundation.realm.clone(),
            sessions: Arc::clone(&sessions),
            presence: plane.presence,
            commands: plane.commands,
            audit: foundation.audit.clone(),
            metrics: Arc::clone(&metrics),
            evidence: Arc::clone(&evidence),
            removal_ends_sessions: foundation.config.removal_ends_sessions,
            access_ends_sessions: foundation.config.access_ends_sessions,
            stream_url_host: foundation.config.stream_url_host.clone(),
            sign_in: sign_in(&foundation),
            authority: foundation.authority.digest(),
            links,
            ready: Arc::clone(&ready),
            providers: ProviderKeys::new(
                foundation.config.outbound.client().map_err(GatewayError::OutboundCa)?,
                Arc::clone(&metrics),
            ),
            bell,
        })?;
        if let Some(listener) = monitor {
            let monitor = Monitor {
                metrics: Arc::clone(&metrics),
                store: store.clone(),
                ready: Arc::clone(&ready),
            };
            tokio::spawn(monitor.serve(listener, stop.clone()));
        }
        let api = Arc::new(api);
        let events = api::event_routes(Arc::clone(&api));
        let channels = channels::routes(plane.channels, origins(&foundation));
        let [api, channels] = with_vendor(api::routes(api), channels, plane.vendor);
        let routes = routes::router([
            api,
            events,
            channels,
            console::routes(&foundation.realm.region, is_public(&foundation)),
            readiness::routes(ready),
        ]);
        let host = Host::read().with(pipes.is_some());
        let Capacity { connections, bound } = Capacity::of(host, foundation.config.max_connections);
        tracing::info!("room for {connections} connections, by {bound}");
        tokio::spawn(announce_end(sessions, stop.clone()));
        let port = Arc::new(TlsListener {
            tls,
            agents: plane.agents,
            http: HttpServer::new(routes, connections),
            metrics,
            proxies: foundation.config.proxies.clone(),
            bounds: Bounds::of(connections),
            pace: Arc::clone(&foundation.pace),
            clock: foundation.clock.clone(),
            log_budget: LogBudget::default(),
        });
        port.serve(listener, pipes, stop).await;
        // Links and sessions may still write; what they write from here on is on stderr alone.
        let _ =
            tokio::time::timeout(crate::limits::SHUTDOWN_GRACE, foundation.audit.settle()).await;
        let recorder = Arc::clone(&evidence.recorder);
        export_the_rest(&foundation, &recorder).await;
        let _ = tokio::task::spawn_blocking(move || recorder.stop()).await;
        store.close().await;
        Ok(())
    }
}

/// The API and the channels, with the calls and channels of amazon-ssm-agent in front of them.
fn with_vendor(api: Router, channels: Router, vendor: Option<Arc<VendorAgents>>) -> [Router; 2] {
    let Some(vendor) = vendor else { return [api, channels] };
    let api = api.layer(from_fn_with_state(Arc::clone(&vendor), aws::calls));
    let channels = channels
        .layer(from_fn_with_state(Arc::clone(&vendor), aws::data_channels))
        .merge(aws::routes(vendor));
    [api, channels]
}

/// Puts the limits of sessions into the store. The file is the whole truth: a line that was taken out
/// of it has its default again.
async fn keep_limits(store: &Store, config: &Config) -> Result<(), StoreError> {
    for (key, value) in [(IDLE_MINUTES, config.session_idle), (MAX_MINUTES, config.session_max)] {
        match value {
            Some(value) => {
                store.settings().set(key, &(value.as_secs_f64() / 60.0).to_string()).await?
            }
            None => store.settings().clear(key).await?,
        }
    }
    Ok(())
}

/// Tells operators that the gateway stops, when it does.
async fn announce_end(sessions: Arc<dyn Sessions>, mut stop: watch::Receiver<bool>) {
    crate::listener::stopped(&mut stop).await;
    sessions.going_away();
}

/// Exports what no file holds yet, before the store is closed.
async fn export_the_rest(foundation: &Foundation, recorder: &Arc<Recorder>) {
    let Foundation { store, realm, clock, .. } = foundation;
    if let Err(error) = trail::export(store, recorder, realm, clock.now()).await {
        tracing::error!(%error, "the last events of the audit trail wait for the next start");
    }
    if let Err(error) = command_log::export(store, recorder).await {
        tracing::error!(%error, "the last records of the command log wait for the next start");
    }
}

/// Pages that may use a sign-in or open a data channel.
fn origins(foundation: &Foundation) -> Origins {
    Origins::new(foundation.config.console.origins.clone())
}

/// Whether any browser trusts the certificate for each address of the console.
fn is_public(foundation: &Foundation) -> bool {
    let config = &foundation.config;
    let hosts = config.console.origins.iter().filter_map(|origin| crate::origins::host(origin));
    let hosts: Vec<String> = hosts.map(str::to_owned).collect();
    certificate::is_public(&config.tls_certificate, &hosts, foundation.clock.now())
}

fn sign_in(foundation: &Foundation) -> SignInSettings {
    let console = &foundation.config.console;
    SignInSettings {
        gateway_id: foundation.authority.fingerprint(),
        origins: origins(foundation),
        idle: console.idle,
        max: console.max,
    }
}

/// The client for requests to identity providers.
/// Refuses a disk that is full before anything is written to it.
fn room(dir: &Path) -> Result<(), GatewayError> {
    let Ok(disk) = nix::sys::statvfs::statvfs(dir) else { return Ok(()) };
    let free = disk.blocks_available().saturating_mul(disk.fragment_size());
    if free < LEAST_ROOM {
        return Err(GatewayError::NoRoom { path: dir.to_owned(), free });
    }
    Ok(())
}

fn bind(address: SocketAddr) -> Result<TcpListener, GatewayError> {
    socket::listen(address).map_err(|source| GatewayError::Listen { address, source })
}

/// Signatures that an earlier process has taken and that would still be right.
async fn seen(store: &Store, now: UnixMillis) -> Result<Vec<SeenRequest>, StoreError> {
    let most = i64::try_from(MAX_SEEN_SIGNATURES).unwrap_or(i64::MAX);
    store.seen_requests().alive(now.0.div_euclid(1000), most).await
}

/// Ends sessions whose recording is demanded and fails, and keeps how large recordings have become.
async fn handle_news(sessions: Arc<dyn Sessions>, store: Store, mut news: RecordingEvents) {
    while let Some(told) = news.recv().await {
        match told {
            RecordingEvent::Failed { session, why } => {
                let Ok(id) = SessionId::try_from(session) else { continue };
                let text = format!("ended: recording is required, and the recording failed: {why}");
                sessions.terminate(&id, &text).await;
            }
            RecordingEvent::Finished { session, bytes } => {
                if let Err(error) = store.sessions().set_recording_bytes(&session, bytes).await {
                    tracing::warn!(session, %error, "the size of a recording could not be stored");
                }
            }
        }
    }
}
