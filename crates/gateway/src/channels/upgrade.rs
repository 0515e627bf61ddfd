//! The route of data channels: the upgrade request of a session's websocket.
//!
//! # Invariants
//! - A page of another site opens none: an `Origin` that is there must be allowed. A request
//!   without one is not from a browser. Where another gateway relays it, that one has judged it.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{Extensions, HeaderMap, Response, StatusCode};
use axum::routing::get;
use towline_ssm::error::{ApiError, ErrorCode};

use crate::error_response::error_response;
use crate::origins::{Origin, Origins};
use crate::plane::{ByPeer, ChannelRequest, DataChannels, Peer, Visitor};

/// What the route needs.
#[derive(Clone)]
struct RouteState {
    channels: Arc<dyn DataChannels>,
    origins: Origins,
}

/// The route of all data channels, open for these pages and for clients that are no browsers.
pub fn routes(channels: Arc<dyn DataChannels>, origins: Origins) -> Router {
    let state = RouteState { channels, origins };
    Router::new().route("/v1/data-channel/{session}", get(data_channel)).with_state(state)
}

async fn data_channel(
    State(state): State<RouteState>,
    Extension(Peer(peer)): Extension<Peer>,
    session: Result<Path<String>, PathRejection>,
    query: Result<Query<HashMap<String, String>>, QueryRejection>,
    headers: HeaderMap,
    extensions: Extensions,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response<Body> {
    let is_judged = extensions.get::<ByPeer>().is_some();
    if !is_judged && state.origins.of(&headers) == Origin::Foreign {
        let message = "a data channel is for pages of this gateway: the request's Origin is not \
                       among the origins in the section [console] of gateway.toml";
        let error = ApiError::new(ErrorCode::AccessDeniedException, message);
        return error_response(StatusCode::FORBIDDEN, &error);
    }
    let (Ok(Path(session)), Ok(Query(query)), Ok(upgrade)) = (session, query, upgrade) else {
        let error = ApiError::validation(
            "a data channel is a websocket: send GET with an upgrade, over HTTP/1.1",
        );
        return error_response(StatusCode::BAD_REQUEST, &error);
    };
    let visitor = extensions.get::<Visitor>().cloned();
    state.channels.open(ChannelRequest { session, query, headers, peer, visitor, upgrade })
}
