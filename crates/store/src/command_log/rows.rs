//! Rows of the command log, as plain structs: written, read joined with their end, read raw.

use crate::engine::Row;
use towline_host::clock::UnixMillis;
use towline_wire::epoch::BootNonce;
use towline_wire::record::{Executable, Origin};

/// A row about to be stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandRow {
    /// Its number in the device's log.
    pub number: u64,
    /// How many numbers it covers.
    pub covers: u64,
    /// `agent`, `begin`, `exec`, `exit`, `line`, `end` or `gap`.
    pub kind: &'static str,
    /// The session; empty for none.
    pub session: String,
    /// Time by the device's clock.
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
    /// What the kernel executed.
    pub executable: Option<Executable>,
    /// Exit code.
    pub code: Option<u8>,
    /// Signal that ended it.
    pub signal: Option<u8>,
    /// How long it lasted, ms.
    pub lasted: Option<u64>,
    /// Text: a reason, a typed line.
    pub detail: String,
    /// The last record of this boot.
    pub last: bool,
}

/// Rows of one batch.
#[derive(Debug, Clone)]
pub struct CommandBatch {
    /// The device.
    pub device: String,
    /// Which start of its agent.
    pub boot: BootNonce,
    /// The number after the last record.
    pub next: u64,
    /// The rows, in order.
    pub rows: Vec<CommandRow>,
}

/// What a search compares of a program or a typed line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandText {
    /// Number of the row in this store.
    pub id: i64,
    /// The device.
    pub device: String,
    /// The session.
    pub session: String,
    /// `exec` or `line`.
    pub kind: String,
    /// Time by the device's clock.
    pub at: UnixMillis,
    /// Time by the gateway's clock.
    pub stored_at: UnixMillis,
    /// Arguments, each ended by a zero byte.
    pub arguments: Vec<u8>,
    /// Path of what was executed; empty when the device did not say.
    pub path: Vec<u8>,
    /// A typed line.
    pub detail: String,
}

/// A row as read: a program together with its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCommand {
    /// Number of the row in this store.
    pub id: i64,
    /// `begin`, `exec`, `line`, `end` or `gap`.
    pub kind: String,
    /// Its number in the device's log.
    pub number: u64,
    /// How many numbers it covers.
    pub covers: u64,
    /// The session; empty for a gap.
    pub session: String,
    /// Time by the device's clock.
    pub at: UnixMillis,
    /// Process.
    pub pid: Option<u32>,
    /// Its parent.
    pub parent: Option<u32>,
    /// Its user.
    pub uid: Option<u32>,
    /// Arguments, each ended by a zero byte; empty when the device could not read them.
    pub arguments: Vec<u8>,
    /// Whether they were cut.
    pub cut: bool,
    /// Working directory.
    pub directory: Vec<u8>,
    /// What the kernel executed; `None` when the device did not say.
    pub executable: Option<Executable>,
    /// The next event of the process: `exit`, `exec` (it became another program), or none yet.
    pub end: Option<String>,
    /// Time of that event.
    pub ended_at: Option<UnixMillis>,
    /// Exit code.
    pub code: Option<u8>,
    /// Signal that ended it.
    pub signal: Option<u8>,
    /// How long it lasted, ms.
    pub lasted: Option<u64>,
    /// Text.
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
    /// Its number in the device's log.
    pub number: i64,
    /// How many numbers it covers.
    pub covers: i64,
    /// See [`CommandRow::kind`].
    pub kind: String,
    /// The session; empty for none.
    pub session: String,
    /// Time by the device's clock.
    pub at: i64,
    /// When it was stored.
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
    /// What the kernel executed.
    pub executable: Option<Executable>,
    /// Exit code.
    pub code: Option<i64>,
    /// Signal that ended it.
    pub signal: Option<i64>,
    /// How long it lasted, ms.
    pub lasted: Option<i64>,
    /// Text.
    pub detail: String,
}

/// The word that is stored for it.
pub(super) const fn word(origin: Origin) -> &'static str {
    match origin {
        Origin::File => "file",
        Origin::Deleted => "deleted",
        Origin::Memory => "memory",
    }
}

fn executable(row: &Row) -> Result<Option<Executable>, sqlx::Error> {
    let Some(path) = row.try_get::<Option<Vec<u8>>, _>("exe_path")? else { return Ok(None) };
    let number = |name: &str| row.try_get::<i64, _>(name).map(i64::cast_unsigned);
    let origin = match row.try_get::<String, _>("exe_origin")?.as_str() {
        "deleted" => Origin::Deleted,
        "memory" => Origin::Memory,
        _ => Origin::File,
    };
    Ok(Some(Executable {
        device: number("exe_device")?,
        inode: number("exe_inode")?,
        origin,
        path,
    }))
}

pub(super) fn read(row: &Row) -> Result<StoredCommand, sqlx::Error> {
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
        executable: executable(row)?,
        end: row.try_get("end_kind")?,
        ended_at: row.try_get::<Option<i64>, _>("ended_at")?.map(UnixMillis),
        code: byte("end_code")?,
        signal: byte("end_signal")?,
        lasted: row.try_get::<Option<i64>, _>("end_lasted")?.map(i64::cast_unsigned),
        detail: row.try_get("detail")?,
    })
}

pub(super) fn read_text(row: &Row) -> Result<CommandText, sqlx::Error> {
    let bytes = |name| row.try_get::<Option<Vec<u8>>, _>(name).map(Option::unwrap_or_default);
    Ok(CommandText {
        id: row.try_get("id")?,
        device: row.try_get("device_id")?,
        session: row.try_get("session")?,
        kind: row.try_get("kind")?,
        at: UnixMillis(row.try_get("at")?),
        stored_at: UnixMillis(row.try_get("stored_at")?),
        arguments: bytes("arguments")?,
        path: bytes("exe_path")?,
        detail: row.try_get("detail")?,
    })
}

pub(super) fn read_raw(row: &Row) -> Result<RawCommand, sqlx::Error> {
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
        executable: executable(row)?,
        code: row.try_get("code")?,
        signal: row.try_get("signal")?,
        lasted: row.try_get("lasted_ms")?,
        detail: row.try_get("detail")?,
    })
}
