//! Puts the gateway together: the only file that names the concrete parts.
//!
//! Data flow: a directory made by `init` -> [`Gateway::open`] (everything read and checked) ->
//! [`Gateway::serve`].

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio::sync::watch;
use towline_archive::{Archive, Recorder, RecordingEvents};
use towline_host::clock::Clock;
use towline_host::lock::DirLock;
use towline_ssm::ids::Realm;
use towline_store::{EPOCH, NodeIdentity, SeenRequest, Store};

use crate::api::{self, Api, Parts, SignInSettings};
use crate::audit::{self, AuditLog};
use crate::authority::Authority;
use crate::backup::snapshot;
use crate::capacity::{Capacity, Host};
use crate::certificate::{self, Facts, Watched};
use crate::channels::{self, Channels};
use crate::cluster::{
    self, Calls, ClusterCommands, ClusterPresence, ClusterSessions, Directory, Drain, Inviter,
    NodeKey, NodeOrders, PeerListener, RelayState, membership,
};
use crate::config::{self, Config};
use crate::console;
use crate::devices::aws::{self, VendorAgents, VendorParts};
use crate::devices::enrollment::Enrollment;
use crate::devices::towline::{AgentParts, AgentsHandle};
use crate::exports::{Exports, command_log, trail};
use crate::federation::ProviderKeys;
use crate::limits::MAX_SESSIONS;
use crate::listener::http::HttpServer;
use crate::listener::monitor::Monitor;
use crate::listener::tls::{TlsConfigs, TlsError};
use crate::listener::{Bounds, Pipes, TlsListener};
use crate::local::Local;
use crate::metrics::Metrics;
use crate::news;
use crate::notifications::{Bell, Sender};
use crate::origins::Origins;
use crate::pace::Pace;
use crate::plane::{self, AgentAcceptor, DataChannels, PeerAcceptor, Peers, Presence, Sessions};
use crate::presence::LocalPresence;
use crate::readiness::{self, Readiness};
use crate::routes;
use crate::run_command::Commands;
use crate::server_pins::{self, ServerPins};
use crate::sessions::{Hub, HubHandle, HubParts, HubSettings};
pub use crate::starting::GatewayError;
use crate::starting::{bind, keep_limits, mail_server, room, seen};
use crate::throttle::LogBudget;
use crate::vault::Vault;

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
    /// Calls to the other gateways, where several work together.
    pub calls: Option<Arc<Calls>>,
}

/// The data plane, as the control plane sees it.
pub struct DataPlane {
    /// Serves the links of agents.
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
    /// What other gateways ask for, and what leads data channels to them.
    pub calls_of_nodes: Option<(Router, RelayState)>,
    /// What goes before the end, where several gateways work together.
    pub drain: Option<Arc<Drain>>,
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
        config::warnings(&config).iter().for_each(|who| tracing::warn!("{who}"));
        let authority = config::read_key(dir, config::AUTHORITY_KEY)?;
        let authority = Arc::new(Authority::from_pkcs8(&authority)?);
        let vault = Vault::new(&config::read_key(dir, config::STORE_KEY)?)?;
        let clock = Clock::system();
        let tls = certificate::configs(&config, clock.now())?;
        let facts = Facts::of(&config).map_err(GatewayError::Certificate)?;
        certificate::log(&facts, clock.now());
        let certificate = Arc::new(Watched::new(facts));
        let key = config.cluster.is_some().then(|| NodeKey::in_directory(dir)).transpose()?;
        let (store, tls) = opened(&config, key.as_ref(), tls).await?;
        let calls = key.map(|key| {
            let directory = Arc::new(Directory::new(store.clone(), clock.clone()));
            Arc::new(Calls::new(store.clone(), key, directory))
        });
        let epoch = store.settings().get(EPOCH).await?.unwrap_or_default();
        let vault = Arc::new(vault.of_epoch(epoch));
        keep_limits(&store, &config).await?;
        store.sign_in_links().void_own().await?;
        audit::close_left(&store).await?;
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
            calls,
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
        let (exporting, audit) = (foundation.store.clone(), foundation.audit.clone());
        tokio::spawn(async move {
            exporting.has_chores().await;
            exports.keep(audit).await;
        });
        Ok(Self {
            foundation,
            vault,
            tls,
            listener,
            monitor,
            evidence,
            news,
            certificate,
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
    #[allow(clippy::too_many_lines)] // one line for each part of the data plane
    pub async fn data_plane(&self) -> Result<DataPlane, GatewayError> {
        let Foundation {
            config,
            store,
            authority,
            enrollment,
            audit,
            pins,
            pace,
            clock,
            calls,
            ..
        } = &self.foundation;
        let peers = calls.clone().map(|calls| calls as Arc<dyn Peers>);
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
            peers: peers.clone(),
        });
        let vendor = VendorAgents::new(VendorParts {
            hub: Arc::clone(&hub),
            store: store.clone(),
            enrollment: Arc::clone(enrollment),
            audit: audit.clone(),
            vault: Arc::clone(&self.vault),
            clock: clock.clone(),
            region: self.foundation.realm.region.clone(),
            peers,
        });
        let here = DataPlane {
            agents: Arc::new(agents),
            vendor: Some(vendor),
            sessions: Arc::new(HubHandle::new(&hub, pace)),
            presence: Arc::new(LocalPresence(Arc::clone(&hub))),
            channels: Arc::new(Channels::new(Arc::clone(&hub), &config.dir)),
            commands,
            calls_of_nodes: None,
            drain: None,
        };
        Ok(match calls {
            None => here,
            Some(calls) => {
                let agents = Arc::clone(&here.agents);
                tokio::spawn(server_pins::follow(Arc::clone(pins), store.clone(), agents));
                of_cluster(here, &hub, calls, pace, &self.evidence)
            }
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
    fn keep_house(&self, plane: &DataPlane, stop: &watch::Receiver<bool>) -> Arc<Readiness> {
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
            agents: Arc::clone(&plane.agents),
            drain: plane.drain.clone(),
            orders: orders(&self.foundation),
            origins: origins(&self.foundation),
            clock: clock.clone(),
        };
        snapshot::clean(&config.dir);
        let (dir, stopping) = (config.dir.clone(), stop.clone());
        tokio::spawn(async move { local.serve(&dir, stopping).await });
        let certificate = Arc::clone(&self.certificate);
        let ready = Readiness::new(store.clone(), clock.clone(), stop.clone(), certificate);
        Arc::new(ready.until_drained(plane.drain.as_ref().map(|drain| drain.begun())))
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
        let stop = plane.drain.as_ref().map_or(stop.clone(), |drain| drain.before(stop));
        let ready = self.keep_house(&plane, &stop);
        let Self { foundation, vault, tls, listener, monitor, evidence, news, seen, _lock, .. } =
            self;
        let (store, metrics) = (foundation.store.clone(), Arc::clone(&foundation.metrics));
        let sessions = plane.sessions;
        tokio::spawn(news::handle(Arc::clone(&sessions), store.clone(), news));
        let bell = Bell::default();
        let sender = Sender {
            store: store.clone(),
            vault: Arc::clone(&vault),
            client: foundation.config.outbound.client().map_err(GatewayError::OutboundCa)?,
            mail: mail_server(&foundation.config)?,
            clock: foundation.clock.clone(),
        };
        let sending = sender.start(bell.clone(), stop.clone(), Arc::clone(&metrics));
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
            ready: Arc::clone(&ready),
            providers: ProviderKeys::new(
                foundation.config.outbound.client().map_err(GatewayError::OutboundCa)?,
                Arc::clone(&metrics),
            ),
            bell,
            has_mail: foundation.config.mail.is_some(),
            peers: foundation.calls.clone().map(|calls| calls as Arc<dyn Peers>),
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
        share_failures(&foundation, &api, plane.vendor.as_deref());
        let events = api::event_routes(Arc::clone(&api));
        let channels = channels::routes(plane.channels, origins(&foundation));
        let [api, channels] = with_vendor(api::routes(api), channels, plane.vendor);
        let (channels, for_nodes) = match plane.calls_of_nodes {
            None => (channels, Router::new()),
            Some((calls, (of_nodes, hub))) => {
                let relay = (of_nodes, hub, origins(&foundation));
                (channels.layer(from_fn_with_state(relay, cluster::relay)), calls)
            }
        };
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
        let peers = foundation.calls.as_ref().map(|calls| {
            let Foundation { config, audit, clock, .. } = &foundation;
            let (dir, audit) = (config.dir.clone(), audit.clone());
            let inviter = Inviter::new(store.clone(), dir, audit, clock.clone());
            let routes = routes.clone().merge(for_nodes);
            let listener = PeerListener::new(calls.directory(), routes, inviter);
            Arc::new(Arc::new(listener)) as Arc<dyn PeerAcceptor>
        });
        tokio::spawn(news::announce_end(sessions, stop.clone()));
        let port = Arc::new(TlsListener {
            tls,
            agents: plane.agents,
            peers,
            http: HttpServer::new(routes, connections),
            metrics,
            proxies: foundation.config.proxies.clone(),
            bounds: Bounds::of(connections),
            pace: Arc::clone(&foundation.pace),
            clock: foundation.clock.clone(),
            log_budget: LogBudget::default(),
        });
        port.serve(listener, pipes, stop).await;
        let _ = sending.await; // bounded; it stores what receivers have taken
        // Links and sessions may still write; what they write from here on is on stderr alone.
        let _ =
            tokio::time::timeout(crate::limits::SHUTDOWN_GRACE, foundation.audit.settle()).await;
        let recorder = Arc::clone(&evidence.recorder);
        if store.does_chores() {
            export_the_rest(&foundation, &recorder).await;
        }
        let _ = tokio::task::spawn_blocking(move || recorder.stop()).await;
        store.close().await;
        Ok(())
    }
}

/// The store, and the TLS that answers other gateways where there are some.
async fn opened(
    config: &Config,
    key: Option<&NodeKey>,
    tls: TlsConfigs,
) -> Result<(Store, TlsConfigs), GatewayError> {
    let (Some(member), Some(key)) = (&config.cluster, key) else {
        return Ok((config.store.open().await?, tls));
    };
    let identity = NodeIdentity {
        name: member.node.clone(),
        spki: key.spki().to_vec(),
        address: member.address.clone(),
        device_address: member.device_address.clone().unwrap_or_default(),
    };
    let peers = cluster::server_config(key).map_err(TlsError::Pair)?;
    Ok((config.store.join(&identity).await?, tls.with_peers(peers)))
}

/// The data plane of one of several nodes, over its own.
fn of_cluster(
    here: DataPlane,
    hub: &Arc<Hub>,
    calls: &Arc<Calls>,
    pace: &Arc<Pace>,
    evidence: &Arc<Archive>,
) -> DataPlane {
    tokio::spawn(membership::keep(Arc::clone(hub), calls.directory()));
    tokio::spawn(membership::announce_chores(Arc::clone(hub)));
    let (sessions, commands) = (Arc::clone(&here.sessions), Arc::clone(&here.commands));
    let asked = cluster::routes(Arc::clone(hub), sessions, commands, Arc::clone(evidence));
    let sink = evidence.sink.clone();
    DataPlane {
        sessions: Arc::new(ClusterSessions::new(here.sessions, Arc::clone(calls))),
        presence: Arc::new(ClusterPresence::new(here.presence, Arc::clone(calls))),
        commands: Arc::new(ClusterCommands::new(here.commands, Arc::clone(calls), sink)),
        calls_of_nodes: Some((asked, (Arc::clone(calls), Arc::clone(hub)))),
        drain: Some(Arc::new(Drain::new(Arc::clone(hub), calls.directory(), Arc::clone(pace)))),
        ..here
    }
}

/// Failures of strangers count at all gateways together, where there are several.
fn share_failures(foundation: &Foundation, api: &Api, vendor: Option<&VendorAgents>) {
    let Foundation { store, enrollment, clock, calls, .. } = foundation;
    let Some(calls) = calls else { return };
    let mut all = api.throttles();
    all.extend(enrollment.throttles());
    all.extend(vendor.into_iter().flat_map(VendorAgents::throttles));
    let (store, directory) = (store.clone(), calls.directory());
    tokio::spawn(cluster::share_failures(store, directory, all, clock.clone()));
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

/// What an administrator at the server orders about nodes, where there are some.
fn orders(foundation: &Foundation) -> Option<NodeOrders> {
    let Foundation { config, store, audit, clock, calls, .. } = foundation;
    let (calls, member) = calls.as_ref().zip(config.cluster.as_ref())?;
    let parts = (store.clone(), audit.clone(), clock.clone());
    Some(NodeOrders::new(calls, &member.address, parts))
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
