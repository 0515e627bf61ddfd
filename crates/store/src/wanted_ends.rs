//! What has to end at a node that the others may not reach: they write it down, and the node looks.
//!
//! Data flow: a session is to end at another node, which does not answer ->
//! [`WantedEnds::want`] -> the node that carries it, or takes it over, looks
//! ([`WantedEnds::sessions_here`]) with each renewal of its lease. The link of a device that is
//! removed or quarantined, or that loses a key, is marked in the transaction that does so, and
//! found by the mark ([`WantedEnds::devices_here`]).
//!
//! # Invariants
//! - Only a session that has not ended is wanted to end, and by one sentence: the first.
//! - Who looks changes nothing here: the session's end, or that of the link, does.
//! - A look reads what has to end at this node, however many rows there are besides.

use crate::engine;
use crate::error::StoreError;
use crate::store::Store;

/// Operations on what has to end.
pub struct WantedEnds<'a> {
    store: &'a Store,
}

impl Store {
    /// What has to end.
    #[must_use]
    pub const fn wanted_ends(&self) -> WantedEnds<'_> {
        WantedEnds { store: self }
    }
}

impl WantedEnds<'_> {
    /// Wants a session ended, whatever node carries it. False: it has ended, or does not exist.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn want(&self, session: &str, sentence: &str) -> Result<bool, StoreError> {
        let done = engine::query(
            "UPDATE sessions SET end_wanted = CASE WHEN end_wanted = '' THEN ? ELSE end_wanted END \
             WHERE id = ? AND ended_at IS NULL",
        )
        .bind(sentence)
        .bind(session)
        .execute(&self.store.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// The sessions of this node that are wanted to end, with the sentence.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn sessions_here(&self) -> Result<Vec<(String, String)>, StoreError> {
        Ok(engine::query_as(SESSIONS).bind(&*self.store.node).fetch_all(&self.store.pool).await?)
    }

    /// The devices whose link is at this node and has to end.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn devices_here(&self) -> Result<Vec<String>, StoreError> {
        Ok(engine::query_scalar(DEVICES)
            .bind(&*self.store.node)
            .fetch_all(&self.store.pool)
            .await?)
    }
}

const SESSIONS: &str = "SELECT id, end_wanted FROM sessions WHERE node = ? AND end_wanted <> '' \
     AND ended_at IS NULL ORDER BY id";
const DEVICES: &str = "SELECT device_id FROM presence WHERE node = ? AND end_wanted = 1";

#[cfg(test)]
mod tests {
    use towline_host::clock::UnixMillis;

    use super::*;
    use crate::sessions::tests::new;
    use crate::testing::{scratch, walks};
    use crate::{
        Arrival, Connection, DeviceStatus, Known, NewActivation, NewDevice, SessionFilter,
    };

    const NOW: UnixMillis = UnixMillis(1);

    async fn device(store: &Store, number: u8) -> String {
        let id = format!("mi-{number}");
        let new = NewDevice::for_tests(&id, &[number; 44], "a");
        store.devices().register(&new, NOW).await.unwrap();
        let link = Connection { boot: [number; 16], number: 1 };
        let arrival = store.presences().arrive(&id, link, Known::default(), NOW).await.unwrap();
        assert!(matches!(arrival, Arrival::Here { .. }), "{arrival:?}");
        id
    }

    #[tokio::test]
    async fn what_has_to_end_is_found_by_the_node_that_has_it_until_it_has_ended() {
        let (store, _dir) = scratch().await;
        store.principals().create("ann", &[], NOW).await.unwrap();
        let activation = NewActivation::for_tests("a", 9, UnixMillis(i64::MAX));
        store.activations().create(&activation, NOW).await.unwrap();
        let (ends, sessions) = (store.wanted_ends(), store.sessions());
        sessions.insert(&new("ann-1", "mi-1"), NOW).await.unwrap();
        assert!(ends.sessions_here().await.unwrap().is_empty());
        assert!(ends.want("ann-1", "first").await.unwrap());
        assert!(ends.want("ann-1", "second").await.unwrap());
        let wanted = [("ann-1".to_owned(), "first".to_owned())];
        assert_eq!(ends.sessions_here().await.unwrap(), wanted);
        assert!(sessions.end("ann-1", false, "", "first", NOW).await.unwrap());
        assert!(ends.sessions_here().await.unwrap().is_empty());
        assert!(!ends.want("ann-1", "third").await.unwrap());
        let page = sessions.query(&SessionFilter::default(), None, 9).await.unwrap();
        assert!(page.sessions.is_empty());

        let [stays, removed, copied] =
            [device(&store, 1).await, device(&store, 2).await, device(&store, 3).await];
        assert!(ends.devices_here().await.unwrap().is_empty());
        store.devices().remove(&removed, NOW).await.unwrap();
        let status = DeviceStatus::Quarantined;
        store.devices().set_status(&copied, status, "copied").await.unwrap();
        let lost_a_key = device(&store, 4).await;
        store.device_keys().revoke(&lost_a_key, None, "lost", NOW).await.unwrap();
        let mut found = ends.devices_here().await.unwrap();
        found.sort();
        assert_eq!(found, [&*removed, &copied, &lost_a_key]);
        assert_eq!(stays, "mi-1");
        // Let in again, or with another key, it comes by another link; a removed one does not.
        for (id, stays) in [(&copied, false), (&lost_a_key, false), (&removed, true)] {
            store.devices().approve(id, DeviceStatus::Quarantined).await.unwrap();
            let link = Connection { boot: [9; 16], number: 2 };
            store.presences().arrive(id, link, Known::default(), NOW).await.unwrap();
            assert_eq!(ends.devices_here().await.unwrap().contains(id), stays, "{id}");
        }
    }

    /// Rows of the statement that follows, each with a number `n`.
    const MANY: &str = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < \
                        20000)";

    async fn add(store: &Store, into: &str, row: &str) {
        let sql = format!("INSERT INTO {into} {MANY} SELECT {row} FROM n");
        engine::query(&sql).execute(&store.pool).await.unwrap();
    }

    #[tokio::test]
    async fn a_look_reads_nothing_of_what_need_not_end() {
        let (store, _dir) = scratch().await;
        add(
            &store,
            "removed_devices (id, tags, agent_kind, kept_until)",
            "'mi-gone-' || n, '{}', 'towline', 1",
        )
        .await;
        add(
            &store,
            "sessions (id, device_id, principal_arn, principal_name, document, status, idle_ms, \
             started_at, ended_at, end_wanted)",
            "'ann-' || n, 'mi', 'arn', 'ann', 'd', 'Terminated', 1, 1, 2, 'it was removed'",
        )
        .await;
        let link = format!(
            "INSERT INTO presence SELECT 'mi-' || n, '', ?, 1, 1, 0 FROM ({MANY} SELECT n FROM n) x"
        );
        engine::query(&link).bind(&[1_u8; 16][..]).execute(&store.pool).await.unwrap();
        for sql in [SESSIONS, DEVICES] {
            let walked = walks(&store, sql).await;
            assert!(walked.is_empty(), "{sql}: {walked:?}");
        }
        // No index holds `tags`, so no statistics lead another way: a walk is seen.
        let all = "SELECT id FROM removed_devices WHERE tags <> ?";
        assert!(!walks(&store, all).await.is_empty(), "{all}");
    }
}
