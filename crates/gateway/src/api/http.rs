//! The API's HTTP side: which request it is, a body within bounds, and the answer in the form of
//! its protocol.
//!
//! # Invariants
//! - Every answer carries a request id, and errors their code, in the form that the client's
//!   protocol has for them.
//! - The head is judged before the body is read. Every failure before the signature is right counts
//!   against its source; a source that failed too often gets no reason any more, but a right
//!   signature is always taken.
//! - Failures leave lines within the budget of their source, then counts.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request};
use axum::routing::any;
use bytes::Bytes;
use towline_host::clock::UnixMillis;
use towline_host::entropy;
use towline_ssm::api::session::StartSessionResponse;
use towline_ssm::api::sts::{self, FORM_CONTENT_TYPE, StsRequest};
use towline_ssm::api::to_json;
use towline_ssm::error::{ApiError, ErrorCode, Remedy};
use towline_ssm::operation::{Operation, Service};
use towline_ssm::sigv4::SignatureError;
use towline_store::{RequestEnd, SeenRequest};
use tracing::Instrument as _;

use super::access_end;
use super::authn::{Failure, Taken};
use super::bodies;
use super::call::{Call, Caller, Record};
use super::elsewhere::is_passed_on;
use super::internal::internal;
use super::service::Api;
use super::{provider_sign_in, sign_in_requests};
use crate::audit::{Event, Who};
use crate::error_response::JSON;
use crate::limits::MAX_USER_AGENT;
use crate::metrics::Answer;
use crate::plane::{Peer, Visitor};

/// The API's own route, and those of sign-ins through a provider.
pub fn routes(api: Arc<Api>) -> Router {
    let _ = api.own.set(Arc::downgrade(&api));
    tokio::spawn(access_end::keep(Arc::downgrade(&api)));
    let sign_in = provider_sign_in::routes(Arc::clone(&api));
    let requests = sign_in_requests::routes(Arc::clone(&api));
    Router::new().route("/", any(call)).with_state(api).merge(sign_in).merge(requests)
}

/// How the client wants its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Json,
    Query,
}

/// An answer on its way out.
enum Reply {
    /// This gateway's.
    Own {
        body: Vec<u8>,
        /// A cookie that it sets.
        set_cookie: Option<String>,
    },
    /// Another gateway's.
    Elsewhere(Response<Bytes>),
}

async fn call(
    State(api): State<Arc<Api>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request<Body>,
) -> Response<Body> {
    let (head, mut body) = request.into_parts();
    if head.method == Method::GET && text(&head.headers, "accept").contains("text/html") {
        return to_console(); // somebody typed the gateway's address into a browser
    }
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
    let answer = api.answer(&head, &mut body, protocol, peer.ip(), &request_id);
    let outcome = answer.instrument(span).await;
    if outcome.is_err() {
        bodies::discard(&mut body).await;
    }
    match outcome {
        Ok(Reply::Elsewhere(response)) => response.map(Body::from),
        Ok(Reply::Own { body, set_cookie }) => {
            let mut response = respond(StatusCode::OK, protocol, &request_id, Body::from(body));
            let cookie = set_cookie.and_then(|cookie| HeaderValue::try_from(cookie).ok());
            if let Some(mut cookie) = cookie {
                cookie.set_sensitive(true);
                response.headers_mut().insert(header::SET_COOKIE, cookie);
            }
            response
        }
        Err(error) if ends_plugin(&head.headers, &error) => {
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

fn to_console() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/console/"));
    response
}

/// Whether session-manager-plugin asks for its session and will not get it. An error makes it try
/// for ever without a word; an empty token makes it say that the session timed out, and end. The
/// audit trail has the refusal.
fn ends_plugin(headers: &HeaderMap, error: &ApiError) -> bool {
    use ErrorCode::{
        AccessDeniedException, DoesNotExistException, ExpiredTokenException,
        InvalidSignatureException, UnrecognizedClientException,
    };
    let for_good = matches!(
        error.code,
        AccessDeniedException
            | DoesNotExistException
            | ExpiredTokenException
            | InvalidSignatureException
            | UnrecognizedClientException
    );
    let resumes = Operation::ResumeSession.target();
    // Signed in a second in which a gateway before a restart took the same: it signs anew.
    for_good
        && error.remedy != Some(Remedy::SignAgain)
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

/// A request whose signature was right.
struct Proven {
    caller: Caller,
    /// What it asks, or why that cannot be told.
    operation: Result<Operation, ApiError>,
    body: Bytes,
    seen: Option<SeenRequest>,
    /// It has no signature: a token of an identity provider stands in it.
    is_unsigned: bool,
}

impl Api {
    /// Serves one request and writes its audit line.
    async fn answer(
        &self,
        head: &request::Parts,
        body: &mut Body,
        protocol: Protocol,
        source: IpAddr,
        request_id: &str,
    ) -> Result<Reply, ApiError> {
        let now = self.parts.clock.now();
        let mut event = Event {
            source: "ssm.amazonaws.com",
            request_id: request_id.to_owned(),
            source_ip: source.to_string(),
            user_agent: user_agent(&head.headers),
            ..Event::default()
        };
        let visitor = head.extensions.get::<Visitor>();
        let known = visitor.is_some_and(|Visitor(standing)| standing.is_proven());
        let blocked = self.failures.blocks(source, now);
        let stranger = (!known).then_some(source);
        let proven = match protocol {
            Protocol::Query if is_unsigned(head) => {
                self.identify_unsigned(head, body, stranger, blocked, now, &mut event).await
            }
            _ => self.identify(head, body, protocol, stranger, now, &mut event).await,
        };
        let (outcome, who, end) = match proven {
            Err(Failure { error, counts }) => {
                let error =
                    if counts { self.turn_away(error, source, blocked, now) } else { error };
                (Err(error), Who::Stranger(source), None)
            }
            Ok(proven) if proven.is_unsigned => {
                let answer = self.operate(head, proven, source, now, &mut event);
                // A token that another role would take is no better than a wrong one.
                let outcome = Box::pin(answer).await;
                let outcome = outcome.map_err(|error| self.turn_away(error, source, blocked, now));
                (outcome, Who::Stranger(source), None)
            }
            Ok(proven) => {
                if let Some(Visitor(standing)) = visitor {
                    standing.prove(Some(&proven.caller.person.id));
                }
                let who = Who::Principal(proven.caller.person.id.clone());
                let served = self.serve(head, proven, source, now, &mut event).await;
                if let (Ok(Reply::Elsewhere(_)), _) = served {
                    return served.0; // the gateway that answered has written the audit line
                }
                (served.0, who, served.1)
            }
        };
        if let Err(error) = &outcome {
            event.error = Some((error.code.as_str().to_owned(), error.message.clone()));
        }
        self.parts.audit.write_request(&who, event, end).await;
        outcome
    }

    /// Who asks what. The head is judged before the body is read.
    async fn identify(
        &self,
        head: &request::Parts,
        body: &mut Body,
        protocol: Protocol,
        stranger: Option<IpAddr>,
        now: UnixMillis,
        event: &mut Event,
    ) -> Result<Proven, Failure> {
        if head.method != Method::POST {
            let message = "requests are made with POST";
            return Err(ApiError::new(ErrorCode::UnknownOperationException, message).into());
        }
        bodies::check_length(head)?;
        let told = (protocol == Protocol::Json)
            .then(|| Operation::parse(text(&head.headers, "x-amz-target")));
        let service = match &told {
            None => Some(Service::Sts),
            Some(Ok(operation)) => {
                note(event, *operation);
                Some(operation.service())
            }
            Some(Err(_)) => None,
        };
        if let Some(Ok(operation @ Operation::RedeemSignInLink)) = told
            && self.is_page(&head.headers)
        {
            let body = self.bodies.read(body, stranger).await?;
            let caller = self.prove_by_link(&head.headers, &body, now).await;
            let caller = caller.inspect_err(|_| self.authentication_failed(&told))?;
            let operation = Ok(operation);
            return Ok(Proven { caller, operation, body, seen: None, is_unsigned: false });
        }
        if let (Some(Ok(operation)), Some(cookie)) = (&told, self.unsigned_cookie(head)) {
            let operation = *operation;
            let caller = self.prove_by_cookie(operation, head, cookie, now).await;
            let caller = caller.inspect_err(|_| self.authentication_failed(&told))?;
            let body = self.bodies.read(body, None).await?;
            let operation = Ok(operation);
            return Ok(Proven { caller, operation, body, seen: None, is_unsigned: false });
        }
        let claim = self.claim(head, service, &mut event.access_key, now).await;
        let claim = match (claim, &told) {
            (Ok(claim), _) => claim,
            // An operation that there is not is the plainer reason.
            (Err(_), Some(Err(error))) => return Err(error.clone().into()),
            (Err(error), _) => {
                self.authentication_failed(&told);
                // A page asks who is signed in when it is loaded: that tests no secret.
                let asks = matches!(&told, Some(Ok(Operation::GetSignIn)))
                    && !head.headers.contains_key(header::AUTHORIZATION);
                return Err(Failure { error, counts: !asks });
            }
        };
        let body = self.bodies.read(body, stranger).await?;
        let operation = told.unwrap_or_else(|| Ok(StsRequest::parse(&body)?.operation));
        if let Ok(operation) = &operation {
            note(event, *operation);
        }
        let taken = Taken::of(operation.as_ref().ok().copied());
        match self.prove(claim, head, &body, taken, now).await {
            Ok((caller, seen)) => Ok(Proven { caller, operation, body, seen, is_unsigned: false }),
            Err(error) => {
                self.authentication_failed(&Some(operation));
                Err(error.into())
            }
        }
    }

    /// Who asks in a form without a signature: the one operation for tokens of identity providers.
    async fn identify_unsigned(
        &self,
        head: &request::Parts,
        body: &mut Body,
        stranger: Option<IpAddr>,
        blocked: bool,
        now: UnixMillis,
        event: &mut Event,
    ) -> Result<Proven, Failure> {
        const OPERATION: Operation = Operation::AssumeRoleWithWebIdentity;
        let missing = || {
            self.authentication_failed(&None);
            ApiError::from(SignatureError::Missing)
        };
        if blocked {
            return Err(missing().into()); // whose token is right has to wait, too
        }
        bodies::check_length(head)?;
        let body = self.bodies.read(body, stranger).await?;
        let request = StsRequest::parse(&body).ok().filter(|form| {
            form.operation == OPERATION && form.fields.contains_key("WebIdentityToken")
        });
        let request = request.ok_or_else(missing)?;
        note(event, OPERATION);
        let caller = Box::pin(self.web_identity(&request.fields, now)).await;
        let caller = caller.inspect_err(|_| self.authentication_failed(&Some(Ok(OPERATION))))?;
        Ok(Proven { caller, operation: Ok(OPERATION), body, seen: None, is_unsigned: true })
    }

    fn authentication_failed(&self, operation: &Option<Result<Operation, ApiError>>) {
        self.parts.metrics.authentication_failed.add(1);
        if let Some(Ok(operation)) = operation {
            self.parts.metrics.answered(*operation, Answer::Refused);
        }
    }

    /// What a failure costs its source, and what the client is told. A right signature is taken
    /// from a source that failed too often, too: only who fails is turned away.
    pub(super) fn turn_away(
        &self,
        error: ApiError,
        source: IpAddr,
        blocked: bool,
        now: UnixMillis,
    ) -> ApiError {
        if error.code == ErrorCode::InternalServerError {
            return error;
        }
        if self.failures.failed(source, now) && self.log_budget.admits(now) {
            tracing::warn!(
                %source,
                "too many failed requests: failures from there get no reason for a while"
            );
        }
        if !blocked {
            return error;
        }
        self.parts.metrics.throttled.add(1);
        let seconds = self.failures.again_in(source, now);
        let message =
            format!("too many failed requests from this address: try again in {seconds} s");
        ApiError::new(ErrorCode::ThrottlingException, message)
    }

    /// Serves a request whose signature was right, here or at another gateway; its outcome, and the
    /// end to store with its audit line.
    async fn serve(
        &self,
        head: &request::Parts,
        mut proven: Proven,
        source: IpAddr,
        now: UnixMillis,
        event: &mut Event,
    ) -> (Result<Reply, ApiError>, Option<RequestEnd>) {
        let elsewhere = match &proven.operation {
            Ok(operation) => {
                let (operation, caller) = (*operation, &proven.caller);
                let call = || called(head, operation, caller.clone(), source, now, event);
                self.answer_elsewhere((head, &proven.body), operation, source, call).await
            }
            Err(_) => None,
        };
        match elsewhere {
            Some(Ok(response)) => (Ok(Reply::Elsewhere(response)), None),
            Some(Err(error)) => {
                let seen = proven.seen.take();
                let id = event.request_id.clone();
                (Err(error), seen.map(|seen| RequestEnd { id, seen: Some(seen) }))
            }
            None => {
                let end = self.begin(&mut proven, event).await;
                (Box::pin(self.operate(head, proven, source, now, event)).await, end)
            }
        }
    }

    /// Stores that a request that changes something begins; `None` for one that only reads.
    async fn begin(&self, proven: &mut Proven, event: &mut Event) -> Option<RequestEnd> {
        if proven.operation.as_ref().map_or(true, |operation| operation.read_only()) {
            return None;
        }
        self.name_caller(&proven.caller, event);
        Some(self.parts.audit.begin(event, proven.seen.take()).await)
    }

    fn name_caller(&self, caller: &Caller, event: &mut Event) {
        event.principal.clone_from(&caller.arn);
        event.access_key.clone_from(&caller.access_key);
        event.principal_id.clone_from(&caller.principal_id);
        event.on_behalf_of = (!caller.is_person()).then(|| self.person_of(caller));
    }

    async fn operate(
        &self,
        head: &request::Parts,
        proven: Proven,
        source: IpAddr,
        now: UnixMillis,
        event: &mut Event,
    ) -> Result<Reply, ApiError> {
        self.name_caller(&proven.caller, event);
        let Proven { caller, operation, body, .. } = proven;
        let operation = operation?;
        tracing::Span::current().record("op", operation.name());
        let mut call = called(head, operation, caller, source, now, event);
        let outcome = match self.look_at_browser(&mut call, &head.headers) {
            Ok(()) => self.dispatch(&call, &body, &event.request_id).await,
            Err(error) => Err(error),
        };
        let Record { resources, facts, set_cookie, .. } = call.record();
        (event.resources, event.facts) = (resources, facts);
        let outcome = outcome.map(|body| Reply::Own { body, set_cookie });
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

    /// What an operation that makes a sign-in must know of the browser besides its signature.
    fn look_at_browser(&self, call: &mut Call, headers: &HeaderMap) -> Result<(), ApiError> {
        if matches!(call.operation, Operation::CreateSignIn | Operation::RedeemSignInLink) {
            call.sign_in_before = self.sign_in_before(headers)?;
        }
        Ok(())
    }
}

/// A proven request, as its operation gets it.
fn called(
    head: &request::Parts,
    operation: Operation,
    caller: Caller,
    source: IpAddr,
    now: UnixMillis,
    event: &Event,
) -> Call {
    let host = text(&head.headers, header::HOST.as_str()).to_owned();
    let mut call = Call::new(operation, caller, source, event.user_agent.clone(), host, now);
    call.is_passed_on = is_passed_on(head);
    call
}

fn is_unsigned(head: &request::Parts) -> bool {
    head.method == Method::POST && !head.headers.contains_key(header::AUTHORIZATION)
}

/// Names the operation in the event.
fn note(event: &mut Event, operation: Operation) {
    event.name = operation.name().to_owned();
    event.reads = operation.read_only();
    event.source = match operation.service() {
        Service::Ssm => "ssm.amazonaws.com",
        Service::Sts => "sts.amazonaws.com",
        Service::Towline => "towline",
        Service::CloudTrail => "cloudtrail.amazonaws.com",
    };
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn user_agent(headers: &HeaderMap) -> String {
    text(headers, header::USER_AGENT.as_str()).chars().take(MAX_USER_AGENT).collect()
}
