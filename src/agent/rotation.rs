//! The device's key is replaced while its sessions go on.
//!
//! Way: the gateway asks -> a new key is made and stored -> it is proved on this link -> the
//! gateway has added it -> we dial again with it. What a crash or a lost link in between leaves is
//! [`crate::state::keyring`]'s to sort out.
//!
//! # Invariants
//! - The only write while the agent runs, and no more often than [`limits::ROTATION_PAUSE`]: flash
//!   wears.
//! - Whoever asked hears why no key was made.

use super::agent::Agent;
use crate::limits;
use crate::link::driver::LinkError;
use crate::logger;
use std::time::Instant;
use towline_wire::message::FromAgent;
use towline_wire::rotation::NewKey;

impl Agent {
    /// Makes a new key and offers it to the gateway; or says why not.
    pub(super) fn rotate_key(&mut self, now: Instant) {
        let Some(challenge) = self.connection.challenge() else { return };
        let signed = NewKey::signed_bytes(challenge, &self.enrollment.device);
        match self.new_key(&signed, now) {
            Ok(new) => self.table.say(&FromAgent::NewKey(new)),
            Err(text) => {
                logger::warning!("no new key was made: {text}");
                self.table.say(&FromAgent::NoNewKey { text });
            }
        }
    }

    fn new_key(&mut self, signed: &[u8], now: Instant) -> Result<NewKey, String> {
        if self.rotated.is_some_and(|at| now < at + limits::ROTATION_PAUSE) {
            return Err(format!(
                "a key was made within the last {} s",
                limits::ROTATION_PAUSE.as_secs()
            ));
        }
        let key = self.keys.make_next().map_err(|error| error.to_string())?;
        self.rotated = Some(now);
        logger::info!("made a new key, {}", key.fingerprint());
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
        logger::debug!("the gateway has added a key that we did not offer: ignored");
        Ok(())
    }

    /// The gateway does not know our key. True when there is another to try at once.
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
