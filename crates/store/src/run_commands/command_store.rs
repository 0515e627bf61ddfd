//! Commands and invocations: inserted, changed, pruned.

use std::collections::BTreeSet;
use std::time::Duration;

use super::rows::{CommandEnd, InvocationChange, NewCommand};
use crate::engine::{self, QueryBuilder, Tx};
use crate::error::StoreError;
use crate::limits;
use crate::store::{Store, within};
use towline_host::clock::UnixMillis;

/// Operations on commands and invocations.
pub struct CommandStore<'a> {
    pub(super) store: &'a Store,
}

impl Store {
    /// Commands.
    #[must_use]
    pub const fn run_commands(&self) -> CommandStore<'_> {
        CommandStore { store: self }
    }
}

impl CommandStore<'_> {
    /// Stores a command with a pending invocation for each device. `steps`: the initial steps of a
    /// device.
    ///
    /// # Errors
    /// [`StoreError::Full`] when too many invocations are open; nothing is written then.
    pub async fn insert<'s>(
        &self,
        new: &NewCommand,
        devices: &[String],
        steps: impl Fn(&str) -> &'s str,
    ) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        prune(&mut tx, new).await?;
        let more = i64::try_from(devices.len()).unwrap_or(i64::MAX);
        room_for(&mut tx, &new.person_id, more).await?;
        insert_command(&mut tx, new, more).await?;
        for some in devices.chunks(limits::INVOCATIONS_AT_ONCE) {
            let mut query: QueryBuilder = QueryBuilder::new(
                "INSERT INTO command_invocations \
                 (command_id, device_id, requested_at, status, details, given_to, steps) ",
            );
            query.push_values(some, |mut row, device| {
                row.push_bind(&new.id).push_bind(device).push_bind(new.requested_at.0);
                row.push("'Pending'").push("'Pending'").push_bind(&[][..]);
                row.push_bind(steps(device));
            });
            query.build().persistent(false).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Changes invocations and their commands, in one transaction. Where several gateways work
    /// together: command and device of the changes that another node has made impossible. It may be
    /// called again when its answer was lost: an end that is stored already is no refusal.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn change(
        &self,
        invocations: &[InvocationChange],
        commands: &[CommandEnd],
        now: UnixMillis,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let mut tx = self.store.writing().await?;
        let node = self.store.node();
        if node.is_some() {
            let ids: BTreeSet<&str> = invocations.iter().map(|one| &*one.command).collect();
            for id in ids {
                count_up(&mut tx, id).await?;
            }
        }
        let mut refused = Vec::new();
        for change in invocations {
            let changed = change_invocation(&mut tx, change, node.unwrap_or_default(), now).await?;
            if !changed && node.is_some() {
                refused.push((change.command.clone(), change.device.clone()));
            }
        }
        for command in commands {
            engine::query(
                "UPDATE commands SET status = ?, details = ?, completed_count = ?, error_count = \
                 ?, \
                 undelivered_count = ?, ended_at = ? WHERE id = ? AND ended_at IS NULL",
            )
            .bind(&command.status)
            .bind(&command.details)
            .bind(command.completed)
            .bind(command.errors)
            .bind(command.undelivered)
            .bind(command.ended.then_some(now.0))
            .bind(&command.id)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(refused)
    }
}

/// Something of a command changes.
pub(super) async fn count_up(tx: &mut Tx, command: &str) -> Result<(), StoreError> {
    engine::query("UPDATE commands SET version = version + 1 WHERE id = ?")
        .bind(command)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// False: the invocation has ended otherwise, or another node carries it.
pub(super) async fn change_invocation(
    tx: &mut Tx,
    change: &InvocationChange,
    node: &str,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let given: Vec<u8> = change.given_to.concat();
    let done = engine::query(
        "UPDATE command_invocations SET status = ?, details = ?, reason = ?, step = ?, given_to = \
         ?, steps = ?, \
         ended_at = ?, active = ?, doubted = ?, node = ?, \
         version = (SELECT c.version FROM commands c WHERE c.id = command_invocations.command_id) \
         WHERE command_id = ? AND device_id = ? AND ended_at IS NULL AND node IN ('', ?)",
    )
    .bind(&change.status)
    .bind(&change.details)
    .bind(&change.reason)
    .bind(change.step)
    .bind(given)
    .bind(&change.steps)
    .bind(change.ended.then_some(now.0))
    .bind(i64::from(change.active))
    .bind(i64::from(change.doubted))
    .bind(if change.carried || change.ended { node } else { "" })
    .bind(&change.command)
    .bind(&change.device)
    .bind(node)
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() == 0 {
        return is_stored(tx, change, node).await;
    }
    if !node.is_empty() {
        let first = if change.ended { i64::MAX } else { change.step };
        forget_pieces(tx, change, first).await?;
    }
    let Some(heads) = &change.heads else { return Ok(true) };
    engine::query(
        "INSERT INTO command_outputs (command_id, device_id, step, stdout, stderr) VALUES (?, ?, \
         ?, ?, ?) \
         ON CONFLICT (command_id, device_id, step) DO UPDATE SET stdout = excluded.stdout, stderr \
         = excluded.stderr",
    )
    .bind(&change.command)
    .bind(&change.device)
    .bind(heads.step)
    .bind(&heads.stdout)
    .bind(&heads.stderr)
    .execute(&mut **tx)
    .await?;
    Ok(true)
}

/// Whether an end is stored as this node wants it: the answer to its COMMIT was lost.
async fn is_stored(tx: &mut Tx, change: &InvocationChange, node: &str) -> Result<bool, StoreError> {
    if !change.ended {
        return Ok(false); // one that has not ended would have been changed again
    }
    let same: i64 = engine::query_scalar(
        "SELECT COUNT(*) FROM command_invocations WHERE command_id = ? AND device_id = ? \
         AND ended_at IS NOT NULL AND node = ? AND status = ? AND details = ? AND reason = ? \
         AND step = ? AND steps = ?",
    )
    .bind(&change.command)
    .bind(&change.device)
    .bind(node)
    .bind(&change.status)
    .bind(&change.details)
    .bind(&change.reason)
    .bind(change.step)
    .bind(&change.steps)
    .fetch_one(&mut **tx)
    .await?;
    Ok(same > 0)
}

/// Pieces of steps before this one are whole files now.
async fn forget_pieces(
    tx: &mut Tx,
    change: &InvocationChange,
    first: i64,
) -> Result<(), StoreError> {
    engine::query(
        "DELETE FROM command_output_pieces WHERE command_id = ? AND device_id = ? AND step < ?",
    )
    .bind(&change.command)
    .bind(&change.device)
    .bind(first)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn insert_command(tx: &mut Tx, new: &NewCommand, devices: i64) -> Result<(), StoreError> {
    engine::query(
        "INSERT INTO commands (id, document, document_version, comment, parameters, instance_ids, \
         targets, principal_arn, person_id, \
         run_as, max_concurrency, max_errors, plan, output, timeout_s, requested_at, deliver_by, \
         expires_at, status, \
         details, target_count) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, \
         'Pending', 'Pending', ?)",
    )
    .bind(&new.id)
    .bind(&new.document)
    .bind(&new.document_version)
    .bind(&new.comment)
    .bind(&new.parameters)
    .bind(&new.instance_ids)
    .bind(&new.targets)
    .bind(&new.principal_arn)
    .bind(&new.person_id)
    .bind(&new.run_as)
    .bind(&new.max_concurrency)
    .bind(&new.max_errors)
    .bind(&new.plan)
    .bind(&new.output)
    .bind(new.timeout_s)
    .bind(new.requested_at.0)
    .bind(new.deliver_by.0)
    .bind(new.expires_at.0)
    .bind(devices)
    .execute(&mut **tx)
    .await
    .map_err(StoreError::on_insert("command"))?;
    Ok(())
}

/// Refuses what would be too many open invocations: of all, or of one person.
async fn room_for(tx: &mut Tx, person: &str, more: i64) -> Result<(), StoreError> {
    let least = |limit: i64| limit.saturating_sub(more) + 1;
    let open = "SELECT COUNT(*) FROM command_invocations WHERE ended_at IS NULL AND '' = ?";
    let what = "open invocations of commands";
    within(tx, open, "", what, least(limits::MAX_OPEN_INVOCATIONS)).await?;
    let own = "SELECT COUNT(*) FROM command_invocations i JOIN commands c ON c.id = i.command_id \
               WHERE i.ended_at IS NULL AND c.ended_at IS NULL AND c.person_id = ?";
    let what = "open invocations of commands of one person";
    within(tx, own, person, what, least(limits::MAX_OPEN_INVOCATIONS / 2)).await
}

/// Makes room for a command. One person's never displace more of others' than half of the table.
async fn prune(tx: &mut Tx, new: &NewCommand) -> Result<(), StoreError> {
    let now = new.requested_at;
    let keep = Duration::from_secs(limits::COMMAND_HISTORY_DAYS.unsigned_abs() * 86_400);
    engine::query(
        "DELETE FROM commands WHERE requested_at < ? AND ended_at IS NOT NULL AND ended_at < ?",
    )
    .bind(now.minus(keep).0)
    .bind(now.minus(keep).0)
    .execute(&mut **tx)
    .await?;
    engine::query(
        "DELETE FROM commands WHERE id IN (SELECT id FROM commands WHERE ended_at IS NOT NULL AND \
         person_id = ? ORDER BY requested_at DESC LIMIT ? OFFSET ?)",
    )
    .bind(&new.person_id)
    .bind(i64::MAX)
    .bind(limits::MAX_COMMANDS / 2)
    .execute(&mut **tx)
    .await?;
    engine::query(
        "DELETE FROM commands WHERE id IN (SELECT id FROM commands WHERE ended_at IS NOT NULL \
         ORDER BY requested_at DESC \
         LIMIT ? OFFSET ?)",
    )
    .bind(i64::MAX)
    .bind(limits::MAX_COMMANDS)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
