//! What several gateways share of a command: who carries what, what was cancelled, what is new, and
//! the output that a device need not keep any more.
//!
//! Data flow: a node sees what is new ([`CommandStore::open_versions`],
//! [`CommandStore::changed_since`]) -> claims devices that it holds ([`CommandStore::claim`]) ->
//! changes them as if it were alone.
//!
//! # Invariants
//! - Concurrency and errors are counted over all nodes in the transaction that claims.
//! - A node claims only what it has the device's link for, and stores output only of what it
//!   carries.

use towline_wire::message::AND_LATER;

use super::command_store::{CommandStore, count_up};
use super::rows::{INVOCATION, InvocationRow, OpenCommand, OutputPiece, Wanted, invocation};
use crate::engine::{self, Row, Tx};
use crate::error::StoreError;

impl CommandStore<'_> {
    /// Takes invocations for this node, as far as the limits of their commands allow; these, as
    /// they stand.
    ///
    /// # Errors
    /// [`StoreError::Database`]; nothing has changed then.
    pub async fn claim(&self, wanted: &[Wanted]) -> Result<Vec<InvocationRow>, StoreError> {
        let own = &*self.store.node;
        let mut tx = self.store.writing().await?;
        let mut claimed = Vec::new();
        for one in wanted {
            if claim_one(&mut tx, one, own).await? {
                let row = engine::query(&format!(
                    "{INVOCATION} WHERE i.command_id = ? AND i.device_id = ?"
                ))
                .bind(&one.command)
                .bind(&one.device)
                .fetch_one(&mut *tx)
                .await?;
                claimed.push(invocation(&row)?);
            }
        }
        tx.commit().await?;
        Ok(claimed)
    }

    /// The answer to a claim was lost: what this node has claimed and not given to a device is
    /// nobody's again. To be called by who claims, before it claims again.
    ///
    /// # Errors
    /// [`StoreError::Database`]; nothing has changed then.
    pub async fn give_back_claims(&self) -> Result<(), StoreError> {
        // The latter is in doubt: see `engine/timeline.rs`.
        const CLAIMED: &str = "node = ? AND ended_at IS NULL AND (LENGTH(given_to) = 0 \
             OR LENGTH(given_to) = 32 AND SUBSTR(given_to, 17) = ?)";
        let (own, later) = (&*self.store.node, AND_LATER.to_vec());
        let mut tx = self.store.writing().await?;
        let commands: Vec<String> = engine::query_scalar(&format!(
            "SELECT DISTINCT command_id FROM command_invocations WHERE {CLAIMED} \
             ORDER BY command_id"
        ))
        .bind(own)
        .bind(&later)
        .fetch_all(&mut *tx)
        .await?;
        for command in &commands {
            count_up(&mut tx, command).await?;
            engine::query(&format!(
                "UPDATE command_invocations SET node = '', active = 0, \
                 version = (SELECT c.version FROM commands c WHERE c.id = \
                 command_invocations.command_id) WHERE command_id = ? AND {CLAIMED}"
            ))
            .bind(command)
            .bind(own)
            .bind(&later)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// A gateway works alone: what nodes had is its own.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn take_from_nodes(&self) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        engine::query(
            "UPDATE command_invocations SET node = '', active = 0 \
             WHERE node <> '' AND ended_at IS NULL",
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Somebody wants a command stopped, on these devices or on all.
    ///
    /// # Errors
    /// [`StoreError::Database`]; nothing has changed then.
    pub async fn cancel(&self, id: &str, devices: Option<&[String]>) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        count_up(&mut tx, id).await?;
        let cancel = "UPDATE command_invocations SET cancelled = 1, \
             version = (SELECT c.version FROM commands c WHERE c.id = \
             command_invocations.command_id) \
             WHERE ended_at IS NULL AND command_id = ?";
        match devices {
            None => {
                engine::query(cancel).bind(id).execute(&mut *tx).await?;
                engine::query(
                    "UPDATE commands SET cancelled = 1, status = 'Cancelling', \
                     details = 'Cancelling' WHERE id = ? AND ended_at IS NULL",
                )
                .bind(id)
                .execute(&mut *tx)
                .await?;
            }
            Some(devices) => {
                for device in devices {
                    engine::query(&format!("{cancel} AND device_id = ?"))
                        .bind(id)
                        .bind(device)
                        .execute(&mut *tx)
                        .await?;
                }
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// All commands that have not ended, by how often they were changed.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn open_versions(&self) -> Result<Vec<OpenCommand>, StoreError> {
        let rows = engine::query(
            "SELECT id, version, cancelled FROM commands WHERE ended_at IS NULL ORDER BY id",
        )
        .fetch_all(&self.store.pool)
        .await?;
        let open = |row: &Row| {
            Ok::<_, sqlx::Error>(OpenCommand {
                id: row.try_get("id")?,
                version: row.try_get("version")?,
                cancelled: row.try_get::<i64, _>("cancelled")? != 0,
            })
        };
        Ok(rows.iter().map(open).collect::<Result<_, _>>()?)
    }

    /// The invocations of a command that were changed since it had this version.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn changed_since(
        &self,
        id: &str,
        version: i64,
    ) -> Result<Vec<InvocationRow>, StoreError> {
        let rows = engine::query(&format!(
            "{INVOCATION} WHERE i.command_id = ? AND i.version > ? ORDER BY i.device_id"
        ))
        .bind(id)
        .bind(version)
        .fetch_all(&self.store.pool)
        .await?;
        Ok(rows.iter().map(invocation).collect::<Result<_, _>>()?)
    }

    /// Keeps a piece of output for whichever node ends the step. False: another node carries it.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn keep_piece(&self, piece: &OutputPiece) -> Result<bool, StoreError> {
        let mut tx = self.store.writing().await?;
        let carries: Option<String> = engine::query_scalar(
            "SELECT node FROM command_invocations WHERE command_id = ? AND device_id = ? \
             AND node = ? AND ended_at IS NULL",
        )
        .bind(&piece.command)
        .bind(&piece.device)
        .bind(self.store.node().unwrap_or_default())
        .fetch_optional(&mut *tx)
        .await?;
        if carries.is_none() {
            return Ok(false);
        }
        engine::query(
            "INSERT INTO command_output_pieces (command_id, device_id, step, lane, start, bytes) \
             VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (command_id, device_id, step, lane, start) \
             DO UPDATE SET bytes = excluded.bytes",
        )
        .bind(&piece.command)
        .bind(&piece.device)
        .bind(piece.step)
        .bind(piece.lane)
        .bind(piece.start)
        .bind(&piece.bytes)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The piece that begins at this place of a stream, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn piece(
        &self,
        (command, device, step): (&str, &str, i64),
        lane: i64,
        start: i64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(engine::query_scalar(
            "SELECT bytes FROM command_output_pieces WHERE command_id = ? AND device_id = ? \
             AND step = ? AND lane = ? AND start = ?",
        )
        .bind(command)
        .bind(device)
        .bind(step)
        .bind(lane)
        .bind(start)
        .fetch_optional(&self.store.pool)
        .await?)
    }
}

/// One statement: nobody carries it, nobody wants it stopped, its device is here, and there is
/// room.
async fn claim_one(tx: &mut Tx, one: &Wanted, own: &str) -> Result<bool, StoreError> {
    let done = engine::query(
        "UPDATE command_invocations SET node = ?, active = 1, \
         version = (SELECT c.version + 1 FROM commands c WHERE c.id = \
         command_invocations.command_id) \
         WHERE command_id = ? AND device_id = ? AND ended_at IS NULL AND cancelled = 0 \
         AND active = 0 AND node IN ('', ?) \
         AND EXISTS (SELECT 1 FROM presence p WHERE p.device_id = command_invocations.device_id \
         AND p.node = ?) \
         AND EXISTS (SELECT 1 FROM commands c WHERE c.id = command_invocations.command_id \
         AND c.ended_at IS NULL AND c.cancelled = 0) \
         AND (SELECT COUNT(*) FROM command_invocations a WHERE a.command_id = ? AND a.active = 1) \
         < ? \
         AND (SELECT COUNT(*) FROM command_invocations f WHERE f.command_id = ? \
         AND f.ended_at IS NOT NULL AND f.status IN ('Failed', 'TimedOut') \
         AND f.details NOT IN ('Undeliverable', 'DeliveryTimedOut')) <= ?",
    )
    .bind(own)
    .bind(&one.command)
    .bind(&one.device)
    .bind(own)
    .bind(own)
    .bind(&one.command)
    .bind(one.concurrency)
    .bind(&one.command)
    .bind(one.most_errors)
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    count_up(tx, &one.command).await?;
    Ok(true)
}
