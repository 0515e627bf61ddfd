//! The table of the command log: appended and read. How it is pruned: [`super::pruning`].

use std::collections::BTreeMap;

use towline_host::clock::UnixMillis;
use towline_wire::epoch::BootNonce;

use super::rows::{
    CommandBatch, CommandRow, CommandText, RawCommand, StoredCommand, read, read_raw, read_text,
    word,
};
use crate::engine::{self, QueryBuilder, Tx};
use crate::error::StoreError;
use crate::store::Store;

/// Operations on the command log.
pub struct CommandLog<'a> {
    pub(super) store: &'a Store,
}

impl Store {
    /// The command log of devices.
    #[must_use]
    pub const fn command_log(&self) -> CommandLog<'_> {
        CommandLog { store: self }
    }
}

const INSERT: &str = "INSERT INTO command_log (device_id, boot, number, covers, kind, session, \
                      at, stored_at, pid, parent, \
     uid, arguments, cut, directory, code, signal, lasted_ms, detail, exe_path, exe_device, \
     exe_inode, exe_origin) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// The rows of a session: each program with the next event of its process, all other records, and
/// the gaps of the device during the session.
const OF_SESSION: &str = "WITH bounds AS (SELECT device_id, boot, MIN(number) AS low, MAX(CASE \
                          WHEN kind = 'end' THEN number END) AS high
       FROM command_log WHERE session = ? GROUP BY device_id, boot),
     wanted AS (SELECT id FROM command_log WHERE session = ? AND kind <> 'exit'
       UNION SELECT g.id FROM command_log g JOIN bounds b ON g.device_id = b.device_id AND g.boot \
       = b.boot
       WHERE g.kind = 'gap' AND g.number >= b.low AND (b.high IS NULL OR g.number <= b.high))
     SELECT e.*, x.kind AS end_kind, x.at AS ended_at, x.code AS end_code, x.signal AS \
     end_signal, x.lasted_ms AS end_lasted
       FROM command_log e LEFT JOIN command_log x ON e.kind = 'exec' AND x.id = (SELECT n.id FROM \
       command_log n
         WHERE n.device_id = e.device_id AND n.boot = e.boot AND n.pid = e.pid AND n.number > \
         e.number
           AND n.kind IN ('exec', 'exit') ORDER BY n.number LIMIT 1)
       WHERE e.id IN (SELECT id FROM wanted) AND e.id > ? ORDER BY e.id LIMIT ?";

/// What a search reads.
const TEXTS: &str = "SELECT id, device_id, session, kind, at, stored_at, arguments, exe_path, \
                     detail FROM command_log \
     WHERE kind IN ('exec', 'line')";

impl CommandLog<'_> {
    /// Stores batches in one transaction. Returns for each batch the number after the last stored
    /// record of its boot, and how many of its rows, counted from the end, are new.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn append(
        &self,
        batches: &[CommandBatch],
        now: UnixMillis,
    ) -> Result<Vec<(u64, usize)>, StoreError> {
        let mut tx = self.store.writing().await?;
        let mut stored = Vec::with_capacity(batches.len());
        for batch in batches {
            stored.push(append_one(&mut tx, batch, now).await?);
        }
        tx.commit().await?;
        Ok(stored)
    }

    /// Rows of a session after row `after`, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn of_session(
        &self,
        session: &str,
        after: i64,
        limit: i64,
    ) -> Result<Vec<StoredCommand>, StoreError> {
        let rows = engine::query(OF_SESSION)
            .bind(session)
            .bind(session)
            .bind(after)
            .bind(limit)
            .fetch_all(&self.store.pool)
            .await?;
        rows.iter().map(|row| Ok(read(row)?)).collect()
    }

    /// Rows of all devices after row `after`, as stored, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn raw(&self, after: i64, limit: i64) -> Result<Vec<RawCommand>, StoreError> {
        let sql = "SELECT id, device_id, boot, number, covers, kind, session, at, stored_at, pid, \
                   parent, uid, arguments, directory, exe_path, exe_origin, exe_device, exe_inode, \
                   code, signal, lasted_ms, detail \
                   FROM command_log WHERE id > ? ORDER BY id LIMIT ?";
        let rows = engine::query(sql).bind(after).bind(limit).fetch_all(&self.store.pool).await?;
        rows.iter().map(|row| Ok(read_raw(row)?)).collect()
    }

    /// Programs and typed lines before row `before`, newest first; of one device, if one is named.
    /// A search reads much: it has connections of its own.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn newest(
        &self,
        before: i64,
        device: Option<&str>,
        limit: i64,
    ) -> Result<Vec<CommandText>, StoreError> {
        let mut query = QueryBuilder::new(TEXTS);
        query.push(" AND id < ").push_bind(before);
        if let Some(device) = device {
            query.push(" AND device_id = ").push_bind(device);
        }
        query.push(" ORDER BY id DESC LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&self.store.search).await?;
        rows.iter().map(|row| Ok(read_text(row)?)).collect()
    }

    /// Whether this session belongs to this device.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn is_session_of(&self, session: &str, device: &str) -> Result<bool, StoreError> {
        let found: Option<i64> =
            engine::query_scalar("SELECT 1 FROM sessions WHERE id = ? AND device_id = ?")
                .bind(session)
                .bind(device)
                .fetch_optional(&self.store.pool)
                .await?;
        Ok(found.is_some())
    }
}

/// PostgreSQL takes no NUL in TEXT, and a device may send one.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

async fn append_one(
    tx: &mut Tx,
    batch: &CommandBatch,
    now: UnixMillis,
) -> Result<(u64, usize), StoreError> {
    let head: Option<i64> =
        engine::query_scalar("SELECT next FROM log_heads WHERE device_id = ? AND boot = ?")
            .bind(&batch.device)
            .bind(batch.boot.as_slice())
            .fetch_optional(&mut **tx)
            .await?;
    if head.is_none() {
        close_older(tx, batch, now).await?;
    }
    let mut next = head.map_or(0, i64::cast_unsigned);
    let (mut new, mut last) = (0, false);
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for row in &batch.rows {
        if row.number + row.covers.max(1) <= next {
            continue; // stored before
        }
        if row.number > next {
            insert(
                tx,
                batch,
                &missing(next, row.number - next, row.at, "records that never arrived"),
                now,
            )
            .await?;
        }
        // A gap may overlap with stored records: only the rest is missing.
        let end = row.number + row.covers.max(1);
        let begin = row.number.max(next);
        insert(tx, batch, &CommandRow { number: begin, covers: end - begin, ..row.clone() }, now)
            .await?;
        if let Some(programs) = programs(row) {
            *counts.entry(&row.session).or_default() += programs;
        }
        (next, new, last) = (end, new + 1, row.last);
    }
    if batch.next > next {
        let at = u64::try_from(now.0).unwrap_or(0);
        let why = "records that this version of the gateway cannot read";
        insert(tx, batch, &missing(next, batch.next - next, at, why), now).await?;
        next = batch.next;
    }
    count(tx, &counts).await?;
    engine::query(
        "INSERT INTO log_heads (device_id, boot, next, closed, heard_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (device_id, boot) DO UPDATE SET next = excluded.next, closed = \
         excluded.closed, heard_at = excluded.heard_at",
    )
    .bind(&batch.device)
    .bind(batch.boot.as_slice())
    .bind(signed(next))
    .bind(last)
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok((next, new))
}

/// What a row adds to its session's number of programs. The begin record of a log counts as zero
/// programs, unless it says that the device logs nothing. (Migration 10 and `SessionStore::insert`
/// hold the same rule in SQL.)
fn programs(row: &CommandRow) -> Option<i64> {
    match row.kind {
        "exec" => Some(1),
        "begin" if !row.detail.starts_with("off") => Some(0),
        _ => None,
    }
}

async fn count(tx: &mut Tx, counts: &BTreeMap<&str, i64>) -> Result<(), StoreError> {
    for (session, programs) in counts.iter().filter(|(session, _)| !session.is_empty()) {
        engine::query("UPDATE sessions SET commands = COALESCE(commands, 0) + ? WHERE id = ?")
            .bind(programs)
            .bind(session)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

fn missing(number: u64, covers: u64, at: u64, why: &str) -> CommandRow {
    CommandRow { number, covers, kind: "gap", at, detail: why.to_owned(), ..CommandRow::default() }
}

/// Closes the logs of the agent's earlier boots: they will send nothing more.
async fn close_older(tx: &mut Tx, batch: &CommandBatch, now: UnixMillis) -> Result<(), StoreError> {
    let open: Vec<(Vec<u8>, i64)> = engine::query_as(
        "SELECT boot, next FROM log_heads WHERE device_id = ? AND boot <> ? AND NOT closed",
    )
    .bind(&batch.device)
    .bind(batch.boot.as_slice())
    .fetch_all(&mut **tx)
    .await?;
    for (boot, next) in open {
        let Ok(boot) = BootNonce::try_from(boot.as_slice()) else { continue };
        let older = CommandBatch { device: batch.device.clone(), boot, next: 0, rows: Vec::new() };
        let at = u64::try_from(now.0).unwrap_or(0);
        let why = "the agent ended without a word: what it had not sent by then is lost";
        insert(tx, &older, &missing(next.cast_unsigned(), 0, at, why), now).await?;
        engine::query(
            "UPDATE log_heads SET closed = TRUE, next = next + 1 WHERE device_id = ? AND boot = ?",
        )
        .bind(&batch.device)
        .bind(boot.as_slice())
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn insert(
    tx: &mut Tx,
    batch: &CommandBatch,
    row: &CommandRow,
    now: UnixMillis,
) -> Result<(), StoreError> {
    engine::query(INSERT)
        .bind(&batch.device)
        .bind(batch.boot.as_slice())
        .bind(signed(row.number))
        .bind(signed(row.covers))
        .bind(row.kind)
        .bind(&row.session)
        .bind(signed(row.at))
        .bind(now.0)
        .bind(row.pid)
        .bind(row.parent)
        .bind(row.uid)
        .bind(&row.arguments)
        .bind(row.cut)
        .bind(&row.directory)
        .bind(row.code)
        .bind(row.signal)
        .bind(row.lasted.map(signed))
        .bind(without_nul(&row.detail))
        .bind(row.executable.as_ref().map(|executable| &executable.path))
        .bind(row.executable.as_ref().map(|executable| executable.device.cast_signed()))
        .bind(row.executable.as_ref().map(|executable| executable.inode.cast_signed()))
        .bind(row.executable.as_ref().map(|executable| word(executable.origin)))
        .execute(&mut **tx)
        .await?;
    Ok(())
}
