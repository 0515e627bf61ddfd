//! Links that sign a browser in once: made by an act on the server, never by a request.
//!
//! Data flow: an order on the local socket -> [`make`] (secret in the link, its digest in the
//! store) -> a person's click, at any gateway -> [`take`] -> a sign-in of the API.
//!
//! # Invariants
//! - 256 bits; one use; [`LIVES`]; only digests are kept.
//! - A restart of the gateway that made a link voids it (decision 297).
//! - The digest covers the user's name: a link that shows another name signs nobody in.
//! - A link stands for an access key of its user: the key's end ends what the link has made.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use towline_host::clock::UnixMillis;
use towline_host::entropy::{self, NoRandom};
use towline_store::{Store, StoreError};

use crate::audit::Event;
use crate::origins::Origins;

/// How long a link may be used.
pub const LIVES: Duration = Duration::from_secs(300);

/// A link, for who asked for it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SignInLink {
    /// The user that it signs in.
    pub principal_name: String,
    /// The address to open: a secret until it is used.
    pub address: String,
    /// Seconds until it is void.
    pub seconds: u64,
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Nobody to sign in.
    #[error("{0} is no user with an active access key: name one with --user")]
    NoKey(String),
    /// The gateway does not know its own address.
    #[error("gateway.toml names no address of the console: set `origins` in its section [console]")]
    NoOrigin,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] NoRandom),
}

/// Makes a link for a user, to be opened at the first of these origins.
///
/// # Errors
/// [`LinkError`].
pub async fn make(
    store: &Store,
    origins: &Origins,
    user: &str,
    now: UnixMillis,
) -> Result<SignInLink, LinkError> {
    let origin = origins.first().ok_or(LinkError::NoOrigin)?;
    let keys = store.principals().keys(user).await?;
    let key = keys.into_iter().find(|key| key.active && !is_role(user));
    let key = key.ok_or_else(|| LinkError::NoKey(user.to_owned()))?;
    let secret = URL_SAFE_NO_PAD.encode(entropy::random::<32>()?);
    let address = format!("{origin}/console/#/link/{user}/{secret}");
    let digest = digest_of(user, &secret);
    store.sign_in_links().keep(&digest, &key.id, now, now.plus(LIVES)).await?;
    Ok(SignInLink { principal_name: user.to_owned(), address, seconds: LIVES.as_secs() })
}

/// Uses a link up, whichever gateway has made it: the access key that it stands for.
///
/// # Errors
/// The store's.
pub async fn take(
    store: &Store,
    user: &str,
    secret: &str,
    now: UnixMillis,
) -> Result<Option<String>, StoreError> {
    store.sign_in_links().take(&digest_of(user, secret), now).await
}

/// The audit event of a link that was asked for by the user `uid` of the server.
pub fn event(user: &str, uid: u32, error: Option<&LinkError>) -> Event {
    Event {
        source: "towline",
        name: "SignInLink".to_owned(),
        source_ip: "local".to_owned(),
        facts: vec![("principalName", user.to_owned()), ("uid", uid.to_string())],
        error: error.map(|error| ("Failed".to_owned(), error.to_string())),
        ..Event::default()
    }
}

fn is_role(name: &str) -> bool {
    name.contains('/')
}

fn digest_of(user: &str, secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, format!("{user}\n{secret}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    async fn store() -> (Store, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("towline.db")).await.unwrap();
        for name in ["ann", "bob"] {
            store.principals().create(name, &[], NOW).await.unwrap();
        }
        store.principals().add_key("ann", "AKIA1", b"sealed", NOW).await.unwrap();
        (store, dir)
    }

    fn origins() -> Origins {
        Origins::new(vec!["https://gw.test".into()])
    }

    fn secret_of(link: &SignInLink) -> String {
        let start = format!("https://gw.test/console/#/link/{}/", link.principal_name);
        link.address.strip_prefix(&start).unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_link_is_good_once_for_its_user_and_for_five_minutes() {
        let (store, _dir) = store().await;
        let made = async || secret_of(&make(&store, &origins(), "ann", NOW).await.unwrap());
        let take = async |user, secret: &str, now| take(&store, user, secret, now).await.unwrap();
        let secret = made().await;
        assert_eq!(secret.len(), 43, "256 bits");
        assert_eq!(take("bob", &secret, NOW).await, None, "another name");
        assert_eq!(take("ann", &secret, NOW).await.as_deref(), Some("AKIA1"));
        assert_eq!(take("ann", &secret, NOW).await, None, "a second time");
        let late = made().await;
        assert_eq!(take("ann", &late, NOW.plus(LIVES)).await, None, "too late");
        let before = made().await;
        store.sign_in_links().void_own().await.unwrap();
        assert_eq!(take("ann", &before, NOW).await, None, "the gateway was restarted");
    }

    #[tokio::test]
    async fn who_has_no_active_key_gets_no_link() {
        let (store, _dir) = store().await;
        for user in ["bob", "nobody"] {
            let error = make(&store, &origins(), user, NOW).await.unwrap_err();
            assert!(matches!(error, LinkError::NoKey(_)), "{error}");
        }
        let nowhere = make(&store, &Origins::default(), "ann", NOW).await;
        assert!(matches!(nowhere, Err(LinkError::NoOrigin)));
    }
}
