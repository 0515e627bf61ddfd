//! The route of data channels: the upgrade request of a session's websocket.

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
use towline_ssm::error::ApiError;

use crate::error_response::error_response;
use crate::plane::{ChannelRequest, DataChannels, Peer, Visitor};

/// The route of all data channels.
pub fn routes(channels: Arc<dyn DataChannels>) -> Router {
    Router::new().route("/v1/data-channel/{session}", get(data_channel)).with_state(channels)
}

async fn data_channel(
    State(channels): State<Arc<dyn DataChannels>>,
    Extension(Peer(peer)): Extension<Peer>,
    session: Result<Path<String>, PathRejection>,
    query: Result<Query<HashMap<String, String>>, QueryRejection>,
    headers: HeaderMap,
    extensions: Extensions,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response<Body> {
    let (Ok(Path(session)), Ok(Query(query)), Ok(upgrade)) = (session, query, upgrade) else {
        let error = ApiError::validation(
            "a data channel is a websocket: send GET with an upgrade, over HTTP/1.1",
        );
        return error_response(StatusCode::BAD_REQUEST, &error);
    };
    let visitor = extensions.get::<Visitor>().cloned();
    channels.open(ChannelRequest { session, query, headers, peer, visitor, upgrade })
}
