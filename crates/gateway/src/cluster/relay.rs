//! Data channels of sessions that another node carries: the client's connection is joined with one
//! to that node.
//!
//! # Invariants
//! - The upgrade's own headers go through unchanged: token and dialect are judged where the session
//!   is.
//! - A client counts as a stranger until its channel has lasted for longer than a node waits for
//!   the first message: by then it has attached.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, Response, StatusCode};
use axum::middleware::Next;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::time::{sleep, timeout};
use towline_ssm::error::{ApiError, ErrorCode};

use super::calls::{Calls, bodiless, passed};
use crate::error_response::error_response;
use crate::limits::{CHANNEL_FIRST_MESSAGE, PEER_PATIENCE};
use crate::origins::{Origin, Origins};
use crate::plane::{ByPeer, Peer, Peers as _, Subject, Visitor};
use crate::sessions::Hub;

/// Path of data channels, before the session.
const PATH: &str = "/v1/data-channel/";

/// What the relay needs.
pub type RelayState = (Arc<Calls>, Arc<Hub>);

/// Serves the data channels of sessions elsewhere, and passes the others on to `next`.
pub async fn relay(
    State((calls, hub, origins)): State<(Arc<Calls>, Arc<Hub>, Origins)>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let is_passed_on = request.extensions().get::<ByPeer>().is_some();
    let name = request.uri().path().strip_prefix(PATH).map(str::to_owned);
    // A device's `POST` asks for a token, which any gateway gives.
    let is_channel = request.method() == Method::GET;
    // The route here refuses a page of somebody else; the other node does not judge it again.
    let is_foreign = origins.of(request.headers()) == Origin::Foreign;
    let is_mine = is_passed_on || !is_channel || is_foreign;
    let is_elsewhere = |name: &String| !is_mine && hub.session(name).is_none();
    let Some(name) = name.filter(is_elsewhere) else {
        return next.run(request).await;
    };
    match calls.holder(Subject::Session(name)).await {
        Ok(Some(node)) => match join(&calls, &node, request).await {
            Ok(response) => response,
            Err(why) => {
                tracing::warn!(node, why, "a data channel is not relayed");
                let error = ApiError::new(ErrorCode::InternalServerError, why);
                error_response(StatusCode::SERVICE_UNAVAILABLE, &error)
            }
        },
        Ok(None) => next.run(request).await,
        Err(why) => {
            tracing::warn!(why, "it is not known where a session is");
            let error = ApiError::new(ErrorCode::InternalServerError, "the store does not answer");
            error_response(StatusCode::SERVICE_UNAVAILABLE, &error)
        }
    }
}

/// Whether the request itself is at fault, as the other node says.
fn is_the_clients(status: StatusCode) -> bool {
    status.is_client_error() && status != StatusCode::NOT_FOUND
}

/// Joins the client's connection with one to the node, once that has agreed to the upgrade.
async fn join(calls: &Calls, node: &str, mut request: Request) -> Result<Response<Body>, String> {
    let permit = Arc::clone(&calls.relays).try_acquire_owned();
    let permit = permit.map_err(|_| "too many data channels are relayed".to_owned())?;
    let peer = request.extensions().get::<Peer>().copied().ok_or("no source")?;
    let visitor = request.extensions().get::<Visitor>().cloned();
    let client = hyper::upgrade::on(&mut request);
    let (head, _) = request.into_parts();
    let asked = passed(head.method, &head.uri, &head.headers, peer.0.ip())?;
    let asked = asked.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let stream = calls.dial(node).await?;
    let answer = async {
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection.with_upgrades());
        sender.send_request(asked).await
    };
    let answer = timeout(PEER_PATIENCE, answer).await.map_err(|_| "no answer".to_owned())?;
    let mut answer = answer.map_err(|error| error.to_string())?;
    let is_agreed = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
    let there = hyper::upgrade::on(&mut answer);
    if !is_agreed && !is_the_clients(answer.status()) {
        return Err(format!("the gateway {node} takes no data channel: {}", answer.status()));
    }
    let response = bodiless(&answer.into_parts().0);
    if !is_agreed {
        return Ok(response);
    }
    tokio::spawn(async move {
        let _permit = permit;
        let (Ok(client), Ok(there)) = tokio::join!(client, there) else { return };
        let (mut client, mut there) = (TokioIo::new(client), TokioIo::new(there));
        let copying = copy_bidirectional(&mut client, &mut there);
        tokio::pin!(copying);
        tokio::select! {
            _ = &mut copying => return,
            () = sleep(2 * CHANNEL_FIRST_MESSAGE) => {}
        }
        if let Some(Visitor(standing)) = visitor {
            standing.prove(None); // relays have a bound of their own
        }
        let _ = copying.await; // either end says why on its own side
    });
    Ok(response)
}
