//! Data channels: the websockets at a session's `StreamUrl`, in the dialect that the client speaks.
//!
//! Way: upgrade request -> dialect by subprotocol -> `towline` (our own clients) or `aws`
//! (session-manager-plugin and its kin, which offer none). The session's bytes are not looked into.
//!
//! # Invariants
//! - The upgrade is accepted whatever the session: clients of AWS hang without a word on a refused
//!   upgrade, so the refusal is said inside of the channel.
//! - The token is in the first message, never in the URL.

mod aws;
mod towline;

use std::path::Path;
use std::sync::Arc;

use axum::response::Response;
use towline_ssm::message::{HEADER, MAX_PAYLOAD};
use towline_wire::client::SUBPROTOCOL;
use towline_wire::frame::MAX_FRAME;

use crate::plane::{ChannelRequest, DataChannels};
use crate::sessions::Hub;

/// Bytes of a client that are read at once. The library zeroes and keeps so many for each client,
/// 128 KiB unless told.
const READ_AHEAD: usize = 16 * 1024;

/// Opens data channels.
pub struct Channels {
    hub: Arc<Hub>,
    aws: Arc<aws::AwsChannels>,
}

impl Channels {
    /// For the sessions of this hub, in the gateway's directory.
    #[must_use]
    pub fn new(hub: Arc<Hub>, directory: &Path) -> Self {
        Self { aws: Arc::new(aws::AwsChannels::new(Arc::clone(&hub), directory)), hub }
    }
}

impl DataChannels for Channels {
    fn open(&self, request: ChannelRequest) -> Response {
        let ours = request.headers.get_all("sec-websocket-protocol").iter().any(|offered| {
            offered
                .to_str()
                .is_ok_and(|offered| offered.split(',').any(|one| one.trim() == SUBPROTOCOL))
        });
        let session = request.session;
        if ours {
            let hub = Arc::clone(&self.hub);
            let upgrade = request
                .upgrade
                .protocols([SUBPROTOCOL])
                .max_message_size(MAX_FRAME)
                .max_frame_size(MAX_FRAME)
                .read_buffer_size(READ_AHEAD);
            return upgrade.on_upgrade(move |socket| async move {
                towline::serve(hub, session, socket).await
            });
        }
        let aws = Arc::clone(&self.aws);
        let largest = HEADER + MAX_PAYLOAD;
        let upgrade = request
            .upgrade
            .max_message_size(largest)
            .max_frame_size(largest)
            .read_buffer_size(READ_AHEAD);
        upgrade.on_upgrade(move |socket| async move { aws.serve(session, socket).await })
    }
}
