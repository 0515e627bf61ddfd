//! Sign-ins of programs that a provider renews.
//!
//! # Invariants
//! - A renewal goes with its person, and so with the provider.
//! - At most [`limits::MAX_RENEWALS_OF_PERSON`] of one person are kept; a new one removes the
//!   oldest. Rows that are past their end leave with the next one of anybody.
//!
//! # Not here
//! - The seal of the provider's token, and the program's secret: the gateway's.

use towline_host::clock::UnixMillis;

use crate::engine;
use crate::error::StoreError;
use crate::limits;
use crate::store::Store;

/// A renewal as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// Digest of the program's secret.
    pub digest: String,
    /// The person, by the id of the row.
    pub person_id: String,
    /// The provider's refresh token, sealed.
    pub sealed: Vec<u8>,
    /// The role that was asked for or given.
    pub role: String,
    /// When the person signed in.
    pub created_at: UnixMillis,
    /// The end, whatever the provider allows.
    pub expires_at: UnixMillis,
}

/// Operations on renewals.
pub struct Renewals<'a> {
    store: &'a Store,
}

impl Store {
    /// Sign-ins of programs that a provider renews.
    #[must_use]
    pub const fn renewals(&self) -> Renewals<'_> {
        Renewals { store: self }
    }
}

impl Renewals<'_> {
    /// Stores a new one.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn create(&self, new: &Renewal) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        engine::query("DELETE FROM renewals WHERE expires_at <= ?")
            .bind(new.created_at.0)
            .execute(&mut *tx)
            .await?;
        engine::query(
            "DELETE FROM renewals WHERE digest IN (SELECT digest FROM renewals WHERE person_id = ? \
             ORDER BY created_at DESC, digest LIMIT ? OFFSET ?)",
        )
        .bind(&new.person_id)
        .bind(i64::MAX)
        .bind(limits::MAX_RENEWALS_OF_PERSON - 1)
        .execute(&mut *tx)
        .await?;
        engine::query(
            "INSERT INTO renewals (digest, person_id, sealed, role, created_at, expires_at) \
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(&new.digest)
        .bind(&new.person_id)
        .bind(&new.sealed)
        .bind(&new.role)
        .bind(new.created_at.0)
        .bind(new.expires_at.0)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_insert("renewal"))?;
        tx.commit().await?;
        Ok(())
    }

    /// The renewal of this digest, also when it is past its end.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn get(&self, digest: &str) -> Result<Option<Renewal>, StoreError> {
        let row = engine::query(
            "SELECT digest, person_id, sealed, role, created_at, expires_at \
             FROM renewals WHERE digest = ?",
        )
        .bind(digest)
        .fetch_optional(&self.store.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Renewal {
            digest: row.try_get("digest")?,
            person_id: row.try_get("person_id")?,
            sealed: row.try_get("sealed")?,
            role: row.try_get("role")?,
            created_at: UnixMillis(row.try_get("created_at")?),
            expires_at: UnixMillis(row.try_get("expires_at")?),
        }))
    }

    /// Stores the token that the provider gave in place of the one before.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn replace(&self, digest: &str, sealed: &[u8]) -> Result<(), StoreError> {
        engine::query("UPDATE renewals SET sealed = ? WHERE digest = ?")
            .bind(sealed)
            .bind(digest)
            .execute(&self.store.pool)
            .await?;
        Ok(())
    }

    /// Removes one. `false`: there was none.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn remove(&self, digest: &str) -> Result<bool, StoreError> {
        let done = engine::query("DELETE FROM renewals WHERE digest = ?")
            .bind(digest)
            .execute(&self.store.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch;

    #[tokio::test]
    async fn a_renewal_goes_with_its_person_and_the_oldest_makes_room() {
        let (store, _dir) = scratch().await;
        let provider = crate::IdentityProvider {
            name: "corp".into(),
            unique_id: String::new(),
            issuer: "https://id.example".into(),
            settings: "{}".into(),
            secret: None,
            created_at: UnixMillis(1),
            changed_at: UnixMillis(1),
            is_disabled: false,
            holds_since: UnixMillis(0),
            own_redirect: true,
        };
        let provider = store.identity_providers().create(&provider).await.unwrap();
        let ann = store.identity_providers().let_in(&provider, "ann", "Ann", UnixMillis(1)).await;
        let person_id = ann.unwrap().id;
        let new = |at: i64| Renewal {
            digest: format!("d{at}"),
            person_id: person_id.clone(),
            sealed: b"one".to_vec(),
            role: "operator".into(),
            created_at: UnixMillis(at),
            expires_at: UnixMillis(at + 1000),
        };
        let renewals = store.renewals();
        for at in 0..=limits::MAX_RENEWALS_OF_PERSON {
            renewals.create(&new(at)).await.unwrap();
        }
        assert_eq!(renewals.get("d0").await.unwrap(), None, "the oldest made room");
        renewals.replace("d1", b"two").await.unwrap();
        let stored = renewals.get("d1").await.unwrap();
        assert_eq!(stored, Some(Renewal { sealed: b"two".to_vec(), ..new(1) }));
        assert!(renewals.remove("d1").await.unwrap() && !renewals.remove("d1").await.unwrap());
        store.identity_providers().remove(&provider).await.unwrap();
        assert_eq!(renewals.get("d2").await.unwrap(), None);
    }
}
