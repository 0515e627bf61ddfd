//! The port at its bounds: who has proved something stays, strangers displace each other, and a
//! client of their address gets in.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as ClientStream;

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::Path;
use axum::routing::get;
use futures_util::future::BoxFuture;
use tokio::net::TcpStream;
use tokio::sync::watch;
use towline_host::clock::Clock;

use super::http::HttpServer;
use super::socket;
use super::tls::TlsConfigs;
use super::{Bounds, Proxies, TlsListener};
use crate::init::{self, Options};
use crate::metrics::Metrics;
use crate::plane::{AgentAcceptor, AgentConnection, Visitor};
use crate::throttle::LogBudget;

/// No agent connects here.
struct NoAgents;

impl AgentAcceptor for NoAgents {
    fn serve(&self, _: AgentConnection) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
    fn give_pin(&self) {}
}

/// Stands for a request whose signature was right, of the user who is named.
async fn prove(Path(who): Path<String>, Extension(Visitor(standing)): Extension<Visitor>) {
    standing.prove(Some(&who));
}

struct Scene {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    config: Arc<ClientConfig>,
    serving: JoinHandle<()>,
    /// Dropped, it would stop the port.
    _stop: watch::Sender<bool>,
    _dir: tempfile::TempDir,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Scene {
    async fn start(bounds: Bounds) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::new(dir.path().join("gw"), "[::1]:0");
        let made = init::run(&options).await.unwrap();
        let files = crate::config::Config::load(&options.dir).unwrap();
        let metrics = Arc::new(Metrics::default());
        let port = TlsListener {
            peers: None,
            tls: TlsConfigs::load(&files.tls_certificate, &files.tls_key).unwrap(),
            agents: Arc::new(NoAgents),
            http: HttpServer::new(axum::Router::new().route("/prove/{who}", get(prove)), 64),
            metrics: Arc::clone(&metrics),
            proxies: Proxies::default(),
            bounds,
            pace: Arc::new(crate::pace::Pace::new(1)),
            clock: Clock::system(),
            log_budget: LogBudget::default(),
        };
        let listener = socket::listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(Arc::new(port).serve(listener, None, stopped));
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(made.ca_file.unwrap()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { address, metrics, config: Arc::new(config), serving, _stop: stop, _dir: dir }
    }

    /// A connection that says nothing.
    async fn stranger(&self) -> TcpStream {
        soon(TcpStream::connect(self.address)).await.unwrap()
    }

    /// A connection that says hello and then nothing.
    async fn greeted(&self) -> TcpStream {
        let name = ServerName::try_from("localhost").unwrap();
        let mut session = rustls::ClientConnection::new(Arc::clone(&self.config), name).unwrap();
        let (mut hello, mut stream) = (Vec::new(), self.stranger().await);
        session.write_tls(&mut hello).unwrap();
        stream.write_all(&hello).await.unwrap();
        stream
    }

    /// A connection through its handshake, and answered once: by then it is out of the lobby.
    async fn client(&self) -> std::io::Result<ClientStream<TcpStream>> {
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let mut stream = soon(connector.connect(name, self.stranger().await)).await?;
        answers(&mut stream).await.map(|()| stream)
    }

    /// A place becomes free when the gateway has noticed that somebody left: soon, but not at once.
    async fn client_when_there_is_room(&self) -> ClientStream<TcpStream> {
        soon(async {
            loop {
                if let Ok(stream) = self.client().await {
                    return stream;
                }
            }
        })
        .await
    }
}

async fn answers(stream: &mut ClientStream<TcpStream>) -> std::io::Result<()> {
    asks(stream, "/").await
}

async fn asks(stream: &mut ClientStream<TcpStream>, path: &str) -> std::io::Result<()> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await?;
    let mut some = [0; 512];
    match soon(stream.read(&mut some)).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Closed: the end of the stream, or a reset, behind what the handshake may have said.
async fn is_shown_out(mut stream: TcpStream) -> bool {
    soon(async {
        let mut some = [0; 512];
        loop {
            if matches!(stream.read(&mut some).await, Ok(0) | Err(_)) {
                return true;
            }
        }
    })
    .await
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), future).await.expect("this takes too long")
}

const BOUNDS: Bounds = Bounds {
    connections: 40,
    reserved: 10,
    handshakes: 4,
    handshakes_of_source: 2,
    of_source: 6,
    of_one: 10,
};

#[tokio::test]
async fn proved_connections_stay_whatever_number_of_strangers_comes() {
    let scene = Scene::start(Bounds { connections: 8, reserved: 2, ..BOUNDS }).await;
    let (mut first, mut second) = (scene.client().await.unwrap(), scene.client().await.unwrap());
    asks(&mut first, "/prove/ann").await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(scene.client_when_there_is_room().await);
    }
    assert!(answers(&mut second).await.is_err(), "the oldest stranger made room");
    answers(&mut first).await.unwrap();
    answers(idle.last_mut().unwrap()).await.unwrap();
}

#[tokio::test]
async fn one_user_with_a_right_signature_keeps_nobody_out() {
    let scene = Scene::start(Bounds { of_source: 40, ..BOUNDS }).await;
    let mut of_ann = Vec::new();
    for _ in 0..2 * BOUNDS.connections {
        let mut client = scene.client_when_there_is_room().await;
        asks(&mut client, "/prove/ann").await.unwrap();
        of_ann.push(client);
    }
    answers(&mut of_ann[0]).await.unwrap();
    let mut bob = scene.client_when_there_is_room().await;
    asks(&mut bob, "/prove/bob").await.unwrap();
    let (mut kept, mut left) = (0, 0);
    for client in &mut of_ann {
        if answers(client).await.is_ok() { kept += 1 } else { left += 1 }
    }
    assert!(kept >= BOUNDS.of_one && left > 0, "{kept} were kept, {left} made room");
    answers(&mut bob).await.unwrap();
}

#[tokio::test]
async fn silent_connections_displace_each_other_and_a_client_of_their_address_gets_in() {
    let scene = Scene::start(BOUNDS).await;
    let mut inside = scene.client().await.unwrap();
    asks(&mut inside, "/prove/ann").await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(scene.stranger().await);
    }
    let mut other = scene.client_when_there_is_room().await;
    answers(&mut other).await.unwrap();
    answers(&mut inside).await.unwrap();
    assert!(is_shown_out(silent.swap_remove(0)).await);
    assert!(scene.metrics.connections_refused.get() > 0);
}

#[tokio::test]
async fn a_handshake_that_stalls_gives_its_slot_to_those_who_wait() {
    let scene = Scene::start(BOUNDS).await;
    let mut stalled = Vec::new();
    for _ in 0..BOUNDS.handshakes_of_source {
        stalled.push(scene.greeted().await);
    }
    // All slots of this address are taken; the client queues and is served.
    scene.client().await.unwrap();
    for one in stalled {
        assert!(is_shown_out(one).await);
    }
}
