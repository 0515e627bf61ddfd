//! Requests that another gateway has to answer: the one that holds the device, or carries the
//! session.
//!
//! Data flow: a request whose signature was right -> which node? -> passed on as it came; that node
//! judges it anew, serves it and writes its audit line -> its answer, as it is.
//!
//! # Invariants
//! - A request is passed on once: a node serves what another one passed on, or says that it cannot.
//! - A request that was passed on was taken here against replay, and is not looked up again there.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;

use axum::http::{Response, request};
use bytes::Bytes;
use serde_json::Value;
use towline_evidence::layout::part_of;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::ids::SessionId;
use towline_ssm::operation::Operation;

use super::call::Call;
use super::service::Api;
use crate::limits::RECORDING_PLACES;
use crate::lock::lock;
use crate::plane::{ByPeer, Peers, Subject};

/// A member of a request's body that is a text.
fn text(body: &[u8], name: &str) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    body.get(name)?.as_str().map(str::to_owned)
}

/// What a request is about, when a node has to answer it.
fn subject(operation: Operation, body: &[u8]) -> Option<Subject> {
    match operation {
        Operation::StartSession => text(body, "Target").map(Subject::Device),
        Operation::RotateDeviceKey => text(body, "InstanceId").map(Subject::Device),
        Operation::ResumeSession
        | Operation::TerminateSession
        | Operation::WatchSession
        | Operation::JoinSession
        | Operation::SendSessionMessage => text(body, "SessionId").map(Subject::Session),
        _ => None,
    }
}

/// The recording that a request is about, if a session can have one of this name.
fn recording(operation: Operation, body: &[u8]) -> Option<String> {
    let is_about = matches!(
        operation,
        Operation::GetRecording | Operation::GetRecordingIndex | Operation::VerifyRecording
    );
    let name = if is_about { text(body, "SessionId")? } else { return None };
    let is_name = part_of(&name).0.parse::<SessionId>().is_ok();
    is_name.then_some(name)
}

/// Whether another node has passed a request on.
pub(super) fn is_passed_on(head: &request::Parts) -> bool {
    head.extensions.get::<ByPeer>().is_some()
}

/// The nodes that had the recordings which were read last.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<HashMap<String, String>>);

impl Places {
    /// These nodes, the one that had the recording first.
    fn order(&self, name: &str, mut nodes: Vec<String>) -> Vec<String> {
        let known = lock(&self.0).get(name).cloned();
        nodes.sort_by_key(|node| Some(node) != known.as_ref());
        nodes
    }

    fn remember(&self, name: &str, node: &str) {
        let mut places = lock(&self.0);
        if places.len() >= RECORDING_PLACES {
            places.clear();
        }
        places.insert(name.to_owned(), node.to_owned());
    }
}

impl Api {
    /// Another gateway's answer to a request; `None`: it is for this one. `call`: the request as it
    /// would be served here.
    pub(super) async fn answer_elsewhere(
        &self,
        (head, body): (&request::Parts, &Bytes),
        operation: Operation,
        source: IpAddr,
        call: impl FnOnce() -> Call,
    ) -> Option<Result<Response<Bytes>, ApiError>> {
        let peers = self.parts.peers.as_ref().filter(|_| !is_passed_on(head))?;
        if let Some(name) = recording(operation, body) {
            return self.recording_elsewhere(&**peers, &name, (head, body), call).await.map(Ok);
        }
        let failed = |why| ApiError::new(ErrorCode::InternalServerError, why);
        let node = match peers.holder(subject(operation, body)?).await {
            Ok(node) => node?,
            Err(error) => {
                tracing::error!(error, "it is not known which gateway has to answer");
                return Some(Err(failed("the store does not answer: try again".to_owned())));
            }
        };
        Some(peers.pass_on(&node, (head, body), source).await.map_err(|why| {
            tracing::warn!(node, why, "a request was not passed on");
            failed(format!("{why}; try again in some seconds"))
        }))
    }

    /// The answer of another gateway that has a recording on its disk or in its sink, when this one
    /// has not. Nobody is asked for a caller who may not read it, as far as it is known here whose
    /// it is: this gateway refuses.
    async fn recording_elsewhere(
        &self,
        peers: &dyn Peers,
        name: &str,
        request: (&request::Parts, &Bytes),
        call: impl FnOnce() -> Call,
    ) -> Option<Response<Bytes>> {
        if self.has_recording(name).await.unwrap_or(true) {
            return None;
        }
        let call = call();
        if !self.may_read_recording(&call, name).await {
            return None;
        }
        for node in self.places.order(name, peers.others()) {
            match peers.pass_on(&node, request, call.source).await {
                Ok(answer) if answer.status().is_success() => {
                    self.places.remember(name, &node);
                    return Some(answer);
                }
                Ok(_) => {}
                Err(why) => tracing::warn!(node, why, "a gateway is not asked for a recording"),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_about_devices_and_sessions_go_where_these_are() {
        for (operation, body, meant) in [
            (Operation::StartSession, r#"{"Target":"mi-1"}"#, Some(Subject::Device("mi-1".into()))),
            (
                Operation::ResumeSession,
                r#"{"SessionId":"ann-1"}"#,
                Some(Subject::Session("ann-1".into())),
            ),
            (Operation::SendCommand, r#"{"InstanceIds":["mi-1"]}"#, None),
            (Operation::StartSession, "{}", None),
            (Operation::StartSession, "no json", None),
            (Operation::ListCommands, "{}", None),
        ] {
            assert_eq!(subject(operation, body.as_bytes()), meant, "{operation:?} {body}");
        }
    }

    #[test]
    fn other_gateways_are_asked_for_recordings_alone_and_for_names_that_one_can_have() {
        const NAME: &str = "ann-00000000000000001";
        for (operation, name, meant) in [
            (Operation::GetRecording, NAME, true),
            (Operation::GetRecordingIndex, "ann-00000000000000001.2", true),
            (Operation::VerifyRecording, NAME, true),
            (Operation::ResumeSession, NAME, false),
            (Operation::GetRecording, "../gateway.toml", false),
            (Operation::GetRecording, "ann", false),
            (Operation::GetRecording, "", false),
        ] {
            let body = format!(r#"{{"SessionId":"{name}"}}"#);
            let asked = recording(operation, body.as_bytes());
            assert_eq!(asked.as_deref(), meant.then_some(name), "{operation:?} {name}");
        }
    }

    #[test]
    fn the_gateway_that_had_a_recording_is_asked_first() {
        let places = Places::default();
        let nodes = || ["b", "c", "d"].map(str::to_owned).to_vec();
        assert_eq!(places.order("ann-1", nodes()), ["b", "c", "d"]);
        places.remember("ann-1", "d");
        assert_eq!(places.order("ann-1", nodes()), ["d", "b", "c"]);
        for number in 0..2 * RECORDING_PLACES {
            places.remember(&number.to_string(), "b");
        }
        assert!(lock(&places.0).len() <= RECORDING_PLACES);
    }
}
