//! The port at its bounds: who is inside stays, who comes beyond is shown out, who leaves makes
//! room.

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

use futures_util::future::BoxFuture;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::http::HttpServer;
use super::socket;
use super::tls::TlsConfigs;
use super::{Bounds, TlsListener};
use crate::init::{self, Options};
use crate::metrics::Metrics;
use crate::plane::{AgentAcceptor, AgentConnection};

/// Nobody comes through the agents' door here.
struct NoAgents;

impl AgentAcceptor for NoAgents {
    fn serve(&self, _: AgentConnection) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
    fn give_pin(&self) {}
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
        let options = Options {
            dir: dir.path().join("gw"),
            hostnames: vec![],
            tls: None,
            ca_key_out: None,
            ca_permit: vec![],
            listen: "[::1]:0".into(),
            region: init::DEFAULT_REGION.into(),
            account_id: init::DEFAULT_ACCOUNT.into(),
            stream_url_host: None,
        };
        let made = init::run(&options).await.unwrap();
        let files = crate::config::Config::load(&options.dir).unwrap();
        let metrics = Arc::new(Metrics::default());
        let port = TlsListener {
            tls: TlsConfigs::load(&files.tls_certificate, &files.tls_key).unwrap(),
            agents: Arc::new(NoAgents),
            http: HttpServer::new(axum::Router::new()),
            metrics: Arc::clone(&metrics),
            bounds,
        };
        let listener = socket::listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(Arc::new(port).serve(listener, stopped));
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
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    let mut some = [0; 512];
    match soon(stream.read(&mut some)).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Closed without a word: the end of the stream, or a reset.
async fn is_shown_out(mut stream: TcpStream) -> bool {
    matches!(soon(stream.read(&mut [0])).await, Ok(0) | Err(_))
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("this takes too long")
}

#[tokio::test]
async fn a_connection_beyond_the_bound_is_closed_and_the_open_ones_stay() {
    let scene = Scene::start(Bounds { connections: 2, handshakes: 2 }).await;
    let (mut first, mut second) = (scene.client().await.unwrap(), scene.client().await.unwrap());
    assert!(is_shown_out(scene.stranger().await).await);
    assert_eq!(scene.metrics.connections_refused.get(), 1);
    answers(&mut first).await.unwrap();
    drop(first);
    let mut third = scene.client_when_there_is_room().await;
    answers(&mut second).await.unwrap();
    answers(&mut third).await.unwrap();
}

#[tokio::test]
async fn strangers_who_fill_the_lobby_keep_others_out_but_disturb_nobody_inside() {
    let scene = Scene::start(Bounds { connections: 8, handshakes: 2 }).await;
    let mut inside = scene.client().await.unwrap();
    let dawdlers = [scene.stranger().await, scene.stranger().await];
    assert!(is_shown_out(scene.stranger().await).await);
    assert_eq!(scene.metrics.connections_refused.get(), 1);
    answers(&mut inside).await.unwrap();
    drop(dawdlers);
    scene.client_when_there_is_room().await;
}
