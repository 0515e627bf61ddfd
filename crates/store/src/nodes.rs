//! Nodes: the gateways that work on one store together.
//!
//! Data flow: a gateway joins and renews its lease (`engine::member`) -> others list it, and
//! declare it dead when the lease is over ([`Nodes::judge`]).
//!
//! # Invariants
//! - A node declares another one dead only when it has had its own lease without a gap for as long
//!   as a lease holds: after an outage of the database everybody has the time to come back.
//! - Times are compared by the clock of the database alone: a lease's end with another lease's end.
//! - A node that was declared dead never writes again: its generation is another one.

use crate::begun_requests;
use crate::engine::member::NOW;
use crate::engine::{self, Row, Tx};
use crate::error::StoreError;
use crate::limits::NODE_LEASE;
use crate::presence::take;
use crate::run_commands::leave_node;
use crate::sessions::Session;
use crate::store::Store;

/// Whether a node may work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeApproval {
    /// It may.
    Approved,
    /// An administrator has not said so yet.
    Waits,
    /// It was removed.
    Removed,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Counts the processes that had the name.
    pub generation: i64,
    /// Where other nodes reach it.
    pub address: String,
    /// Where devices reach it; empty: only by the addresses that they know.
    pub device_address: String,
    /// The key that it proves.
    pub spki: Vec<u8>,
    /// The version of its program.
    pub version: String,
    /// The newest step of the schema that its program knows; 0: a program of before step 69.
    pub knows: i64,
    /// Whether its lease holds, by the clock of the database.
    pub lives: bool,
    /// Whether it may work.
    pub approval: NodeApproval,
    /// Whether it gives its devices and sessions to the others.
    pub draining: bool,
    /// Devices that it holds.
    pub devices: i64,
    /// Sessions that it carries.
    pub sessions: i64,
}

/// A node that was declared dead.
#[derive(Debug)]
pub struct Judged {
    /// Its name.
    pub node: String,
    /// Its sessions, which are this node's now.
    pub sessions: Vec<Session>,
    /// The audit lines of requests that it had begun.
    pub lines: Vec<String>,
}

/// Operations on nodes.
pub struct Nodes<'a> {
    store: &'a Store,
}

impl Store {
    /// Nodes.
    #[must_use]
    pub const fn nodes(&self) -> Nodes<'_> {
        Nodes { store: self }
    }
}

impl Nodes<'_> {
    /// All nodes, by name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn list(&self) -> Result<Vec<Node>, StoreError> {
        let rows = engine::query(&format!(
            "SELECT n.name, n.generation, n.address, n.spki, n.version, n.knows, n.draining, \
             n.device_address, n.approved, \
             n.expires_at > {NOW} AS lives, \
             (SELECT COUNT(*) FROM presence p WHERE p.node = n.name) AS devices, \
             (SELECT COUNT(*) FROM sessions s WHERE s.node = n.name AND s.ended_at IS NULL) \
             AS sessions FROM nodes n ORDER BY n.name"
        ))
        .fetch_all(&self.store.pool)
        .await?;
        Ok(rows.iter().map(node).collect::<Result<_, _>>()?)
    }

    /// This node gives its devices and sessions to the others from now on.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn drain(&self) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        engine::query("UPDATE nodes SET draining = 1 WHERE name = ?")
            .bind(&*self.store.node)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// This node's lease is over: what it still had is the others' as soon as one of them looks.
    pub(crate) async fn leave(&self) -> Result<(), StoreError> {
        let own = &*self.store.node;
        let mut tx = self.store.writing().await?;
        engine::query("DELETE FROM presence WHERE node = ?").bind(own).execute(&mut *tx).await?;
        engine::query("UPDATE nodes SET expires_at = 1 WHERE name = ?")
            .bind(own)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Declares the nodes dead whose lease was over when this node renewed its own, and takes their
    /// sessions.
    ///
    /// # Errors
    /// [`StoreError::Database`]; nothing has changed then.
    pub async fn judge(&self) -> Result<Vec<Judged>, StoreError> {
        if !self.store.member.as_ref().is_some_and(|member| member.is_steady()) {
            return Ok(Vec::new());
        }
        self.judge_now().await
    }

    /// The same, whether this node had its lease for long or not.
    pub(crate) async fn judge_now(&self) -> Result<Vec<Judged>, StoreError> {
        let own = &self.store.node;
        // Mostly there is nobody: no lock is taken for that.
        let dead = "SELECT name FROM nodes WHERE expires_at > 0 AND expires_at < \
                    (SELECT expires_at FROM nodes WHERE name = ?) - ? ORDER BY name";
        let seen: Vec<String> = engine::query_scalar(dead)
            .bind(&**own)
            .bind(lease())
            .fetch_all(&self.store.pool)
            .await?;
        if seen.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.store.writing().await?;
        let names: Vec<String> =
            engine::query_scalar(dead).bind(&**own).bind(lease()).fetch_all(&mut *tx).await?;
        let mut judged = Vec::new();
        for node in names {
            // Its process may be renewing right now: then the row is not touched.
            let done = engine::query(
                "UPDATE nodes SET generation = generation + 1, expires_at = 0 WHERE name = ? \
                 AND expires_at < (SELECT o.expires_at FROM nodes o WHERE o.name = ?) - ?",
            )
            .bind(&node)
            .bind(&**own)
            .bind(lease())
            .execute(&mut *tx)
            .await?;
            if done.rows_affected() == 0 {
                continue;
            }
            engine::query("DELETE FROM presence WHERE node = ?")
                .bind(&node)
                .execute(&mut *tx)
                .await?;
            leave_node(&mut tx, &node).await?;
            let lines = begun_requests::close(&mut tx, Some(&node)).await?;
            let sessions = take(&mut tx, "node = ?", &[&node], self.store).await?;
            judged.push(Judged { node, sessions, lines });
        }
        tx.commit().await?;
        Ok(judged)
    }
}

fn node(row: &Row) -> Result<Node, sqlx::Error> {
    Ok(Node {
        name: row.try_get("name")?,
        generation: row.try_get("generation")?,
        address: row.try_get("address")?,
        device_address: row.try_get("device_address")?,
        spki: row.try_get("spki")?,
        version: row.try_get("version")?,
        knows: row.try_get("knows")?,
        lives: row.try_get("lives")?,
        approval: match row.try_get::<i64, _>("approved")? {
            0 => NodeApproval::Waits,
            1 => NodeApproval::Approved,
            _ => NodeApproval::Removed,
        },
        draining: row.try_get::<i64, _>("draining")? != 0,
        devices: row.try_get("devices")?,
        sessions: row.try_get("sessions")?,
    })
}

fn lease() -> i64 {
    i64::try_from(NODE_LEASE.as_millis()).unwrap_or(i64::MAX)
}

/// Names of the nodes whose lease held when the node `own` renewed its own.
pub(crate) async fn alive(tx: &mut Tx, own: &str) -> Result<Vec<String>, StoreError> {
    Ok(engine::query_scalar(
        "SELECT name FROM nodes WHERE expires_at > (SELECT expires_at FROM nodes WHERE name = ?) \
         - ?",
    )
    .bind(own)
    .bind(lease())
    .fetch_all(&mut **tx)
    .await?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use towline_host::clock::UnixMillis;
    use towline_testkit::postgres::Postgres;

    use crate::sessions::tests::new;
    use crate::testing::{SERVER, identity, new_database};
    use crate::{
        Arrival, AuditRow, Connection, Known, NodeIdentity, RequestEnd, SessionStatus, Store,
        StoreError, engine,
    };

    const NOW: UnixMillis = UnixMillis(1);
    const DEAD: Known = Known { other_is_dead: true, answer_was_lost: false };

    fn link(boot: u8, number: i64) -> Connection {
        Connection { boot: [boot; 16], number }
    }

    async fn begins_a_request(store: &Store) {
        let unknown = AuditRow {
            at: NOW,
            principal: "arn".into(),
            action: "towline:CreatePrincipal".into(),
            outcome: "OutcomeUnknown".into(),
            line: "unknown".into(),
            stranger: false,
        };
        let request = RequestEnd { id: "begun".into(), seen: None };
        store.begun_requests().begin(&request, &unknown).await.unwrap();
    }

    async fn here(store: &Store, link: Connection) -> Vec<String> {
        match store.presences().arrive("mi-1", link, Known::default(), NOW).await.unwrap() {
            Arrival::Here { sessions, .. } => sessions.into_iter().map(|one| one.new.id).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_session_is_of_the_node_that_holds_its_device_and_a_dead_node_loses_all() {
        if std::env::var(SERVER).is_ok() {
            return; // the run on the other engine: this test has a server of its own
        }
        let server = Postgres::start(&["fsync = off"]).unwrap();
        let address = new_database(&server.address("postgres")).await;
        let made = Store::create_on(&address).await.unwrap();
        made.principals().create("ann", &[], NOW).await.unwrap();
        made.close().await;
        let mut a = Store::join(&address, &identity("a")).await.unwrap();
        let b = Store::join(&address, &identity("b")).await.unwrap();
        assert!(a.does_chores() && !b.does_chores());
        assert!(matches!(Store::connect(&address).await, Err(StoreError::Held)));
        let copied = NodeIdentity { spki: b"a".to_vec(), ..identity("c") };
        assert!(Store::join(&address, &copied).await.unwrap_err().to_string().contains("node.key"));
        let other = NodeIdentity { spki: b"x".to_vec(), ..identity("a") };
        assert!(
            Store::join(&address, &other).await.unwrap_err().to_string().contains("[evidence]")
        );

        // The device is at a, then at b: its session with it.
        assert!(here(&a, link(1, 1)).await.is_empty());
        a.sessions().insert(&new("ann-1", "mi-1"), NOW).await.unwrap();
        assert_eq!(here(&b, link(1, 2)).await, ["ann-1"]);
        assert!(!a.sessions().end("ann-1", false, "a has lost it", NOW).await.unwrap());
        a.presences().leave("mi-1", link(1, 1)).await.unwrap();
        assert_eq!(a.presences().holder("mi-1").await.unwrap().as_deref(), Some("b"));
        let ids = ["ann-1".to_owned()];
        assert_eq!(a.presences().lost_sessions(&ids).await.unwrap(), ids);
        assert!(b.presences().lost_sessions(&ids).await.unwrap().is_empty());
        let forgotten = ["ann-9".to_owned()]; // by a standby that lags
        assert!(a.presences().lost_sessions(&forgotten).await.unwrap().is_empty());
        let late = a.presences().arrive("mi-1", link(1, 1), Known::default(), NOW).await.unwrap();
        assert!(matches!(late, Arrival::Stale), "{late:?}");
        let copy = a.presences().arrive("mi-1", link(2, 1), Known::default(), NOW).await.unwrap();
        assert!(matches!(&copy, Arrival::OtherStart(node) if node == "b"), "{copy:?}");
        // b was asked: its link is dead.
        let sure = a.presences().arrive("mi-1", link(2, 1), DEAD, NOW).await.unwrap();
        assert!(matches!(sure, Arrival::Here { sessions, .. } if sessions.len() == 1));

        begins_a_request(&a).await;
        // a stands still: it writes nothing, and b takes what it had.
        a.member = None;
        assert!(b.nodes().judge().await.unwrap().is_empty());
        let over = "UPDATE nodes SET expires_at = 1 WHERE name = 'a'";
        engine::query(over).execute(&b.pool).await.unwrap();
        let refused = a.sessions().mark("ann-1", SessionStatus::Connected).await.unwrap_err();
        assert!(refused.to_string().contains("lease"), "{refused}");
        b.member.as_ref().unwrap().assume_new(); // a slow machine came here late
        assert!(b.nodes().judge().await.unwrap().is_empty(), "b has just come itself");
        b.member.as_ref().unwrap().assume_steady();
        let judged = b.nodes().judge().await.unwrap();
        assert_eq!((judged.len(), &*judged[0].node, judged[0].sessions.len()), (1, "a", 1));
        assert_eq!(judged[0].lines, ["unknown"], "b logs what a had begun");
        assert!(b.presences().holder("mi-1").await.unwrap().is_none());
        assert!(a.presences().arrive("mi-1", link(2, 2), Known::default(), NOW).await.is_err());
        assert!(b.sessions().end("ann-1", false, "over", NOW).await.unwrap());
        let nodes = b.nodes().list().await.unwrap();
        let shown: Vec<_> = nodes.iter().map(|node| (&*node.name, node.lives)).collect();
        assert_eq!(shown, [("a", false), ("b", true)]);
        // It joins anew, as a process of another generation.
        let again = Store::join(&address, &identity("a")).await.unwrap();
        assert!(here(&again, link(2, 3)).await.is_empty());
    }
}
