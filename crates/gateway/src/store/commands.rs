//! The command log: records of devices, each exactly once, in the order of their numbers.
//!
//! Way: batches of a link -> [`CommandLog::append`], one transaction -> what is stored by now, to
//! be confirmed.
//!
//! # Invariants
//! - A record's place is (device, boot, number). What came before is passed over; a number that
//!   never came is a gap row.
//! - Rows are only added, and removed by age and number.
//! - An agent that went without a word leaves a gap row behind its last record, written when its
//!   successor reports.
//! - The programs of a session are counted in its own row, in the same transaction: who lists
//!   sessions counts nothing.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};
use towline_wire::epoch::BootNonce;

use super::{Store, StoreError};
use crate::clock::UnixMillis;

/// One row about to be kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandRow {
    /// Its number, and how many numbers it takes.
    pub number: u64,
    /// See `number`.
    pub covers: u64,
    /// `agent`, `begin`, `exec`, `exit`, `line`, `end` or `gap`.
    pub kind: &'static str,
    /// The session; empty for none.
    pub session: String,
    /// When, by the device's word.
    pub at: u64,
    /// Process.
    pub pid: Option<u32>,
    /// Its parent.
    pub parent: Option<u32>,
    /// Its user.
    pub uid: Option<u32>,
    /// Arguments, each ended by a zero byte.
    pub arguments: Option<Vec<u8>>,
    /// Whether they were cut.
    pub cut: bool,
    /// Working directory.
    pub directory: Option<Vec<u8>>,
    /// Exit code.
    pub code: Option<u8>,
    /// Signal that ended it.
    pub signal: Option<u8>,
    /// How long it lasted, ms.
    pub lasted: Option<u64>,
    /// Words: a reason, a typed line.
    pub detail: String,
    /// Nothing of this boot follows.
    pub last: bool,
}

/// Rows of one batch.
#[derive(Debug, Clone)]
pub struct CommandBatch {
    /// The device.
    pub device: String,
    /// Which start of its agent.
    pub boot: BootNonce,
    /// The number behind the last record.
    pub next: u64,
    /// The rows, in order.
    pub rows: Vec<CommandRow>,
}

/// A row as it is read: of a program together with its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCommand {
    /// Number of the row in this store.
    pub id: i64,
    /// `begin`, `exec`, `line`, `end` or `gap`.
    pub kind: String,
    /// Its place in the device's log.
    pub number: u64,
    /// How many numbers it takes.
    pub covers: u64,
    /// The session; empty for a gap.
    pub session: String,
    /// When, by the device's word.
    pub at: UnixMillis,
    /// Process.
    pub pid: Option<u32>,
    /// Its parent.
    pub parent: Option<u32>,
    /// Its user.
    pub uid: Option<u32>,
    /// Arguments, each ended by a zero byte; empty when the device did not get to know them.
    pub arguments: Vec<u8>,
    /// Whether they were cut.
    pub cut: bool,
    /// Working directory.
    pub directory: Vec<u8>,
    /// What followed for the process: `exit`, `exec` (it became another program), or nothing yet.
    pub end: Option<String>,
    /// When that was.
    pub ended_at: Option<UnixMillis>,
    /// Exit code.
    pub code: Option<u8>,
    /// Signal that ended it.
    pub signal: Option<u8>,
    /// How long it lasted, ms.
    pub lasted: Option<u64>,
    /// Words.
    pub detail: String,
}

/// A row as it was stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawCommand {
    /// Number of the row in this store.
    pub id: i64,
    /// The device.
    pub device: String,
    /// Which start of its agent.
    pub boot: Vec<u8>,
    /// Its place in the device's log.
    pub number: i64,
    /// How many numbers it takes.
    pub covers: i64,
    /// See [`CommandRow::kind`].
    pub kind: String,
    /// The session; empty for none.
    pub session: String,
    /// When, by the device's word.
    pub at: i64,
    /// When it came.
    pub stored_at: i64,
    /// Process.
    pub pid: Option<i64>,
    /// Its parent.
    pub parent: Option<i64>,
    /// Its user.
    pub uid: Option<i64>,
    /// Arguments, each ended by a zero byte.
    pub arguments: Option<Vec<u8>>,
    /// Working directory.
    pub directory: Option<Vec<u8>>,
    /// Exit code.
    pub code: Option<i64>,
    /// Signal that ended it.
    pub signal: Option<i64>,
    /// How long it lasted, ms.
    pub lasted: Option<i64>,
    /// Words.
    pub detail: String,
}

/// Handle of the theme.
pub struct CommandLog<'a> {
    pub(super) store: &'a Store,
}

const INSERT: &str = "INSERT INTO command_log (device_id, boot, number, covers, kind, session, at, stored_at, pid, parent, \
     uid, arguments, cut, directory, code, signal, lasted_ms, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// A program with what followed for its process; and all else of a session, with the gaps of its
/// device meanwhile.
const OF_SESSION: &str = "WITH bounds AS (SELECT device_id, boot, MIN(number) AS low, MAX(CASE WHEN kind = 'end' THEN number END) AS high
       FROM command_log WHERE session = ?1 GROUP BY device_id, boot),
     wanted AS (SELECT id FROM command_log WHERE session = ?1 AND kind <> 'exit'
       UNION SELECT g.id FROM command_log g JOIN bounds b ON g.device_id = b.device_id AND g.boot = b.boot
       WHERE g.kind = 'gap' AND g.number >= b.low AND (b.high IS NULL OR g.number <= b.high))
     SELECT e.*, x.kind AS end_kind, x.at AS ended_at, x.code AS end_code, x.signal AS end_signal, x.lasted_ms AS end_lasted
       FROM command_log e LEFT JOIN command_log x ON e.kind = 'exec' AND x.id = (SELECT n.id FROM command_log n
         WHERE n.device_id = e.device_id AND n.boot = e.boot AND n.pid = e.pid AND n.number > e.number
           AND n.kind IN ('exec', 'exit') ORDER BY n.number LIMIT 1)
       WHERE e.id IN (SELECT id FROM wanted) AND e.id > ?2 ORDER BY e.id LIMIT ?3";

impl CommandLog<'_> {
    /// Stores batches, all or none. For each, the number up to which its boot's records are stored,
    /// and how many rows are new: the last so many.
    ///
    /// # Errors
    /// The database's own.
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

    /// Rows of a session after the one numbered `after`, oldest first.
    ///
    /// # Errors
    /// The database's own.
    pub async fn of_session(
        &self,
        session: &str,
        after: i64,
        limit: i64,
    ) -> Result<Vec<StoredCommand>, StoreError> {
        let rows = sqlx::query(OF_SESSION)
            .bind(session)
            .bind(after)
            .bind(limit)
            .fetch_all(&self.store.pool)
            .await?;
        rows.iter().map(|row| Ok(read(row)?)).collect()
    }

    /// Rows of all devices after the one numbered `after`, as they were stored, oldest first.
    ///
    /// # Errors
    /// The database's own.
    pub async fn raw(&self, after: i64, limit: i64) -> Result<Vec<RawCommand>, StoreError> {
        let sql = "SELECT * FROM command_log WHERE id > ? ORDER BY id LIMIT ?";
        let rows = sqlx::query(sql).bind(after).bind(limit).fetch_all(&self.store.pool).await?;
        rows.iter().map(|row| Ok(read_raw(row)?)).collect()
    }

    /// Whether this session is one of this device, as far as the store knows.
    ///
    /// # Errors
    /// The database's own.
    pub async fn is_session_of(&self, session: &str, device: &str) -> Result<bool, StoreError> {
        let found: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM sessions WHERE id = ? AND device_id = ?")
                .bind(session)
                .bind(device)
                .fetch_optional(&self.store.pool)
                .await?;
        Ok(found.is_some())
    }

    /// Removes rows stored before `before`, and the oldest beyond `max_rows`. The number removed.
    ///
    /// # Errors
    /// The database's own.
    pub async fn prune(&self, before: UnixMillis, max_rows: i64) -> Result<u64, StoreError> {
        let sql = "DELETE FROM command_log WHERE stored_at < ? OR id <= (SELECT COALESCE(MAX(id), 0) FROM command_log) - ?";
        let done = sqlx::query(sql).bind(before.0).bind(max_rows).execute(&self.store.pool).await?;
        sqlx::query("DELETE FROM log_heads WHERE closed AND heard_at < ?")
            .bind(before.0)
            .execute(&self.store.pool)
            .await?;
        Ok(done.rows_affected())
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

async fn append_one(
    tx: &mut Transaction<'static, Sqlite>,
    batch: &CommandBatch,
    now: UnixMillis,
) -> Result<(u64, usize), StoreError> {
    let head: Option<i64> =
        sqlx::query_scalar("SELECT next FROM log_heads WHERE device_id = ? AND boot = ?")
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
            continue; // it was stored before
        }
        if row.number > next {
            insert(
                tx,
                batch,
                &missing(next, row.number - next, row.at, "records that never came"),
                now,
            )
            .await?;
        }
        // A gap may begin before what is stored already: only the rest of it is missing.
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
        let why = "records that this gateway cannot read: it may have to be updated";
        insert(tx, batch, &missing(next, batch.next - next, at, why), now).await?;
        next = batch.next;
    }
    count(tx, &counts).await?;
    sqlx::query(
        "INSERT INTO log_heads (device_id, boot, next, closed, heard_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (device_id, boot) DO UPDATE SET next = excluded.next, closed = excluded.closed, heard_at = excluded.heard_at",
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

/// What a row adds to the programs of its session: nothing but the beginning of a log says that
/// there were none. A device that logs nothing says so at the beginning. (Migration 10 and
/// `SessionStore::insert` say the same in SQL.)
fn programs(row: &CommandRow) -> Option<i64> {
    match row.kind {
        "exec" => Some(1),
        "begin" if !row.detail.starts_with("off") => Some(0),
        _ => None,
    }
}

async fn count(
    tx: &mut Transaction<'static, Sqlite>,
    counts: &BTreeMap<&str, i64>,
) -> Result<(), StoreError> {
    for (session, programs) in counts.iter().filter(|(session, _)| !session.is_empty()) {
        sqlx::query("UPDATE sessions SET commands = COALESCE(commands, 0) + ? WHERE id = ?")
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

/// A new start of an agent reports: what earlier ones did not say by now, they will never say.
async fn close_older(
    tx: &mut Transaction<'static, Sqlite>,
    batch: &CommandBatch,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let open: Vec<(Vec<u8>, i64)> = sqlx::query_as(
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
        sqlx::query(
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
    tx: &mut Transaction<'static, Sqlite>,
    batch: &CommandBatch,
    row: &CommandRow,
    now: UnixMillis,
) -> Result<(), StoreError> {
    sqlx::query(INSERT)
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
        .bind(&row.detail)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

fn read(row: &SqliteRow) -> Result<StoredCommand, sqlx::Error> {
    let small = |name: &str| {
        row.try_get::<Option<i64>, _>(name).map(|n| n.and_then(|n| u32::try_from(n).ok()))
    };
    let byte = |name: &str| {
        row.try_get::<Option<i64>, _>(name).map(|n| n.and_then(|n| u8::try_from(n).ok()))
    };
    let bytes = |name: &str| row.try_get::<Option<Vec<u8>>, _>(name).map(Option::unwrap_or_default);
    let whole = |name: &str| row.try_get::<i64, _>(name).map(i64::cast_unsigned);
    Ok(StoredCommand {
        id: row.try_get("id")?,
        kind: row.try_get("kind")?,
        number: whole("number")?,
        covers: whole("covers")?,
        session: row.try_get("session")?,
        at: UnixMillis(row.try_get("at")?),
        pid: small("pid")?,
        parent: small("parent")?,
        uid: small("uid")?,
        arguments: bytes("arguments")?,
        cut: row.try_get("cut")?,
        directory: bytes("directory")?,
        end: row.try_get("end_kind")?,
        ended_at: row.try_get::<Option<i64>, _>("ended_at")?.map(UnixMillis),
        code: byte("end_code")?,
        signal: byte("end_signal")?,
        lasted: row.try_get::<Option<i64>, _>("end_lasted")?.map(i64::cast_unsigned),
        detail: row.try_get("detail")?,
    })
}

fn read_raw(row: &SqliteRow) -> Result<RawCommand, sqlx::Error> {
    Ok(RawCommand {
        id: row.try_get("id")?,
        device: row.try_get("device_id")?,
        boot: row.try_get("boot")?,
        number: row.try_get("number")?,
        covers: row.try_get("covers")?,
        kind: row.try_get("kind")?,
        session: row.try_get("session")?,
        at: row.try_get("at")?,
        stored_at: row.try_get("stored_at")?,
        pid: row.try_get("pid")?,
        parent: row.try_get("parent")?,
        uid: row.try_get("uid")?,
        arguments: row.try_get("arguments")?,
        directory: row.try_get("directory")?,
        code: row.try_get("code")?,
        signal: row.try_get("signal")?,
        lasted: row.try_get("lasted_ms")?,
        detail: row.try_get("detail")?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::sessions::tests::new as new_of;
    use super::super::testing::scratch;
    use super::*;

    const BOOT: BootNonce = [1; 16];
    const NEXT_BOOT: BootNonce = [2; 16];

    fn row(number: u64, kind: &'static str) -> CommandRow {
        let session = if kind == "gap" || kind == "agent" { String::new() } else { "ann-1".into() };
        CommandRow {
            number,
            covers: 1,
            kind,
            session,
            at: number,
            pid: Some(7),
            ..CommandRow::default()
        }
    }

    fn batch(boot: BootNonce, rows: Vec<CommandRow>) -> CommandBatch {
        let next = rows.last().map_or(0, |row| row.number + row.covers.max(1));
        CommandBatch { device: "mi-1".into(), boot, next, rows }
    }

    fn new_session(id: &str) -> super::super::NewSession {
        new_of(id, "mi-1")
    }

    async fn kinds(store: &Store) -> Vec<(String, u64, u64)> {
        let rows = store.commands().of_session("ann-1", 0, 100).await.unwrap();
        rows.into_iter().map(|row| (row.kind, row.number, row.covers)).collect()
    }

    #[tokio::test]
    async fn a_batch_that_comes_twice_is_stored_once() {
        let (store, _dir) = scratch().await;
        let first = batch(BOOT, vec![row(0, "agent"), row(1, "begin"), row(2, "exec")]);
        let more =
            batch(BOOT, vec![row(1, "begin"), row(2, "exec"), row(3, "exit"), row(4, "end")]);
        let now = UnixMillis(9);
        assert_eq!(
            store.commands().append(std::slice::from_ref(&first), now).await.unwrap(),
            [(3, 3)]
        );
        assert_eq!(store.commands().append(&[first, more], now).await.unwrap(), [(3, 0), (5, 2)]);
        assert_eq!(
            kinds(&store).await,
            [("begin".into(), 1, 1), ("exec".into(), 2, 1), ("end".into(), 4, 1)]
        );
    }

    #[tokio::test]
    async fn what_never_came_is_a_gap_and_a_gap_is_only_what_is_missing() {
        let (store, _dir) = scratch().await;
        let now = UnixMillis(9);
        let begin = batch(BOOT, vec![row(0, "agent"), row(1, "begin")]);
        let jump = batch(BOOT, vec![row(5, "exec")]);
        let overlap = batch(BOOT, vec![CommandRow { covers: 8, ..row(2, "gap") }, row(10, "end")]);
        for (batch, next) in [(begin, 2), (jump, 6), (overlap, 11)] {
            assert_eq!(store.commands().append(&[batch], now).await.unwrap()[0].0, next);
        }
        let expected =
            [("begin", 1, 1), ("gap", 2, 3), ("exec", 5, 1), ("gap", 6, 4), ("end", 10, 1)];
        assert_eq!(kinds(&store).await, expected.map(|(kind, n, c)| (kind.to_owned(), n, c)));
    }

    #[tokio::test]
    async fn an_agent_that_went_without_a_word_leaves_a_gap() {
        let (store, _dir) = scratch().await;
        let now = UnixMillis(9);
        store
            .commands()
            .append(&[batch(BOOT, vec![row(0, "agent"), row(1, "begin")])], now)
            .await
            .unwrap();
        store.commands().append(&[batch(NEXT_BOOT, vec![row(0, "agent")])], now).await.unwrap();
        assert_eq!(kinds(&store).await, [("begin".into(), 1, 1), ("gap".into(), 2, 0)]);
    }

    #[tokio::test]
    async fn an_agent_that_said_goodbye_leaves_none() {
        let (store, _dir) = scratch().await;
        let now = UnixMillis(9);
        let goodbye = CommandRow { last: true, ..row(2, "agent") };
        store
            .commands()
            .append(&[batch(BOOT, vec![row(0, "agent"), row(1, "begin"), goodbye])], now)
            .await
            .unwrap();
        store.commands().append(&[batch(NEXT_BOOT, vec![row(0, "agent")])], now).await.unwrap();
        assert_eq!(kinds(&store).await, [("begin".into(), 1, 1)]);
    }

    async fn programs_of(store: &Store, session: &str) -> Option<i64> {
        store.sessions().get(session).await.unwrap().unwrap().commands
    }

    #[tokio::test]
    async fn programs_are_counted_once_in_the_row_of_their_session() {
        let (store, _dir) = scratch().await;
        let now = UnixMillis(9);
        let before = batch(BOOT, vec![row(0, "agent"), row(1, "begin"), row(2, "exec")]);
        store.commands().append(std::slice::from_ref(&before), now).await.unwrap();
        store.sessions().insert(&new_session("ann-1"), now).await.unwrap();
        assert_eq!(programs_of(&store, "ann-1").await, Some(1), "what came before the row");
        let more =
            batch(BOOT, vec![row(2, "exec"), row(3, "exit"), row(4, "exec"), row(5, "line")]);
        store.commands().append(&[before, more], now).await.unwrap();
        assert_eq!(programs_of(&store, "ann-1").await, Some(2));
    }

    #[tokio::test]
    async fn of_a_device_that_logs_nothing_no_number_is_known() {
        let (store, _dir) = scratch().await;
        let now = UnixMillis(9);
        store.sessions().insert(&new_session("ann-1"), now).await.unwrap();
        let off =
            CommandRow { detail: "off (switched off on the device)".into(), ..row(1, "begin") };
        store.commands().append(&[batch(BOOT, vec![row(0, "agent"), off])], now).await.unwrap();
        assert_eq!(programs_of(&store, "ann-1").await, None);
        store
            .commands()
            .append(&[batch(NEXT_BOOT, vec![row(0, "agent"), row(1, "begin")])], now)
            .await
            .unwrap();
        assert_eq!(programs_of(&store, "ann-1").await, Some(0));
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_confirmed_and_missing() {
        let (store, _dir) = scratch().await;
        let unread =
            CommandBatch { next: 4, ..batch(BOOT, vec![row(0, "agent"), row(1, "begin")]) };
        assert_eq!(store.commands().append(&[unread], UnixMillis(9)).await.unwrap(), [(4, 2)]);
        assert_eq!(kinds(&store).await, [("begin".into(), 1, 1), ("gap".into(), 2, 2)]);
    }

    #[tokio::test]
    async fn a_program_is_read_with_how_it_ended_or_what_it_became() {
        let (store, _dir) = scratch().await;
        let exit = CommandRow { code: Some(3), lasted: Some(40), ..row(4, "exit") };
        let rows = vec![row(0, "agent"), row(1, "begin"), row(2, "exec"), row(3, "exec"), exit];
        store.commands().append(&[batch(BOOT, rows)], UnixMillis(9)).await.unwrap();
        let rows = store.commands().of_session("ann-1", 0, 100).await.unwrap();
        let ends: Vec<_> =
            rows.iter().map(|row| (row.number, row.end.as_deref(), row.code, row.lasted)).collect();
        assert_eq!(
            ends,
            [
                (1, None, None, None),
                (2, Some("exec"), None, None),
                (3, Some("exit"), Some(3), Some(40))
            ]
        );
    }
}
