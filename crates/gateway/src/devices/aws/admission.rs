//! Which control channel is a device's: it is put into the hub, waits for another gateway to be
//! declared dead, or is refused.
//!
//! Data flow: a channel that has opened -> the one that is there is asked whether it lives -> the
//! device is claimed for this gateway -> the hub.
//!
//! # Invariants
//! - Two live channels with one key: both are locked out, as for our own agent, and a copy that
//!   hangs up meanwhile does not keep that from being done whole.
//! - Nothing is waited for between a claim and the hub, and a device that another gateway has
//!   claimed by then is given up: so it is in the hub of one gateway alone.
//! - At most [`VENDOR_WAITING`](crate::limits::VENDOR_WAITING) channels wait for their device, each
//!   with pauses of its own; one more is closed after such a pause, and its agent opens the next.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use towline_host::entropy;
use towline_store::DeviceStatus;

use super::agents::VendorAgents;
use super::control::ControlChannel;
use crate::devices::arrival::{self, Claim};
use crate::limits::{CLONE_PROBE, VENDOR_CLAIM, VENDOR_CLAIM_AGAIN, VENDOR_PROBES};
use crate::sessions::Device;

impl VendorAgents {
    /// Puts a channel into the hub. False: another live one has the same key, or the device is not
    /// to come here.
    pub(super) async fn admit(&self, channel: &Arc<ControlChannel>, source: IpAddr) -> bool {
        for _ in 0..VENDOR_PROBES {
            let held = self.control_of(channel.id());
            if let Some(held) = &held
                && held.answers(CLONE_PROBE).await
            {
                arrival::leave(&self.parts.hub, &channel.device, channel.link());
                quarantine(held, source).await;
                return false;
            }
            match self.claim(channel).await {
                Claim::Here => {}
                Claim::Copied => {
                    quarantine(channel, source).await;
                    return false;
                }
                Claim::Stale | Claim::Unknown | Claim::Draining => return false, // it comes again
            }
            let now = self.control_of(channel.id());
            if now.is_none_or(|now| held.is_some_and(|held| Arc::ptr_eq(&held, &now))) {
                self.parts.hub.device_up(Arc::clone(channel) as Arc<dyn Device>);
                return self.may_stay(channel).await;
            }
        }
        arrival::leave(&self.parts.hub, &channel.device, channel.link());
        false // others came each time: it comes again
    }

    /// Whether the device may be connected by now, and here: the channel may have waited long since
    /// that was asked. From `device_up` on, who takes its right away finds it in the hub.
    async fn may_stay(&self, channel: &ControlChannel) -> bool {
        let row = self.parts.store.devices().get(channel.id()).await;
        let status = row.map(|row| row.map(|row| row.status));
        let why = if !matches!(status, Ok(Some(DeviceStatus::Active)) | Err(_)) {
            "the device is not active any more"
        } else if self.is_elsewhere(channel.id()).await {
            "the device is at another gateway"
        } else {
            return true;
        };
        self.parts.hub.drop_device(channel.id(), why).await;
        arrival::leave(&self.parts.hub, &channel.device, channel.link());
        false
    }

    /// Whether another gateway has claimed a device after this one.
    async fn is_elsewhere(&self, device: &str) -> bool {
        let Some(own) = self.parts.store.node() else { return false };
        let holder = self.parts.store.presences().holder(device).await;
        matches!(holder, Ok(Some(node)) if node != own)
    }

    /// Makes the device this gateway's. Each channel is a start of its own, so the device of a
    /// gateway that was lost is elsewhere until that one was declared dead: the channel waits here
    /// for it. One that is closed would be opened again without a pause.
    pub(super) async fn claim(&self, channel: &ControlChannel) -> Claim {
        let (hub, peers) = (&self.parts.hub, self.parts.peers.as_ref());
        let (until, mut is_told, mut place) = (Instant::now() + VENDOR_CLAIM, false, None);
        loop {
            let claimed = arrival::claim(hub, peers, &channel.device, channel.link()).await;
            let claimed = claimed.unwrap_or_else(|error| {
                if !std::mem::replace(&mut is_told, true) {
                    let device = channel.id();
                    tracing::error!(device, %error, "a device cannot be claimed yet");
                }
                Claim::Unknown
            });
            if matches!(claimed, Claim::Here | Claim::Copied) {
                return claimed;
            }
            place = place.or_else(|| self.waiting.try_acquire().ok());
            tokio::time::sleep(pause()).await;
            if place.is_none() {
                tracing::warn!(device = channel.id(), "too many channels wait: this one is closed");
                return claimed;
            }
            if claimed != Claim::Unknown || Instant::now() >= until {
                return claimed;
            }
        }
    }

    /// See [`quarantine`].
    async fn lock_out(&self, held: &ControlChannel, source: IpAddr) {
        let why = "the same key was seen on two live devices: it has been copied";
        let id = held.id();
        tracing::error!(device = id, %source, "{why}; the device is quarantined");
        let devices = self.parts.store.devices();
        if let Err(error) = devices.set_status(id, DeviceStatus::Quarantined, why).await {
            tracing::error!(device = id, %error, "the quarantine could not be stored");
        }
        self.event("CloneDetected", id, source, vec![("reason", why.to_owned())]).await;
        self.parts.hub.drop_device(id, why).await;
    }
}

/// Two live processes have the same key: one of them is a copy, and nobody can tell which. It is
/// done to its end also when the channel that came is lost meanwhile.
async fn quarantine(channel: &Arc<ControlChannel>, source: IpAddr) {
    let channel = Arc::clone(channel);
    let whole = tokio::spawn(async move { channel.agents.lock_out(&channel, source).await });
    if let Err(error) = whole.await {
        tracing::error!(%error, "a quarantine was not carried through");
    }
}

/// From half of [`VENDOR_CLAIM_AGAIN`] to one and a half: what was lost together does not look
/// together.
fn pause() -> Duration {
    let part = entropy::random::<1>().map_or(128, |[part]| u32::from(part));
    VENDOR_CLAIM_AGAIN / 2 + VENDOR_CLAIM_AGAIN * part / 255
}
