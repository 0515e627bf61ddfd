//! Sign-ins of browsers: made with an access key, temporary credentials or an identity provider,
//! used by a cookie that names the row.
//!
//! # Invariants
//! - A sign-in ends with its root: the row goes with the access key's or the person's row.
//! - At most [`limits::MAX_SIGN_INS_OF_ROOT`] sign-ins of one root are kept. A new one removes the
//!   oldest. Rows that are past their end leave with the next sign-in of anybody.
//!
//! # Not here
//! - The cookie and its seal, the idle time: the gateway's.

use towline_host::clock::UnixMillis;

use crate::engine;
use crate::error::StoreError;
use crate::limits;
use crate::store::Store;

/// What a sign-in hangs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignInRoot {
    /// An access key.
    Key(String),
    /// A person of an identity provider, by the id of the row.
    Person(String),
}

impl SignInRoot {
    /// The access key and the person: one of the two.
    fn columns(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::Key(id) => (Some(id), None),
            Self::Person(id) => (None, Some(id)),
        }
    }

    fn of(key: Option<String>, person: Option<String>) -> Result<Self, StoreError> {
        let root = key.map(Self::Key).or(person.map(Self::Person));
        root.ok_or(StoreError::Missing("root of a sign-in"))
    }
}

/// A sign-in as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// Random; the cookie holds it sealed.
    pub id: String,
    /// What it hangs on.
    pub root: SignInRoot,
    /// The temporary credentials that made it, sealed; nothing when an access key did.
    pub token: Option<Vec<u8>>,
    /// Where it was made from.
    pub source_ip: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When a request of the user last came; as of [`SignIns::used`], not to the second.
    pub used_at: UnixMillis,
    /// The end, whatever is done with it.
    pub expires_at: UnixMillis,
}

/// Operations on sign-ins.
pub struct SignIns<'a> {
    store: &'a Store,
}

impl Store {
    /// Sign-ins of browsers.
    #[must_use]
    pub const fn sign_ins(&self) -> SignIns<'_> {
        SignIns { store: self }
    }
}

impl SignIns<'_> {
    /// Stores a new sign-in.
    ///
    /// # Errors
    /// [`StoreError::Exists`] for an id that was given before; [`StoreError::Database`].
    pub async fn create(&self, new: &SignIn) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        engine::query("DELETE FROM sign_ins WHERE expires_at <= ?")
            .bind(new.created_at.0)
            .execute(&mut *tx)
            .await?;
        let (key, person) = new.root.columns();
        engine::query(
            "DELETE FROM sign_ins WHERE id IN (SELECT id FROM sign_ins \
             WHERE access_key = ? OR person_id = ? ORDER BY created_at DESC, id LIMIT ? OFFSET ?)",
        )
        .bind(key)
        .bind(person)
        .bind(i64::MAX)
        .bind(limits::MAX_SIGN_INS_OF_ROOT - 1)
        .execute(&mut *tx)
        .await?;
        engine::query(
            "INSERT INTO sign_ins \
             (id, access_key, person_id, token, source_ip, created_at, used_at, expires_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&new.id)
        .bind(key)
        .bind(person)
        .bind(&new.token)
        .bind(&new.source_ip)
        .bind(new.created_at.0)
        .bind(new.used_at.0)
        .bind(new.expires_at.0)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_insert("sign-in"))?;
        tx.commit().await?;
        Ok(())
    }

    /// The sign-in of this id, also when it is past its end.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn get(&self, id: &str) -> Result<Option<SignIn>, StoreError> {
        let row = engine::query(
            "SELECT id, access_key, person_id, token, source_ip, created_at, used_at, expires_at \
             FROM sign_ins WHERE id = ?",
        )
        .bind(id)
        .fetch_optional(&self.store.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(SignIn {
            id: row.try_get("id")?,
            root: SignInRoot::of(row.try_get("access_key")?, row.try_get("person_id")?)?,
            token: row.try_get("token")?,
            source_ip: row.try_get("source_ip")?,
            created_at: UnixMillis(row.try_get("created_at")?),
            used_at: UnixMillis(row.try_get("used_at")?),
            expires_at: UnixMillis(row.try_get("expires_at")?),
        }))
    }

    /// Notes that its user did something.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn used(&self, id: &str, now: UnixMillis) -> Result<(), StoreError> {
        engine::query("UPDATE sign_ins SET used_at = ? WHERE id = ?")
            .bind(now.0)
            .bind(id)
            .execute(&self.store.pool)
            .await?;
        Ok(())
    }

    /// Voids a sign-in. `false`: there was none.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn remove(&self, id: &str) -> Result<bool, StoreError> {
        let done = engine::query("DELETE FROM sign_ins WHERE id = ?")
            .bind(id)
            .execute(&self.store.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch;

    async fn with_a_key() -> (Store, tempfile::TempDir) {
        let (store, dir) = scratch().await;
        store.principals().create("ann", &[], UnixMillis(1)).await.unwrap();
        store.principals().add_key("ann", "AKIA", b"sealed", UnixMillis(1)).await.unwrap();
        (store, dir)
    }

    fn sign_in(id: &str, at: i64, until: i64) -> SignIn {
        SignIn {
            id: id.into(),
            root: SignInRoot::Key("AKIA".into()),
            token: None,
            source_ip: "192.0.2.1".into(),
            created_at: UnixMillis(at),
            used_at: UnixMillis(at),
            expires_at: UnixMillis(until),
        }
    }

    #[tokio::test]
    async fn a_sign_in_is_used_and_voided_and_goes_with_its_key() {
        let (store, _dir) = with_a_key().await;
        let sign_ins = store.sign_ins();
        for id in ["a", "b"] {
            sign_ins.create(&sign_in(id, 10, 100)).await.unwrap();
        }
        sign_ins.used("a", UnixMillis(50)).await.unwrap();
        let stored = sign_ins.get("a").await.unwrap().unwrap();
        assert_eq!(stored, SignIn { used_at: UnixMillis(50), ..sign_in("a", 10, 100) });
        assert!(sign_ins.remove("a").await.unwrap());
        assert!(!sign_ins.remove("a").await.unwrap());
        assert_eq!(sign_ins.get("a").await.unwrap(), None);
        let mut change = store.change().await.unwrap();
        assert!(change.delete_key("ann", "AKIA").await.unwrap());
        change.commit().await.unwrap();
        assert_eq!(sign_ins.get("b").await.unwrap(), None);
    }

    #[tokio::test]
    async fn the_oldest_and_the_ended_make_room_for_a_new_one() {
        let (store, _dir) = with_a_key().await;
        let sign_ins = store.sign_ins();
        sign_ins.create(&sign_in("ended", 1, 5)).await.unwrap();
        for at in 0..=limits::MAX_SIGN_INS_OF_ROOT {
            sign_ins.create(&sign_in(&format!("s{at}"), 10 + at, 9_000)).await.unwrap();
        }
        for (id, there) in [("ended", false), ("s0", false), ("s1", true)] {
            assert_eq!(sign_ins.get(id).await.unwrap().is_some(), there, "{id}");
        }
    }

    #[tokio::test]
    async fn a_sign_in_through_a_provider_goes_with_its_person() {
        let (store, _dir) = with_a_key().await;
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
        let ann = store.identity_providers().let_in(&provider, "ann", "Ann", UnixMillis(2)).await;
        let root = SignInRoot::Person(ann.unwrap().id);
        let (sign_ins, by_key) = (store.sign_ins(), sign_in("by key", 10, 100));
        let token = Some(b"sealed".to_vec());
        let by_person = SignIn { root, token, ..sign_in("by person", 10, 100) };
        sign_ins.create(&by_key).await.unwrap();
        sign_ins.create(&by_person).await.unwrap();
        assert_eq!(sign_ins.get("by person").await.unwrap(), Some(by_person));
        store.identity_providers().remove(&provider).await.unwrap();
        assert_eq!(sign_ins.get("by person").await.unwrap(), None);
        assert_eq!(sign_ins.get("by key").await.unwrap(), Some(by_key));
    }
}
