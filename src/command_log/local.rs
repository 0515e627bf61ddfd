//! `towline-agent log`: the records that wait on this device for the gateway.
//!
//! # Not here
//! - Records in the memory of the running agent, which has no listener: some seconds without a
//!   link, the unconfirmed ones with a link.
//! - Records that the gateway has confirmed: `towline commands` shows them.

use super::spool;
use crate::clock::utc;
use crate::status::quote;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use towline_wire::message::ExitStatus;
use towline_wire::record::{Record, decode_first};

/// The records of the spool in `dir`, one a line. As `json`: one object a line.
///
/// # Errors
/// The spool cannot be read.
pub fn report(dir: &Path, json: bool) -> io::Result<String> {
    let mut text = String::new();
    spool::read_all(dir, |batch| {
        let (mut rest, mut number) = (batch.records.as_slice(), batch.first);
        while let Some((record, more)) = decode_first(rest).filter(|_| !rest.is_empty()) {
            line(&mut text, number, &record, json);
            number += record.numbers();
            rest = more;
        }
    })?;
    Ok(text)
}

fn line(text: &mut String, number: u64, record: &Record, json: bool) {
    let (at, kind, pid, what) = told(record);
    let (time, session) = (utc(at / 1000), record.session().unwrap_or_default());
    let written = if json {
        let (session, what) = (quote(session), quote(&what));
        writeln!(
            text,
            r#"{{"number":{number},"time":"{time}","kind":"{kind}","session":{session},"pid":{pid},"what":{what}}}"#
        )
    } else {
        let what = what.replace(char::is_control, " ");
        writeln!(text, "{time}  {session:24}  {kind:7}  {pid:>7}  {what}")
    };
    let _ = written; // into memory
}

fn told(record: &Record) -> (u64, &'static str, u32, String) {
    match record {
        Record::Started { at, source, why } => {
            (*at, "agent", 0, format!("started, {source:?} {why}"))
        }
        Record::Session { at, pid, source, why, .. } => {
            (*at, "begin", *pid, format!("{source:?} {why}"))
        }
        Record::Exec { at, pid, arguments, .. } | Record::Executed { at, pid, arguments, .. } => {
            let words = arguments.strip_suffix(b"\0").unwrap_or(arguments);
            (*at, "exec", *pid, String::from_utf8_lossy(words).replace('\0', " "))
        }
        Record::Exit { at, pid, status, .. } => {
            let how = match status {
                Some(ExitStatus::Code(code)) => format!("exit {code}"),
                Some(ExitStatus::Signal(signal)) => format!("signal {signal}"),
                Some(ExitStatus::TimedOut) => "ended: timed out".to_owned(),
                None => "exit status unknown".to_owned(),
            };
            (*at, "exit", *pid, how)
        }
        Record::Line { at, text, .. } => (*at, "line", 0, text.clone()),
        Record::SessionEnd { at, executions, .. } => {
            (*at, "end", 0, format!("{executions} programs"))
        }
        Record::Gap { at, covers, lost } => (*at, "gap", 0, format!("{covers} records: {lost:?}")),
        Record::Stopped { at } => (*at, "agent", 0, "stopped".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_log::spool::Spool;
    use towline_wire::record::encode;

    #[test]
    fn what_waits_is_told_line_by_line_and_cannot_steer_a_terminal() {
        let dir = tempfile::tempdir().unwrap();
        let line = Record::Line {
            session: "ann-1".into(),
            at: 1_700_000_000_000,
            text: "ls \x1b[2J".into(),
        };
        let records = [encode(&line), encode(&Record::Stopped { at: 1_700_000_001_000 })].concat();
        Spool::open(dir.path(), 1 << 20).append(&[1; 16], 7, 9, &records).unwrap();
        let text = report(dir.path(), false).unwrap();
        assert!(
            text.contains("2023-11-14T22:13:20Z  ann-1")
                && text.contains("ls  [2J")
                && text.lines().count() == 2,
            "{text}"
        );
        let json = report(dir.path(), true).unwrap();
        assert!(
            json.starts_with(r#"{"number":7,"time":"2023-11-14T22:13:20Z","kind":"line","session":"ann-1","pid":0,"#),
            "{json}"
        );
        assert_eq!(report(Path::new("/no/such/folder"), false).unwrap(), "");
    }
}
