//! Links that sign a browser in once: made by an act on the server, never by a request.
//!
//! Data flow: an order on the local socket -> [`SignInLinks::make`] (secret in the link, its digest
//! here) -> a person's click -> [`SignInLinks::take`] -> a sign-in of the API.
//!
//! # Invariants
//! - 256 bits; one use; [`LIVES`]; at most [`MOST`] at a time; only digests are kept, in memory: a
//!   restart voids all.
//! - The digest covers the user's name: a link that shows another name signs nobody in.
//! - A link stands for an access key of its user: the key's end ends what the link has made.

use std::sync::{Mutex, MutexGuard, PoisonError};
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
/// Most unused links; a further one voids the oldest.
const MOST: usize = 16;

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

/// The links that nobody has used yet.
#[derive(Debug, Default)]
pub struct SignInLinks {
    unused: Mutex<Vec<Unused>>,
}

#[derive(Debug)]
struct Unused {
    digest: [u8; 32],
    access_key: String,
    void_at: UnixMillis,
}

impl SignInLinks {
    /// Makes a link for a user, to be opened at the first of these origins.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn make(
        &self,
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
        self.keep(digest_of(user, &secret), key.id, now);
        let principal_name = user.to_owned();
        Ok(SignInLink { principal_name, address, seconds: LIVES.as_secs() })
    }

    /// Uses a link up: the access key that it stands for.
    pub fn take(&self, user: &str, secret: &str, now: UnixMillis) -> Option<String> {
        let digest = digest_of(user, secret);
        let mut unused = self.lock();
        unused.retain(|link| now < link.void_at);
        let at = unused.iter().position(|link| link.digest == digest)?;
        Some(unused.swap_remove(at).access_key)
    }

    fn keep(&self, digest: [u8; 32], access_key: String, now: UnixMillis) {
        let mut unused = self.lock();
        unused.retain(|link| now < link.void_at);
        if unused.len() >= MOST {
            unused.remove(0);
        }
        unused.push(Unused { digest, access_key, void_at: now.plus(LIVES) });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Unused>> {
        self.unused.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

fn digest_of(user: &str, secret: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, format!("{user}\n{secret}").as_bytes()).as_ref());
    out
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
        let links = SignInLinks::default();
        let made = async || secret_of(&links.make(&store, &origins(), "ann", NOW).await.unwrap());
        let secret = made().await;
        assert_eq!(secret.len(), 43, "256 bits");
        assert_eq!(links.take("bob", &secret, NOW), None, "another name");
        assert_eq!(links.take("ann", &secret, NOW).as_deref(), Some("AKIA1"));
        assert_eq!(links.take("ann", &secret, NOW), None, "a second time");
        let late = made().await;
        assert_eq!(links.take("ann", &late, NOW.plus(LIVES)), None, "too late");
    }

    #[tokio::test]
    async fn who_has_no_active_key_gets_no_link() {
        let (store, _dir) = store().await;
        let links = SignInLinks::default();
        for user in ["bob", "nobody"] {
            let error = links.make(&store, &origins(), user, NOW).await.unwrap_err();
            assert!(matches!(error, LinkError::NoKey(_)), "{error}");
        }
        let nowhere = links.make(&store, &Origins::default(), "ann", NOW).await;
        assert!(matches!(nowhere, Err(LinkError::NoOrigin)));
    }

    #[tokio::test]
    async fn more_links_than_there_may_be_void_the_oldest() {
        let (store, _dir) = store().await;
        let links = SignInLinks::default();
        let mut secrets = Vec::new();
        for _ in 0..=MOST {
            secrets.push(secret_of(&links.make(&store, &origins(), "ann", NOW).await.unwrap()));
        }
        assert_eq!(links.take("ann", &secrets[0], NOW), None);
        assert!(links.take("ann", &secrets[1], NOW).is_some());
    }
}
