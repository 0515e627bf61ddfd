//! Which history of the database this server writes: another one begins when a standby takes the
//! place of a server, or when a server comes back from its archive.
//!
//! Data flow: each write compares the server's timeline with the one in the settings, in its own
//! transaction -> another one: all invocations that are open are doubted, and the setting follows,
//! in one transaction -> the write is begun again.
//!
//! # Invariants
//! - Nothing is written on a timeline before the invocations that were open at its beginning are
//!   doubted: their ends may be in what the former server confirmed and this one does not have.
//! - What was stored on a timeline without a mark is not doubted: nothing is known of its past.
//! - A doubted invocation that was given to no device gets the last start of its device's agent
//!   that is stored, with [`AND_LATER`](towline_wire::message::AND_LATER) behind it: that agent's
//!   journal tells whether it was given in what was lost.
//!
//! # Not here
//! - What becomes of a doubted invocation: the gateway's `run_command`.
//! - A server that does not tell its timeline ([`is_told`]): nothing is compared.

use sqlx::postgres::PgConnection;

/// The setting with the timeline.
pub(crate) const TIMELINE: &str = "store.timeline";
/// Begins with a semicolon: it follows the guard of a write. It fails with [`CHANGED`] when the
/// timeline is another one, or none is stored.
pub(super) const CHECK: &str = "; SELECT ln(CAST(CASE WHEN pg_is_in_recovery() THEN 1 \
     WHEN (SELECT value FROM settings WHERE key = 'store.timeline') \
     = SUBSTR(pg_walfile_name(pg_current_wal_lsn()), 1, 8) THEN 1 ELSE 0 END AS DOUBLE PRECISION))";
/// The server's state when [`CHECK`] fails: the logarithm of zero, which no statement of the store
/// takes.
pub(super) const CHANGED: &str = "2201E";
/// Follows the guard of a write, too: doubts what is open, and stores the timeline. Versions of
/// commands go on above all that other gateways may have seen of those that were lost.
pub(super) const ADOPT: &str = "; UPDATE commands SET version = version + 1000000 \
     WHERE ended_at IS NULL AND EXISTS (SELECT 1 FROM settings WHERE key = 'store.timeline' \
     AND value <> SUBSTR(pg_walfile_name(pg_current_wal_lsn()), 1, 8)); \
     UPDATE command_invocations SET doubted = 1, \
     given_to = CASE WHEN LENGTH(given_to) > 0 THEN given_to ELSE COALESCE((SELECT d.boot \
     || '\\xffffffffffffffffffffffffffffffff'::bytea FROM devices d \
     WHERE d.id = command_invocations.device_id AND LENGTH(d.boot) = 16), given_to) END, \
     version = (SELECT c.version FROM commands c WHERE c.id = command_invocations.command_id) \
     WHERE ended_at IS NULL AND EXISTS (SELECT 1 FROM settings WHERE key = 'store.timeline' \
     AND value <> SUBSTR(pg_walfile_name(pg_current_wal_lsn()), 1, 8)); \
     INSERT INTO settings (key, value) \
     VALUES ('store.timeline', SUBSTR(pg_walfile_name(pg_current_wal_lsn()), 1, 8)) \
     ON CONFLICT (key) DO UPDATE SET value = excluded.value";

/// Whether the server tells its timeline. Services that keep another log than PostgreSQL's do not.
pub(super) async fn is_told(connection: &mut PgConnection) -> bool {
    let told = sqlx::query_scalar::<_, String>(
        "SELECT SUBSTR(pg_walfile_name(pg_current_wal_lsn()), 1, 8)",
    );
    told.fetch_one(connection).await.is_ok()
}

#[cfg(test)]
mod tests {
    use towline_host::clock::UnixMillis;
    use towline_testkit::postgres::Postgres;

    use crate::run_commands::tests::{devices, ended, new};
    use crate::testing::{joined, new_database};
    use crate::{
        DeviceReport, InvocationChange, InvocationRow, NewActivation, NewDevice, SignOfLife, Store,
        engine,
    };
    use towline_wire::message::AND_LATER;

    /// As if the database's server had been another one until now.
    async fn another_server_before(store: &Store) {
        // The statement's own transaction has found the timeline that it replaces.
        engine::query("UPDATE settings SET value = '00000000' WHERE key = 'store.timeline'")
            .execute(&store.pool)
            .await
            .unwrap();
    }

    async fn doubted(store: &Store, command: &str) -> Vec<(String, bool)> {
        let rows = store.run_commands().invocations_of(command).await.unwrap();
        rows.into_iter().map(|row| (row.device, row.doubted)).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_open_when_another_server_takes_over_is_doubted_before_anything_is_written() {
        let server = Postgres::start(&["fsync = off"]).unwrap();
        let address = new_database(&server.address("postgres")).await;
        let store = Store::create_on(&address).await.unwrap();
        store.principals().create("ann", &[], UnixMillis(1)).await.unwrap();
        store.close().await;
        let store = joined(&address, "a").await;
        assert!(store.notices_another_server());
        let commands = store.run_commands();
        let all = devices(&["mi-1", "mi-2"]);
        let activation = NewActivation::for_tests("act", 3, UnixMillis(i64::MAX));
        store.activations().create(&activation, UnixMillis(1)).await.unwrap();
        for name in ["mi-1", "mi-3"] {
            let device = NewDevice::for_tests(name, name.as_bytes(), "act");
            store.devices().register(&device, UnixMillis(1)).await.unwrap();
        }
        let arrival = Some((DeviceReport::default(), "192.0.2.1".to_owned()));
        let sign =
            SignOfLife { id: "mi-1".into(), at: UnixMillis(2), arrival, boot: Some([5; 16]) };
        store.devices().note_signs(&[sign]).await.unwrap();
        commands.insert(&new("old", 5), &all, |_| "[]").await.unwrap();
        commands.insert(&new("unasked", 5), &devices(&["mi-3"]), |_| "[]").await.unwrap();
        let over = InvocationChange { heads: None, ..ended("old", "mi-2", "Success") };
        commands.change(&[over], &[], UnixMillis(9)).await.unwrap();
        let version = commands.open_versions().await.unwrap()[0].version;
        assert_eq!(
            doubted(&store, "old").await,
            [("mi-1".to_owned(), false), ("mi-2".to_owned(), false)],
            "the first timeline of a store puts nothing in doubt"
        );
        another_server_before(&store).await;
        commands.insert(&new("new", 6), &all, |_| "[]").await.unwrap();
        assert_eq!(
            doubted(&store, "old").await,
            [("mi-1".to_owned(), true), ("mi-2".to_owned(), false)]
        );
        assert!(doubted(&store, "new").await.iter().all(|(_, doubted)| !doubted));
        let given = |row: Option<InvocationRow>| row.unwrap().given_to;
        assert_eq!(
            given(commands.invocation("old", "mi-1").await.unwrap()),
            [[5; 16], AND_LATER],
            "the journal of the device tells"
        );
        let none = given(commands.invocation("unasked", "mi-3").await.unwrap());
        assert!(none.is_empty(), "no start of its agent is known: {none:?}");
        let open = commands.open_versions().await.unwrap();
        let old = open.iter().find(|one| one.id == "old").unwrap();
        assert!(old.version > version, "the other gateways read it again");
        commands.insert(&new("newer", 7), &all, |_| "[]").await.unwrap();
        assert!(doubted(&store, "new").await.iter().all(|(_, doubted)| !doubted), "once");
    }
}
