//! CloudWatch Logs for outputs of commands: what a step printed, as text, when it has ended.
//!
//! Way: a step has ended -> [`keep`]: its file gets a second name in `cloudwatch/outputs/`, and a note beside it -> the group and
//! the stream `COMMAND/DEVICE/STEP/stdout` are made where they are not there -> lines in events, as Session Manager puts them ->
//! the place is noted after each call -> both names go.
//!
//! # Invariants
//! - Nobody waits for this: it reads what is on the disk. A dead endpoint costs disk, which the recorder counts.
//! - What was sent is sent again only after a crash between an answer and its note.
//! - What the service refuses again and again while it takes others goes to quarantine.
//!
//! # Not here
//! - Output while it comes: `GetCommandInvocation` shows that. The evidence in the sink stays whole beside this.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::aws::{Call, CallError, Client};
use super::recorder::Recorder;
use crate::clock::{Clock, UnixMillis};

/// How often the folder is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// Longest wait after failures.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Text in one event, bytes: as Session Manager's, and under the service's 256 KiB.
const EVENT: usize = 200_000;
/// Events of one call: together under the service's 1 MiB.
const EVENTS: usize = 4;
/// Refusals of one output, each while another got through, until it is put aside.
const PATIENCE: u32 = 5;
/// Outputs looked at in one round; the rest waits for the next.
const ROUND: usize = 256;

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
    pub fn new(group: &str, command: &str, device: &str, step: &str, name: &str, at: UnixMillis) -> Self {
        let stream = format!("{command}/{device}/{}/{name}", step.replace([':', '*'], "-"));
        Self { group: group.to_owned(), stream, at: at.0, offset: 0, made: false }
    }
}

/// Folder of outputs on their way, in the evidence's own.
pub(super) fn folder(home: &Path) -> PathBuf {
    home.join("cloudwatch").join("outputs")
}

/// Gives an output that is whole its second name. Done twice, it is done once.
pub(super) fn keep(home: &Path, path: &Path, note: &Note) -> io::Result<()> {
    let folder = folder(home);
    let name = note.stream.replace('/', "_");
    write_note(&folder, &name, note)?;
    match fs::hard_link(path, folder.join(format!("{name}.text"))) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

fn write_note(folder: &Path, name: &str, note: &Note) -> io::Result<()> {
    let text = serde_json::to_string(note).unwrap_or_default(); // plain data: cannot fail
    let fresh = folder.join(format!("{name}.new"));
    File::create(&fresh).and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()))?;
    fs::rename(fresh, folder.join(format!("{name}.note")))
}

/// See the module.
pub(super) struct OutputLogs {
    folder: PathBuf,
    quarantine: PathBuf,
    client: Client,
    clock: Clock,
    recorder: Arc<Recorder>,
    refused: HashMap<String, u32>,
}

impl OutputLogs {
    pub(super) fn new(client: Client, recorder: Arc<Recorder>, clock: &Clock) -> Self {
        let home = &recorder.settings.home;
        let (folder, quarantine) = (folder(home), home.join("quarantine"));
        Self { folder, quarantine, client, clock: clock.clone(), recorder, refused: HashMap::new() }
    }

    /// Sends for ever.
    pub(super) async fn run(mut self) {
        let mut wait = EVERY;
        loop {
            tokio::time::sleep(wait).await;
            let (sent, failed) = self.round().await;
            wait = if failed > 0 && sent == 0 { (wait * 2).min(LONGEST_WAIT) } else { EVERY };
        }
    }

    /// Sends what waits; how many outputs got through, and how many failed.
    async fn round(&mut self) -> (usize, usize) {
        let (mut sent, mut failures) = (0, Vec::new());
        for name in waiting(&self.folder) {
            match self.send(&name).await {
                Ok(()) => {
                    sent += 1;
                    self.refused.remove(&name);
                    self.remove(&name);
                }
                Err(error) => failures.push((name, error)),
            }
        }
        let failed = failures.len();
        for (name, error) in failures {
            tracing::warn!(name, error, "an output for CloudWatch waits");
            let refused = self.refused.entry(name.clone()).or_default();
            *refused += u32::from(sent > 0);
            if *refused >= PATIENCE {
                self.put_aside(&name, &error);
            }
        }
        (sent, failed)
    }

    async fn send(&self, name: &str) -> Result<(), String> {
        let local = |error: io::Error| error.to_string();
        let text = fs::read_to_string(self.folder.join(format!("{name}.note"))).map_err(local)?;
        let mut note: Note = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        // The service takes nothing that is older than two weeks: an endpoint may have been away for longer.
        let at = note.at.max(self.clock.now().minus(Duration::from_secs(13 * 86_400)).0);
        loop {
            let path = self.folder.join(format!("{name}.text"));
            let events = read_on(&path, note.offset).map_err(local)?;
            let bytes: usize = events.iter().map(Vec::len).sum();
            if bytes == 0 {
                return Ok(());
            }
            if !note.made {
                self.make(&note).await.map_err(|error| error.to_string())?;
                note.made = true;
            }
            self.put(&note, at, &events).await.map_err(|error| error.to_string())?;
            note.offset += bytes as u64;
            write_note(&self.folder, name, &note).map_err(local)?;
        }
    }

    async fn make(&self, note: &Note) -> Result<(), CallError> {
        for (action, body) in [
            ("CreateLogGroup", json!({ "logGroupName": note.group })),
            ("CreateLogStream", json!({ "logGroupName": note.group, "logStreamName": note.stream })),
        ] {
            match self.logs(action, &body).await {
                Err(error) if error.is("ResourceAlreadyExistsException") => {}
                // Who may not make groups may still have one: the stream says whether it is there.
                Err(error) if action == "CreateLogGroup" && error.is("AccessDenied") => {}
                result => result?,
            }
        }
        Ok(())
    }

    async fn put(&self, note: &Note, at: i64, events: &[Vec<u8>]) -> Result<(), CallError> {
        let message = |bytes: &Vec<u8>| {
            // What is no text must not become longer than it was: an event has its limit.
            let text = String::from_utf8_lossy(bytes).replace(char::REPLACEMENT_CHARACTER, "?");
            let text = text.trim_end_matches(['\n', '\r']);
            if text.is_empty() { " ".to_owned() } else { text.to_owned() }
        };
        let events: Vec<Value> =
            events.iter().map(|bytes| json!({ "timestamp": at, "message": message(bytes) })).collect();
        let body = json!({ "logGroupName": note.group, "logStreamName": note.stream, "logEvents": events });
        self.logs("PutLogEvents", &body).await
    }

    async fn logs(&self, action: &str, body: &Value) -> Result<(), CallError> {
        let headers = [
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("x-amz-target", format!("Logs_20140328.{action}")),
        ];
        let (method, body) = (reqwest::Method::POST, body.to_string().into_bytes());
        let call = Call { service: "logs", method, path: "/", query: "", headers: &headers, body };
        self.client.call(call).await.map(drop)
    }

    fn remove(&self, name: &str) {
        for suffix in ["text", "note"] {
            let _ = fs::remove_file(self.folder.join(format!("{name}.{suffix}")));
        }
    }

    fn put_aside(&mut self, name: &str, why: &str) {
        self.refused.remove(name);
        for suffix in ["text", "note"] {
            let name = format!("{name}.{suffix}");
            let _ = fs::rename(self.folder.join(&name), self.quarantine.join(format!("cloudwatch__outputs__{name}")));
        }
        tracing::error!(name, why, "an output for CloudWatch was put into quarantine: look at it, then move it back");
        let (name, why) = (format!("cloudwatch:outputs:{name}"), why.to_owned());
        if let Err(error) = self.recorder.record(towline_evidence::node::What::Lost { name, why }) {
            tracing::error!(%error, "the node's chain cannot be written");
        }
    }
}

/// Names of outputs that wait, at most [`ROUND`].
fn waiting(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|e| Some(e.file_name().to_str()?.strip_suffix(".text")?.to_owned())).take(ROUND).collect();
    names.sort();
    names
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
        let end =
            if most == rest.len() && bytes.len() < EVENTS * EVENT { most } else { last.unwrap_or(between(rest, most)) };
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
        assert!(events(&odd.repeat(1000)).iter().all(|length| length % 1499 == 0 && *length <= EVENT));
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
