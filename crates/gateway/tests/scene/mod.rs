//! A gateway of its own for a test: fresh directory, free port, real TLS, real store, and a data
//! plane that pretends.
#![allow(dead_code)] // each test program uses its own part of this
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot set its scene has failed

use std::collections::HashSet;
use std::future::ready;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_rustls::client::TlsStream;
use towline_gateway::init::{self, Made, Options};
use towline_gateway::plane::{
    AccessEnd, AgentAcceptor, AgentConnection, ChannelRequest, DataChannels, Dropped, Found,
    LiveState, Presence, Resumed, RotateError, SeatError, SessionStart, SessionStarted, Sessions,
    Sitter, StartError, WatchError, WatchGrant, Watcher,
};
use towline_gateway::unattached::Unattached;
use towline_gateway::wiring::{DataPlane, Gateway};
use towline_host::clock::UnixMillis;
use towline_ssm::ids::{DeviceId, SessionId};
use towline_store::{DeviceReport, NewActivation, NewDevice, NewSession, Store};

/// A running gateway.
pub(crate) struct Scene {
    pub(crate) made: Made,
    pub(crate) address: SocketAddr,
    pub(crate) monitor: SocketAddr,
    pub(crate) store: Store,
    pub(crate) plane: Arc<Pretended>,
    pub(crate) agents: mpsc::Receiver<Vec<u8>>,
    stop: watch::Sender<bool>,
    pub(crate) serving: tokio::task::JoinHandle<()>,
    dir: tempfile::TempDir,
}

impl Scene {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::new(dir.path().join("gw"), "[::1]:0");
        let made = init::run(&options).await.unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let gateway = Gateway::open(&options.dir, Some(any), Some(any)).await.unwrap();
        let (address, monitor) = (gateway.address().unwrap(), gateway.monitor_address().unwrap());
        let store = gateway.foundation().store.clone();
        let (tell, agents) = mpsc::channel(8);
        let plane = Arc::new(Pretended {
            store: store.clone(),
            tell,
            connected: Mutex::default(),
            alive: Mutex::default(),
            dropped: Mutex::default(),
        });
        let (stop, stopped) = watch::channel(false);
        let planes = DataPlane {
            calls_of_nodes: None,
            drain: None,
            vendor: None,
            agents: plane.clone(),
            sessions: plane.clone(),
            presence: plane.clone(),
            channels: plane.clone(),
            commands: Arc::new(Unattached),
        };
        let serving = tokio::spawn(async move { gateway.serve(planes, stopped).await.unwrap() });
        Self { made, address, monitor, store, plane, agents, stop, serving, dir }
    }

    /// Tells the gateway to stop.
    pub(crate) fn stop(&self) {
        self.stop.send(true).unwrap();
    }

    /// The store once more, after the gateway has ended.
    pub(crate) async fn reopened(&self) -> Store {
        Store::open(&self.dir.path().join("gw/towline.db")).await.unwrap()
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.made.ca_file.clone().unwrap()
    }

    /// Puts a device into the store.
    pub(crate) async fn device(&self, number: u8, environment: &str) -> DeviceId {
        let id = DeviceId::from_random([number; 9]);
        let now = UnixMillis(1_000);
        let activation =
            NewActivation::for_tests(&format!("activation-{number}"), 1, UnixMillis(i64::MAX));
        self.store.activations().create(&activation, now).await.unwrap();
        let device = NewDevice {
            name: format!("box-{number}"),
            tags: vec![("Environment".into(), environment.into())],
            report: DeviceReport { agent_version: "0.1.0.0".into(), ..DeviceReport::default() },
            ..NewDevice::for_tests(id.as_ref(), &[number; 44], &activation.id)
        };
        self.store.devices().register(&device, now).await.unwrap();
        id
    }

    /// A client's trust in this gateway.
    pub(crate) fn roots(&self) -> rustls::RootCertStore {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.ca()).unwrap()).unwrap();
        roots
    }

    /// A TLS connection with these settings; the error if the gateway does not want it.
    pub(crate) async fn connect(
        &self,
        config: rustls::ClientConfig,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

/// A data plane in which devices are connected when the test says so, and sessions open at once.
pub(crate) struct Pretended {
    store: Store,
    tell: mpsc::Sender<Vec<u8>>,
    pub(crate) connected: Mutex<HashSet<DeviceId>>,
    alive: Mutex<HashSet<String>>,
    pub(crate) dropped: Mutex<Vec<DeviceId>>,
}

impl Sessions for Pretended {
    fn start(&self, start: SessionStart) -> BoxFuture<'_, Result<SessionStarted, StartError>> {
        Box::pin(async move {
            if self.whereabouts(&start.device).await == Found::Nowhere {
                return Err(StartError::NotConnected);
            }
            let row = NewSession {
                id: start.session.to_string(),
                device_id: start.device.to_string(),
                principal_arn: start.principal_arn,
                principal_name: start.principal_name,
                principal_id: start.principal_id,
                person_id: start.person.id,
                document: start.document,
                reason: start.reason.unwrap_or_default(),
                run_as: start.run_as.unwrap_or_default(),
                source_ip: start.source_ip.to_string(),
                just_in_time: start.access_request.is_some(),
                access_request: start.access_request.clone().unwrap_or_default(),
                session_type: start.plan.session_type().to_owned(),
                output_url: String::new(),
                input_recorded: false,
                idle: start.idle_timeout,
                max: start.max_duration,
                start_facts: start.facts,
            };
            let now = towline_host::clock::Clock::system().now();
            self.store
                .sessions()
                .insert(&row, now)
                .await
                .map_err(|e| StartError::Internal(e.to_string()))?;
            self.alive.lock().unwrap().insert(row.id);
            Ok(SessionStarted { token: "a-token".into(), not_recorded: None })
        })
    }
    fn join(
        &self,
        _: &SessionId,
        _: Sitter,
        _: bool,
        _: Option<String>,
    ) -> BoxFuture<'_, Found<Result<Resumed, SeatError>>> {
        Box::pin(ready(Found::Nowhere))
    }
    fn leave_seats(&self, _: &[String], _: bool) -> BoxFuture<'_, u64> {
        Box::pin(ready(0))
    }
    fn message(&self, _: &SessionId, _: &str, _: &str) -> BoxFuture<'_, Found<bool>> {
        Box::pin(ready(Found::Nowhere))
    }
    fn access_ends(&self, _: &SessionId, _: AccessEnd) -> BoxFuture<'_, Found> {
        Box::pin(ready(Found::Nowhere))
    }
    fn watch(
        &self,
        _: &SessionId,
        _: Watcher,
    ) -> BoxFuture<'_, Found<Result<WatchGrant, WatchError>>> {
        Box::pin(ready(Found::Nowhere))
    }
    fn resume(
        &self,
        id: &SessionId,
        _: Option<Sitter>,
        _: Option<&str>,
    ) -> BoxFuture<'_, Found<Resumed>> {
        let alive = self.alive.lock().unwrap().contains(id.as_str());
        Box::pin(ready(alive.then(|| Resumed::Token("another-token".to_owned())).into()))
    }
    /// Leaves the row to the API, as for a session that is not alive here.
    fn terminate(&self, id: &SessionId, _: &str) -> BoxFuture<'_, Found> {
        self.alive.lock().unwrap().remove(id.as_str());
        Box::pin(ready(Found::Nowhere))
    }
    fn live(&self, _: &SessionId) -> BoxFuture<'_, Found<LiveState>> {
        Box::pin(ready(Found::Nowhere))
    }
    fn drop_device(&self, device: &DeviceId, _: &str) -> BoxFuture<'_, Found<Dropped>> {
        self.dropped.lock().unwrap().push(device.clone());
        Box::pin(ready(Found::Here(Dropped { ended: 2, unreached: 1 })))
    }
    fn rotate_key(&self, _: &DeviceId) -> BoxFuture<'_, Result<String, RotateError>> {
        Box::pin(ready(Err(RotateError::NotConnected)))
    }
    fn going_away(&self) {}
}

impl Presence for Pretended {
    fn whereabouts(&self, device: &DeviceId) -> BoxFuture<'_, Found> {
        let connected = self.connected.lock().unwrap().contains(device);
        Box::pin(ready(connected.then_some(()).into()))
    }
    fn separation(&self, _: &str) -> Option<String> {
        None
    }
}

impl AgentAcceptor for Pretended {
    fn serve(&self, connection: AgentConnection) -> BoxFuture<'static, ()> {
        let tell = self.tell.clone();
        Box::pin(async move { tell.send(connection.spki).await.unwrap() })
    }
    fn give_pin(&self) {}
}

impl DataChannels for Pretended {
    fn open(&self, request: ChannelRequest) -> axum::response::Response {
        let session = request.session;
        request.upgrade.on_upgrade(async move |mut socket| {
            let _ = socket.send(axum::extract::ws::Message::Text(session.into())).await;
        })
    }
}

/// Waits for a future that must not take long; a test that hangs says so.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), future).await.expect("this takes too long")
}
