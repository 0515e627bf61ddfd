//! The dialect of AWS: the data channel that session-manager-plugin and boto3-made clients speak.
//!
//! Data flow: websocket -> opening text frame (token, client id) -> the session's
//! [`endpoint::AwsEndpoint`] -> its journal ([`registry`]) -> binary messages both ways. The
//! protocol itself is `towline_ssm::channel`; this file brings the socket, the clock and the
//! session.
//!
//! # Invariants
//! - A refusal is sent inside the channel, as `channel_closed` with a text: these clients hang
//!   for ever on a refused upgrade.
//! - An endpoint is kept for its session while its websockets come and go, and through a restart;
//!   it is dropped with the session.
//! - Nothing is sent to either side before it is written down.
//! - Reading never waits for writing.
//! - A disk that is slow holds up the clients of this dialect, whose journals lie on it, and nobody
//!   else.

mod carrier;
mod endpoint;
mod journal;
mod port;
mod record;
mod registry;

pub(super) use carrier::AwsChannels;
