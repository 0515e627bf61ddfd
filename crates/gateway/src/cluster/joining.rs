//! A further gateway joins: it shows a token, and gets what all gateways have in common.
//!
//! Data flow: [`join`] (the new gateway; its node key is made already) -> TLS to the key that the
//! token names -> [`Inviter`] takes the token and writes the node's row, which waits -> the new
//! gateway asks again -> somebody has approved it: files of the inviting gateway's directory.
//!
//! # Invariants
//! - A caller whose key is none of the nodes' reaches this one call, within bounds of time and
//!   number.
//! - Refusals are a stranger's: beyond the budget of the address they are counted.
//! - Nothing is given before the approval. The key of the CA is given only where the token says so;
//!   node keys and stores never are.
//!
//! # Not here
//! - Who approves: an administrator at the server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Response, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::handshake;
use hyper::header::HOST;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use towline_host::clock::Clock;
use towline_host::files;
use towline_ssm::ids::hex_lower;
use towline_store::{NodeApproval, NodeIdentity, Store, StoreError, Taken};

use super::calls::dial;
use super::invitation::Token;
use super::node_key::{NODE_KEY, NodeKey};
use super::tls::digest_of;
use crate::audit::{AuditLog, Event, Who};
use crate::limits::{
    JOINING_PATIENCE, MAX_JOIN_FILES, MAX_JOIN_REQUEST, MAX_JOINING, MAX_PEER_ANSWER,
};

/// The file with the key of the private CA.
const CA_KEY: &str = "ca.key.pem";

/// What a gateway that joins asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Wanted {
    /// The name that it wants.
    pub node: String,
    /// HOST:PORT at which the others will reach it.
    pub address: String,
}

#[derive(Serialize, Deserialize)]
struct Asked {
    secret: String,
    #[serde(flatten)]
    wanted: Wanted,
}

/// Files by name, in base64.
type Given = Vec<(String, String)>;

/// Answers gateways that join.
pub struct Inviter {
    /// The store.
    pub store: Store,
    /// The gateway's directory.
    pub dir: PathBuf,
    /// The audit trail.
    pub audit: AuditLog,
    /// The time.
    pub clock: Clock,
    /// Callers that are listened to.
    pub places: Arc<Semaphore>,
}

/// Who calls: the key, and where from.
#[derive(Debug, Clone)]
pub struct Joiner {
    /// Its key.
    pub spki: Vec<u8>,
    /// Its address.
    pub source_ip: String,
}

impl Inviter {
    /// Over these parts.
    #[must_use]
    pub fn new(store: Store, dir: PathBuf, audit: AuditLog, clock: Clock) -> Self {
        Self { store, dir, audit, clock, places: Arc::new(Semaphore::new(MAX_JOINING)) }
    }

    /// The one call of callers that are no nodes.
    pub fn routes(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/peer/v1/join", post(asked))
            .layer(DefaultBodyLimit::max(MAX_JOIN_REQUEST))
            .with_state(Arc::clone(self))
    }

    /// `None`: it waits for approval.
    async fn answer(
        &self,
        joiner: &Joiner,
        asked: &Asked,
    ) -> Result<Option<Given>, (StatusCode, String)> {
        let nodes = self.store.nodes().list().await.map_err(|error| away(&error))?;
        let Some(node) = nodes.into_iter().find(|node| node.spki == joiner.spki) else {
            self.take(joiner, asked).await?;
            return Ok(None);
        };
        match node.approval {
            NodeApproval::Waits => Ok(None),
            NodeApproval::Removed => {
                Err((StatusCode::FORBIDDEN, "this gateway was removed from the nodes".to_owned()))
            }
            NodeApproval::Approved => {
                let ca_key = self.store.invitations().gives_ca_key(&node.name).await;
                let ca_key = ca_key.map_err(|error| away(&error))?;
                let all = given(&self.dir, ca_key);
                all.map(Some).map_err(|why| (StatusCode::INTERNAL_SERVER_ERROR, why))
            }
        }
    }

    async fn take(&self, joiner: &Joiner, asked: &Asked) -> Result<(), (StatusCode, String)> {
        let refused = |text: &str| (StatusCode::FORBIDDEN, text.to_owned());
        let Wanted { node, address } = &asked.wanted;
        let is_name = !node.is_empty()
            && node.len() <= 64
            && node.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if !is_name || address.len() > 262 || !address.contains(':') {
            return Err(refused("the name has letters, digits, - and _, the address is HOST:PORT"));
        }
        let secret = STANDARD.decode(&asked.secret).unwrap_or_default();
        let digest = hex_lower(&digest_of(&secret));
        let identity = NodeIdentity {
            name: node.clone(),
            spki: joiner.spki.clone(),
            address: address.clone(),
            device_address: String::new(),
        };
        let taken = self.store.invitations().take(&digest, &identity, self.clock.now()).await;
        let done = match taken.map_err(|error| away(&error))? {
            Taken::NoToken => Err("the token was used, or its 15 minutes are over"),
            Taken::NodeExists => Err("a node has this name: choose another one"),
            Taken::Waits => Ok(()),
        };
        self.write_down(joiner, &asked.wanted, done.err()).await;
        done.map_err(refused)
    }

    async fn write_down(&self, joiner: &Joiner, wanted: &Wanted, refused: Option<&str>) {
        let event = Event {
            source: "towline",
            name: "JoinGateway".to_owned(),
            source_ip: joiner.source_ip.clone(),
            facts: vec![
                ("node", wanted.node.chars().take(64).collect()),
                ("keyFingerprint", hex_lower(&digest_of(&joiner.spki))),
            ],
            error: refused.map(|why| ("Refused".to_owned(), why.to_owned())),
            ..Event::default()
        };
        match (refused, joiner.source_ip.parse()) {
            (Some(_), Ok(source)) => self.audit.write_within(&Who::Stranger(source), event).await,
            _ => self.audit.write(event).await,
        }
    }
}

async fn asked(
    State(inviter): State<Arc<Inviter>>,
    axum::Extension(joiner): axum::Extension<Joiner>,
    body: Bytes,
) -> Response<Body> {
    let answer = |status: StatusCode, text: String| {
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        response
    };
    let Ok(asked) = serde_json::from_slice::<Asked>(&body) else {
        return answer(StatusCode::BAD_REQUEST, "this is no request to join".to_owned());
    };
    match inviter.answer(&joiner, &asked).await {
        Ok(Some(given)) => {
            answer(StatusCode::OK, serde_json::to_string(&given).unwrap_or_default())
        }
        Ok(None) => answer(StatusCode::ACCEPTED, String::new()),
        Err((status, why)) => answer(status, why),
    }
}

fn away(error: &StoreError) -> (StatusCode, String) {
    tracing::error!(%error, "a gateway that joins cannot be looked up or stored");
    (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer".to_owned())
}

/// What all gateways have in common: keys, certificates, settings.
fn given(dir: &Path, ca_key: bool) -> Result<Given, String> {
    let failed = |error: &dyn std::fmt::Display| format!("a file could not be read: {error}");
    let (mut given, mut bytes) = (Given::new(), 0);
    for entry in std::fs::read_dir(dir).map_err(|error| failed(&error))? {
        let entry = entry.map_err(|error| failed(&error))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_given = [".key", ".pem", ".pub", ".toml"].iter().any(|end| name.ends_with(end))
            && name != NODE_KEY
            && (ca_key || name != CA_KEY);
        if !is_given || !entry.path().is_file() {
            continue;
        }
        let content = files::read(&entry.path(), MAX_JOIN_FILES).map_err(|error| failed(&error))?;
        bytes += content.len() as u64;
        if bytes > MAX_JOIN_FILES {
            return Err("the directory has too many keys and certificates".to_owned());
        }
        given.push((name, STANDARD.encode(content)));
    }
    Ok(given)
}

/// Files by name.
pub type Files = Vec<(String, Vec<u8>)>;

/// Joins with this key, or asks again; the files that the new gateway needs, once it is approved.
///
/// # Errors
/// In words: what the inviting gateway said, or that it was not reached.
pub async fn join(key: &NodeKey, token: &Token, wanted: Wanted) -> Result<Option<Files>, String> {
    let address = &token.address;
    let away = |why: String| format!("the gateway at {address} was not reached: {why}");
    let stream = dial(key, address, token.key).await.map_err(|why| {
        away(format!("{why} (another key than the token names is refused as `bad certificate`)"))
    })?;
    let asked = Asked { secret: STANDARD.encode(token.secret), wanted };
    let asked = serde_json::to_string(&asked).map_err(|error| error.to_string())?;
    let request = Request::builder()
        .method(Method::POST)
        .uri("/peer/v1/join")
        .header(HOST, "node.invalid")
        .body(Full::new(Bytes::from(asked)))
        .map_err(|error| error.to_string())?;
    let exchange = async {
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        let driven = tokio::spawn(connection);
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, MAX_PEER_ANSWER).collect().await?.to_bytes();
        driven.abort();
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((head.status, body))
    };
    let late = |_| away("no answer in time".to_owned());
    let (status, body) = timeout(2 * JOINING_PATIENCE, exchange)
        .await
        .map_err(late)?
        .map_err(|error| away(error.to_string()))?;
    if status == StatusCode::ACCEPTED {
        return Ok(None);
    }
    if status != StatusCode::OK {
        let why = String::from_utf8_lossy(&body).into_owned();
        return Err(format!("the gateway at {address} refuses: {why}"));
    }
    let given: Given = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    let plain = |name: &str| !name.starts_with('.') && !name.contains('/');
    let files = given.into_iter().filter(|(name, _)| plain(name));
    files
        .map(|(name, content)| Ok((name, STANDARD.decode(content).map_err(|e| e.to_string())?)))
        .collect::<Result<_, _>>()
        .map(Some)
}

#[cfg(test)]
mod tests {
    use towline_host::clock::UnixMillis;
    use towline_store::testing::scratch;

    use super::*;

    #[tokio::test]
    async fn a_flood_of_wrong_tokens_leaves_a_few_lines_and_a_count() {
        let (store, dir) = scratch().await;
        let clock = Clock::manual(UnixMillis(1_700_000_000_000));
        let (audit, task) = AuditLog::start(store.clone(), clock.clone());
        let inviter = Inviter::new(store.clone(), dir.path().to_owned(), audit.clone(), clock);
        let joiner = Joiner { spki: b"key".to_vec(), source_ip: "192.0.2.1".to_owned() };
        let wanted = Wanted { node: "b".to_owned(), address: "b.example:8443".to_owned() };
        let asked = Asked { secret: STANDARD.encode("guessed"), wanted };
        for _ in 0..100 {
            assert_eq!(inviter.take(&joiner, &asked).await.unwrap_err().0, StatusCode::FORBIDDEN);
        }
        audit.settle().await;
        let lines = store.audit().list(0, 200).await.unwrap();
        assert!(lines.len() <= 10, "{} lines", lines.len());
        assert!(lines.last().unwrap().1.contains("RefusalsCounted"), "{lines:?}");
        drop((inviter, audit));
        task.await.unwrap();
    }
}
