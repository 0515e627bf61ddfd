//! Activations: each registers a number of devices with unknown keys, until a date.
//!
//! # Invariants
//! - The code is kept as its SHA-256 only. It has 160 random bits, so no slow hash is needed
//!   against guessing.

use crate::engine::{self, QueryBuilder, Row};
use crate::error::StoreError;
use crate::limits;
use crate::store::{Store, within};
use crate::tags::Tag;
use towline_host::clock::UnixMillis;

/// An activation about to be created.
#[derive(Clone)]
pub struct NewActivation {
    /// A new UUID.
    pub id: String,
    /// SHA-256 of the code.
    pub code_hash: Vec<u8>,
    /// Description, for users.
    pub description: String,
    /// Default name of its devices.
    pub default_name: String,
    /// The `IamRole` of the request; kept because AWS clients show it.
    pub iam_role: String,
    /// Tags of its devices.
    pub tags: Vec<Tag>,
    /// Keys of tags that its devices may bring.
    pub device_tag_keys: Vec<String>,
    /// How many devices may register.
    pub uses_allowed: i64,
    /// Whether its devices stay pending until they are approved.
    pub require_approval: bool,
    /// Network the devices must register from, as a CIDR; empty: any.
    pub source_cidr: String,
    /// ARN of its creator.
    pub created_by: String,
    /// When it expires.
    pub expires_at: UnixMillis,
}

/// An activation as stored.
#[derive(Clone)]
pub struct Activation {
    /// What it was created with.
    pub new: NewActivation,
    /// Devices registered so far.
    pub uses: i64,
    /// When it was created.
    pub created_at: UnixMillis,
}

/// Operations on activations.
pub struct Activations<'a> {
    store: &'a Store,
}

impl Store {
    /// Activations.
    #[must_use]
    pub const fn activations(&self) -> Activations<'_> {
        Activations { store: self }
    }
}

const COLUMNS: &str = "SELECT id, code_hash, description, default_name, iam_role, tags, \
                       device_tag_keys, uses_allowed, uses, \
     require_approval, source_cidr, created_by, created_at, expires_at FROM activations";

fn activation(row: &Row) -> Result<Activation, sqlx::Error> {
    let tags: String = row.try_get("tags")?;
    let keys: String = row.try_get("device_tag_keys")?;
    Ok(Activation {
        new: NewActivation {
            id: row.try_get("id")?,
            code_hash: row.try_get("code_hash")?,
            description: row.try_get("description")?,
            default_name: row.try_get("default_name")?,
            iam_role: row.try_get("iam_role")?,
            tags: serde_json::from_str(&tags).map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
            device_tag_keys: serde_json::from_str(&keys)
                .map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
            uses_allowed: row.try_get("uses_allowed")?,
            require_approval: row.try_get("require_approval")?,
            source_cidr: row.try_get("source_cidr")?,
            created_by: row.try_get("created_by")?,
            expires_at: UnixMillis(row.try_get("expires_at")?),
        },
        uses: row.try_get("uses")?,
        created_at: UnixMillis(row.try_get("created_at")?),
    })
}

impl Activations<'_> {
    /// Stores a new activation.
    ///
    /// # Errors
    /// [`StoreError::Full`] beyond [`limits::MAX_ACTIVATIONS`].
    pub async fn create(&self, new: &NewActivation, now: UnixMillis) -> Result<(), StoreError> {
        let tags = serde_json::to_string(&new.tags).map_err(|e| StoreError::Row(e.to_string()))?;
        let keys = serde_json::to_string(&new.device_tag_keys)
            .map_err(|e| StoreError::Row(e.to_string()))?;
        let mut tx = self.store.writing().await?;
        let count = "SELECT COUNT(*) FROM activations WHERE id <> ?";
        within(&mut tx, count, &new.id, "activations", limits::MAX_ACTIVATIONS).await?;
        engine::query(
            "INSERT INTO activations (id, code_hash, description, default_name, iam_role, tags, \
             device_tag_keys, uses_allowed, \
             require_approval, source_cidr, created_by, created_at, expires_at) VALUES (?, ?, ?, \
             ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&new.id)
        .bind(&new.code_hash)
        .bind(&new.description)
        .bind(&new.default_name)
        .bind(&new.iam_role)
        .bind(tags)
        .bind(keys)
        .bind(new.uses_allowed)
        .bind(new.require_approval)
        .bind(&new.source_cidr)
        .bind(&new.created_by)
        .bind(now.0)
        .bind(new.expires_at.0)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_insert("activation"))?;
        tx.commit().await?;
        Ok(())
    }

    /// The activation with this id, usable or not.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn get(&self, id: &str) -> Result<Option<Activation>, StoreError> {
        let row = engine::query(&format!("{COLUMNS} WHERE id = ?"))
            .bind(id)
            .fetch_optional(&self.store.pool)
            .await?;
        Ok(row.as_ref().map(activation).transpose()?)
    }

    /// Up to `limit` activations that match, with ids after `after`, by id.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn list(
        &self,
        filter: &ActivationFilter,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Activation>, StoreError> {
        let mut query: QueryBuilder = QueryBuilder::new(COLUMNS);
        query.push(" WHERE id > ").push_bind(after);
        let lists = [
            ("id", &filter.ids),
            ("default_name", &filter.default_names),
            ("iam_role", &filter.iam_roles),
        ];
        for (column, values) in lists {
            crate::store::one_of(&mut query, column, values);
        }
        query.push(" ORDER BY id LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&self.store.pool).await?;
        Ok(rows.iter().map(activation).collect::<Result<_, _>>()?)
    }

    /// Removes an activation; its devices stay. `false`: there is no such activation.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn delete(&self, id: &str) -> Result<bool, StoreError> {
        let done = engine::query("DELETE FROM activations WHERE id = ?")
            .bind(id)
            .execute(&self.store.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }
}

/// Which activations to list. An empty list means: any.
#[derive(Debug, Clone, Default)]
pub struct ActivationFilter {
    /// Ids.
    pub ids: Vec<String>,
    /// Default names of devices.
    pub default_names: Vec<String>,
    /// Roles.
    pub iam_roles: Vec<String>,
}

#[cfg(any(test, feature = "testing"))]
impl NewActivation {
    /// One with nothing special about it.
    pub fn for_tests(id: &str, uses_allowed: i64, expires_at: UnixMillis) -> Self {
        Self {
            id: id.into(),
            code_hash: vec![0; 32],
            description: String::new(),
            default_name: String::new(),
            iam_role: "towline".into(),
            tags: vec![],
            device_tag_keys: vec![],
            uses_allowed,
            require_approval: false,
            source_cidr: String::new(),
            created_by: "arn:aws:iam::000000000000:user/admin".into(),
            expires_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch;

    #[tokio::test]
    async fn an_activation_comes_back_as_it_was_made() {
        let (store, _dir) = scratch().await;
        let mut new = NewActivation::for_tests("a", 3, UnixMillis(9));
        new.tags = vec![("Environment".into(), "dev".into())];
        new.require_approval = true;
        store.activations().create(&new, UnixMillis(1)).await.unwrap();
        let back = store.activations().get("a").await.unwrap().unwrap();
        assert_eq!(
            (back.new.tags.as_slice(), back.new.require_approval, back.uses),
            (new.tags.as_slice(), true, 0)
        );
        assert!(store.activations().delete("a").await.unwrap());
        assert!(!store.activations().delete("a").await.unwrap());
    }

    #[tokio::test]
    async fn activations_are_listed_by_page_and_by_role() {
        let (store, _dir) = scratch().await;
        for id in ["a", "b", "c"] {
            let mut new = NewActivation::for_tests(id, 1, UnixMillis(9));
            new.iam_role = if id == "b" { "other" } else { "towline" }.into();
            store.activations().create(&new, UnixMillis(1)).await.unwrap();
        }
        let filter =
            ActivationFilter { iam_roles: vec!["towline".into()], ..ActivationFilter::default() };
        let ids = |list: Vec<Activation>| list.into_iter().map(|a| a.new.id).collect::<Vec<_>>();
        assert_eq!(ids(store.activations().list(&filter, "", 1).await.unwrap()), ["a"]);
        assert_eq!(ids(store.activations().list(&filter, "a", 9).await.unwrap()), ["c"]);
    }
}
