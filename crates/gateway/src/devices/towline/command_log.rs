//! The command log's way in: batches of all links, one transaction after the other, and the
//! confirmation.
//!
//! Data flow: a link's task -> [`Intake::put`](super::intake::Intake::put), which never waits ->
//! one task ([`keep`]) -> the store -> `LogStored` to the agent, and a marker in the session's
//! recording for each program.
//!
//! # Invariants
//! - Confirmed after the transaction, never before. While the store takes no writes (it is away,
//!   full or read-only), records wait. Another failure closes the links whose records it was about:
//!   the agents send them again on the next.
//! - At most `MOST` bytes wait, and of one link what the wire lets an agent send ahead; beyond,
//!   that link is closed.
//! - A device says nothing about another device's sessions: such a record is kept, and belongs to
//!   no session.

use std::collections::HashMap;
use std::sync::Arc;

use towline_store::{CommandBatch, CommandRow, StoreError};
use towline_wire::message::{ExitStatus, ToAgent};
use towline_wire::record::{self, Batch, Lost, Record, Source};

use super::agents::Agents;
use super::link::Link;
use crate::limits::{MAX_COMMAND_MARKER, STORE_AGAIN};
use crate::program_file::program_file;

/// Stores what comes, for ever.
pub(super) async fn keep(agents: Arc<Agents>) {
    loop {
        let batches = agents.intake.next().await;
        if let Err(error) = store_patiently(&agents, &batches).await {
            tracing::error!(
                %error,
                "records of the command log could not be stored: their links are closed"
            );
            for (link, _) in &batches {
                link.close("the store failed: the records will be asked for again");
            }
        }
    }
}

/// Stores batches, and tries again as long as the store takes no writes. What comes meanwhile waits
/// in the intake, within its bounds.
async fn store_patiently(
    agents: &Agents,
    batches: &[(Arc<Link>, Batch)],
) -> Result<(), StoreError> {
    loop {
        match store(agents, batches).await {
            Err(error) if error.is_passing() => {
                tracing::warn!(
                    %error,
                    "records of the command log wait: the store takes no writes"
                );
                tokio::time::sleep(STORE_AGAIN).await;
            }
            done => return done,
        }
    }
}

async fn store(agents: &Agents, batches: &[(Arc<Link>, Batch)]) -> Result<(), StoreError> {
    let mut rows = Vec::with_capacity(batches.len());
    let mut known = HashMap::new();
    for (link, batch) in batches {
        let mut of_batch = read(batch);
        for row in of_batch.iter_mut().filter(|row| !row.session.is_empty()) {
            if !is_own(agents, link, &row.session, &mut known).await? {
                row.detail = format!(
                    "{} (said of session {:?}, which is not this device's)",
                    row.detail, row.session
                );
                row.session = String::new();
            }
        }
        let device = link.device.as_str().to_owned();
        rows.push(CommandBatch { device, boot: batch.boot, next: batch.next, rows: of_batch });
    }
    let stored = agents.store.command_log().append(&rows, agents.clock.now()).await?;
    for (((link, batch), rows), (next, new)) in batches.iter().zip(&rows).zip(stored) {
        link.send(&ToAgent::LogStored { boot: batch.boot, next });
        for row in rows.rows.iter().rev().take(new).rev() {
            mark(agents, row);
        }
    }
    Ok(())
}

/// Whether a session is of the device that speaks of it.
async fn is_own(
    agents: &Agents,
    link: &Link,
    session: &str,
    known: &mut HashMap<(String, String), bool>,
) -> Result<bool, StoreError> {
    let device = link.device.as_str();
    let place = (session.to_owned(), device.to_owned());
    if let Some(own) = known.get(&place) {
        return Ok(*own);
    }
    let own = match agents.hub.session(session) {
        Some(session) => session.meta.device == device,
        None => match crate::sessions::of_step(session) {
            Some((command, own)) => {
                own == device
                    && agents.store.run_commands().invocation(&command, device).await?.is_some()
            }
            None => agents.store.command_log().is_session_of(session, device).await?,
        },
    };
    known.insert(place, own);
    Ok(own)
}

/// A marker in the recording that is under way; what comes later is in the log alone.
fn mark(agents: &Agents, row: &CommandRow) {
    let Some(session) = agents.hub.session(&row.session) else { return };
    match row.kind {
        "exec" => session.mark(&marker(row)),
        "begin" => session.mark(&format!("command log: {}", row.detail)),
        _ => {}
    }
}

/// `$ ls -l`, or what is known instead.
fn marker(row: &CommandRow) -> String {
    let arguments = row.arguments.as_deref().unwrap_or_default();
    let file = row.executable.as_ref().map(|executable| program_file(executable, arguments));
    let other = file.filter(|file| file.differs).map(|file| format!(" {}", file.shown()));
    let other = other.unwrap_or_default();
    if arguments.is_empty() {
        return format!("$ (process {}, arguments unknown){other}", row.pid.unwrap_or(0));
    }
    let text = String::from_utf8_lossy(arguments.strip_suffix(b"\0").unwrap_or(arguments))
        .replace('\0', " ");
    let short: String = text.chars().take(MAX_COMMAND_MARKER).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("$ {short}{more}{other}")
}

/// The records of a batch as rows; fewer than there are numbers when one cannot be read.
fn read(batch: &Batch) -> Vec<CommandRow> {
    let (mut rest, mut number, mut rows) = (batch.records.as_slice(), batch.first, Vec::new());
    while let Some((record, more)) = record::decode_first(rest).filter(|_| !rest.is_empty()) {
        let covers = record.numbers();
        // A number beyond the batch, or beyond what numbers can be, is a lie about what is missing.
        let Some(next) = number.checked_add(covers).filter(|next| *next <= batch.next) else {
            break;
        };
        rows.push(CommandRow { number, covers, ..row(record) });
        (rest, number) = (more, next);
    }
    rows
}

fn row(record: Record) -> CommandRow {
    let empty = CommandRow::default();
    let session = record.session().unwrap_or_default().to_owned();
    match record {
        Record::Started { at, source, why } => {
            CommandRow { kind: "agent", at, detail: words(source, &why), ..empty }
        }
        Record::Session { at, pid, source, why, .. } => {
            let (pid, detail) = (Some(pid), words(source, &why));
            CommandRow { kind: "begin", session, at, pid, detail, ..empty }
        }
        Record::Exec { at, pid, parent, uid, arguments, cut, directory, .. } => CommandRow {
            kind: "exec",
            session,
            at,
            pid: Some(pid),
            parent: Some(parent),
            uid,
            arguments: Some(arguments),
            cut,
            directory: Some(directory),
            ..empty
        },
        Record::Executed {
            at, pid, parent, uid, arguments, cut, directory, executable, ..
        } => CommandRow {
            kind: "exec",
            session,
            at,
            pid: Some(pid),
            parent: Some(parent),
            uid,
            arguments: Some(arguments),
            cut,
            directory: Some(directory),
            executable: Some(executable),
            ..empty
        },
        Record::Exit { at, pid, status, lasted, .. } => {
            let (code, signal) = code_and_signal(status);
            let lasted = Some(lasted);
            CommandRow { kind: "exit", session, at, pid: Some(pid), code, signal, lasted, ..empty }
        }
        Record::Line { at, text, .. } => {
            CommandRow { kind: "line", session, at, detail: text, ..empty }
        }
        Record::SessionEnd { at, executions, without_arguments, .. } => {
            let detail =
                format!("{executions} programs, {without_arguments} of them without arguments");
            CommandRow { kind: "end", session, at, detail, ..empty }
        }
        Record::Gap { at, lost, .. } => {
            CommandRow { kind: "gap", at, detail: reason(lost), ..empty }
        }
        Record::Stopped { at } => {
            let detail = "the agent stopped".to_owned();
            CommandRow { kind: "agent", at, detail, last: true, ..empty }
        }
    }
}

fn code_and_signal(status: Option<ExitStatus>) -> (Option<u8>, Option<u8>) {
    match status {
        Some(ExitStatus::Code(code)) => (Some(code), None),
        Some(ExitStatus::Signal(signal)) => (None, Some(signal)),
        Some(ExitStatus::TimedOut) | None => (None, None),
    }
}

fn words(source: Source, why: &str) -> String {
    let by = match source {
        Source::Kernel => "kernel events",
        Source::KernelUnhurried => {
            "kernel events, unhurried: arguments of short-lived programs may be missing"
        }
        Source::Polling => "polling: short-lived programs are not seen",
        Source::Off => "off",
    };
    if why.is_empty() { by.to_owned() } else { format!("{by} ({why})") }
}

fn reason(lost: Lost) -> String {
    match lost {
        Lost::Kernel => "the kernel could not deliver events; how many is not known".to_owned(),
        Lost::Processes => "more processes lived at once than the agent follows".to_owned(),
        Lost::Reader { events } => format!("the agent did not get round to {events} events"),
        Lost::Memory => "the agent's memory for records was full; the oldest went".to_owned(),
        Lost::Renewal => {
            "the agent was upgraded; programs that ran are listed anew, and what was executed \
             meanwhile is not known"
                .to_owned()
        }
        Lost::Disk => "the agent's share of the disk was full; the oldest went".to_owned(),
        Lost::Arguments { programs } => {
            format!(
                "the arguments of {programs} programs before this were gone when they were \
                     read"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use towline_wire::record::{Executable, Origin};

    fn batch(records: &[Record], next: u64, more: &[u8]) -> Batch {
        let mut bytes: Vec<u8> = records.iter().flat_map(record::encode).collect();
        bytes.extend_from_slice(more);
        Batch { boot: [1; 16], first: 5, next, records: bytes }
    }

    #[test]
    fn records_become_rows_with_their_numbers() {
        let records =
            [Record::Gap { at: 1, covers: 4, lost: Lost::Memory }, Record::Stopped { at: 2 }]
                .map(|record| record);
        let rows = read(&batch(&records, 10, &[]));
        let found: Vec<_> =
            rows.iter().map(|row| (row.number, row.covers, row.kind, row.last)).collect();
        assert_eq!(found, [(5, 4, "gap", false), (9, 1, "agent", true)]);
    }

    #[test]
    fn a_record_of_a_later_version_ends_the_rows_but_not_the_batch() {
        let rows = read(&batch(&[Record::Stopped { at: 2 }], 7, &[99, 1, 2]));
        assert_eq!(rows.len(), 1);
    }

    #[test]
    fn a_gap_beyond_its_batch_is_not_believed() {
        assert!(
            read(&batch(&[Record::Gap { at: 1, covers: u64::MAX, lost: Lost::Memory }], 6, &[]))
                .is_empty()
        );
    }

    #[test]
    fn a_marker_says_the_command_or_that_it_is_not_known() {
        let row = |arguments: &[u8]| CommandRow {
            pid: Some(7),
            arguments: Some(arguments.into()),
            ..CommandRow::default()
        };
        assert_eq!(marker(&row(b"ls\0-l\0")), "$ ls -l");
        assert_eq!(marker(&row(b"")), "$ (process 7, arguments unknown)");
        assert!(marker(&row(&[b'x'; 900])).chars().count() < 210);
    }

    #[test]
    fn a_marker_names_the_file_where_the_first_argument_does_not() {
        let row = |arguments: &[u8], path: &[u8], origin| CommandRow {
            arguments: Some(arguments.into()),
            executable: Some(Executable { device: 1, inode: 2, origin, path: path.into() }),
            ..CommandRow::default()
        };
        assert_eq!(marker(&row(b"ls\0", b"/usr/bin/ls", Origin::File)), "$ ls");
        assert_eq!(marker(&row(b"true\0", b"/usr/bin/id", Origin::File)), "$ true [/usr/bin/id]");
        assert_eq!(
            marker(&row(b"ls\0", b"/memfd:x", Origin::Memory)),
            "$ ls [in memory: /memfd:x]"
        );
        assert_eq!(marker(&row(b"ls\0", b"/bin/ls", Origin::Deleted)), "$ ls [deleted: /bin/ls]");
    }
}
