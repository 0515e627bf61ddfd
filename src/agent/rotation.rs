//! Key rotation: the device's key is replaced while its sessions continue.
//!
//! Data flow: the gateway's request -> a new key, stored -> proved on this link -> the gateway
//! adds it -> the agent dials again with it. [`crate::state::keyring`] resolves what a crash or
//! a lost link leaves in between.
//!
//! # Invariants
//! - At most one key in [`limits::ROTATION_PAUSE`]: each one is a write to flash.
//! - The gateway gets the reason when no key was made.

use super::agent::Agent;
use crate::limits;
use crate::link::driver::LinkError;
use crate::logger;
use std::time::Instant;
use towline_wire::message::FromAgent;
use towline_wire::rotation::NewKey;

impl Agent {
    /// Makes a new key and offers it to the gateway, or reports why not.
    pub(super) fn rotate_key(&mut self, now: Instant) {
        let Some(challenge) = self.connection.challenge() else { return };
        let signed = NewKey::signed_bytes(challenge, &self.enrollment.device);
        match self.new_key(&signed, now) {
            Ok(new) => self.table.say(&FromAgent::NewKey(new)),
            Err(text) => {
                logger::warning!("cannot rotate the key: {text}");
                self.table.say(&FromAgent::NoNewKey { text });
            }
        }
    }

    fn new_key(&mut self, signed: &[u8], now: Instant) -> Result<NewKey, String> {
        if self.rotated.is_some_and(|at| now < at + limits::ROTATION_PAUSE) {
            return Err(format!(
                "the last rotation was less than {} s ago",
                limits::ROTATION_PAUSE.as_secs()
            ));
        }
        let key = self.keys.make_next().map_err(|error| error.to_string())?;
        self.rotated = Some(now);
        logger::info!("made a new key with fingerprint {}", key.fingerprint());
        let proof = key.sign(signed).map_err(|error| error.to_string())?;
        let new = NewKey { spki: key.spki(), proof };
        self.show_key();
        Ok(new)
    }

    /// The gateway knows the new key: leave this link for one that shows it.
    pub(super) fn key_added(&self) -> Result<(), LinkError> {
        if self.keys.has_next() {
            return Err(LinkError::NewKey);
        }
        logger::debug!("ignored a key that the gateway added: this agent did not offer it");
        Ok(())
    }

    /// The gateway does not know the key. True when there is another one to use at once.
    pub(super) fn other_key(&mut self) -> bool {
        let at_once = self.keys.refused();
        if self.keys.has_next() {
            self.show_key();
        }
        at_once
    }

    /// The next dial shows the key in use.
    fn show_key(&mut self) {
        if let Err(error) = self.connection.show_key(self.keys.in_use()) {
            logger::error!("the TLS library does not accept the device's key: {error}");
        }
    }
}
