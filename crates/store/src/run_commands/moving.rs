//! Invocations that change nodes: with the link of their device, and when their node is dead.
//!
//! # Invariants
//! - A step that was given to a device is of the node that has the device's link; one that was
//!   claimed and not given is nobody's.

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
    let commands: Vec<String> = engine::query_scalar(
        "SELECT command_id FROM command_invocations WHERE device_id = ? AND ended_at IS NULL \
         AND (node <> ? OR ?) AND (node <> '' OR LENGTH(given_to) > 0) ORDER BY command_id",
    )
    .bind(device)
    .bind(own)
    .bind(anew)
    .fetch_all(&mut **tx)
    .await?;
    for command in &commands {
        super::command_store::count_up(tx, command).await?;
        engine::query(
            "UPDATE command_invocations SET active = 0, \
             node = CASE WHEN LENGTH(given_to) > 0 THEN ? ELSE '' END, \
             version = (SELECT c.version FROM commands c WHERE c.id = \
             command_invocations.command_id) \
             WHERE command_id = ? AND device_id = ?",
        )
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
    engine::query(
        "UPDATE commands SET version = version + 1 WHERE id IN (SELECT command_id \
         FROM command_invocations WHERE node = ? AND ended_at IS NULL)",
    )
    .bind(node)
    .execute(&mut **tx)
    .await?;
    engine::query(
        "UPDATE command_invocations SET active = 0, node = '', \
         version = (SELECT c.version FROM commands c WHERE c.id = command_invocations.command_id) \
         WHERE node = ? AND ended_at IS NULL",
    )
    .bind(node)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
