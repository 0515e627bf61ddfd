//! Admission: who is calling, whether it may connect, and the life of its link.
//!
//! Data flow: [`AgentsHandle`] -> `handshake` -> [`Link`] in the hub -> `drive` -> link down.
//!
//! # Invariants
//! - Two live processes with one key are both locked out, and the audit trail says so.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use towline_ssm::ids::DeviceId;
use towline_store::{Connection, DeviceStatus, SignOfLife, fingerprint};
use towline_wire::VERSIONS;
use towline_wire::epoch::Verdict;
use towline_wire::frame::Frame;
use towline_wire::message::{Hello, RefusalCode, ToAgent};

use super::agents::{AgentParts, Agents};
use super::command_log;
use super::device::link_of;
use super::drive;
use super::handshake::{self, Caller, Handshake};
use super::io::{Io, refuse};
use super::link::Link;
use crate::audit::{Event, Who};
use crate::devices::arrival::{self, Claim};
use crate::limits::{CLONE_PROBE, RETRY_ELSEWHERE, RETRY_THROTTLED, RETRY_UNKNOWN};
use crate::plane::{AgentAcceptor, AgentConnection};
use crate::sessions::Device;

/// A device that was let in, and what its link is carried with.
struct Admitted {
    link: Arc<Link>,
    io: Io,
    peer: std::net::SocketAddr,
}

/// The handle of the plane's interface: it knows its own `Arc`.
pub struct AgentsHandle(Arc<Agents>);

impl AgentsHandle {
    /// Over these parts; records of the command log are stored from now on.
    #[must_use]
    pub fn start(parts: AgentParts) -> Self {
        let agents = Agents::new(parts);
        tokio::spawn(command_log::keep(Arc::clone(&agents)));
        Self(agents)
    }
}

impl AgentAcceptor for AgentsHandle {
    fn serve(&self, connection: AgentConnection) -> BoxFuture<'static, ()> {
        let agents = Arc::clone(&self.0);
        // A box of its own: the room of the handshake is given back before the link, which lasts
        // for days, begins.
        let handshake = Box::pin(Arc::clone(&agents).shake_hands(connection));
        Box::pin(async move {
            let admitted = handshake.await;
            if let Some(Admitted { link, io, peer }) = admitted {
                agents.carry(&link, io, peer).await;
            }
        })
    }

    fn give_pin(&self) {
        for link in self.0.hub.devices().into_iter().filter_map(link_of) {
            self.0.give_pin(&link);
        }
    }
}

impl Agents {
    /// Completes the handshake; a caller that may not connect gets the reason, and the connection
    /// is closed. What few callers need is boxed: many shake hands at once.
    async fn shake_hands(self: Arc<Self>, connection: AgentConnection) -> Option<Admitted> {
        let AgentConnection { stream, spki, peer, visitor } = connection;
        let mut io = Io::new(stream);
        let caller = match handshake::listen(&mut io).await {
            Ok(caller) => caller,
            Err(why) => {
                tracing::debug!(%peer, %why, "an agent did not complete its handshake");
                Box::pin(io.refuse(&why)).await;
                return None;
            }
        };
        let handshake = Handshake { agents: &self, spki: &spki, peer };
        match caller {
            Caller::Stranger(request) => {
                let answer = Box::pin(handshake.enroll(*request)).await;
                Box::pin(io.say(&answer)).await;
                None
            }
            Caller::Device(hello, version) => match self.admit(&handshake, &hello, version).await {
                Ok(link) => {
                    visitor.0.prove(None); // a key has one link
                    let welcome = handshake.welcome(&link);
                    link.send_frame(&Frame::Version { min: VERSIONS.min, max: VERSIONS.max });
                    link.send(&welcome);
                    self.give_pin(&link);
                    Some(Admitted { link, io, peer })
                }
                Err(refusal) => {
                    let peers = self.peers.as_ref().filter(|_| self.hub.is_draining());
                    let elsewhere = peers.map(|peers| peers.elsewhere()).unwrap_or_default();
                    Box::pin(io.say_with(&elsewhere, &refusal)).await;
                    None
                }
            },
        }
    }

    /// Carries a link until it ends. What is awaited only at its ends is boxed: it costs nothing in
    /// between.
    async fn carry(self: &Arc<Self>, link: &Arc<Link>, io: Io, peer: std::net::SocketAddr) {
        Box::pin(self.event("DeviceConnected", link, peer, None)).await;
        let why = drive::drive(self, link, io).await;
        link.close(&why);
        self.hub.device_down(&**link);
        arrival::leave(&self.hub, &link.device, connection_of(link));
        Box::pin(self.ended(link, peer, why)).await;
    }

    /// Writes down that a link is over.
    async fn ended(&self, link: &Link, peer: std::net::SocketAddr, why: String) {
        let (id, at) = (link.device.to_string(), self.clock.now());
        let sign = SignOfLife { id, at, arrival: None, boot: None };
        self.signs.write(sign).await;
        let why = link.why_closed().unwrap_or(why);
        tracing::info!(device = %link.device, %peer, why, "link ended");
        self.event("DeviceDisconnected", link, peer, Some(why)).await;
    }

    async fn event(
        &self,
        name: &str,
        link: &Link,
        peer: std::net::SocketAddr,
        why: Option<String>,
    ) {
        let mut facts = vec![("deviceId", link.device.to_string())];
        facts.extend(why.map(|why| ("reason", why)));
        let event = Event {
            source: "towline",
            name: name.into(),
            source_ip: peer.ip().to_string(),
            facts,
            ..Event::default()
        };
        let who = Who::Device(link.device.to_string());
        self.audit.write_within(&who, event).await;
    }

    /// Decides about an enrolled device that says hello.
    async fn admit(
        &self,
        handshake: &Handshake<'_>,
        hello: &Hello,
        version: u16,
    ) -> Result<Arc<Link>, ToAgent> {
        let device = handshake.device(hello).await?;
        let link = Arc::new(Link::new(
            device,
            hello.epoch,
            hello.challenge,
            version,
            Arc::clone(&self.grants),
        ));
        self.claim(handshake, &link).await?;
        let held = self.hub.device(link.device.as_str()).and_then(link_of);
        if let Some(held) = held.filter(|held| !held.is_closed()) {
            match held.epoch.judge(&link.epoch) {
                Verdict::Supersedes => {}
                Verdict::Stale => {
                    arrival::leave(&self.hub, &link.device, connection_of(&link));
                    return Err(stale());
                }
                Verdict::OtherBoot if held.answers(CLONE_PROBE).await => {
                    arrival::leave(&self.hub, &link.device, connection_of(&link));
                    return Err(Box::pin(self.quarantine(handshake, &held.device)).await);
                }
                Verdict::OtherBoot => {}
            }
        }
        self.hub.device_up(Arc::clone(&link) as Arc<dyn Device>);
        self.retire_older_keys(handshake, &link).await;
        tracing::info!(
            device = %link.device, peer = %handshake.peer, version = hello.platform.agent_version,
            "link up"
        );
        Ok(link)
    }

    /// Makes the device this gateway's, where several work together.
    async fn claim(&self, handshake: &Handshake<'_>, link: &Link) -> Result<(), ToAgent> {
        let (device, peers) = (&link.device, self.peers.as_ref());
        match arrival::claim(&self.hub, peers, device, connection_of(link)).await {
            Ok(Claim::Here) => Ok(()),
            Ok(Claim::Stale) => Err(stale()),
            Ok(Claim::Copied) => Err(Box::pin(self.quarantine(handshake, device)).await),
            Ok(Claim::Unknown) => {
                let text = "another gateway may hold a link of this device, and does not answer";
                Err(refuse(RefusalCode::RateLimited, text, RETRY_UNKNOWN))
            }
            Ok(Claim::Draining) => {
                let text = "this gateway is about to end: go to another one";
                Err(refuse(RefusalCode::RateLimited, text, RETRY_ELSEWHERE))
            }
            Err(error) => {
                tracing::error!(%device, %error, "a device cannot be claimed");
                let text = "the gateway's store does not answer: try again later";
                Err(refuse(RefusalCode::RateLimited, text, RETRY_THROTTLED))
            }
        }
    }

    /// The device has come with this key: the ones before it are let in no more.
    async fn retire_older_keys(&self, handshake: &Handshake<'_>, link: &Link) {
        let (keys, now) = (self.store.device_keys(), self.clock.now());
        match keys.retire_older(link.device.as_str(), handshake.spki, now).await {
            Ok(0) => {}
            Ok(retired) => {
                tracing::info!(
                    device = %link.device, retired,
                    "the device has come with its new key"
                );
                let facts = vec![
                    ("deviceId", link.device.to_string()),
                    ("keyFingerprint", fingerprint(handshake.spki)),
                    ("keysRetired", retired.to_string()),
                ];
                let (name, source_ip) =
                    ("DeviceKeyReplaced".into(), handshake.peer.ip().to_string());
                let event = Event { source: "towline", name, source_ip, facts, ..Event::default() };
                Box::pin(self.audit.write(event)).await;
            }
            // The next link tries again.
            Err(error) => {
                tracing::warn!(device = %link.device, %error, "older keys could not be retired")
            }
        }
    }

    /// Two live processes have the same key: one of them is a copy, and nobody can tell which.
    async fn quarantine(&self, handshake: &Handshake<'_>, device: &DeviceId) -> ToAgent {
        let why = "the same key was seen on two live devices: it has been copied";
        tracing::error!(%device, peer = %handshake.peer, "{why}; the device is quarantined");
        if let Err(error) =
            self.store.devices().set_status(device.as_str(), DeviceStatus::Quarantined, why).await
        {
            tracing::error!(%device, %error, "the quarantine could not be stored");
        }
        let facts = vec![
            ("deviceId", device.to_string()),
            ("keyFingerprint", fingerprint(handshake.spki)),
            ("reason", why.to_owned()),
        ];
        let event = Event {
            source: "towline",
            name: "CloneDetected".into(),
            source_ip: handshake.peer.ip().to_string(),
            facts,
            ..Event::default()
        };
        self.audit.write(event).await;
        self.hub.drop_device(device.as_str(), why).await;
        refuse(RefusalCode::Quarantined, why, 3600)
    }
}

/// A link as presence has it.
fn connection_of(link: &Link) -> Connection {
    Connection { boot: link.epoch.boot, number: link.epoch.connection.into() }
}

fn stale() -> ToAgent {
    refuse(RefusalCode::Stale, "a newer connection of this agent is live", 0)
}
