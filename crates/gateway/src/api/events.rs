//! `/console/events`: a websocket that tells pages of the console what has changed, so that they
//! ask for it.
//!
//! Data flow: upgrade request with the cookie of a sign-in -> [`Changes`](crate::changes::Changes)
//! -> messages `{"id": MARK, "topics": [NAME, ...]}`. A page that returns sends its last mark as
//! `after`.
//!
//! # Invariants
//! - A message names topics that the caller may list, and nothing else: what changed is asked for
//!   by the API's operations.
//! - Opening is one event of the audit trail. It does not keep the sign-in alive, and ends with it.
//! - Streams are bounded, in all and of a user: [`Streams`](super::streams::Streams). There is at
//!   most one message in [`EVERY`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::routing::get;
use serde_json::json;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::operation::Operation;

use super::authz::Question;
use super::call::{Call, Caller, Proof};
use super::service::Api;
use crate::audit::{Event, Who};
use crate::changes::Topic;
use crate::error_response::error_response;
use crate::plane::Peer;

/// How often a stream looks whether its sign-in stands, and what its user may list.
const JUDGED_EVERY: Duration = Duration::from_secs(30);
/// Least time between two messages.
const EVERY: Duration = Duration::from_millis(250);
/// How long a page may take for a message.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest message from a page: it has nothing to say.
const MAX_MESSAGE: usize = 1024;

/// One stream's place; given back when dropped.
struct Place {
    api: Arc<Api>,
    user: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.api.streams.give_back(&self.user);
    }
}

/// The route of the stream.
pub fn routes(api: Arc<Api>) -> Router {
    Router::new().route("/console/events", get(open)).with_state(api)
}

async fn open(
    State(api): State<Arc<Api>>,
    Extension(Peer(peer)): Extension<Peer>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response<Body> {
    let Ok(upgrade) = upgrade else {
        let error = ApiError::validation("this is a websocket: send GET with an upgrade");
        return error_response(StatusCode::BAD_REQUEST, &error);
    };
    let source = peer.ip().to_string();
    let caller = match api.caller_of_stream(&headers).await {
        Ok(caller) => caller,
        Err(error) => return refused(&api, Who::Stranger(peer.ip()), source, None, &error).await,
    };
    let who = Who::Principal(caller.person.id.clone());
    if !api.streams.take(&caller.person.id) {
        let message = "too many streams of events are open: close other tabs and browsers";
        let error = ApiError::new(ErrorCode::ThrottlingException, message);
        return refused(&api, who, source, Some(&caller), &error).await;
    }
    let place = Place { api: Arc::clone(&api), user: caller.person.id.clone() };
    api.parts.audit.write_within(&who, event(source, Some(&caller), None)).await;
    let now = api.parts.clock.now();
    let (agent, host) = (String::new(), String::new());
    let call = Call::new(Operation::GetSignIn, caller, peer.ip(), agent, host, now);
    let after = query.get("after").cloned();
    upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .on_upgrade(move |socket| async move { place.api.stream(socket, call, after).await })
}

async fn refused(
    api: &Api,
    who: Who,
    source: String,
    caller: Option<&Caller>,
    error: &ApiError,
) -> Response<Body> {
    api.parts.audit.write_within(&who, event(source, caller, Some(error))).await;
    error_response(StatusCode::FORBIDDEN, error)
}

fn event(source_ip: String, caller: Option<&Caller>, error: Option<&ApiError>) -> Event {
    let of = |part: fn(&Caller) -> &String| caller.map(part).cloned().unwrap_or_default();
    Event {
        source: "towline",
        name: "OpenEvents".to_owned(),
        principal: of(|caller| &caller.arn),
        principal_id: of(|caller| &caller.principal_id),
        access_key: of(|caller| &caller.access_key),
        source_ip,
        facts: vec![("proof", "cookie".to_owned())],
        reads: true,
        error: error.map(|error| (error.code.as_str().to_owned(), error.message.clone())),
        ..Event::default()
    }
}

impl Api {
    async fn caller_of_stream(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        self.own_page(headers)?;
        let is_signed = headers.contains_key(header::AUTHORIZATION);
        let cookie = self.sign_in_cookie(headers).filter(|_| !is_signed);
        let cookie = cookie.ok_or_else(|| {
            let message = "a stream of events needs the cookie of a sign-in";
            ApiError::new(ErrorCode::MissingAuthenticationTokenException, message)
        })?;
        let now = self.parts.clock.now();
        self.holder_of_cookie(cookie, now).await.map_err(|failure| failure.error)
    }

    async fn stream(&self, mut socket: WebSocket, call: Call, mut after: Option<String>) {
        let mut changes = self.parts.audit.changes().watch();
        let mut judged = tokio::time::interval(JUDGED_EVERY);
        let mut topics = Vec::new();
        loop {
            tokio::select! {
                _ = judged.tick() => {
                    if !self.stands(&call).await {
                        break;
                    }
                    topics = self.listable(&call).await;
                    if !send(&mut socket, Message::Ping(Vec::new().into())).await {
                        break;
                    }
                }
                message = socket.recv() => match message {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    Some(Ok(_)) => continue,
                },
                changed = changes.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    tokio::time::sleep(EVERY).await;
                }
            }
            let mark = changes.borrow_and_update().clone();
            let changed = mark.since(after.as_deref());
            let named: Vec<_> =
                changed.iter().filter(|one| topics.contains(*one)).map(|one| one.name()).collect();
            let id = mark.to_string();
            if !named.is_empty() {
                let text = json!({ "id": id, "topics": named }).to_string();
                if !send(&mut socket, Message::Text(text.into())).await {
                    return;
                }
            }
            after = Some(id);
        }
        let _ = send(&mut socket, Message::Close(None)).await;
    }

    /// Whether the sign-in of a stream stands.
    async fn stands(&self, call: &Call) -> bool {
        let Proof::Cookie { sign_in } = &call.caller.proof else { return false };
        self.sign_in_stands(sign_in, self.parts.clock.now()).await.is_ok()
    }

    /// What the caller may list.
    async fn listable(&self, call: &Call) -> Vec<Topic> {
        let mut found = Vec::new();
        for topic in Topic::ALL {
            let action = match topic {
                Topic::Devices => Operation::DescribeInstanceInformation,
                Topic::Sessions => Operation::DescribeSessions,
                Topic::Access => Operation::ListAccessRequests,
                Topic::Commands => Operation::ListCommands,
            };
            let question = Question::anything();
            let allowed = self.would_allow_action(call, action.iam_action(), &question).await;
            if allowed.unwrap_or(false) {
                found.push(topic);
            }
        }
        found
    }
}

async fn send(socket: &mut WebSocket, message: Message) -> bool {
    tokio::time::timeout(PATIENCE, socket.send(message)).await.is_ok_and(|sent| sent.is_ok())
}
