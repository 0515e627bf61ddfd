//! Keys of devices: which are accepted, and which are banned.
//!
//! # Invariants
//! - A key belongs to one device for ever: the row of a revoked key stays, so that it is never
//!   enrolled again.
//! - `created_at` orders the keys of one device, even if the clock was set back: a new key is at
//!   least one millisecond younger than the device's youngest.

use towline_ssm::ids::hex_lower;

use crate::engine::{self, Row};
use crate::error::StoreError;
use crate::limits;
use crate::presence;
use crate::store::Store;
use towline_host::clock::UnixMillis;

/// SHA-256 of a `SubjectPublicKeyInfo`, lower-case hex: the name of a key for users.
#[must_use]
pub fn fingerprint(spki: &[u8]) -> String {
    hex_lower(ring::digest::digest(&ring::digest::SHA256, spki).as_ref())
}

/// Whether a key is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStatus {
    /// Accepted.
    Active,
    /// Replaced by a newer one.
    Retired,
    /// Banned.
    Revoked,
}

impl KeyStatus {
    /// The word in the store and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
        }
    }
}

/// A key as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceKey {
    /// [`fingerprint`] of the key.
    pub fingerprint: String,
    /// The device that holds it.
    pub device_id: String,
    /// Whether it is accepted.
    pub status: KeyStatus,
    /// When it was first accepted.
    pub created_at: UnixMillis,
    /// When it stopped being accepted.
    pub ended_at: Option<UnixMillis>,
    /// Why, for users.
    pub reason: String,
}

/// Operations on the keys of devices.
pub struct DeviceKeys<'a> {
    store: &'a Store,
}

impl Store {
    /// Keys of devices.
    #[must_use]
    pub const fn device_keys(&self) -> DeviceKeys<'_> {
        DeviceKeys { store: self }
    }
}

const COLUMNS: &str =
    "SELECT fingerprint, device_id, status, created_at, ended_at, reason FROM device_keys";

fn key(row: &Row) -> Result<DeviceKey, sqlx::Error> {
    let status: String = row.try_get("status")?;
    Ok(DeviceKey {
        fingerprint: row.try_get("fingerprint")?,
        device_id: row.try_get("device_id")?,
        status: [KeyStatus::Active, KeyStatus::Retired, KeyStatus::Revoked]
            .into_iter()
            .find(|s| s.as_str() == status)
            .ok_or_else(|| sqlx::Error::Decode(format!("key status {status:?}").into()))?,
        created_at: UnixMillis(row.try_get("created_at")?),
        ended_at: row.try_get::<Option<i64>, _>("ended_at")?.map(UnixMillis),
        reason: row.try_get("reason")?,
    })
}

impl DeviceKeys<'_> {
    /// A key, whatever its status.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn get(&self, spki: &[u8]) -> Result<Option<DeviceKey>, StoreError> {
        let row = engine::query(&format!("{COLUMNS} WHERE spki = ?"))
            .bind(spki)
            .fetch_optional(&self.store.pool)
            .await?;
        Ok(row.as_ref().map(key).transpose()?)
    }

    /// All keys of a device, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn of(&self, device: &str) -> Result<Vec<DeviceKey>, StoreError> {
        let rows = engine::query(&format!(
            "{COLUMNS} WHERE device_id = ? ORDER BY created_at, fingerprint"
        ))
        .bind(device)
        .fetch_all(&self.store.pool)
        .await?;
        Ok(rows.iter().map(key).collect::<Result<_, _>>()?)
    }

    /// Adds a key to a device (rotation). The old key stays active until
    /// [`DeviceKeys::retire_older`].
    ///
    /// # Errors
    /// [`StoreError::Exists`] when any device has or had this key; [`StoreError::Full`].
    pub async fn add(&self, device: &str, spki: &[u8], now: UnixMillis) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        let count = "SELECT COUNT(*) FROM device_keys WHERE device_id = ?";
        crate::store::within(
            &mut tx,
            count,
            device,
            "keys of this device",
            limits::MAX_KEYS_OF_DEVICE,
        )
        .await?;
        let youngest: Option<i64> =
            engine::query_scalar("SELECT MAX(created_at) FROM device_keys WHERE device_id = ?")
                .bind(device)
                .fetch_one(&mut *tx)
                .await?;
        let created_at = youngest.map_or(now.0, |at| now.0.max(at.saturating_add(1)));
        engine::query(
            "INSERT INTO device_keys (fingerprint, spki, device_id, status, created_at) VALUES \
             (?, ?, ?, 'active', ?)",
        )
        .bind(fingerprint(spki))
        .bind(spki)
        .bind(device)
        .bind(created_at)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_insert("device key"))?;
        tx.commit().await?;
        Ok(())
    }

    /// Retires the device's active keys that are older than `spki`, with which it has connected. A
    /// younger key, which is on its way to the device, stays. Returns the number retired.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn retire_older(
        &self,
        device: &str,
        spki: &[u8],
        now: UnixMillis,
    ) -> Result<u64, StoreError> {
        // Nearly always there is none: nothing waits for the writer's lock then.
        let others: Option<i64> = engine::query_scalar(
            "SELECT 1 FROM device_keys WHERE device_id = ? AND spki <> ? AND status = 'active' \
             LIMIT 1",
        )
        .bind(device)
        .bind(spki)
        .fetch_optional(&self.store.pool)
        .await?;
        if others.is_none() {
            return Ok(0);
        }
        let done = engine::query(
            "UPDATE device_keys SET status = 'retired', ended_at = ?, reason = 'replaced' \
             WHERE device_id = ? AND spki <> ? AND status = 'active' \
             AND created_at < (SELECT created_at FROM device_keys WHERE spki = ?)",
        )
        .bind(now.0)
        .bind(device)
        .bind(spki)
        .bind(spki)
        .execute(&self.store.pool)
        .await?;
        Ok(done.rows_affected())
    }

    /// Active keys of a device in full, youngest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn active_of(&self, device: &str) -> Result<Vec<Vec<u8>>, StoreError> {
        let keys = engine::query_scalar(
            "SELECT spki FROM device_keys WHERE device_id = ? AND status = 'active' \
             ORDER BY created_at DESC",
        )
        .bind(device)
        .fetch_all(&self.store.pool)
        .await?;
        Ok(keys)
    }

    /// Puts `new` in the place of the active key `old`, in one transaction: a device that did not
    /// hear the answer has one key that counts, and no more.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when `old` is not an active key of the device;
    /// [`StoreError::Exists`] when any device has or had the new key; [`StoreError::Full`].
    pub async fn replace(
        &self,
        device: &str,
        (old, new): (&[u8], &[u8]),
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        let count = "SELECT COUNT(*) FROM device_keys WHERE device_id = ?";
        let most = limits::MAX_KEYS_OF_DEVICE;
        crate::store::within(&mut tx, count, device, "keys of this device", most).await?;
        let created: Option<i64> = engine::query_scalar(
            "SELECT created_at FROM device_keys WHERE device_id = ? AND spki = ? AND status = \
             'active'",
        )
        .bind(device)
        .bind(old)
        .fetch_optional(&mut *tx)
        .await?;
        let created = created.ok_or(StoreError::Missing("active key of the device"))?;
        engine::query(
            "UPDATE device_keys SET status = 'retired', ended_at = ?, reason = 'replaced' \
             WHERE device_id = ? AND spki = ?",
        )
        .bind(now.0)
        .bind(device)
        .bind(old)
        .execute(&mut *tx)
        .await?;
        engine::query(
            "INSERT INTO device_keys (fingerprint, spki, device_id, status, created_at) \
             VALUES (?, ?, ?, 'active', ?)",
        )
        .bind(fingerprint(new))
        .bind(new)
        .bind(device)
        .bind(now.0.max(created.saturating_add(1)))
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_insert("device key"))?;
        engine::query("UPDATE devices SET key_wanted = 0 WHERE id = ?")
            .bind(device)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Asks a device for a new key until [`DeviceKeys::replace`] has put it in. `false`: there is
    /// no such device.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn want_new(&self, device: &str) -> Result<bool, StoreError> {
        let done = engine::query("UPDATE devices SET key_wanted = 1 WHERE id = ?")
            .bind(device)
            .execute(&self.store.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Revokes keys of a device: the one with this fingerprint, or all, and wants its link ended.
    /// Returns the number revoked.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn revoke(
        &self,
        device: &str,
        fingerprint: Option<&str>,
        reason: &str,
        now: UnixMillis,
    ) -> Result<u64, StoreError> {
        let mut tx = self.store.writing().await?;
        let done = engine::query(
            "UPDATE device_keys SET status = 'revoked', ended_at = ?, reason = ? \
             WHERE device_id = ? AND fingerprint = COALESCE(?, fingerprint) AND status <> \
             'revoked'",
        )
        .bind(now.0)
        .bind(reason)
        .bind(device)
        .bind(fingerprint)
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() > 0 {
            presence::want_end(&mut tx, device).await?; // with a key left it comes again
        }
        tx.commit().await?;
        Ok(done.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch;
    use crate::{NewActivation, NewDevice};

    const NOW: UnixMillis = UnixMillis(1_000);

    async fn with_device(uses: i64) -> (Store, tempfile::TempDir) {
        let (store, dir) = scratch().await;
        store
            .activations()
            .create(&NewActivation::for_tests("act", uses, UnixMillis(9_000)), NOW)
            .await
            .unwrap();
        store.devices().register(&device("mi-1", b"key-1"), NOW).await.unwrap();
        (store, dir)
    }

    fn device(id: &str, spki: &[u8]) -> NewDevice {
        NewDevice {
            name: id.into(),
            tags: vec![("Environment".into(), "dev".into())],
            ..NewDevice::for_tests(id, spki, "act")
        }
    }

    #[tokio::test]
    async fn a_replaced_key_counts_no_more_and_the_new_one_does_at_once() {
        let (store, _dir) = with_device(5).await;
        let keys = store.device_keys();
        keys.replace("mi-1", (b"key-1", b"key-2"), NOW).await.unwrap();
        assert_eq!(keys.active_of("mi-1").await.unwrap(), [b"key-2".to_vec()]);
        let again = keys.replace("mi-1", (b"key-1", b"key-3"), NOW).await;
        assert!(matches!(again, Err(StoreError::Missing(_))), "{again:?}");
        let taken = keys.replace("mi-1", (b"key-2", b"key-1"), NOW).await;
        assert!(matches!(taken, Err(StoreError::Exists(_))), "{taken:?}");
        assert_eq!(keys.active_of("mi-1").await.unwrap(), [b"key-2".to_vec()], "nothing was done");
    }

    #[tokio::test]
    async fn a_device_is_found_by_its_active_key_only() {
        let (store, _dir) = with_device(5).await;
        assert_eq!(store.devices().by_spki(b"key-1").await.unwrap().unwrap().id, "mi-1");
        store.device_keys().add("mi-1", b"key-2", NOW).await.unwrap();
        assert_eq!(store.device_keys().retire_older("mi-1", b"key-2", NOW).await.unwrap(), 1);
        assert!(store.devices().by_spki(b"key-1").await.unwrap().is_none());
        assert_eq!(store.devices().by_spki(b"key-2").await.unwrap().unwrap().id, "mi-1");
        assert_eq!(store.device_keys().revoke("mi-1", None, "stolen", NOW).await.unwrap(), 2);
        assert!(store.devices().by_spki(b"key-2").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_key_of_a_deregistered_device_is_never_let_in_again() {
        let (store, _dir) = with_device(5).await;
        assert!(store.devices().remove("mi-1", NOW).await.unwrap());
        assert_eq!(
            store.device_keys().get(b"key-1").await.unwrap().unwrap().status,
            KeyStatus::Revoked
        );
        let again = store.devices().register(&device("mi-2", b"key-1"), NOW).await;
        assert!(matches!(again, Err(StoreError::Exists(_))));
        assert_eq!(
            store.activations().get("act").await.unwrap().unwrap().uses,
            1,
            "the refused one took no use"
        );
    }

    #[tokio::test]
    async fn an_activation_lets_in_as_many_as_it_says_and_until_it_expires() {
        let (store, _dir) = with_device(2).await;
        store.devices().register(&device("mi-2", b"key-2"), NOW).await.unwrap();
        let third = store.devices().register(&device("mi-3", b"key-3"), NOW).await;
        assert!(matches!(third, Err(StoreError::Missing(_))));

        let (store, _dir) = with_device(2).await;
        let late = store.devices().register(&device("mi-2", b"key-2"), UnixMillis(9_000)).await;
        assert!(matches!(late, Err(StoreError::Missing(_))));
    }

    #[tokio::test]
    async fn devices_are_listed_by_tag_and_by_page() {
        use crate::DeviceFilter;
        let (store, _dir) = with_device(9).await;
        for n in 2..6 {
            let mut new = device(&format!("mi-{n}"), format!("key-{n}").as_bytes());
            new.tags = vec![("Environment".into(), if n % 2 == 0 { "prod" } else { "dev" }.into())];
            store.devices().register(&new, NOW).await.unwrap();
        }
        let dev = DeviceFilter {
            tags: vec![("Environment".into(), vec!["dev".into()])],
            ..DeviceFilter::default()
        };
        let ids =
            |devices: Vec<crate::Device>| devices.into_iter().map(|d| d.id).collect::<Vec<_>>();
        assert_eq!(ids(store.devices().list(&dev, "", 2).await.unwrap()), ["mi-1", "mi-3"]);
        assert_eq!(ids(store.devices().list(&dev, "mi-3", 2).await.unwrap()), ["mi-5"]);
        let with_key =
            DeviceFilter { tags: vec![("Site".into(), vec![])], ..DeviceFilter::default() };
        assert!(store.devices().list(&with_key, "", 9).await.unwrap().is_empty());
        let injected = DeviceFilter { ids: vec!["' OR 1=1 --".into()], ..DeviceFilter::default() };
        assert!(store.devices().list(&injected, "", 9).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_clock_that_was_set_back_does_not_make_a_new_key_the_older_one() {
        let (store, _dir) = scratch().await;
        let keys = store.device_keys();
        keys.add("mi-1", &[1], UnixMillis(9_000)).await.unwrap();
        keys.add("mi-1", &[2], UnixMillis(1_000)).await.unwrap();
        assert_eq!(keys.retire_older("mi-1", &[2], UnixMillis(1_001)).await.unwrap(), 1);
        let statuses: Vec<_> =
            keys.of("mi-1").await.unwrap().into_iter().map(|key| key.status).collect();
        assert_eq!(statuses, [KeyStatus::Retired, KeyStatus::Active]);
    }
}
