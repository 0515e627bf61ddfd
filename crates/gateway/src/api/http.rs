//! The API's HTTP side: which request it is, a body within bounds, and the answer in the form of
//! its protocol.
//!
//! # Invariants
//! - Every answer carries a request id, and errors their code, in the form that the client's
//!   protocol has for them.
//! - A source that failed too often is answered before its body is read; its requests leave a
//!   counter, not a line each.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request};
use axum::routing::any;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use towline_host::clock::UnixMillis;
use towline_host::entropy;
use towline_ssm::api::session::StartSessionResponse;
use towline_ssm::api::sts::{self, FORM_CONTENT_TYPE, StsRequest};
use towline_ssm::api::to_json;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::operation::{Operation, Service};
use tracing::Instrument as _;

use super::call::{Call, Record};
use super::internal::internal;
use super::service::Api;
use crate::audit::Event;
use crate::error_response::JSON;
use crate::limits;
use crate::limits::MAX_USER_AGENT;
use crate::metrics::Answer;
use crate::plane::Peer;

/// The API's own route.
pub fn routes(api: Arc<Api>) -> Router {
    Router::new().route("/", any(call)).with_state(api)
}

/// How the client wants its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Json,
    Query,
}

async fn call(
    State(api): State<Arc<Api>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request<Body>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let form = text(&head.headers, header::CONTENT_TYPE.as_str()).starts_with(FORM_CONTENT_TYPE);
    let protocol = if form { Protocol::Query } else { Protocol::Json };
    let request_id = match entropy::uuid() {
        Ok(id) => id,
        Err(error) => {
            return refuse(
                &internal("no request id", &error),
                protocol,
                "",
                StatusCode::INTERNAL_SERVER_ERROR,
            );
        }
    };
    let span = tracing::info_span!("request", id = request_id, op = tracing::field::Empty);
    let outcome = api.answer(&head, body, protocol, peer.ip(), &request_id).instrument(span).await;
    match outcome {
        Ok(bytes) => respond(StatusCode::OK, protocol, &request_id, Body::from(bytes)),
        Err(error) if ends_plugin(&head.headers, error.code) => {
            let over = StartSessionResponse::default();
            respond(StatusCode::OK, protocol, &request_id, Body::from(to_json(&over)))
        }
        Err(error) => {
            let code = if protocol == Protocol::Query {
                error.code.query_status()
            } else {
                error.status()
            };
            refuse(
                &error,
                protocol,
                &request_id,
                StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST),
            )
        }
    }
}

/// Whether session-manager-plugin asks for its session and will not get it. An error makes it try
/// for ever without a word; an empty token makes it say that the session timed out, and end. The
/// audit trail has the refusal.
fn ends_plugin(headers: &HeaderMap, code: ErrorCode) -> bool {
    use ErrorCode::{
        AccessDeniedException, DoesNotExistException, ExpiredTokenException,
        InvalidSignatureException, UnrecognizedClientException,
    };
    let for_good = matches!(
        code,
        AccessDeniedException
            | DoesNotExistException
            | ExpiredTokenException
            | InvalidSignatureException
            | UnrecognizedClientException
    );
    let resumes = Operation::ResumeSession.target();
    for_good
        && resumes.as_deref() == Some(text(headers, "x-amz-target"))
        && text(headers, header::USER_AGENT.as_str()).starts_with("aws-sdk-go")
}

fn refuse(
    error: &ApiError,
    protocol: Protocol,
    request_id: &str,
    status: StatusCode,
) -> Response<Body> {
    let body = match protocol {
        Protocol::Json => error.json_body(),
        Protocol::Query => sts::error_xml(error, request_id),
    };
    respond(status, protocol, request_id, Body::from(body))
}

fn respond(status: StatusCode, protocol: Protocol, request_id: &str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let content_type = if protocol == Protocol::Json { JSON } else { "text/xml" };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

impl Api {
    /// Serves one request and writes its audit line.
    async fn answer(
        &self,
        head: &request::Parts,
        body: Body,
        protocol: Protocol,
        source: IpAddr,
        request_id: &str,
    ) -> Result<Vec<u8>, ApiError> {
        let now = self.parts.clock.now();
        if self.failures.blocks(source, now) {
            self.parts.metrics.throttled.add(1);
            let message = "too many failed requests from this address: try again later";
            return Err(ApiError::new(ErrorCode::ThrottlingException, message));
        }
        let mut event = Event {
            source: "ssm.amazonaws.com",
            request_id: request_id.to_owned(),
            source_ip: source.to_string(),
            user_agent: user_agent(&head.headers),
            ..Event::default()
        };
        let outcome = match read(head, body).await {
            Ok(body) => {
                Box::pin(self.operate(head, &body, protocol, source, now, &mut event)).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = &outcome {
            event.error = Some((error.code.as_str().to_owned(), error.message.clone()));
        }
        self.parts.audit.write(event).await;
        outcome
    }

    async fn operate(
        &self,
        head: &request::Parts,
        body: &Bytes,
        protocol: Protocol,
        source: IpAddr,
        now: UnixMillis,
        event: &mut Event,
    ) -> Result<Vec<u8>, ApiError> {
        let operation = match protocol {
            Protocol::Query => StsRequest::parse(body)?.operation,
            Protocol::Json => Operation::parse(text(&head.headers, "x-amz-target"))?,
        };
        tracing::Span::current().record("op", operation.name());
        event.name = operation.name().to_owned();
        event.source = match operation.service() {
            Service::Ssm => "ssm.amazonaws.com",
            Service::Sts => "sts.amazonaws.com",
            Service::Towline => "towline",
            Service::CloudTrail => "cloudtrail.amazonaws.com",
        };
        let outcome = match self.authenticate(operation, head, body, source, now).await {
            Err(unproven) => {
                event.access_key = unproven.access_key;
                Err(unproven.error)
            }
            Ok(caller) => {
                event.principal.clone_from(&caller.arn);
                event.access_key.clone_from(&caller.access_key);
                event.principal_id.clone_from(&caller.principal_id);
                event.on_behalf_of = (!caller.is_person()).then(|| self.person_of(&caller));
                let host = text(&head.headers, header::HOST.as_str()).to_owned();
                let call =
                    Call::new(operation, caller, source, event.user_agent.clone(), host, now);
                let answer = self.dispatch(&call, body, &event.request_id).await;
                let Record { resources, facts, .. } = call.record();
                (event.resources, event.facts) = (resources, facts);
                answer
            }
        };
        self.parts.metrics.answered(
            operation,
            match &outcome {
                Ok(_) => Answer::Done,
                Err(error) if error.code == ErrorCode::InternalServerError => Answer::Failed,
                Err(_) => Answer::Refused,
            },
        );
        outcome
    }
}

/// The body, if the request is one that has one: bounded in size and time.
async fn read(head: &request::Parts, body: Body) -> Result<Bytes, ApiError> {
    if head.method != Method::POST {
        return Err(ApiError::new(
            ErrorCode::UnknownOperationException,
            "requests are made with POST",
        ));
    }
    let collected =
        tokio::time::timeout(limits::BODY_TIMEOUT, Limited::new(body, limits::MAX_BODY).collect())
            .await;
    match collected {
        Err(_) => {
            Err(ApiError::new(ErrorCode::SerializationException, "the body did not arrive in time"))
        }
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::new(
            ErrorCode::SerializationException,
            format!("the body is larger than {} bytes", limits::MAX_BODY),
        )),
        Ok(Err(_)) => {
            Err(ApiError::new(ErrorCode::SerializationException, "the body is not whole"))
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn user_agent(headers: &HeaderMap) -> String {
    text(headers, header::USER_AGENT.as_str()).chars().take(MAX_USER_AGENT).collect()
}
