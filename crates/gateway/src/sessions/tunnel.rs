//! What is known of a session that is a tunnel: where it leads, and how much went through it.
//!
//! Data flow: the plan -> [`destination_of`] -> order and store (as the session's resume state, so
//! that a restarted gateway still knows) -> [`Meta`] -> at the end [`Totals`] into the log, the
//! session's details and the audit trail.
//!
//! # Invariants
//! - Counts are the session's positions, which belong to its two ends: they hold over restarts and
//!   lost links. For multiplexed tunnels they include the eight bytes in front of each frame.

use std::fmt;

use towline_ssm::documents::SessionPlan;
use towline_wire::message::{Destination, Framing, Launch, decode, encode};

use super::meta::Meta;
use crate::audit::Event;

/// Where a plan's tunnel leads, if it is one.
pub(super) fn destination_of(plan: &SessionPlan) -> Option<Destination> {
    match plan {
        SessionPlan::Port { host, port, .. } => {
            Some(Destination { host: host.clone(), port: *port, framing: Framing::Smux })
        }
        SessionPlan::Ssh { port } => {
            Some(Destination { host: None, port: *port, framing: Framing::Single })
        }
        _ => None,
    }
}

/// What is stored with a session that is a tunnel.
pub(super) fn stored(to: &Destination) -> Option<Vec<u8>> {
    encode(&Launch::Tunnel(to.clone())).ok()
}

/// From what was stored with a session; `None` when it was no tunnel.
pub(super) fn restored(state: Option<&[u8]>) -> Option<Destination> {
    match decode(state?) {
        Ok(Launch::Tunnel(to)) => Some(to),
        _ => None,
    }
}

/// The plan that leads there, for the properties of AWS's handshake.
pub(super) fn plan_of(to: &Destination) -> SessionPlan {
    match to.framing {
        Framing::Single => SessionPlan::Ssh { port: to.port },
        Framing::Smux => SessionPlan::Port { host: to.host.clone(), port: to.port, local_port: 0 },
    }
}

/// Where a tunnel leads and what it carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    /// `HOST:PORT`, as asked for.
    pub destination: String,
    /// Bytes to the device.
    pub sent: u64,
    /// Bytes from it.
    pub received: u64,
}

impl Totals {
    pub(super) fn new(to: &Destination, sent: u64, received: u64) -> Self {
        let host = to.host.as_deref().unwrap_or("localhost");
        Self { destination: format!("{host}:{}", to.port), sent, received }
    }

    /// For the audit trail.
    pub(super) fn event(&self, meta: &Meta, why: &str) -> Event {
        Event {
            source: "towline",
            name: "TunnelEnded".to_owned(),
            principal: meta.owner.clone(),
            share_of: meta.share_of.clone(),
            facts: vec![
                ("sessionId", meta.name.clone()),
                ("target", meta.device.clone()),
                ("destination", self.destination.clone()),
                ("bytesToDevice", self.sent.to_string()),
                ("bytesFromDevice", self.received.to_string()),
                ("reason", why.to_owned()),
            ],
            ..Event::default()
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "tunnel to {}: {} bytes to the device, {} bytes from it",
            self.destination, self.sent, self.received
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restarted_gateway_knows_where_a_tunnel_leads() {
        let plan = SessionPlan::Port { host: Some("db".into()), port: 5432, local_port: 0 };
        let to = destination_of(&plan).unwrap();
        let to = restored(Some(&stored(&to).unwrap())).unwrap();
        assert_eq!(plan_of(&to), plan);
        assert_eq!(
            Totals::new(&to, 3, 4).to_string(),
            "tunnel to db:5432: 3 bytes to the device, 4 bytes from it"
        );
        assert_eq!(restored(Some(&encode(&Launch::Shell).unwrap())), None);
        assert_eq!(restored(None), None);
        assert_eq!(destination_of(&SessionPlan::Shell { run_as: None }), None);
    }
}
