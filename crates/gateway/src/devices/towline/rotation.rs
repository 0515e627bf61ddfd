//! A device's key is replaced: asked for, proved, admitted.
//!
//! Data flow: API -> [`Link::new_key`] -> the agent -> [`Agents::admit_key`] -> store -> the agent
//! reconnects with the new key -> `admission` retires the older ones.
//!
//! # Invariants
//! - A key that nobody asked for is not let in, and one that does not sign this link's challenge
//!   neither.
//! - The caller hears the outcome, also when the link is lost meanwhile.

use std::sync::Arc;

use ring::signature::{ED25519, UnparsedPublicKey};
use towline_store::fingerprint;
use towline_wire::message::ToAgent;
use towline_wire::rotation::NewKey;

use super::agents::Agents;
use super::link::{Link, Rotated};
use crate::authority::is_ed25519;
use crate::limits::KEY_ROTATION_TIMEOUT;
use crate::plane::RotateError;

impl Link {
    /// Asks the agent for a new key, and waits until it is admitted; its fingerprint.
    pub(super) async fn new_key(&self) -> Rotated {
        let answered = self.ask_new_key().ok_or(RotateError::Busy)?;
        match tokio::time::timeout(KEY_ROTATION_TIMEOUT, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(RotateError::NotConnected),
            Err(_) => Err(RotateError::Timeout),
        }
    }
}

impl Agents {
    /// The agent shows a new key.
    pub(super) fn admit_key(self: &Arc<Self>, link: &Arc<Link>, key: NewKey) {
        let Some(asked) = link.take_rotation() else {
            tracing::warn!(
                device = %link.device,
                "the agent shows a new key that nobody asked for: ignored"
            );
            return;
        };
        if !is_proved(link, &key) {
            tracing::warn!(
                device = %link.device,
                "the agent shows a new key without proof of its private half: refused"
            );
            let _ = asked.send(Err(RotateError::Refused {
                why: "it did not prove the key that it showed".into(),
            }));
            return;
        }
        let (agents, link) = (Arc::clone(self), Arc::clone(link));
        tokio::spawn(async move {
            let keys = agents.store.device_keys();
            let added = keys.add(link.device.as_str(), &key.spki, agents.clock.now()).await;
            let outcome = added
                .map(|()| fingerprint(&key.spki))
                .map_err(|e| RotateError::Internal(e.to_string()));
            if let Ok(fingerprint) = &outcome {
                tracing::info!(
                    device = %link.device, fingerprint,
                    "new key of the device admitted"
                );
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

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};
    use towline_wire::message::FromAgent;

    use super::super::tests::{DEVICE, NOW, Scene, scene};
    use super::*;
    use towline_store::KeyStatus;

    /// A key that signs this challenge.
    fn new_key(challenge: [u8; 16]) -> NewKey {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        let prefix = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        let spki = [&prefix[..], pair.public_key().as_ref()].concat();
        NewKey {
            spki,
            proof: pair.sign(&NewKey::signed_bytes(&challenge, DEVICE)).as_ref().to_vec(),
        }
    }

    impl Scene {
        /// Asks, and lets the agent answer when it was asked.
        async fn rotate(&self, answer: impl FnOnce(&Self)) -> Result<String, RotateError> {
            let asking = self.link.new_key();
            let answering = async {
                while !self.asked() {
                    tokio::task::yield_now().await;
                }
                answer(self);
            };
            tokio::join!(asking, answering).0
        }

        fn asked(&self) -> bool {
            let mut out = Vec::new();
            self.link.take(&mut out, usize::MAX);
            !out.is_empty()
        }

        async fn keys(&self) -> Vec<(String, KeyStatus)> {
            let keys = self.store.device_keys().of(DEVICE).await.unwrap();
            keys.into_iter().map(|key| (key.fingerprint, key.status)).collect()
        }
    }

    #[tokio::test]
    async fn a_proved_key_is_let_in_beside_the_old_one_and_the_agent_is_told() {
        let scene = scene().await;
        let key = new_key([7; 16]);
        let shown = key.clone();
        let rotated = scene.rotate(|s| s.agents.report(&s.link, FromAgent::NewKey(shown))).await;
        assert_eq!(rotated, Ok(fingerprint(&key.spki)));
        assert!(scene.asked(), "KeyAdded waits for the link");
        let mut keys = scene.keys().await;
        keys.retain(|(_, status)| *status == KeyStatus::Active);
        assert_eq!(keys.len(), 2);
        assert_eq!(
            scene.store.device_keys().retire_older(DEVICE, b"old", NOW).await.unwrap(),
            0,
            "a newer one stays"
        );
        assert_eq!(
            scene.store.device_keys().retire_older(DEVICE, &key.spki, NOW).await.unwrap(),
            1
        );
        assert!(scene.store.devices().by_spki(b"old").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_key_that_signs_another_links_challenge_is_not_let_in() {
        let scene = scene().await;
        let rotated =
            scene.rotate(|s| s.agents.report(&s.link, FromAgent::NewKey(new_key([8; 16])))).await;
        assert!(matches!(rotated, Err(RotateError::Refused { .. })), "{rotated:?}");
        assert_eq!(scene.keys().await.len(), 1);
    }

    #[tokio::test]
    async fn a_key_that_nobody_asked_for_is_ignored() {
        let scene = scene().await;
        scene.agents.report(&scene.link, FromAgent::NewKey(new_key([7; 16])));
        assert!(!scene.asked());
        assert_eq!(scene.keys().await.len(), 1);
    }

    #[tokio::test]
    async fn the_devices_reason_and_a_lost_link_reach_the_caller() {
        let scene = scene().await;
        let no = FromAgent::NoNewKey { text: "read-only".into() };
        let rotated = scene.rotate(|s| s.agents.report(&s.link, no)).await;
        assert_eq!(rotated, Err(RotateError::Refused { why: "read-only".into() }));
        let rotated = scene.rotate(|s| s.link.close("cut")).await;
        assert_eq!(rotated, Err(RotateError::NotConnected));
    }

    #[tokio::test]
    async fn one_asks_at_a_time_and_who_gave_up_does_not_count() {
        let scene = scene().await;
        let first = scene.link.ask_new_key().unwrap();
        assert_eq!(scene.link.new_key().await, Err(RotateError::Busy));
        drop(first);
        assert!(scene.link.ask_new_key().is_some());
    }
}
