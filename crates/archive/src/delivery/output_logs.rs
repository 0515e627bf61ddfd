//! Command outputs for CloudWatch Logs: what a step printed, as text, after the step has ended.
//!
//! Data flow: a step ends -> [`enqueue`]: its file gets a second name in `cloudwatch/outputs/`, and
//! a note -> the group and the stream `COMMAND/DEVICE/STEP/stdout` are created if they do not exist
//! -> lines as events, in Session Manager's form -> the offset is noted after each call -> both
//! names are removed.
//!
//! # Invariants
//! - Nothing waits for this: it reads from the disk. A dead endpoint costs disk space, which the
//!   recorder counts.
//! - An event is sent a second time only after a crash between the response and the note.
//! - An output that the service refuses repeatedly, while it takes others, goes to quarantine.
//!
//! # Not here
//! - Output of a running step: `GetCommandInvocation` shows it. The object in the sink is whole.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::aws_call::CallError;
use super::log_events::LogEvents;
use super::queue::{Sender, Turn};
use crate::limits::{LOG_EVENT, LOG_EVENTS, LOG_PATIENCE, OLDEST_LOG_EVENT, OUTPUTS_ROUND};
use crate::spool::{self, OUTPUTS, Spool, read_note, write_note};
use towline_host::clock::{Clock, UnixMillis};

/// Where an output goes, and how much of it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Log group.
    pub group: String,
    /// Log stream.
    pub stream: String,
    /// Time of all lines: the end of the step, milliseconds since the epoch.
    pub at: i64,
    /// Bytes that are sent.
    pub offset: u64,
    /// Whether group and stream were created.
    pub made: bool,
}

impl Note {
    /// The note of an output of which nothing is sent. `step`: its name in the document.
    #[must_use]
    pub fn new(
        group: &str,
        command: &str,
        device: &str,
        step: &str,
        name: &str,
        at: UnixMillis,
    ) -> Self {
        let stream = format!("{command}/{device}/{}/{name}", step.replace([':', '*'], "-"));
        Self { group: group.to_owned(), stream, at: at.0, offset: 0, made: false }
    }
}

/// Queues an output that is complete. A second call changes nothing.
pub(super) fn enqueue(home: &Path, path: &Path, note: &Note) -> io::Result<()> {
    match spool::add(home, &OUTPUTS, &note.stream.replace('/', "_"), path, note) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// Sends command outputs.
pub(crate) struct OutputLogs {
    folder: PathBuf,
    service: LogEvents,
    clock: Clock,
}

impl Sender for OutputLogs {
    type Error = String;
    const SPOOL: Spool = OUTPUTS;
    const PATIENCE: u32 = LOG_PATIENCE;
    const ROUND: usize = OUTPUTS_ROUND;

    /// Sends an output to its end. An empty output makes no call.
    async fn send(&mut self, name: &str) -> Result<Turn, String> {
        let local = |error: io::Error| error.to_string();
        let mut note: Note = read_note(&self.folder, name).map_err(local)?;
        // The endpoint may have been unreachable for longer than the service takes events.
        let at = note.at.max(self.clock.now().minus(OLDEST_LOG_EVENT).0);
        let mut through = 0;
        loop {
            let path = self.folder.join(format!("{name}.text"));
            let events = read_on(&path, note.offset).map_err(local)?;
            let bytes: usize = events.iter().map(Vec::len).sum();
            if bytes == 0 {
                return Ok(Turn { through, done: true });
            }
            if !note.made {
                self.create(&note).await.map_err(|error| error.to_string())?;
                note.made = true;
            }
            let events: Vec<(i64, String)> =
                events.iter().map(|bytes| (at, message(bytes))).collect();
            self.service
                .put(&note.group, &note.stream, &events)
                .await
                .map_err(|error| error.to_string())?;
            through += 1;
            note.offset += bytes as u64;
            write_note(&self.folder, name, &note).map_err(local)?;
        }
    }

    fn log_failure(name: &str, error: &String) {
        tracing::warn!(name, error, "cannot send a command output to CloudWatch; retrying");
    }

    fn on_quarantine(&mut self, name: &str, why: &String) {
        tracing::error!(
            name,
            why,
            "a command output for CloudWatch was moved to quarantine: check it, then move it back"
        );
    }
}

impl OutputLogs {
    pub(crate) fn new(home: &Path, service: LogEvents, clock: &Clock) -> Self {
        Self { folder: OUTPUTS.path(home), service, clock: clock.clone() }
    }

    async fn create(&self, note: &Note) -> Result<(), CallError> {
        match self.service.create_group(&note.group).await {
            // Without the right to create groups the group may still exist: creating the stream
            // tells.
            Err(error) if error.is("AccessDenied") => {}
            result => result?,
        }
        self.service.create_stream(&note.group, &note.stream).await
    }
}

/// An event's text. Invalid bytes must not make it longer: an event has its limit.
fn message(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).replace(char::REPLACEMENT_CHARACTER, "?");
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() { " ".to_owned() } else { text.to_owned() }
}

/// The next events of a file: whole lines, joined up to [`LOG_EVENT`] bytes; a longer line is cut.
fn read_on(path: &Path, offset: u64) -> io::Result<Vec<Vec<u8>>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take((LOG_EVENTS * LOG_EVENT) as u64).read_to_end(&mut bytes)?;
    let mut events = Vec::new();
    let mut rest = &bytes[..];
    while !rest.is_empty() && events.len() < LOG_EVENTS {
        let most = rest.len().min(LOG_EVENT);
        let last = rest[..most].iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
        // The last line may lack a line end. A line that is too long is cut between characters.
        let end = if most == rest.len() && bytes.len() < LOG_EVENTS * LOG_EVENT {
            most
        } else {
            last.unwrap_or(between(rest, most))
        };
        events.push(rest[..end].to_vec());
        rest = &rest[end..];
    }
    Ok(events)
}

/// The last offset up to `most` that does not cut a UTF-8 character.
fn between(bytes: &[u8], most: usize) -> usize {
    match std::str::from_utf8(&bytes[..most]) {
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => error.valid_up_to(),
        _ => most,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &[u8]) -> Vec<usize> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        io::Write::write_all(&mut File::create(&path).unwrap(), text).unwrap();
        let (mut offset, mut lengths, mut all) = (0, Vec::new(), Vec::new());
        loop {
            let events = read_on(&path, offset).unwrap();
            if events.is_empty() {
                break;
            }
            for event in events {
                offset += event.len() as u64;
                lengths.push(event.len());
                all.extend(event);
            }
        }
        assert_eq!(all, text, "nothing is lost or doubled");
        lengths
    }

    #[test]
    fn lines_are_joined_and_no_line_is_torn_that_fits_an_event() {
        assert_eq!(events(b""), [0; 0]);
        assert_eq!(events(b"one\ntwo\nno end"), [14]);
        let line = [&[b'x'; 999][..], b"\n"].concat();
        assert_eq!(events(&line.repeat(1000)), [200_000; 5]);
        let odd = [&[b'x'; 1498][..], b"\n"].concat();
        assert!(
            events(&odd.repeat(1000))
                .iter()
                .all(|length| length % 1499 == 0 && *length <= LOG_EVENT)
        );
    }

    #[test]
    fn a_line_that_fits_no_event_is_cut_between_characters() {
        let lengths = events("€".repeat(400_000).as_bytes());
        assert!(
            lengths.iter().all(|length| *length <= LOG_EVENT && length % 3 == 0),
            "{lengths:?}"
        );
    }

    #[test]
    fn a_stream_is_named_as_run_command_names_it() {
        let note = Note::new("/g", "c", "mi-1", "aws:runShellScript", "stdout", UnixMillis(7));
        assert_eq!(note.stream, "c/mi-1/aws-runShellScript/stdout");
    }
}
