//! A device's key is replaced: asked for, proved, let in.
//!
//! Way: API -> [`Hub::rotate_key`] -> the agent -> [`Hub::new_key`] -> store -> the agent dials again with the new key ->
//! `agents` retires the older ones.
//!
//! # Invariants
//! - A key that nobody asked for is not let in, and one that does not sign this link's challenge neither.
//! - Whoever asked hears the outcome, also when the link is lost meanwhile.

use std::sync::Arc;
use std::time::Duration;

use ring::signature::{ED25519, UnparsedPublicKey};
use towline_ssm::ids::DeviceId;
use towline_wire::message::ToAgent;
use towline_wire::rotation::NewKey;

use super::Hub;
use crate::agents::Link;
use crate::port::client_key::is_ed25519;
use crate::seam::RotateError;
use crate::store::fingerprint;

/// How long a device may take to make a key: seconds of flash, and a slow link twice.
const PATIENCE: Duration = Duration::from_secs(20);

impl Hub {
    /// Asks the device for a new key and lets it in; its fingerprint.
    pub(super) async fn rotate_key(&self, device: DeviceId) -> Result<String, RotateError> {
        let link = self.link(device.as_str()).filter(|link| !link.is_closed()).ok_or(RotateError::NotConnected)?;
        let answered = link.ask_new_key().ok_or(RotateError::Busy)?;
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(RotateError::NotConnected),
            Err(_) => Err(RotateError::Timeout),
        }
    }

    /// The agent shows a new key.
    pub(super) fn new_key(self: &Arc<Self>, link: &Arc<Link>, key: NewKey) {
        let Some(asked) = link.take_rotation() else {
            tracing::warn!(device = %link.device, "the agent shows a new key that nobody waits for: ignored");
            return;
        };
        if !is_proved(link, &key) {
            tracing::warn!(device = %link.device, "the agent shows a new key and does not prove that it has it");
            let _ = asked.send(Err(RotateError::Refused { why: "it did not prove the key that it showed".into() }));
            return;
        }
        let (hub, link) = (Arc::clone(self), Arc::clone(link));
        tokio::spawn(async move {
            let added = hub.store.device_keys().add(link.device.as_str(), &key.spki, hub.clock.now()).await;
            let outcome = added.map(|()| fingerprint(&key.spki)).map_err(|e| RotateError::Internal(e.to_string()));
            if let Ok(fingerprint) = &outcome {
                tracing::info!(device = %link.device, fingerprint, "a new key of the device is let in");
                link.send(&ToAgent::KeyAdded);
            }
            let _ = asked.send(outcome); // nobody waits any more: the key counts nevertheless
        });
    }
}

fn is_proved(link: &Link, key: &NewKey) -> bool {
    let signed = NewKey::signed_bytes(&link.challenge, link.device.as_str());
    is_ed25519(&key.spki)
        && key.spki.get(key.spki.len() - 32..).is_some_and(|public| {
            UnparsedPublicKey::new(&ED25519, public).verify(&signed, &key.proof).is_ok()
        })
}
