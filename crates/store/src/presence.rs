//! Presence: which node holds the link of which device. Only where several gateways work on one
//! store.
//!
//! Data flow: a device arrives -> [`Presences::arrive`] (compare with the link that is there,
//! write, adopt the device's sessions, all in one transaction) -> its link ends ->
//! [`Presences::leave`].
//!
//! # Invariants
//! - A later link of the same start of the agent takes the place of an earlier one, whatever node
//!   has it; an earlier one that comes late does not.
//! - Another start of the agent takes the place of a link only where that link is known to be dead:
//!   its node's lease is over, or the node was asked.
//! - With a device come all its sessions and the steps of commands that it may hold: the node that
//!   holds the link alone can carry them.
//! - A node that ends a link removes no row that names another link.
//! - A link that has to end is marked where its device changes, and when it comes: its node looks
//!   for the mark, not for the device ([`crate::wanted_ends`]).

use std::collections::{HashMap, HashSet};

use towline_host::clock::UnixMillis;

use crate::engine::{self, QueryBuilder, Tx};
use crate::error::StoreError;
use crate::nodes::lives;
use crate::run_commands::come_with_device;
use crate::sessions::{COLUMNS, Session};
use crate::store::{Store, one_of};

/// One link of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// The start of the agent.
    pub boot: [u8; 16],
    /// Its number among the links of this start.
    pub number: i64,
}

/// What becomes of a device that arrives.
#[derive(Debug)]
pub enum Arrival {
    /// This node holds it now, with what another node had of it.
    Here {
        /// Its sessions.
        sessions: Vec<Session>,
        /// Commands of which it may hold a step.
        commands: Vec<String>,
    },
    /// A later link of the same start is there.
    Stale,
    /// A link of another start is at this node, which is alive.
    OtherStart(String),
}

/// What this node knows when a device arrives.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    /// A link of another start, if there is one, is dead.
    pub other_is_dead: bool,
    /// The answer to an earlier arrival was lost: sessions and steps may be this node's already,
    /// and are named again.
    pub answer_was_lost: bool,
}

/// Operations on presence.
pub struct Presences<'a> {
    store: &'a Store,
}

impl Store {
    /// Presence.
    #[must_use]
    pub const fn presences(&self) -> Presences<'_> {
        Presences { store: self }
    }
}

impl Presences<'_> {
    /// A device arrives at this node.
    ///
    /// # Errors
    /// [`StoreError::Database`]; nothing has changed then.
    pub async fn arrive(
        &self,
        device: &str,
        link: Connection,
        known: Known,
        now: UnixMillis,
    ) -> Result<Arrival, StoreError> {
        let mut tx = self.store.writing().await?;
        let there: Option<(String, Vec<u8>, i64)> =
            engine::query_as("SELECT node, boot, connection FROM presence WHERE device_id = ?")
                .bind(device)
                .fetch_optional(&mut *tx)
                .await?;
        if let Some((node, boot, number)) = there {
            if boot == link.boot {
                if number >= link.number {
                    return Ok(Arrival::Stale);
                }
            } else if *node != *self.store.node
                && !known.other_is_dead
                && lives(&mut tx, self.store, &node).await?
            {
                // Of its own links this node knows itself whether they answer.
                return Ok(Arrival::OtherStart(node));
            }
        }
        engine::query(
            "INSERT INTO presence (device_id, node, boot, connection, since, end_wanted) \
             VALUES (?, ?, ?, ?, ?, CASE WHEN EXISTS (SELECT 1 FROM removed_devices WHERE id = ?) \
             OR EXISTS (SELECT 1 FROM devices WHERE id = ? AND status IN ('quarantined', \
             'revoked')) THEN 1 ELSE 0 END) \
             ON CONFLICT (device_id) DO UPDATE SET node = excluded.node, boot = excluded.boot, \
             connection = excluded.connection, since = excluded.since, \
             end_wanted = excluded.end_wanted",
        )
        .bind(device)
        .bind(&*self.store.node)
        .bind(&link.boot[..])
        .bind(link.number)
        .bind(now.0)
        .bind(device)
        .bind(device)
        .execute(&mut *tx)
        .await?;
        let own = &*self.store.node;
        let anew = known.answer_was_lost;
        let sessions = match anew {
            false => {
                take(&mut tx, "device_id = ? AND node <> ?", &[device, own], self.store).await?
            }
            true => take(&mut tx, "device_id = ?", &[device], self.store).await?,
        };
        let commands = come_with_device(&mut tx, device, own, anew).await?;
        tx.commit().await?;
        Ok(Arrival::Here { sessions, commands })
    }

    /// A link of this node has ended.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn leave(&self, device: &str, link: Connection) -> Result<(), StoreError> {
        engine::query(
            "DELETE FROM presence WHERE device_id = ? AND node = ? AND boot = ? AND connection = ?",
        )
        .bind(device)
        .bind(&*self.store.node)
        .bind(&link.boot[..])
        .bind(link.number)
        .execute(&self.store.pool)
        .await?;
        Ok(())
    }

    /// The node that holds a device's link.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn holder(&self, device: &str) -> Result<Option<String>, StoreError> {
        Ok(engine::query_scalar("SELECT node FROM presence WHERE device_id = ?")
            .bind(device)
            .fetch_optional(&self.store.pool)
            .await?)
    }

    /// Which of these sessions this node has lost: they have ended, or another node carries them.
    /// One without a row is not lost: another server has taken the database's place, and lags.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn lost_sessions(&self, ids: &[String]) -> Result<Vec<String>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = QueryBuilder::new("SELECT id FROM sessions WHERE (ended_at IS NOT NULL");
        query.push(" OR node <> ").push_bind(self.store.node.to_string()).push(")");
        one_of(&mut query, "id", ids);
        let rows = query.build().fetch_all(&self.store.pool).await?;
        let mut lost = HashSet::new();
        for row in &rows {
            lost.insert(row.try_get::<String, _>("id")?);
        }
        Ok(ids.iter().filter(|id| lost.contains(*id)).cloned().collect())
    }

    /// The links of this node, by device.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn of_this_node(&self) -> Result<HashMap<String, Connection>, StoreError> {
        let rows: Vec<(String, Vec<u8>, i64)> =
            engine::query_as("SELECT device_id, boot, connection FROM presence WHERE node = ?")
                .bind(&*self.store.node)
                .fetch_all(&self.store.search)
                .await?;
        let link = |(device, boot, number): (String, Vec<u8>, i64)| {
            let boot = boot.try_into().ok()?;
            Some((device, Connection { boot, number }))
        };
        Ok(rows.into_iter().filter_map(link).collect())
    }
}

/// The link of a device has to end, whatever node holds it.
pub(crate) async fn want_end(tx: &mut Tx, device: &str) -> Result<(), StoreError> {
    engine::query("UPDATE presence SET end_wanted = 1 WHERE device_id = ?")
        .bind(device)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Forgets the unreadable sessions that have ended meanwhile: their devices are to end them, too.
async fn look_again(tx: &mut Tx, store: &Store) -> Result<(), StoreError> {
    let known = store.unreadable.ids();
    if known.is_empty() {
        return Ok(());
    }
    let mut query = QueryBuilder::new("SELECT id FROM sessions WHERE ended_at IS NULL");
    one_of(&mut query, "id", &known);
    let rows = query.build().fetch_all(&mut **tx).await?;
    let open: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get("id")).collect();
    store.unreadable.looked(&known, &open?);
    Ok(())
}

/// Gives the sessions that have not ended and that a condition names to this node, and reads them.
/// One that this version cannot read stays where it is.
pub(crate) async fn take(
    tx: &mut Tx,
    condition: &'static str,
    values: &[&str],
    store: &Store,
) -> Result<Vec<Session>, StoreError> {
    let sql = format!("{COLUMNS} WHERE ended_at IS NULL AND {condition} ORDER BY id");
    let mut query = engine::query(&sql);
    for value in values {
        query = query.bind(*value);
    }
    let rows = query.fetch_all(&mut **tx).await?;
    look_again(tx, store).await?;
    let taken = store.unreadable.sort(&rows)?;
    for one in &taken {
        engine::query("UPDATE sessions SET node = ? WHERE id = ?")
            .bind(&*store.node)
            .bind(&one.new.id)
            .execute(&mut **tx)
            .await?;
    }
    Ok(taken)
}
