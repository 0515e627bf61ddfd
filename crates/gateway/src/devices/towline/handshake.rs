//! The first words of a link: which version, who calls, and what it is told.
//!
//! # Invariants
//! - The whole handshake has [`LINK_HANDSHAKE_TIMEOUT`] and two frames' worth of memory.
//! - A device is found by its key; the name it gives must be that of the key.

use std::net::SocketAddr;

use towline_ssm::ids::DeviceId;
use towline_store::{Device, DeviceReport, DeviceStatus, SignOfLife};
use towline_wire::VERSIONS;
use towline_wire::frame::Frame;
use towline_wire::message::{
    Enroll, FromAgent, Hello, Platform, RefusalCode, ToAgent, Version, Welcome, decode,
};

use super::agents::Agents;
use super::io::{Io, refuse};
use super::link::Link;
use super::texts::reported;
use crate::devices::enrollment::{EnrollmentError, EnrollmentRequest};
use crate::limits::{
    LINK_HANDSHAKE_TIMEOUT, LONGEST_PING, LONGEST_PING_OF_NODES, RETRY_PENDING, RETRY_REFUSED,
    RETRY_THROTTLED,
};

/// Who dials.
pub(super) enum Caller {
    /// A key with an activation.
    Stranger(Box<Enroll>),
    /// A key with a name, and the wire version that both speak.
    Device(Box<Hello>, u16),
}

/// Hears the version and the first message. The error is for the caller's log and the agent.
pub(super) async fn listen(io: &mut Io) -> Result<Caller, String> {
    let heard = tokio::time::timeout(LINK_HANDSHAKE_TIMEOUT, async {
        let offered = io.next_frame(|frame| match frame {
            Frame::Version { min, max } => Ok(Version { min, max }),
            other => Err(format!("the first frame must be a version, it is {other:?}")),
        });
        let offered = offered.await?;
        let Some(version) = VERSIONS.agree(offered) else {
            return Err(format!(
                "this gateway speaks wire versions {} to {}, the agent {} to {}",
                VERSIONS.min, VERSIONS.max, offered.min, offered.max
            ));
        };
        let message = io.next_frame(|frame| match frame {
            Frame::Control(body) => decode::<FromAgent>(body).map_err(|error| error.to_string()),
            other => {
                Err(format!("the second frame must be a hello or an enrollment, it is {other:?}"))
            }
        });
        match message.await? {
            FromAgent::Hello(hello) => Ok(Caller::Device(Box::new(hello), version)),
            FromAgent::Enroll(enroll) => Ok(Caller::Stranger(Box::new(enroll))),
            _ => Err("the first message must be a hello or an enrollment".to_owned()),
        }
    });
    heard.await.map_err(|_| "the handshake took too long".to_owned())?
}

/// One handshake, and what is known about its caller.
pub(super) struct Handshake<'a> {
    pub(super) agents: &'a Agents,
    pub(super) spki: &'a [u8],
    pub(super) peer: SocketAddr,
}

impl Handshake<'_> {
    /// The answer to a stranger.
    pub(super) async fn enroll(&self, enroll: Enroll) -> ToAgent {
        let request = EnrollmentRequest {
            activation_id: enroll.activation_id,
            code: enroll.activation_code,
            name: enroll.name,
            tags: enroll.tags,
            report: report(&enroll.platform),
            ..EnrollmentRequest::default()
        };
        let now = self.agents.clock.now();
        match self.agents.enrollment.enroll(self.spki, request, self.peer.ip(), now).await {
            Ok(done) => ToAgent::Enrolled {
                device: done.device_id.to_string(),
                authority: self.agents.grants.authority.public(),
                pending: done.pending,
            },
            Err(error) => match &error {
                EnrollmentError::Throttled => {
                    refuse(RefusalCode::RateLimited, &error.to_string(), RETRY_THROTTLED)
                }
                EnrollmentError::KeyRevoked => {
                    refuse(RefusalCode::Revoked, &error.to_string(), RETRY_REFUSED)
                }
                EnrollmentError::Internal(_) => {
                    tracing::error!(peer = %self.peer, %error, "an enrollment failed");
                    refuse(
                        RefusalCode::RateLimited,
                        "the gateway cannot enroll now: try again later",
                        RETRY_THROTTLED,
                    )
                }
                _ => refuse(RefusalCode::Activation, &error.to_string(), RETRY_REFUSED),
            },
        }
    }

    /// The device whose key this is, if it may connect.
    pub(super) async fn device(&self, hello: &Hello) -> Result<DeviceId, ToAgent> {
        let store = &self.agents.store;
        let unknown = || {
            let text = "the gateway does not know this device's key: enroll it with an activation";
            refuse(RefusalCode::UnknownDevice, text, RETRY_REFUSED)
        };
        let busy = |error| {
            tracing::error!(peer = %self.peer, %error, "a device could not be looked up");
            refuse(
                RefusalCode::RateLimited,
                "the gateway's store does not answer: try again later",
                RETRY_THROTTLED,
            )
        };
        let row = store.devices().by_spki(self.spki).await.map_err(busy)?.ok_or_else(unknown)?;
        if row.id != hello.device {
            return Err(unknown());
        }
        if let Some(refusal) = refusal_of(&row) {
            return Err(refusal);
        }
        let arrival = Some((report(&hello.platform), self.peer.ip().to_string()));
        let (at, boot) = (self.agents.clock.now(), Some(hello.epoch.boot));
        let sign = SignOfLife { id: row.id.clone(), at, arrival, boot };
        self.agents.signs.write(sign).await;
        DeviceId::try_from(row.id).map_err(|_| unknown())
    }

    /// The welcome, with the authority's time for this very link.
    pub(super) fn welcome(&self, link: &Link) -> ToAgent {
        ToAgent::Welcome(Welcome {
            time: link.signed_time(&link.challenge),
            longest_ping: match self.agents.store.node() {
                Some(_) => LONGEST_PING_OF_NODES,
                None => LONGEST_PING,
            },
            grace: u32::try_from(self.agents.grace.as_secs()).unwrap_or(u32::MAX),
        })
    }
}

/// What a device that may not connect is told.
fn refusal_of(device: &Device) -> Option<ToAgent> {
    let (code, text, retry_after) = match device.status {
        DeviceStatus::Active => return None,
        DeviceStatus::Pending => {
            (RefusalCode::Pending, "the device waits for a person's approval", RETRY_PENDING)
        }
        DeviceStatus::Quarantined => {
            (RefusalCode::Quarantined, device.status_reason.as_str(), RETRY_REFUSED)
        }
        DeviceStatus::Revoked => (
            RefusalCode::Revoked,
            "the device was revoked: make a new key to enroll again",
            RETRY_REFUSED,
        ),
    };
    Some(refuse(code, text, retry_after))
}

fn report(platform: &Platform) -> DeviceReport {
    DeviceReport {
        agent_version: reported(&platform.agent_version),
        platform_name: reported(&platform.name),
        platform_version: reported(&platform.version),
        hostname: reported(&platform.hostname),
        target: reported(&platform.target),
        platform_type: "Linux".into(), // the only one there is an agent of ours for
    }
}
