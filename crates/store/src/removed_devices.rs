//! Devices that were removed: what policy asks about them as long as anything of them is on record.
//!
//! Data flow: [`crate::Devices::remove`] keeps tags and agent of the device in the same transaction
//! -> [`Devices::removed`], for questions about its commands and its command log.
//!
//! # Invariants
//! - What is kept of a device goes after its commands and its log, never before. Its recordings may
//!   be kept for ever: it stays for them while there is room.
//! - There are at most as many rows as devices with commands or a log, devices that were removed
//!   within the last [`limits::COMMAND_HISTORY_DAYS`], and [`limits::REMOVED_DEVICES`] more.

use std::collections::BTreeMap;
use std::time::Duration;

use towline_host::clock::UnixMillis;

use crate::devices::{AgentKind, Devices};
use crate::engine::{self, Tx};
use crate::error::StoreError;
use crate::limits;

impl Devices<'_> {
    /// Tags and agent that a device had when it was removed.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Row`].
    pub async fn removed(
        &self,
        id: &str,
    ) -> Result<Option<(BTreeMap<String, String>, AgentKind)>, StoreError> {
        let row: Option<(String, String)> =
            engine::query_as("SELECT tags, agent_kind FROM removed_devices WHERE id = ?")
                .bind(id)
                .fetch_optional(&self.store.pool)
                .await?;
        let Some((tags, kind)) = row else { return Ok(None) };
        let tags = serde_json::from_str(&tags)
            .map_err(|error| StoreError::from(sqlx::Error::Decode(error.into())))?;
        Ok(Some((tags, AgentKind::parse(&kind)?)))
    }
}

/// Keeps what policy asks about a device that is about to be removed, and forgets devices of which
/// nothing is left.
pub(crate) async fn keep(tx: &mut Tx, id: &str, now: UnixMillis) -> Result<(), StoreError> {
    engine::query(
        "DELETE FROM removed_devices WHERE kept_until < ? AND kept_until < \
         (SELECT kept_until FROM removed_devices ORDER BY kept_until DESC LIMIT 1 OFFSET ?) \
         AND NOT EXISTS (SELECT 1 FROM command_invocations i WHERE i.device_id = \
         removed_devices.id) \
         AND NOT EXISTS (SELECT 1 FROM command_log l WHERE l.device_id = removed_devices.id)",
    )
    .bind(now.0)
    .bind(limits::REMOVED_DEVICES)
    .execute(&mut **tx)
    .await?;
    let kind: Option<String> = engine::query_scalar("SELECT agent_kind FROM devices WHERE id = ?")
        .bind(id)
        .fetch_optional(&mut **tx)
        .await?;
    let Some(kind) = kind else { return Ok(()) };
    let tags: Vec<(String, String)> =
        engine::query_as("SELECT key, value FROM tags WHERE kind = 'device' AND id = ?")
            .bind(id)
            .fetch_all(&mut **tx)
            .await?;
    let tags: BTreeMap<String, String> = tags.into_iter().collect();
    let tags = serde_json::to_string(&tags)
        .map_err(|error| StoreError::from(sqlx::Error::Encode(error.into())))?;
    let keep = Duration::from_secs(limits::COMMAND_HISTORY_DAYS.unsigned_abs() * 86_400);
    engine::query(
        "INSERT INTO removed_devices (id, tags, agent_kind, kept_until) VALUES (?, ?, ?, ?) \
         ON CONFLICT (id) DO UPDATE SET tags = excluded.tags, agent_kind = excluded.agent_kind, \
         kept_until = excluded.kept_until",
    )
    .bind(id)
    .bind(tags)
    .bind(kind)
    .bind(now.plus(keep).0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch;
    use crate::{NewActivation, NewCommand, NewDevice};

    const NOW: UnixMillis = UnixMillis(1_000);

    fn day(number: u64) -> UnixMillis {
        NOW.plus(Duration::from_secs(number * 86_400))
    }

    #[tokio::test]
    async fn tags_of_a_removed_device_are_kept_as_long_as_its_commands() {
        let (store, _dir) = scratch().await;
        let activation = NewActivation::for_tests("a", 9, UnixMillis(i64::MAX));
        store.activations().create(&activation, NOW).await.unwrap();
        for (number, id) in (1..).zip(["mi-1", "mi-2", "mi-3", "mi-4", "mi-5"]) {
            let new = NewDevice {
                tags: vec![("Env".into(), "prod".into())],
                ..NewDevice::for_tests(id, &[number; 44], "a")
            };
            store.devices().register(&new, NOW).await.unwrap();
        }
        let command = NewCommand::for_tests("c", NOW);
        let to = ["mi-1".to_owned()];
        store.run_commands().insert(&command, &to, |_| "[]").await.unwrap();
        assert_eq!(store.devices().removed("mi-1").await.unwrap(), None);
        for id in ["mi-1", "mi-2"] {
            assert!(store.devices().remove(id, NOW).await.unwrap());
        }
        let tags = BTreeMap::from([("Env".to_owned(), "prod".to_owned())]);
        let kept = Some((tags, AgentKind::Towline));
        assert_eq!(store.devices().removed("mi-1").await.unwrap(), kept);
        store.devices().remove("mi-3", day(31)).await.unwrap();
        assert_eq!(store.devices().removed("mi-2").await.unwrap(), kept, "there is room");
        for (id, at) in [("mi-4", day(62)), ("mi-5", day(93))] {
            store.devices().remove(id, at).await.unwrap();
        }
        assert_eq!(store.devices().removed("mi-1").await.unwrap(), kept, "its command is there");
        assert_eq!(store.devices().removed("mi-2").await.unwrap(), None, "no room is left");
        assert_eq!(store.devices().removed("mi-3").await.unwrap(), kept);
        assert!(!store.devices().remove("mi-9", day(93)).await.unwrap());
        assert_eq!(store.devices().removed("mi-9").await.unwrap(), None);
    }
}
