//! Nodes: the gateways that work on one store together.
//!
//! Data flow: a gateway joins and renews its lease (`engine::member`) -> others list it, and
//! declare it dead when the lease is over ([`Nodes::judge`]).
//!
//! # Invariants
//! - A node declares another one dead only when it has had its own lease without a gap for as long
//!   as a lease holds: after an outage of the database everybody has the time to come back.
//! - Times are compared by the clock of the database alone: a lease's end with another lease's end.
//!   When that clock is set, or another server's has taken its place, nobody is judged until all
//!   have renewed their leases by it ([`crate::engine::lease`]).
//! - A node that was declared dead never writes again: its generation is another one.

use crate::begun_requests;
use crate::engine::lease::{Bounds, LEFT};
use crate::engine::member::NOW;
use crate::engine::{self, Row, Tx};
use crate::error::StoreError;
use crate::limits::NODE_LEASE;
use crate::presence::take;
use crate::run_commands::leave_node;
use crate::sessions::Session;
use crate::sign_in_links;
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
        self.read(true).await
    }

    /// All nodes, by name; devices and sessions are counted for this one alone. For a look that is
    /// repeated.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn look(&self) -> Result<Vec<Node>, StoreError> {
        self.read(false).await
    }

    /// Names of the nodes that live and whose program does not know a step of the schema. None
    /// where a gateway works alone.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn without_step(&self, step: i64) -> Result<Vec<String>, StoreError> {
        if self.store.member.is_none() {
            return Ok(Vec::new());
        }
        let nodes = self.look().await?;
        let older = nodes.into_iter().filter(|node| node.lives && node.knows < step);
        Ok(older.map(|node| node.name).collect())
    }

    async fn read(&self, counts_all: bool) -> Result<Vec<Node>, StoreError> {
        let time = self.store.member.as_ref().map_or(i64::MAX, |member| member.lease.time());
        let rows = engine::query(&format!(
            "SELECT n.name, n.generation, n.address, n.spki, n.version, n.knows, n.draining, \
             n.device_address, n.approved, \
             n.expires_at > LEAST({NOW}, ?) AS lives, \
             CASE WHEN ? OR n.name = ? THEN (SELECT COUNT(*) FROM presence p \
             WHERE p.node = n.name) ELSE 0 END AS devices, \
             CASE WHEN ? OR n.name = ? THEN (SELECT COUNT(*) FROM sessions s \
             WHERE s.node = n.name AND s.ended_at IS NULL) ELSE 0 END AS sessions \
             FROM nodes n ORDER BY n.name"
        ))
        .bind(time)
        .bind(counts_all)
        .bind(&*self.store.node)
        .bind(counts_all)
        .bind(&*self.store.node)
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
        sign_in_links::void_of(&mut tx, own).await?;
        engine::query("UPDATE nodes SET expires_at = ? WHERE name = ?")
            .bind(LEFT)
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
        let Some(bounds) = self.store.member.as_ref().and_then(|member| member.lease.judges())
        else {
            return Ok(Vec::new());
        };
        self.judge_by(bounds).await
    }

    /// The same by these bounds.
    pub(crate) async fn judge_by(&self, bounds: Bounds) -> Result<Vec<Judged>, StoreError> {
        // Where the database's clock shows less than at this node's latest renewal, or more than
        // the end of that lease, it was set since, and nobody is dead. The row may have been
        // renewed anew by then, which this node has not looked at.
        let clock = clock(self.store);
        let is_dead = format!(
            "expires_at > 0 AND (expires_at < ? OR expires_at > ?) \
             AND {clock} >= ? AND {clock} <= ?"
        );
        let find = format!("SELECT name FROM nodes WHERE {is_dead} ORDER BY name");
        let dead = || {
            let query = engine::query_scalar::<String>(&find);
            query
                .bind(bounds.over)
                .bind(bounds.of_another_clock)
                .bind(bounds.made)
                .bind(bounds.ends)
        };
        // Mostly there is nobody: no lock is taken for that.
        if dead().fetch_all(&self.store.pool).await?.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.store.writing().await?;
        let names = dead().fetch_all(&mut *tx).await?;
        let mut judged = Vec::new();
        for node in names {
            // Its process may be renewing right now: then the row is not touched.
            let done = engine::query(&format!(
                "UPDATE nodes SET generation = generation + 1, expires_at = 0 WHERE {is_dead} \
                 AND name = ?"
            ))
            .bind(bounds.over)
            .bind(bounds.of_another_clock)
            .bind(bounds.made)
            .bind(bounds.ends)
            .bind(&node)
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
            sign_in_links::void_of(&mut tx, &node).await?;
            let lines = begun_requests::close(&mut tx, Some(&node)).await?;
            let sessions = take(&mut tx, "node = ?", &[&node], self.store).await?;
            judged.push(Judged { node, sessions, lines });
        }
        tx.commit().await?;
        Ok(judged)
    }

    /// As [`Nodes::judge`], whether this node had its lease for long or not.
    #[cfg(test)]
    pub(crate) async fn judge_now(&self) -> Result<Vec<Judged>, StoreError> {
        let mut tx = self.store.writing().await?;
        let over = renewed(&mut tx, self.store).await?;
        drop(tx);
        let (of_another_clock, ends) = (i64::MAX, i64::MAX);
        self.judge_by(Bounds { made: over, over, ends, of_another_clock }).await
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

/// The time of the database; in a file, which only tests have several nodes on, it is late.
fn clock(store: &Store) -> &'static str {
    if store.is_shared() { NOW } else { "9223372036854775807" }
}

/// When this node has renewed its lease.
async fn renewed(tx: &mut Tx, store: &Store) -> Result<i64, StoreError> {
    if let Some(member) = &store.member {
        return Ok(member.lease.over());
    }
    let lease = i64::try_from(NODE_LEASE.as_millis()).unwrap_or(i64::MAX);
    let ends: Option<i64> = engine::query_scalar("SELECT expires_at FROM nodes WHERE name = ?")
        .bind(&*store.node)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(ends.map_or(LEFT, |ends| ends - lease))
}

/// Whether the lease of a node held when this node renewed its own. While it cannot be told,
/// because the database's clock was set, it did.
pub(crate) async fn lives(tx: &mut Tx, store: &Store, node: &str) -> Result<bool, StoreError> {
    let over = renewed(tx, store).await?;
    let found: i64 = engine::query_scalar(&format!(
        "SELECT COUNT(*) FROM nodes WHERE name = ? AND expires_at > ? \
         AND (expires_at > ? OR {} < ?)",
        clock(store)
    ))
    .bind(node)
    .bind(LEFT)
    .bind(over)
    .bind(over)
    .fetch_one(&mut **tx)
    .await?;
    Ok(found > 0)
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
        StoreError, TrailRoom, engine,
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
            room: TrailRoom::Changes,
            whose: String::new(),
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
        assert!(!a.sessions().end("ann-1", false, "", "a has lost it", NOW).await.unwrap());
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
        b.member.as_ref().unwrap().lease.begin_again(); // a slow machine came here late
        assert!(b.nodes().judge().await.unwrap().is_empty(), "b has just come itself");
        b.member.as_ref().unwrap().lease.assume_steady();
        let judged = b.nodes().judge().await.unwrap();
        assert_eq!((judged.len(), &*judged[0].node, judged[0].sessions.len()), (1, "a", 1));
        assert_eq!(judged[0].lines, ["unknown"], "b logs what a had begun");
        assert!(b.presences().holder("mi-1").await.unwrap().is_none());
        assert!(a.presences().arrive("mi-1", link(2, 2), Known::default(), NOW).await.is_err());
        assert!(b.sessions().end("ann-1", false, "", "over", NOW).await.unwrap());
        let nodes = b.nodes().list().await.unwrap();
        let shown: Vec<_> = nodes.iter().map(|node| (&*node.name, node.lives)).collect();
        assert_eq!(shown, [("a", false), ("b", true)]);
        // It joins anew, as a process of another generation.
        let again = Store::join(&address, &identity("a")).await.unwrap();
        assert!(here(&again, link(2, 3)).await.is_empty());
    }
}
