//! Endpoints and keys of providers, fetched when they are needed and kept; and where each of them
//! reads this gateway's secret.
//!
//! Data flow: a token's issuer and key id -> what is kept, or discovery document and key set by
//! [`Outbound`] -> [`Known`].
//!
//! # Invariants
//! - Tokens that do not fit what is known cost a provider at most one fetch in [`KEYS_REFETCH`].
//! - A new key counts even under the id of the former one, or under none.
//! - A provider that is down takes nothing away: keys that are known go on.
//! - Who is not waiting for new keys never waits for a fetch.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use towline_host::clock::UnixMillis;
use towline_oidc::limits::{MAX_DISCOVERY, MAX_KEY_SET};
use towline_oidc::{Claims, Discovery, Expected, KeySet, Token, TokenError};

use crate::limits::{KEYS_FRESH, KEYS_REFETCH, KEYS_RETRY};
use crate::lock::lock;
use crate::metrics::Metrics;
use crate::outbound::{Ask, Outbound, OutboundError};

/// What a provider publishes.
#[derive(Debug)]
pub struct Known {
    /// Its endpoints.
    pub discovery: Discovery,
    /// Its keys.
    pub keys: KeySet,
}

/// Where a provider reads this gateway's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretPlace {
    /// A header, encoded as RFC 6749 has it (section 2.3.1).
    Header,
    /// A header, as it is.
    RawHeader,
    /// The form.
    Form,
}

/// A provider that does not answer as it should, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Unreachable {
    /// In words.
    pub why: String,
    /// Whether it may answer in a moment.
    pub is_passing: bool,
}

/// Why a token is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotVerified {
    /// The keys are not known.
    #[error(transparent)]
    Away(#[from] Unreachable),
    /// The token is not right.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// What is kept of all providers.
#[derive(Debug)]
pub struct ProviderKeys {
    client: Outbound,
    metrics: Arc<Metrics>,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
    /// Where each provider has read the secret, by its id.
    secret_places: Mutex<HashMap<String, SecretPlace>>,
}

#[derive(Debug)]
struct Slot {
    issuer: String,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    /// Held while somebody fetches.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    known: Option<Arc<Known>>,
    fetched_at: Option<UnixMillis>,
    /// When the last fetch failed, and why.
    failed: Option<(UnixMillis, Unreachable)>,
}

impl ProviderKeys {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(client: Outbound, metrics: Arc<Metrics>) -> Self {
        let secret_places = Mutex::default();
        Self { client, metrics, slots: Mutex::default(), secret_places }
    }

    /// The client, for further requests to providers.
    #[must_use]
    pub const fn client(&self) -> &Outbound {
        &self.client
    }

    /// Forgets a provider that was changed or removed.
    pub fn forget(&self, provider: &str) {
        lock(&self.slots).remove(provider);
        lock(&self.secret_places).remove(provider);
    }

    /// Where a provider has read the client's secret last.
    #[must_use]
    pub fn secret_place(&self, provider: &str) -> Option<SecretPlace> {
        lock(&self.secret_places).get(provider).copied()
    }

    /// A provider has read the client's secret there.
    pub fn remember_secret_place(&self, provider: &str, place: SecretPlace) {
        lock(&self.secret_places).insert(provider.to_owned(), place);
    }

    /// What a provider publishes, with the key of this id if it has such a one. `provider`: an id
    /// that is never given again.
    ///
    /// # Errors
    /// [`Unreachable`] when nothing is known and nothing can be fetched.
    pub async fn of(
        &self,
        provider: &str,
        issuer: &str,
        key_id: Option<&str>,
        now: UnixMillis,
    ) -> Result<Arc<Known>, Unreachable> {
        let slot = self.slot(provider, issuer);
        if let Some(known) = slot.usable(key_id) {
            if slot.is_due(now)
                && let Ok(guard) = slot.fetching.try_lock()
            {
                drop(guard);
                let (client, slot) = (self.client.clone(), Arc::clone(&slot));
                tokio::spawn(async move { slot.refresh(&client, now).await });
            }
            return Ok(known);
        }
        let _fetching = slot.fetching.lock().await;
        if let Some(known) = slot.usable(key_id) {
            return Ok(known); // somebody else has fetched it
        }
        if let Some(known_or_not) = slot.too_soon(now) {
            return known_or_not;
        }
        slot.fetch(&self.client, now).await
    }

    /// Checks a token by the provider's keys: by those that are known, else by those of a new
    /// fetch.
    ///
    /// # Errors
    /// [`NotVerified`].
    pub async fn verify(
        &self,
        provider: &str,
        token: Token<'_>,
        expected: &Expected<'_>,
        now: UnixMillis,
    ) -> Result<Claims, NotVerified> {
        let known = self.of(provider, expected.issuer, token.key_id(), now).await?;
        let first = token.clone().verify(&known.keys, expected);
        let doubt = matches!(
            first,
            Err(TokenError::Signature | TokenError::NoKey | TokenError::SeveralKeys)
        );
        if doubt {
            let slot = self.slot(provider, expected.issuer);
            if let Some(newer) = slot.newer(&self.client, &known, now).await {
                return Ok(token.verify(&newer.keys, expected)?);
            }
        }
        Ok(first?)
    }

    fn slot(&self, provider: &str, issuer: &str) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        let slot = slots.entry(provider.to_owned()).or_insert_with(|| {
            Arc::new(Slot {
                issuer: issuer.to_owned(),
                metrics: Arc::clone(&self.metrics),
                state: Mutex::default(),
                fetching: tokio::sync::Mutex::default(),
            })
        });
        Arc::clone(slot)
    }
}

impl Slot {
    /// What is kept, if it has the key.
    fn usable(&self, key_id: Option<&str>) -> Option<Arc<Known>> {
        let known = lock(&self.state).known.clone();
        known.filter(|known| known.keys.knows(key_id))
    }

    /// Whether what is kept should be looked at again.
    fn is_due(&self, now: UnixMillis) -> bool {
        let state = lock(&self.state);
        let old = state.fetched_at.is_none_or(|at| !is_recent(at, KEYS_FRESH, now));
        old && state.failed.as_ref().is_none_or(|(at, _)| !is_recent(*at, KEYS_REFETCH, now))
    }

    /// The answer when it is too soon for another fetch.
    fn too_soon(&self, now: UnixMillis) -> Option<Result<Arc<Known>, Unreachable>> {
        let state = lock(&self.state);
        if let Some(known) = &state.known {
            let tried = state.fetched_at.into_iter().chain(state.failed.iter().map(|(at, _)| *at));
            let last = tried.max()?;
            return is_recent(last, KEYS_REFETCH, now).then(|| Ok(Arc::clone(known)));
        }
        let (at, why) = state.failed.as_ref()?;
        is_recent(*at, KEYS_RETRY, now).then(|| Err(why.clone()))
    }

    /// What the provider publishes now, unless that is what was `used`, or cannot be had now.
    async fn newer(
        &self,
        client: &Outbound,
        used: &Arc<Known>,
        now: UnixMillis,
    ) -> Option<Arc<Known>> {
        let _fetching = self.fetching.lock().await;
        let known = match self.too_soon(now) {
            Some(known) => known.ok()?,
            None => self.fetch(client, now).await.ok()?,
        };
        (!Arc::ptr_eq(&known, used)).then_some(known)
    }

    async fn refresh(&self, client: &Outbound, now: UnixMillis) {
        let Ok(_fetching) = self.fetching.try_lock() else { return };
        if let Err(error) = self.fetch(client, now).await {
            tracing::warn!(
                issuer = self.issuer, %error,
                "an identity provider does not answer; its known keys go on"
            );
        }
    }

    async fn fetch(&self, client: &Outbound, now: UnixMillis) -> Result<Arc<Known>, Unreachable> {
        let fetched = fetch(client, &self.issuer).await;
        let metrics = &self.metrics;
        match &fetched {
            Ok(_) => metrics.provider_fetches.add(1),
            Err(_) => metrics.provider_fetches_failed.add(1),
        }
        let mut state = lock(&self.state);
        match fetched {
            Ok(known) => {
                let known = Arc::new(known);
                *state =
                    State { known: Some(Arc::clone(&known)), fetched_at: Some(now), failed: None };
                Ok(known)
            }
            Err(error) => {
                state.failed = Some((now, error.clone()));
                state.known.clone().ok_or(error)
            }
        }
    }
}

/// Whether `at` is less than `span` ago. A time to come is of a clock that was set back since.
fn is_recent(at: UnixMillis, span: Duration, now: UnixMillis) -> bool {
    at <= now && now < at.plus(span)
}

async fn fetch(client: &Outbound, issuer: &str) -> Result<Known, Unreachable> {
    let wrong =
        |error: &dyn std::fmt::Display| Unreachable { why: error.to_string(), is_passing: false };
    let away = |error: OutboundError| Unreachable {
        why: error.to_string(),
        is_passing: error.is_passing(),
    };
    let url = Discovery::url(issuer);
    let document = client.ask(Ask { url: &url, most: MAX_DISCOVERY, ..Ask::default() }).await;
    let discovery =
        Discovery::parse(&document.map_err(away)?, issuer).map_err(|error| wrong(&error))?;
    let keys =
        client.ask(Ask { url: &discovery.jwks_uri, most: MAX_KEY_SET, ..Ask::default() }).await;
    let keys = KeySet::parse(&keys.map_err(away)?).map_err(|error| wrong(&error))?;
    Ok(Known { discovery, keys })
}
