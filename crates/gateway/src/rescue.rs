//! A way back in for root on the server: a new administrator with a new key.
//!
//! # Invariants
//! - A new user each time: a full set of keys, a disabled key or a policy that denies everything of
//!   the old administrators does not matter. No other key ends.
//! - The event `RescueKey` is in the audit trail before the secret is shown.

use serde::{Deserialize, Serialize};
use towline_host::clock::UnixMillis;
use towline_host::entropy::{self, NoRandom};
use towline_ssm::ids::{AccessKeyId, SecretAccessKey};
use towline_store::{Store, StoreError};

use crate::audit::{AuditLog, Event};
use crate::init::{ADMIN_DOCUMENT, ADMIN_POLICY};
use crate::vault::{Vault, VaultError};

/// A new administrator's key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RescueKey {
    /// The new user.
    pub principal_name: String,
    /// Its access key.
    pub access_key_id: String,
    /// Its secret, this once.
    pub secret_access_key: String,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum RescueError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store's key.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] NoRandom),
}

/// Makes the user, its policy and its key. `uid` is who asked.
///
/// # Errors
/// [`RescueError`]; a key that was made before is then known to nobody.
pub async fn make(
    store: &Store,
    vault: &Vault,
    audit: &AuditLog,
    now: UnixMillis,
    uid: u32,
) -> Result<RescueKey, RescueError> {
    let [a, b, c, d] = entropy::random::<4>()?;
    let name = format!("rescue-{a:02x}{b:02x}{c:02x}{d:02x}");
    let id = AccessKeyId::from_random(entropy::random()?);
    let secret = SecretAccessKey::from_random(entropy::random()?);
    let sealed = vault.seal(id.as_str(), secret.expose().as_bytes())?;
    let principals = store.principals();
    principals.create(&name, &[], now).await?;
    principals.put_policy(&name, ADMIN_POLICY, ADMIN_DOCUMENT, now).await?;
    principals.add_key(&name, id.as_str(), &sealed, now).await?;
    audit
        .write_first(Event {
            source: "towline",
            name: "RescueKey".to_owned(),
            source_ip: "local".to_owned(),
            facts: vec![
                ("principalName", name.clone()),
                ("newAccessKeyId", id.to_string()),
                ("uid", uid.to_string()),
            ],
            ..Event::default()
        })
        .await?;
    Ok(RescueKey {
        principal_name: name,
        access_key_id: id.to_string(),
        secret_access_key: secret.expose().to_owned(),
    })
}
