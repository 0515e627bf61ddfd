//! Invocations that change nodes: with the link of their device, and when their node is dead.
//!
//! # Invariants
//! - A step that was given to a device is of the node that has the device's link; one that was
//!   claimed and not given is nobody's. So is one in doubt that the device's journal is to tell of
//!   (`engine/timeline.rs`): it is given, with that question, by the node that claims it.

use towline_wire::message::AND_LATER;

use super::leaving::{LEAVES_COMMANDS, LEAVES_INVOCATIONS};
use crate::engine::{self, Tx};
use crate::error::StoreError;

/// A device's link is at the node `own` now: the steps that it may hold are, too. The commands that
/// these belong to. `anew`: also those whose steps are the node's already.
pub(crate) async fn come_with_device(
    tx: &mut Tx,
    device: &str,
    own: &str,
    anew: bool,
) -> Result<Vec<String>, StoreError> {
    const GIVEN: &str =
        "LENGTH(given_to) > 0 AND NOT (LENGTH(given_to) = 32 AND SUBSTR(given_to, 17) = ?)";
    let later = AND_LATER.to_vec();
    let commands: Vec<String> = engine::query_scalar(&format!(
        "SELECT command_id FROM command_invocations WHERE device_id = ? AND ended_at IS NULL \
         AND (node <> ? OR ?) AND (node <> '' OR {GIVEN}) ORDER BY command_id"
    ))
    .bind(device)
    .bind(own)
    .bind(anew)
    .bind(&later)
    .fetch_all(&mut **tx)
    .await?;
    for command in &commands {
        super::command_store::count_up(tx, command).await?;
        engine::query(&format!(
            "UPDATE command_invocations SET active = 0, \
             node = CASE WHEN {GIVEN} THEN ? ELSE '' END, \
             version = (SELECT c.version FROM commands c WHERE c.id = \
             command_invocations.command_id) \
             WHERE command_id = ? AND device_id = ?"
        ))
        .bind(&later)
        .bind(own)
        .bind(command)
        .bind(device)
        .execute(&mut **tx)
        .await?;
    }
    Ok(commands)
}

/// A node carries nothing any more.
pub(crate) async fn leave_node(tx: &mut Tx, node: &str) -> Result<(), StoreError> {
    for statement in [LEAVES_COMMANDS, LEAVES_INVOCATIONS] {
        engine::query(statement).bind(node).execute(&mut **tx).await?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use towline_host::clock::UnixMillis;
    use towline_testkit::postgres::Postgres;

    use crate::run_commands::tests::{devices, new};
    use crate::testing::{SERVER, identity, joined, new_database};
    use crate::{AuditRow, Connection, Known, RequestEnd, Store, TrailRoom, Wanted};

    const NOW: UnixMillis = UnixMillis(1);

    #[tokio::test(flavor = "multi_thread")]
    async fn a_gateway_that_is_started_again_gives_back_what_it_had_so_that_others_see_it() {
        if std::env::var(SERVER).is_ok() {
            return; // the run on the other engine: this test has a server of its own
        }
        let server = Postgres::start(&["fsync = off"]).unwrap();
        let address = new_database(&server.address("postgres")).await;
        let alone = Store::create_on(&address).await.unwrap();
        alone.principals().create("ann", &[], NOW).await.unwrap();
        let request = RequestEnd { id: "begun".into(), seen: None };
        let unknown = AuditRow {
            at: NOW,
            principal: "arn".into(),
            action: "towline:CreatePrincipal".into(),
            outcome: "OutcomeUnknown".into(),
            line: "unknown".into(),
            room: TrailRoom::Changes,
            whose: String::new(),
        };
        alone.begun_requests().begin(&request, &unknown).await.unwrap();
        alone.close().await; // as if it had been killed: the request has no end
        let mut a = joined(&address, "a").await;
        assert_eq!(a.begun_requests().close_left().await.unwrap(), ["unknown"]);
        let b = joined(&address, "b").await;

        let link = Connection { boot: [7; 16], number: 1 };
        a.presences().arrive("mi-1", link, Known::default(), NOW).await.unwrap();
        a.run_commands().insert(&new("c", 5), &devices(&["mi-1"]), |_| "[]").await.unwrap();
        let wanted =
            [Wanted { command: "c".into(), device: "mi-1".into(), concurrency: 1, most_errors: 0 }];
        assert_eq!(a.run_commands().claim(&wanted).await.unwrap().len(), 1);
        let seen = b.run_commands().open_versions().await.unwrap()[0].version;
        a.member = None; // killed
        let _again = Store::join(&address, &identity("a")).await.unwrap();
        let changed = b.run_commands().changed_since("c", seen).await.unwrap();
        assert_eq!(changed.len(), 1, "b would wait for the gateway that was killed");
        assert!(changed[0].node.is_empty());
        assert!(b.run_commands().open_versions().await.unwrap()[0].version > seen);
    }
}
