//! The choice of a dialect: each websocket goes to the one that its subprotocol names.

use std::path::Path;
use std::sync::Arc;

use axum::response::Response;
use towline_ssm::message::{HEADER, MAX_PAYLOAD};
use towline_wire::client::{SUBPROTOCOL, SUBPROTOCOL_2};
use towline_wire::frame::MAX_FRAME;
use tracing::Instrument as _;

use super::{aws, towline};
use crate::limits::CHANNEL_READ_AHEAD;
use crate::plane::{ChannelRequest, DataChannels};
use crate::sessions::Hub;

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
        let offered = |name: &str| {
            request.headers.get_all("sec-websocket-protocol").iter().any(|offered| {
                offered
                    .to_str()
                    .is_ok_and(|offered| offered.split(',').any(|one| one.trim() == name))
            })
        };
        let ours = [SUBPROTOCOL_2, SUBPROTOCOL].into_iter().find(|name| offered(name));
        let (session, visitor) = (request.session, request.visitor);
        if let Some(spoken) = ours {
            let hub = Arc::clone(&self.hub);
            let upgrade = request
                .upgrade
                .protocols([spoken])
                .max_message_size(MAX_FRAME)
                .max_frame_size(MAX_FRAME)
                .read_buffer_size(CHANNEL_READ_AHEAD);
            let span = tracing::info_span!("session", id = session);
            return upgrade.on_upgrade(move |socket| {
                let hears = spoken == SUBPROTOCOL_2;
                towline::serve(hub, session, socket, visitor, hears).instrument(span)
            });
        }
        let aws = Arc::clone(&self.aws);
        let largest = HEADER + MAX_PAYLOAD;
        let upgrade = request
            .upgrade
            .max_message_size(largest)
            .max_frame_size(largest)
            .read_buffer_size(CHANNEL_READ_AHEAD);
        let span = tracing::info_span!("session", id = session);
        upgrade.on_upgrade(move |socket| aws.serve(session, socket, visitor).instrument(span))
    }
}
