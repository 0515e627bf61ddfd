//! The pin of the server's next key: signed by the authority, kept in the store, given to devices.
//!
//! Data flow: root on the server -> [`ServerPins::say`] (signature, store) -> each link of a device
//! that knows the message -> its confirmation in the store -> [`PinReport`].
//!
//! Where several gateways work on one store, each reads what the others have said ([`follow`]).
//!
//! # Invariants
//! - A statement is stored before a device hears of it, so that each later link gives it again.
//! - Times of statements only grow: a device refuses an older one.

use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use towline_host::clock::UnixMillis;
use towline_store::limits::NODE_RENEW;
use towline_store::{PinSpread, Store, StoreError};
use towline_wire::pin::SignedPin;

use crate::audit::Event;
use crate::authority::Authority;
use crate::lock::lock;
use crate::plane::AgentAcceptor;

/// Key of the setting with the last statement.
const SETTING: &str = "server.next-pin";
/// Devices that a report names.
const NAMED: i64 = 20;

/// The last statement about the server's next key.
#[derive(Debug, Default)]
pub struct ServerPins(Mutex<Option<SignedPin>>);

/// What root on the server is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinReport {
    /// The pin, hex; absent when there is none.
    pub pin: Option<String>,
    /// When it was signed, ms since 1970; 0 for never.
    pub issued: i64,
    /// Devices that may connect.
    pub devices: i64,
    /// How many of them have confirmed it, or go by certificates.
    pub confirmed: i64,
    /// Some of the others.
    pub missing: Vec<String>,
}

impl ServerPins {
    /// Reads the last statement of a store.
    ///
    /// # Errors
    /// The store's.
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        let text = store.settings().get(SETTING).await?;
        let said = text.and_then(|text| serde_json::from_str(&text).ok());
        Ok(Self(Mutex::new(said)))
    }

    /// Reads the last statement again. True: another gateway has made one since.
    ///
    /// # Errors
    /// The store's.
    pub async fn read_again(&self, store: &Store) -> Result<bool, StoreError> {
        let Some(said) = Self::load(store).await?.current() else { return Ok(false) };
        let mut own = lock(&self.0);
        let is_new = own.as_ref().is_none_or(|own| own.issued < said.issued);
        if is_new {
            *own = Some(said);
        }
        Ok(is_new)
    }

    /// The last statement.
    #[must_use]
    pub fn current(&self) -> Option<SignedPin> {
        lock(&self.0).clone()
    }

    /// Signs and stores a statement: this pin counts beside the one in use, or none does.
    ///
    /// # Errors
    /// The store's.
    pub async fn say(
        &self,
        store: &Store,
        authority: &Authority,
        pin: Option<[u8; 32]>,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.read_again(store).await?; // another gateway may have said something later
        let last = self.current().map_or(0, |said| said.issued);
        let issued = u64::try_from(now.0).unwrap_or(0).max(last.saturating_add(1));
        let signature = authority.sign(&SignedPin::signed_bytes(pin.as_ref(), issued)).to_vec();
        let said = SignedPin { pin, issued, signature };
        let text =
            serde_json::to_string(&said).map_err(|error| StoreError::Row(error.to_string()))?;
        store.settings().set(SETTING, &text).await?;
        *lock(&self.0) = Some(said);
        Ok(())
    }

    /// How far the last statement has come.
    ///
    /// # Errors
    /// The store's.
    pub async fn report(&self, store: &Store) -> Result<PinReport, StoreError> {
        let Some(said) = self.current() else { return Ok(PinReport::default()) };
        let issued = i64::try_from(said.issued).unwrap_or(i64::MAX);
        let PinSpread { devices, confirmed, missing } =
            store.devices().pin_spread(issued, NAMED).await?;
        Ok(PinReport { pin: said.pin.map(|pin| hex(&pin)), issued, devices, confirmed, missing })
    }
}

/// Reads what other gateways say, and gives it to the devices that are here.
pub async fn follow(pins: Arc<ServerPins>, store: Store, agents: Arc<dyn AgentAcceptor>) {
    loop {
        tokio::time::sleep(NODE_RENEW).await;
        match pins.read_again(&store).await {
            Ok(true) => agents.give_pin(),
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "the pin of the next key is not read again"),
        }
    }
}

/// The event of a statement; `uid` is who asked.
pub(crate) fn event(pin: Option<[u8; 32]>, uid: u32) -> Event {
    let mut facts = vec![("uid", uid.to_string())];
    facts.extend(pin.map(|pin| ("pin", hex(&pin))));
    Event {
        source: "towline",
        name: if pin.is_some() { "ServerPinAdded" } else { "ServerPinRemoved" }.to_owned(),
        source_ip: "local".to_owned(),
        facts,
        ..Event::default()
    }
}

/// 64 hex digits.
fn hex(pin: &[u8; 32]) -> String {
    pin.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A pin from 64 hex digits.
#[must_use]
pub fn parse(text: &str) -> Option<[u8; 32]> {
    let text = text.trim();
    let mut pin = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in pin.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(pin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ED25519, UnparsedPublicKey};

    #[tokio::test]
    async fn a_statement_is_signed_by_the_authority_and_stays_over_a_restart() {
        let (store, _dir) = towline_store::testing::scratch().await;
        let authority = Authority::from_pkcs8(&Authority::generate().unwrap()).unwrap();
        let pins = ServerPins::load(&store).await.unwrap();
        assert_eq!(pins.current(), None);
        pins.say(&store, &authority, Some([7; 32]), UnixMillis(300)).await.unwrap();
        let said = ServerPins::load(&store).await.unwrap().current().unwrap();
        let bytes = SignedPin::signed_bytes(Some(&[7; 32]), 300);
        let key = UnparsedPublicKey::new(&ED25519, authority.public());
        assert!(key.verify(&bytes, &said.signature).is_ok());
        // The clock went back: the next statement is newer all the same.
        pins.say(&store, &authority, None, UnixMillis(200)).await.unwrap();
        assert_eq!(pins.current().map(|said| (said.pin, said.issued)), Some((None, 301)));
    }

    #[tokio::test]
    async fn a_gateway_takes_what_another_one_has_said_and_says_what_is_later() {
        let (store, _dir) = towline_store::testing::scratch().await;
        let authority = Authority::from_pkcs8(&Authority::generate().unwrap()).unwrap();
        let (a, b) = (ServerPins::default(), ServerPins::default());
        assert!(!b.read_again(&store).await.unwrap());
        a.say(&store, &authority, Some([7; 32]), UnixMillis(300)).await.unwrap();
        assert!(b.read_again(&store).await.unwrap() && b.current() == a.current());
        assert!(!b.read_again(&store).await.unwrap(), "it is known");
        a.say(&store, &authority, None, UnixMillis(400)).await.unwrap();
        // The clock of b is behind, and it has not read a's last statement yet.
        b.say(&store, &authority, Some([8; 32]), UnixMillis(350)).await.unwrap();
        assert_eq!(b.current().map(|said| said.issued), Some(401));
        assert!(a.read_again(&store).await.unwrap() && a.current() == b.current());
    }

    #[test]
    fn a_pin_is_64_hex_digits() {
        assert_eq!(parse(&"0a".repeat(32)), Some([10; 32]));
        for wrong in ["", "0a", &"0g".repeat(32), &"0a".repeat(33)] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
