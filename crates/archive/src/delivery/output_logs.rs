//! CloudWatch Logs for outputs of commands: what a step printed, as text, when it has ended.
//!
//! Way: a step has ended -> [`keep`]: its file gets a second name in `cloudwatch/outputs/`, and a
//! note beside it -> the group and the stream `COMMAND/DEVICE/STEP/stdout` are made where they are
//! not there -> lines in events, as Session Manager puts them -> the place is noted after each call
//! -> both names go.
//!
//! # Invariants
//! - Nobody waits for this: it reads what is on the disk. A dead endpoint costs disk, which the
//!   recorder counts.
//! - What was sent is sent again only after a crash between an answer and its note.
//! - What the service refuses again and again while it takes others goes to quarantine.
//!
//! # Not here
//! - Output while it comes: `GetCommandInvocation` shows that. The evidence in the sink stays whole
//!   beside this.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::delivery::aws_call::CallError;
use crate::delivery::log_events::{EVENT, EVENTS, LogEvents};
use crate::delivery::queue::{self, Place, Sender, Turn, read_note, write_note};
use towline_host::clock::{Clock, UnixMillis};

/// Where outputs wait.
const PLACE: Place =
    Place { folder: "cloudwatch/outputs", files: &["text", "note"], lost: "cloudwatch:outputs:" };

/// Where an output goes, and how far that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Log group.
    pub group: String,
    /// Log stream.
    pub stream: String,
    /// Time of its lines: when the step had ended, milliseconds.
    pub at: i64,
    /// Bytes that were sent.
    pub offset: u64,
    /// Group and stream were made.
    pub made: bool,
}

impl Note {
    /// For an output of which nothing was sent. `step` is its name in the document.
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

/// Gives an output that is whole its second name. Done twice, it is done once.
pub(crate) fn keep(home: &Path, path: &Path, note: &Note) -> io::Result<()> {
    match queue::add(home, &PLACE, &note.stream.replace('/', "_"), path, note) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// See the module.
pub(crate) struct OutputLogs {
    folder: PathBuf,
    service: LogEvents,
    clock: Clock,
}

impl Sender for OutputLogs {
    type Error = String;
    const PLACE: Place = PLACE;
    const PATIENCE: u32 = 5;
    const ROUND: usize = 256;

    /// Sends an output to its end. One that is empty asks nobody.
    async fn send(&mut self, name: &str) -> Result<Turn, String> {
        let local = |error: io::Error| error.to_string();
        let mut note: Note = read_note(&self.folder, name).map_err(local)?;
        // The service takes nothing that is older than two weeks: an endpoint may have been away
        // for longer.
        let at = note.at.max(self.clock.now().minus(Duration::from_secs(13 * 86_400)).0);
        let mut through = 0;
        loop {
            let path = self.folder.join(format!("{name}.text"));
            let events = read_on(&path, note.offset).map_err(local)?;
            let bytes: usize = events.iter().map(Vec::len).sum();
            if bytes == 0 {
                return Ok(Turn { through, done: true });
            }
            if !note.made {
                self.make(&note).await.map_err(|error| error.to_string())?;
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

    fn say_waits(name: &str, error: &String) {
        tracing::warn!(name, error, "an output for CloudWatch waits");
    }

    fn put_aside(&mut self, name: &str, why: &String) {
        tracing::error!(
            name,
            why,
            "an output for CloudWatch was put into quarantine: look at it, then move it back"
        );
    }
}

impl OutputLogs {
    pub(crate) fn new(home: &Path, service: LogEvents, clock: &Clock) -> Self {
        Self { folder: home.join(PLACE.folder), service, clock: clock.clone() }
    }

    async fn make(&self, note: &Note) -> Result<(), CallError> {
        match self.service.make_group(&note.group).await {
            // Who may not make groups may still have one: the stream says whether it is there.
            Err(error) if error.is("AccessDenied") => {}
            result => result?,
        }
        self.service.make_stream(&note.group, &note.stream).await
    }
}

/// An event's text. What is no text must not become longer than it was: an event has its limit.
fn message(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).replace(char::REPLACEMENT_CHARACTER, "?");
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() { " ".to_owned() } else { text.to_owned() }
}

/// The next events of a file: whole lines, joined up to [`EVENT`] bytes; a longer line is cut.
fn read_on(path: &Path, offset: u64) -> io::Result<Vec<Vec<u8>>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take((EVENTS * EVENT) as u64).read_to_end(&mut bytes)?;
    let mut events = Vec::new();
    let mut rest = &bytes[..];
    while !rest.is_empty() && events.len() < EVENTS {
        let most = rest.len().min(EVENT);
        let last = rest[..most].iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
        // The end of the file needs no end of line; a line without one is cut between characters.
        let end = if most == rest.len() && bytes.len() < EVENTS * EVENT {
            most
        } else {
            last.unwrap_or(between(rest, most))
        };
        events.push(rest[..end].to_vec());
        rest = &rest[end..];
    }
    Ok(events)
}

/// A place before or at `most` where no character of UTF-8 is cut.
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
            events(&odd.repeat(1000)).iter().all(|length| length % 1499 == 0 && *length <= EVENT)
        );
    }

    #[test]
    fn a_line_that_fits_no_event_is_cut_between_characters() {
        let lengths = events("€".repeat(400_000).as_bytes());
        assert!(lengths.iter().all(|length| *length <= EVENT && length % 3 == 0), "{lengths:?}");
    }

    #[test]
    fn a_stream_is_named_as_run_command_names_it() {
        let note = Note::new("/g", "c", "mi-1", "aws:runShellScript", "stdout", UnixMillis(7));
        assert_eq!(note.stream, "c/mi-1/aws-runShellScript/stdout");
    }
}
