//! Calls to other nodes: one connection each, HTTP/1.1 in TLS with both nodes' keys.
//!
//! # Invariants
//! - A call has a deadline; at most [`MAX_PEER_CALLS`] are under way, and [`MAX_RELAYS`] data
//!   channels.
//! - An answer has at most [`MAX_PEER_ANSWER`] bytes.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::request;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::handshake;
use hyper::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use towline_ssm::ids::DeviceId;
use towline_store::Store;

use super::directory::Directory;
use super::node_key::NodeKey;
use super::tls;
use crate::limits::{
    CLONE_PROBE, EVERYBODY, MAX_PEER_ANSWER, MAX_PEER_CALLS, MAX_RELAYS, PEER_DIAL, PEER_PATIENCE,
};
use crate::plane::{Dropped, Peers, Subject};

/// The header that says where the client's request came from.
pub(super) const SOURCE: &str = "towline-peer-source";

/// Calls to other nodes.
pub struct Calls {
    store: Store,
    key: NodeKey,
    directory: Arc<Directory>,
    under_way: Semaphore,
    pub(super) relays: Arc<Semaphore>,
}

impl Calls {
    /// As the node with this key.
    #[must_use]
    pub fn new(store: Store, key: NodeKey, directory: Arc<Directory>) -> Self {
        let under_way = Semaphore::new(MAX_PEER_CALLS);
        Self { store, key, directory, under_way, relays: Arc::new(Semaphore::new(MAX_RELAYS)) }
    }

    /// A connection to a node.
    pub(super) async fn dial(&self, name: &str) -> Result<TlsStream<TcpStream>, String> {
        let away = |why: String| format!("the gateway {name} does not answer: {why}");
        let node = self.directory.named(name).await;
        let node = node.ok_or_else(|| away("it is none of the nodes".to_owned()))?;
        dial(&self.key, &node.address, tls::digest_of(&node.spki)).await.map_err(away)
    }

    async fn permit(&self) -> Result<SemaphorePermit<'_>, String> {
        let busy = || "too many calls to other gateways are under way: try again".to_owned();
        let permit = timeout(PEER_DIAL, self.under_way.acquire()).await.map_err(|_| busy())?;
        permit.map_err(|_| busy())
    }

    /// Asks a node, and reads the whole answer.
    async fn ask(
        &self,
        name: &str,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, String> {
        let _permit = self.permit().await?;
        let stream = self.dial(name).await?;
        let away = |why: String| format!("the gateway {name} does not answer: {why}");
        let exchange = async {
            let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
            let driven = tokio::spawn(connection);
            let answer = sender.send_request(request).await?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, MAX_PEER_ANSWER).collect().await?.to_bytes();
            driven.abort();
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Response::from_parts(head, body))
        };
        match timeout(PEER_PATIENCE, exchange).await {
            Ok(Ok(answer)) if answer.status() == StatusCode::NOT_FOUND => {
                Err(away("it does not know this gateway yet".to_owned()))
            }
            Ok(answer) => answer.map_err(|error| away(error.to_string())),
            Err(_) => Err(away(format!("nothing within {} s", PEER_PATIENCE.as_secs()))),
        }
    }

    /// One of the calls of nodes; the answer's body.
    async fn call(&self, name: &str, what: &str, body: serde_json::Value) -> Result<Bytes, String> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("/peer/v1/{what}"))
            .header(HOST, "node.invalid")
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(|error| error.to_string())?;
        let answer = self.ask(name, request).await?;
        match answer.status() {
            StatusCode::OK => Ok(answer.into_body()),
            status => Err(format!("the gateway {name} answered with {status}")),
        }
    }

    /// Ends a session at another node. False: it carries no such session.
    pub(super) async fn terminate(
        &self,
        node: &str,
        session: &str,
        sentence: &str,
    ) -> Result<bool, String> {
        let body = serde_json::json!({ "session": session, "sentence": sentence });
        let answer = self.call(node, "terminate", body).await?;
        serde_json::from_slice(&answer).map_err(|error| error.to_string())
    }

    /// Seats at another node of who lost rights: see [`crate::plane::Sessions::leave_seats`].
    pub(super) async fn leave_seats(
        &self,
        node: &str,
        ids: &[String],
        end: bool,
    ) -> Result<u64, String> {
        let body = serde_json::json!({ "ids": ids, "end": end });
        let answer = self.call(node, "leave-seats", body).await?;
        serde_json::from_slice(&answer).map_err(|error| error.to_string())
    }

    /// A device was removed: ends what another node has of it.
    pub(super) async fn drop_device(
        &self,
        node: &str,
        device: &str,
        why: &str,
    ) -> Result<Option<Dropped>, String> {
        let body = serde_json::json!({ "device": device, "why": why });
        let answer = self.call(node, "drop-device", body).await?;
        let counts: Option<(u32, u32)> =
            serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
        Ok(counts.map(|(ended, unreached)| Dropped { ended, unreached }))
    }

    /// Tells all other nodes that commands have changed. Nobody waits: they look by themselves,
    /// too.
    pub(super) fn commands_changed(self: &Arc<Self>) {
        for node in self.directory.others() {
            let calls = Arc::clone(self);
            tokio::spawn(async move {
                if let Err(error) = calls.call(&node, "commands", serde_json::json!({})).await {
                    tracing::debug!(node, error, "a node was not told of a command");
                }
            });
        }
    }

    /// The other nodes; first the one that carries, or has ended, this device's part of a command.
    pub(super) async fn others_by_carrier(&self, command: &str, device: &str) -> Vec<String> {
        let mut nodes = self.directory.others();
        match self.store.run_commands().invocation(command, device).await {
            Ok(row) => {
                let carrier = row.map(|row| row.node).unwrap_or_default();
                nodes.sort_by_key(|node| *node != carrier);
            }
            Err(error) => tracing::warn!(command, %error, "it is not known who carries a step"),
        }
        nodes
    }

    /// What another node has of a step's output; the form of question and answer is
    /// [`super::commands`]'.
    pub(super) async fn output(
        &self,
        node: &str,
        question: serde_json::Value,
    ) -> Result<Bytes, String> {
        self.call(node, "output", question).await
    }

    /// The digest of this node's key.
    #[must_use]
    pub fn own_digest(&self) -> [u8; 32] {
        tls::digest_of(self.key.spki())
    }

    /// The store of all nodes.
    pub(super) const fn store(&self) -> &Store {
        &self.store
    }

    /// The nodes, as known.
    #[must_use]
    pub fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory)
    }
}

/// A connection to the node at an address whose key has this digest.
pub(super) async fn dial(
    key: &NodeKey,
    address: &str,
    wanted: [u8; 32],
) -> Result<TlsStream<TcpStream>, String> {
    let dial = async {
        let tcp = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
        tcp.set_nodelay(true).map_err(|error| error.to_string())?;
        let config = tls::client_config(key, wanted).map_err(|e| e.to_string())?;
        let server = ServerName::try_from("node.invalid").map_err(|e| e.to_string())?;
        TlsConnector::from(config).connect(server, tcp).await.map_err(|e| e.to_string())
    };
    match timeout(PEER_DIAL, dial).await {
        Ok(dialled) => dialled,
        Err(_) => Err(format!("no connection within {} s", PEER_DIAL.as_secs())),
    }
}

/// The request as another node gets it.
pub(super) fn passed(
    method: Method,
    uri: &hyper::Uri,
    headers: &HeaderMap,
    source: IpAddr,
) -> Result<hyper::http::request::Builder, String> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder().method(method).uri(path);
    let own = request.headers_mut().ok_or_else(|| "the request cannot be passed on".to_owned())?;
    own.clone_from(headers);
    own.remove(TRANSFER_ENCODING);
    own.remove(CONTENT_LENGTH);
    let source = source.to_string().parse().map_err(|_| "no source".to_owned())?;
    own.insert(SOURCE, source);
    Ok(request)
}

impl Peers for Calls {
    fn answers(&self, node: &str, device: &DeviceId) -> BoxFuture<'_, Option<bool>> {
        let (node, body) = (node.to_owned(), serde_json::json!({ "device": device.as_str() }));
        Box::pin(async move {
            let patience = CLONE_PROBE + PEER_DIAL;
            let answer = timeout(patience, self.call(&node, "answers", body)).await;
            serde_json::from_slice(&answer.ok()?.ok()?).ok()
        })
    }

    fn elsewhere(&self) -> Vec<String> {
        self.directory.elsewhere()
    }

    fn moved(&self, node: &str, device: &DeviceId) -> BoxFuture<'_, ()> {
        let (node, body) = (node.to_owned(), serde_json::json!({ "device": device.as_str() }));
        Box::pin(async move {
            if let Err(error) = self.call(&node, "moved", body).await {
                tracing::debug!(node, error, "a node was not told of a device that has moved");
            }
        })
    }

    fn holder(&self, subject: Subject) -> BoxFuture<'_, Result<Option<String>, String>> {
        Box::pin(async move {
            let store = &self.store;
            let own = store.node().unwrap_or_default();
            let found = match subject {
                Subject::Device(id) => store.presences().holder(&id).await,
                Subject::Session(id) => store
                    .sessions()
                    .get(&id)
                    .await
                    .map(|row| row.filter(|row| row.ended_at.is_none()).map(|row| row.node)),
            };
            let found = found.map_err(|error| error.to_string())?;
            Ok(found.filter(|node| !node.is_empty() && node != own))
        })
    }

    fn others(&self) -> Vec<String> {
        self.directory.others()
    }

    fn have_recording(&self, name: &str) -> BoxFuture<'_, Result<bool, Vec<String>>> {
        let body = serde_json::json!({ "recording": name });
        Box::pin(async move {
            let mut silent = self.directory.dead();
            let body = &body;
            let ask = |node: String| async move {
                let answer = timeout(EVERYBODY, self.call(&node, "recording", body.clone())).await;
                let has = answer.ok().and_then(Result::ok);
                (node, has.and_then(|answer| serde_json::from_slice::<bool>(&answer).ok()))
            };
            let mut asked: FuturesUnordered<_> =
                self.directory.others().into_iter().map(ask).collect();
            while let Some((node, has)) = asked.next().await {
                match has {
                    Some(true) => return Ok(true),
                    Some(false) => {}
                    None => silent.push(node),
                }
            }
            if silent.is_empty() { Ok(false) } else { Err(silent) }
        })
    }

    fn pass_on(
        &self,
        node: &str,
        (head, body): (&request::Parts, &Bytes),
        source: IpAddr,
    ) -> BoxFuture<'_, Result<Response<Bytes>, String>> {
        let (node, body) = (node.to_owned(), Full::new(body.clone()));
        let built = passed(head.method.clone(), &head.uri, &head.headers, source);
        Box::pin(async move {
            let request = built?.body(body).map_err(|error| error.to_string())?;
            self.ask(&node, request).await
        })
    }
}

/// An answer of another node, for the client.
pub(super) fn bodiless(head: &hyper::http::response::Parts) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers.clone();
    response
}
