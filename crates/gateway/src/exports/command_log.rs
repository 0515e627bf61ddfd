//! The command log in files for the sink.
//!
//! Data flow: rows of the store -> JSON lines -> [`Recorder::export`] (a gzip file in the outbox,
//! and its record in the node's chain) -> the number of the last exported row in `commands.cursor`.
//!
//! # Invariants
//! - Every row of the store is exported: the cursor moves only after the file is in the outbox and
//!   in the chain. After a crash in between, the same rows are exported again under the same key.

use std::sync::Arc;

use serde_json::{Value, json};
use towline_archive::Recorder;
use towline_evidence::layout;
use towline_host::clock::UnixMillis;
use towline_store::{RawCommand, Store};
use towline_wire::record::Executable;

use super::cursor::{Cursor, ExportError, write};
use crate::limits::{COMMAND_FILES_AT_ONCE, COMMANDS_IN_FILE};
use crate::program_file::program_file;

/// Name of the cursor's file.
pub(super) const CURSOR: &str = "commands.cursor";

/// Rows that one call of [`export`] takes at the most: there may be more.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 320,000
pub(super) const FULL: usize = COMMANDS_IN_FILE as usize * COMMAND_FILES_AT_ONCE;

/// Exports the rows after the cursor. Returns the number of rows.
///
/// # Errors
/// [`ExportError`]; what is missing is exported next time.
pub async fn export(store: &Store, recorder: &Arc<Recorder>) -> Result<usize, ExportError> {
    let cursor = Cursor::new(recorder.home(), CURSOR);
    let mut exported = 0;
    for _ in 0..COMMAND_FILES_AT_ONCE {
        let rows = store.command_log().raw(cursor.read(), COMMANDS_IN_FILE).await?;
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { break };
        let at = UnixMillis(first.stored_at).to_datetime();
        let key = layout::commands(recorder.prefix(), recorder.node(), at, first.id);
        let text: String = rows.iter().map(|row| format!("{}\n", line(row))).collect();
        write(store, recorder, &cursor, key, text, rows.len() as u64, last.id).await?;
        exported += rows.len();
    }
    Ok(exported)
}

/// A row as one object, without the fields that are not set.
fn line(row: &RawCommand) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let words = |bytes: &Vec<u8>| -> Vec<String> {
        bytes.strip_suffix(b"\0").unwrap_or(bytes).split(|byte| *byte == 0).map(text).collect()
    };
    let boot: String = row.boot.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut line = json!({
        "deviceId": row.device, "boot": boot, "number": row.number, "covers": row.covers, "kind": row.kind,
        "sessionId": row.session, "time": UnixMillis(row.at).to_rfc3339(), "stored": UnixMillis(row.stored_at).to_rfc3339(),
        "pid": row.pid, "parentPid": row.parent, "userId": row.uid,
        "arguments": row.arguments.as_ref().filter(|a| !a.is_empty()).map(words),
        "directory": row.directory.as_deref().map(text),
        "executable": row.executable.as_ref().map(|e| executable(e, row.arguments.as_deref())),
        "exitCode": row.code, "signal": row.signal, "durationMs": row.lasted, "detail": row.detail,
    });
    if let Some(object) = line.as_object_mut() {
        object.retain(|_, value| !value.is_null() && value != "");
    }
    line
}

fn executable(executable: &Executable, arguments: Option<&[u8]>) -> Value {
    let file = program_file(executable, arguments.unwrap_or_default());
    json!({
        "path": file.path, "device": file.device, "inode": file.inode,
        "origin": file.origin.to_ascii_lowercase(), "differs": file.differs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_one_line_with_what_is_known() {
        let row = RawCommand {
            id: 1,
            device: "mi-1".into(),
            boot: vec![0xab; 2],
            number: 3,
            covers: 1,
            kind: "exec".into(),
            session: "ann-1".into(),
            at: 1_700_000_000_000,
            stored_at: 1_700_000_001_000,
            pid: Some(7),
            arguments: Some(b"ls\0-l\0".to_vec()),
            ..RawCommand::default()
        };
        let line = line(&row);
        assert_eq!(
            (&line["boot"], &line["arguments"], &line["pid"]),
            (&json!("abab"), &json!(["ls", "-l"]), &json!(7))
        );
        assert!(line.get("exitCode").is_none() && line.get("detail").is_none());
        assert!(!line.to_string().contains('\n'));
    }
}
