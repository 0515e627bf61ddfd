//! Data channels: the websockets at a session's `StreamUrl`, in the dialect that the client speaks.
//!
//! Way: upgrade request -> dialect by subprotocol -> `towline` (our own clients). The session's bytes are not looked into.
//!
//! # Invariants
//! - The upgrade is accepted whatever the session: clients of AWS hang without a word on a refused upgrade, so the
//!   refusal is said inside of the channel.
//! - The token is in the first message, never in the URL.

mod towline;

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use towline_ssm::error::{ApiError, ErrorCode};
use towline_wire::client::SUBPROTOCOL;
use towline_wire::frame::MAX_FRAME;

use crate::seam::{ChannelRequest, DataChannels};
use crate::sessions::Hub;

/// Opens data channels.
pub struct Channels {
    hub: Arc<Hub>,
}

impl Channels {
    /// For the sessions of this hub.
    #[must_use]
    pub const fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }
}

impl DataChannels for Channels {
    fn open(&self, request: ChannelRequest) -> Response {
        let ours = request.headers.get_all("sec-websocket-protocol").iter().any(|offered| {
            offered.to_str().is_ok_and(|offered| offered.split(',').any(|one| one.trim() == SUBPROTOCOL))
        });
        if !ours {
            let text = format!("this gateway serves the subprotocol {SUBPROTOCOL} only, so far");
            let error = ApiError::new(ErrorCode::ValidationException, text);
            return (axum::http::StatusCode::BAD_REQUEST, error.json_body()).into_response();
        }
        let hub = Arc::clone(&self.hub);
        let upgrade = request.upgrade.protocols([SUBPROTOCOL]).max_message_size(MAX_FRAME).max_frame_size(MAX_FRAME);
        upgrade.on_upgrade(move |socket| async move { towline::serve(hub, request.session, socket).await })
    }
}
