//! The gateway's next key: its pin is taken before the key changes, and becomes the only one after.
//!
//! Data flow: the gateway's message -> the authority's signature -> the state directory -> the TLS
//! verifier takes both keys -> a gateway with the next one accepts the device -> the old pin goes.
//!
//! # Invariants
//! - Only the authority changes what the device trusts; the gateway's own key cannot.
//! - A pin counts when it is on the disk: a restart forgets none that the gateway was told of.

use super::agent::Agent;
use crate::logger;
use crate::state::enrollment::{Enrollment, Trust};
use crate::state::next_pin::NextPin;
use crate::state::{Dir, StateError};
use towline_wire::message::FromAgent;
use towline_wire::pin::SignedPin;

impl Agent {
    /// Takes the pin of the gateway's next key.
    pub(super) fn take_pin(&mut self, said: &SignedPin) {
        if !self.gate.is_signed(said) {
            logger::warning!("refused the pin of a next key: the authority did not sign it");
            return;
        }
        let (dir, pinned) = (Dir::at(&self.config.state_dir), self.pins.is_pinned());
        let known = NextPin::load(&dir);
        if pinned && said.issued < known.issued {
            logger::warning!("refused the pin of a next key: a newer one was given before");
            return;
        }
        if pinned && said.issued > known.issued {
            let next = NextPin { issued: said.issued, pin: said.pin };
            if let Err(error) = next.store(&dir) {
                logger::warning!("cannot keep the pin of the gateway's next key: {error}");
                return;
            }
            self.pins.expect(said.pin);
            logger::info!("the gateway's key will change: its next key is taken, too");
        }
        self.table.say(&FromAgent::PinKept { issued: said.issued, pinned });
    }

    /// The gateway has accepted the device on this link: if it showed the next key, the old one is
    /// over.
    pub(super) fn settle_pin(&mut self) {
        if self.config.trust.is_some() || !self.pins.has_met_next() {
            return; // a pin in the settings is the administrator's to change
        }
        match self.keep_met_pin() {
            Ok(()) => logger::info!("the gateway has its next key; the old one is not taken again"),
            Err(error) => logger::warning!("cannot keep the gateway's new pin: {error}"),
        }
    }

    fn keep_met_pin(&mut self) -> Result<(), StateError> {
        let dir = Dir::at(&self.config.state_dir);
        let (mut enrollment, next) = (Enrollment::load(&dir)?, NextPin::load(&dir));
        let Some(pin) = next.pin else { return Ok(()) };
        enrollment.trust = Trust::Pin(pin);
        enrollment.store(&dir)?;
        NextPin { pin: None, ..next }.store(&dir)?;
        self.enrollment.trust = enrollment.trust;
        self.pins.replace(pin);
        Ok(())
    }
}
