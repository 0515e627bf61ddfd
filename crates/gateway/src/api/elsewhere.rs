//! Requests that another gateway has to answer: the one that holds the device, or carries the
//! session.
//!
//! Data flow: a request whose signature was right -> which node? -> passed on as it came; that node
//! judges it anew, serves it and writes its audit line -> its answer, as it is.
//!
//! # Invariants
//! - A request is passed on once: a node serves what another one passed on, or says that it cannot.
//! - A request that was passed on was taken here against replay, and is not looked up again there.

use std::net::IpAddr;

use axum::http::{Response, request};
use bytes::Bytes;
use serde_json::Value;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::operation::Operation;

use super::service::Api;
use crate::plane::{ByPeer, Subject};

/// What a request is about, when a node has to answer it.
fn subject(operation: Operation, body: &[u8]) -> Option<Subject> {
    let text = |name: &str| {
        let body: Value = serde_json::from_slice(body).ok()?;
        body.get(name)?.as_str().map(str::to_owned)
    };
    match operation {
        Operation::StartSession => text("Target").map(Subject::Device),
        Operation::RotateDeviceKey => text("InstanceId").map(Subject::Device),
        Operation::ResumeSession
        | Operation::TerminateSession
        | Operation::WatchSession
        | Operation::JoinSession
        | Operation::SendSessionMessage => text("SessionId").map(Subject::Session),
        _ => None,
    }
}

/// Whether another node has passed a request on.
pub(super) fn is_passed_on(head: &request::Parts) -> bool {
    head.extensions.get::<ByPeer>().is_some()
}

impl Api {
    /// Another gateway's answer to a request; `None`: it is for this one.
    pub(super) async fn answer_elsewhere(
        &self,
        head: &request::Parts,
        operation: Operation,
        body: &Bytes,
        source: IpAddr,
    ) -> Option<Result<Response<Bytes>, ApiError>> {
        let peers = self.parts.peers.as_ref().filter(|_| !is_passed_on(head))?;
        if let Some(name) = recording(operation, body) {
            return self.recording_elsewhere(&name, (head, body), source).await.map(Ok);
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
}

impl Api {
    /// The answer of another gateway that has a recording on its disk or in its sink, when this one
    /// has not.
    async fn recording_elsewhere(
        &self,
        name: &str,
        request: (&request::Parts, &Bytes),
        source: IpAddr,
    ) -> Option<Response<Bytes>> {
        let peers = self.parts.peers.as_ref()?;
        if self.has_recording(name).await.unwrap_or(true) {
            return None;
        }
        for node in peers.others() {
            match peers.pass_on(&node, request, source).await {
                Ok(answer) if answer.status().is_success() && has_bytes(answer.body()) => {
                    return Some(answer);
                }
                Ok(_) => {}
                Err(why) => tracing::warn!(node, why, "a gateway is not asked for a recording"),
            }
        }
        None
    }
}

/// Whether an answer about a recording has it: a gateway that has not may still know which part
/// follows, as this one does.
fn has_bytes(answer: &[u8]) -> bool {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    answer.get("NextPart").is_none() || answer.get("Size").is_some_and(|size| *size != 0)
}

/// The recording that a request is about.
fn recording(operation: Operation, body: &[u8]) -> Option<String> {
    let is_about = matches!(
        operation,
        Operation::GetRecording | Operation::GetRecordingIndex | Operation::VerifyRecording
    );
    let body: Value = serde_json::from_slice(body).ok().filter(|_| is_about)?;
    body.get("SessionId")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_only_knows_the_next_part_has_no_recording() {
        for (answer, has) in [
            (r#"{"Data":"","Size":0,"NextPart":"ann-1.2"}"#, false),
            (r#"{"Data":"","Size":9,"NextPart":"ann-1.2"}"#, true),
            (r#"{"Data":"eA==","NextOffset":1,"Size":9}"#, true),
            (r#"{"Data":"","Size":0,"Finished":true}"#, true),
        ] {
            assert_eq!(has_bytes(answer.as_bytes()), has, "{answer}");
        }
    }

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
}
