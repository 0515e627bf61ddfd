//! The requests for websockets of devices: the control channel, and the data channel of a session.
//!
//! # Invariants
//! - Both requests of a channel, the `POST` for its token and the upgrade, are signed by a key that
//!   was issued to the device. From then on their connections are no strangers'.
//! - A device that waits for a person gets 503: any other refusal makes the agent sleep for half an
//!   hour, or turn to its older protocol.
//! - A data channel that no session waits for is opened and told that it is over.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts as _, Path, Request, State};
use axum::http::{HeaderValue, Method, Response, StatusCode, header, request};
use axum::middleware::Next;
use axum::routing::{get, post};
use futures_util::StreamExt as _;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::message::payload::{JsonPayload as _, MAX_OPEN_FRAME, OpenDataChannel};
use towline_ssm::message::{HEADER, MAX_CONTROL_PAYLOAD, MAX_PAYLOAD};
use towline_ssm::vendor::control::channel_opened;
use towline_store::Device;

use super::agents::VendorAgents;
use super::calls::{prove, read, source_of};
use super::carrier::say_closed;
use super::control;
use super::proof::{active, internal};
use super::ticket::Channel;
use crate::error_response::error_response;
use crate::limits::{AWS_FIRST_MESSAGE, VENDOR_READ_AHEAD};

/// The service in the scope of these signatures.
const SERVICE: &str = "ssmmessages";

/// The routes that only devices use.
pub fn routes(agents: Arc<VendorAgents>) -> Router {
    Router::new()
        .route("/v1/control-channel/{device}", post(open_control).merge(get(upgrade_control)))
        .route("/v1/data-channel/{session}", post(open_data))
        .with_state(agents)
}

/// Takes the data channels of devices; those of clients go on.
pub async fn data_channels(
    State(agents): State<Arc<VendorAgents>>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let session = head.uri.path().strip_prefix("/v1/data-channel/").map(str::to_owned);
    match session {
        Some(session) if head.method == Method::GET && agents.claims_device(&head) => {
            agents.upgrade_data(head, session).await
        }
        _ => next.run(Request::from_parts(head, body)).await,
    }
}

async fn open_control(
    State(agents): State<Arc<VendorAgents>>,
    Path(device): Path<String>,
    request: Request,
) -> Response<Body> {
    agents.answer_open(request, Channel::Control, Some(&device)).await
}

async fn open_data(
    State(agents): State<Arc<VendorAgents>>,
    Path(session): Path<String>,
    request: Request,
) -> Response<Body> {
    agents.answer_open(request, Channel::Data(session), None).await
}

async fn upgrade_control(
    State(agents): State<Arc<VendorAgents>>,
    Path(named): Path<String>,
    request: Request,
) -> Response<Body> {
    let (mut head, _) = request.into_parts();
    let device = match agents.signed(&head, &[], Some(&named)).await {
        Ok(device) => device,
        Err(refusal) => return *refusal,
    };
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut head, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return axum::response::IntoResponse::into_response(rejection),
    };
    let (largest, source) = (HEADER + MAX_CONTROL_PAYLOAD, source_of(&head).ip());
    upgrade
        .max_message_size(largest)
        .max_frame_size(largest)
        .read_buffer_size(VENDOR_READ_AHEAD)
        .on_upgrade(move |socket| control::serve(agents, device, source, socket))
}

impl VendorAgents {
    /// The device that signed a request for a channel.
    async fn signed(
        &self,
        head: &request::Parts,
        body: &[u8],
        named: Option<&str>,
    ) -> Result<Device, Box<Response<Body>>> {
        let now = self.parts.clock.now();
        let device = self.by_issued_key(head, body, SERVICE, now).await;
        let device = device.and_then(|device| match named {
            Some(named) if named != device.id => {
                let message = "the path must name the device that signs";
                Err(ApiError::new(ErrorCode::AccessDeniedException, message))
            }
            _ => Ok(device),
        });
        match device {
            Ok(device) => match active(&device) {
                Ok(()) => {
                    prove(head, &device.id);
                    Ok(device)
                }
                Err(error) => {
                    Err(Box::new(error_response(StatusCode::SERVICE_UNAVAILABLE, &error)))
                }
            },
            Err(error) => {
                let source = source_of(head).ip();
                tracing::debug!(%source, %error, "a channel of a device was refused");
                let error = self.refused(error, source, now);
                Err(Box::new(error_response(StatusCode::FORBIDDEN, &error)))
            }
        }
    }

    /// Answers the request for a channel's token.
    async fn answer_open(
        &self,
        request: Request,
        channel: Channel,
        named: Option<&str>,
    ) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = match read(body).await {
            Ok(body) => body,
            Err(error) => return error_response(StatusCode::BAD_REQUEST, &error),
        };
        let device = match self.signed(&head, &body, named).await {
            Ok(device) => device,
            Err(refusal) => return *refusal,
        };
        let Some(token) = self.ticket(&device.id, channel, self.parts.clock.now()) else {
            let error = internal("no token for a channel", &"no random bytes");
            return error_response(StatusCode::INTERNAL_SERVER_ERROR, &error);
        };
        let mut response = Response::new(Body::from(channel_opened(&token)));
        *response.status_mut() = StatusCode::CREATED;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        response
    }

    /// Upgrades to the data channel of a session.
    async fn upgrade_data(
        self: Arc<Self>,
        mut head: request::Parts,
        session: String,
    ) -> Response<Body> {
        let device = match self.signed(&head, &[], None).await {
            Ok(device) => device,
            Err(refusal) => return *refusal,
        };
        let upgrade = match WebSocketUpgrade::from_request_parts(&mut head, &()).await {
            Ok(upgrade) => upgrade,
            Err(rejection) => return axum::response::IntoResponse::into_response(rejection),
        };
        let largest = HEADER + MAX_PAYLOAD;
        let agents = self;
        upgrade
            .max_message_size(largest)
            .max_frame_size(largest)
            .read_buffer_size(VENDOR_READ_AHEAD)
            .on_upgrade(move |socket| agents.serve_data(device.id, session, socket))
    }

    /// Gives a websocket to its session.
    async fn serve_data(self: Arc<Self>, device: String, session: String, mut socket: WebSocket) {
        let opening = tokio::time::timeout(AWS_FIRST_MESSAGE, opening(&mut socket)).await;
        let Ok(Some(opening)) = opening else { return };
        let (now, channel) = (self.parts.clock.now(), Channel::Data(session.clone()));
        if !self.opens(&opening.token_value, &device, &channel, now) {
            tracing::info!(device, session, "a data channel of a device with a wrong token");
            return;
        }
        match self.registry.get(&device, &session) {
            Some(found) => found.arrives(socket),
            None => {
                tracing::info!(device, session, "the agent holds a session that is over");
                say_closed(&mut socket, &device, &session, self.time()).await;
            }
        }
    }
}

async fn opening(socket: &mut WebSocket) -> Option<OpenDataChannel> {
    loop {
        match socket.next().await?.ok()? {
            Message::Text(text) if text.len() <= MAX_OPEN_FRAME => {
                return OpenDataChannel::from_payload(text.as_bytes()).ok();
            }
            Message::Ping(_) | Message::Pong(_) => {}
            _ => return None,
        }
    }
}
