//! How many there are: devices by agent version, open sessions and open invocations by state.
//!
//! # Invariants
//! - Each list has at most [`MOST_GROUPS`] rows, the largest first.
//! - It reads over the connections for searches: whole tables are counted.

use crate::engine::{self, Row};
use crate::error::StoreError;
use crate::store::Store;

/// Most rows of a list.
const MOST_GROUPS: i64 = 50;

/// Counts of rows.
pub struct Census<'a> {
    store: &'a Store,
}

impl Store {
    /// Counts of rows.
    #[must_use]
    pub const fn census(&self) -> Census<'_> {
        Census { store: self }
    }
}

impl Census<'_> {
    /// Devices that may connect, by the version of their agent.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn agent_versions(&self) -> Result<Vec<(String, i64)>, StoreError> {
        self.groups(
            "SELECT agent_version AS name, COUNT(*) AS number FROM devices \
             WHERE status <> 'revoked' GROUP BY agent_version ORDER BY number DESC, name LIMIT ?",
        )
        .await
    }

    /// Sessions that have not ended, by status.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn open_sessions(&self) -> Result<Vec<(String, i64)>, StoreError> {
        self.groups(
            "SELECT status AS name, COUNT(*) AS number FROM sessions \
             WHERE ended_at IS NULL GROUP BY status ORDER BY number DESC, name LIMIT ?",
        )
        .await
    }

    /// Invocations that have not ended, by status.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn open_invocations(&self) -> Result<Vec<(String, i64)>, StoreError> {
        self.groups(
            "SELECT status AS name, COUNT(*) AS number FROM command_invocations \
             WHERE ended_at IS NULL GROUP BY status ORDER BY number DESC, name LIMIT ?",
        )
        .await
    }

    async fn groups(&self, sql: &'static str) -> Result<Vec<(String, i64)>, StoreError> {
        let rows = engine::query(sql).bind(MOST_GROUPS).fetch_all(&self.store.search).await?;
        let group = |row: &Row| -> Result<(String, i64), sqlx::Error> {
            Ok((row.try_get("name")?, row.try_get("number")?))
        };
        Ok(rows.iter().map(group).collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use towline_host::clock::UnixMillis;

    use crate::testing::scratch;
    use crate::{DeviceReport, NewActivation, NewDevice};

    #[tokio::test]
    async fn devices_are_counted_by_version_without_those_that_are_revoked() {
        let (store, _dir) = scratch().await;
        let activation = NewActivation::for_tests("a", 9, UnixMillis(i64::MAX));
        store.activations().create(&activation, UnixMillis(1)).await.unwrap();
        for (n, version) in
            [(0_u8, "0.2.0"), (1, "0.1.0"), (2, "0.2.0"), (3, "0.1.0"), (4, "0.2.0")]
        {
            let device = NewDevice {
                report: DeviceReport { agent_version: version.into(), ..DeviceReport::default() },
                ..NewDevice::for_tests(&format!("mi-{n}"), &[n], "a")
            };
            store.devices().register(&device, UnixMillis(1)).await.unwrap();
        }
        store.devices().remove("mi-3", UnixMillis(2)).await.unwrap();
        let versions = store.census().agent_versions().await.unwrap();
        assert_eq!(versions, [("0.2.0".to_owned(), 3), ("0.1.0".to_owned(), 1)]);
        assert_eq!(store.census().open_sessions().await.unwrap(), []);
        assert_eq!(store.census().open_invocations().await.unwrap(), []);
    }
}
