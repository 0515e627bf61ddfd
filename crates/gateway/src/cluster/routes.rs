//! The calls that a node answers to other nodes: a closed list.
//!
//! # Invariants
//! - Served to other nodes alone: the public listener has no such path.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use towline_archive::Archive;
use towline_ssm::ids::SessionId;

use crate::limits::CLONE_PROBE;
use crate::plane::{Commands, Found, Sessions};
use crate::sessions::Hub;

/// What the calls work on.
#[derive(Clone)]
struct CallState {
    hub: Arc<Hub>,
    sessions: Arc<dyn Sessions>,
    commands: Arc<dyn Commands>,
    evidence: Arc<Archive>,
}

#[derive(Deserialize)]
struct OfDevice {
    device: String,
    #[serde(default)]
    why: String,
}

#[derive(Deserialize)]
struct OfSession {
    session: String,
    sentence: String,
}

#[derive(Deserialize)]
struct OfIds {
    ids: Vec<String>,
    end: bool,
}

#[derive(Deserialize)]
struct OfRecording {
    recording: String,
}

/// The calls, on this node's own sessions.
pub fn routes(
    hub: Arc<Hub>,
    sessions: Arc<dyn Sessions>,
    commands: Arc<dyn Commands>,
    evidence: Arc<Archive>,
) -> Router {
    Router::new()
        .route("/peer/v1/answers", post(answers))
        .route("/peer/v1/moved", post(moved))
        .route("/peer/v1/terminate", post(terminate))
        .route("/peer/v1/leave-seats", post(leave_seats))
        .route("/peer/v1/drop-device", post(drop_device))
        .route("/peer/v1/commands", post(commands_changed))
        .route("/peer/v1/output", post(output))
        .route("/peer/v1/recording", post(recording))
        .with_state(CallState { hub, sessions, commands, evidence })
}

/// What is asked; else it is no call.
fn asked<T: DeserializeOwned>(body: &Bytes) -> Result<T, StatusCode> {
    serde_json::from_slice(body).map_err(|_| StatusCode::BAD_REQUEST)
}

fn answer<T: Serialize>(value: &T) -> Response<Body> {
    Response::new(Body::from(serde_json::to_vec(value).unwrap_or_default()))
}

/// Whether a device's link at this node answers.
async fn answers(
    State(state): State<CallState>,
    body: Bytes,
) -> Result<Response<Body>, StatusCode> {
    let asked: OfDevice = asked(&body)?;
    let held = state.hub.device(&asked.device).filter(|held| !held.is_closed());
    Ok(answer(&match held {
        Some(held) => held.has_heard(CLONE_PROBE).await,
        None => false,
    }))
}

/// A device has come to another node, with its sessions.
async fn moved(State(state): State<CallState>, body: Bytes) -> Result<Response<Body>, StatusCode> {
    let asked: OfDevice = asked(&body)?;
    let store = state.hub.store();
    // The news may be late: the device may be here again.
    let holder = store.presences().holder(&asked.device).await.unwrap_or_default();
    if let Some(held) = state.hub.device(&asked.device)
        && holder.as_deref().is_some_and(|holder| Some(holder) != store.node())
    {
        held.close("the device is at another gateway");
    }
    state.hub.release_lost_of(&asked.device).await;
    Ok(answer(&()))
}

/// Ends a session; false: it is not here.
async fn terminate(
    State(state): State<CallState>,
    body: Bytes,
) -> Result<Response<Body>, StatusCode> {
    let asked: OfSession = asked(&body)?;
    let Ok(id) = asked.session.parse::<SessionId>() else { return Ok(answer(&false)) };
    let ended = state.sessions.terminate(&id, &asked.sentence).await;
    Ok(answer(&matches!(ended, Found::Here(()))))
}

/// Rights were removed: the number of seats here that go with them.
async fn leave_seats(
    State(state): State<CallState>,
    body: Bytes,
) -> Result<Response<Body>, StatusCode> {
    let asked: OfIds = asked(&body)?;
    Ok(answer(&state.sessions.leave_seats(&asked.ids, asked.end).await))
}

/// Another node has changed commands.
async fn commands_changed(State(state): State<CallState>) -> Response<Body> {
    state.commands.look().await;
    answer(&())
}

/// What this node has of a step's output.
async fn output(State(state): State<CallState>, body: Bytes) -> Result<Response<Body>, StatusCode> {
    match super::commands::answer(&*state.commands, &state.evidence.sink, asked(&body)?).await {
        Ok(found) => Ok(answer(&found)),
        Err(error) => {
            tracing::warn!(%error, "another gateway does not get output");
            Err(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// Whether this node has a recording of this name, on its disk or in its sink.
async fn recording(
    State(state): State<CallState>,
    body: Bytes,
) -> Result<Response<Body>, StatusCode> {
    let OfRecording { recording } = asked(&body)?;
    let recorder = &state.evidence.recorder;
    if recorder.local(&recording).is_some() {
        return Ok(answer(&true));
    }
    match state.evidence.sink.length(&recorder.object(&recording)).await {
        Ok(length) => Ok(answer(&length.is_some())),
        Err(error) => {
            tracing::warn!(%error, "another gateway is not told of a recording");
            Err(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// A device was removed; how many of its sessions were ended, and how many were not reached.
async fn drop_device(
    State(state): State<CallState>,
    body: Bytes,
) -> Result<Response<Body>, StatusCode> {
    let asked: OfDevice = asked(&body)?;
    let dropped = state.hub.drop_device(&asked.device, &asked.why).await;
    Ok(answer(&dropped.map(|dropped| (dropped.ended, dropped.unreached))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What gateways of 2026-11-30 send, byte for byte: in a rolling upgrade they go on to.
    #[test]
    fn calls_of_older_gateways_are_read() {
        let of = |text: &'static str| Bytes::from_static(text.as_bytes());
        let device: OfDevice = asked(&of(r#"{"device":"mi-1"}"#)).unwrap();
        assert_eq!((&*device.device, &*device.why), ("mi-1", ""));
        let device: OfDevice = asked(&of(r#"{"device":"mi-1","why":"gone"}"#)).unwrap();
        assert_eq!((&*device.device, &*device.why), ("mi-1", "gone"));
        let session: OfSession = asked(&of(r#"{"sentence":"over","session":"ann-1"}"#)).unwrap();
        assert_eq!((&*session.session, &*session.sentence), ("ann-1", "over"));
        let ids: OfIds = asked(&of(r#"{"end":true,"ids":["a","b"]}"#)).unwrap();
        assert!(ids.end && ids.ids == ["a", "b"]);
        let recording: OfRecording = asked(&of(r#"{"recording":"ann-1.2"}"#)).unwrap();
        assert_eq!(recording.recording, "ann-1.2");
        // A newer one may send more: it is left out, not refused.
        assert!(asked::<OfDevice>(&of(r#"{"device":"mi-1","since":1}"#)).is_ok());
        assert!(asked::<OfSession>(&of(r#"{"session":"ann-1"}"#)).is_err());
    }
}
