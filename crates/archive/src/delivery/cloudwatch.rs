//! Session logs for CloudWatch Logs, in the form that Session Manager writes: streamed as JSON, or
//! as text at the end.
//!
//! Data flow: a recording begins, and its file gets a second name in `cloudwatch/` -> once a second
//! each of these files is read on, block by block -> text without control sequences ->
//! `PutLogEvents` on a stream named after the session -> the offset is noted -> when the recording
//! has ended and is sent, both names are removed.
//!
//! # Invariants
//! - The recorder never waits for this: it reads from the disk. A dead endpoint costs disk space,
//!   which the recorder counts.
//! - An event is sent a second time only after a crash between the response and the note.
//! - A log that the service refuses repeatedly, while it takes others, goes to quarantine.
//!
//! # Not here
//! - Secrets typed at the terminal: only output is sent, and what is not echoed is not output.
//! - Streaming of sessions without a terminal: as with AWS, their text comes at the end.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use towline_evidence::cast::Facts;
use towline_evidence::sanitise::Sanitiser;

use super::log_events::LogEvents;
use super::queue::{Sender, Turn};
use super::reading::{header, read_on};
use crate::limits::{LOG_EVENT, LOG_EVENTS, LOG_PATIENCE, SESSIONS_ROUND, STREAMED_EVENT};
use crate::recorder::{LogNote, Recorder, stream_of};
use crate::spool::{CLOUDWATCH, Spool, read_note, write_note};

/// A recording whose log is sent.
struct Followed {
    note: LogNote,
    facts: Facts,
    began: i64,
    terminal: bool,
    sanitiser: Sanitiser,
    /// Text that is not a whole line yet.
    rest: String,
}

/// Sends session logs.
pub(crate) struct Follower {
    folder: PathBuf,
    service: LogEvents,
    recorder: Arc<Recorder>,
    followed: HashMap<String, Followed>,
}

impl Sender for Follower {
    type Error = String;
    const SPOOL: Spool = CLOUDWATCH;
    const PATIENCE: u32 = LOG_PATIENCE;
    const ROUND: usize = SESSIONS_ROUND;

    /// Reads a recording on and sends what is new.
    async fn send(&mut self, session: &str) -> Result<Turn, String> {
        let path = self.folder.join(format!("{session}.cast"));
        // Asked before the file is read, so that an ended recording is read to its end.
        let over = !self.recorder.is_recording(session);
        let mut followed = match self.followed.remove(session) {
            Some(followed) => followed,
            None => open(&self.folder, session, &path).map_err(|e| e.to_string())?,
        };
        let result = self.send_new(session, &path, &mut followed, over).await;
        if !matches!(result, Ok(Turn { done: true, .. })) {
            self.followed.insert(session.to_owned(), followed);
        }
        result
    }

    fn log_failure(session: &str, error: &String) {
        tracing::warn!(session, error, "cannot send a session log to CloudWatch; retrying");
    }

    fn on_quarantine(&mut self, session: &str, why: &String) {
        self.followed.remove(session);
        tracing::error!(
            session,
            why,
            "a session log for CloudWatch was moved to quarantine: check it, then move it back"
        );
    }
}

impl Follower {
    pub(crate) fn new(service: LogEvents, recorder: Arc<Recorder>) -> Self {
        let folder = recorder.settings.home.join(CLOUDWATCH.folder);
        Self { folder, service, recorder, followed: HashMap::new() }
    }

    /// Sends what is new.
    async fn send_new(
        &self,
        session: &str,
        path: &Path,
        followed: &mut Followed,
        over: bool,
    ) -> Result<Turn, String> {
        let streaming = followed.note.log.streaming && followed.terminal;
        if !streaming && !over {
            return Ok(Turn { through: 0, done: false });
        }
        let (mut through, group, stream) = (0, followed.note.log.group.clone(), stream_of(session));
        loop {
            let before = (followed.sanitiser.clone(), followed.rest.clone());
            let (text, end) = read_on(path, followed.note.offset).map_err(|e| e.to_string())?;
            let at_end = end == followed.note.offset;
            let lines = followed.lines(&text, over && at_end);
            for events in self.events(session, followed, &lines, streaming) {
                if !followed.note.stream {
                    self.service.create_stream(&group, &stream).await.map_err(|e| e.to_string())?;
                    followed.note.stream = true;
                }
                if let Err(error) = self.service.put(&group, &stream, &events).await {
                    // the next try makes the same events from the same bytes
                    (followed.sanitiser, followed.rest) = before;
                    return Err(error.to_string());
                }
                through += 1;
            }
            followed.note.offset = end;
            write_note(&self.folder, session, &followed.note).map_err(|e| e.to_string())?;
            if at_end {
                return Ok(Turn { through, done: over });
            }
        }
    }

    /// The calls for these lines: lists of times and messages.
    fn events(
        &self,
        session: &str,
        followed: &Followed,
        lines: &[(i64, String)],
        streaming: bool,
    ) -> Vec<Vec<(i64, String)>> {
        let most = if streaming { STREAMED_EVENT } else { LOG_EVENT };
        let mut events: Vec<(i64, Vec<&str>, usize)> = Vec::new();
        for (at, line) in lines {
            for piece in pieces(line, most) {
                match events.last_mut().filter(|(_, _, bytes)| bytes + piece.len() < most) {
                    Some((_, list, bytes)) => {
                        list.push(piece);
                        *bytes += piece.len() + 1;
                    }
                    None => events.push((*at, vec![piece], piece.len() + 1)),
                }
            }
        }
        let made: Vec<(i64, String)> = events
            .into_iter()
            .map(|(at, list, _)| {
                let message = if streaming {
                    self.streamed(session, followed, at, &list)
                } else {
                    list.join("\n")
                };
                (at, if message.is_empty() { " ".to_owned() } else { message })
            })
            .collect();
        made.chunks(LOG_EVENTS).map(<[_]>::to_vec).collect()
    }

    fn streamed(&self, session: &str, followed: &Followed, at: i64, lines: &[&str]) -> String {
        let facts = &followed.facts;
        json!({
            "eventVersion": "1.0",
            "eventTime": towline_host::clock::UnixMillis(at).to_rfc3339(),
            "awsRegion": self.service.region,
            "target": { "id": facts.device },
            "userIdentity": { "arn": facts.principal },
            "runAsUser": facts.run_as.clone().unwrap_or_default(),
            "sessionId": session,
            "sessionData": lines,
        })
        .to_string()
    }
}

fn open(folder: &Path, session: &str, path: &Path) -> io::Result<Followed> {
    let note = read_note(folder, session)?;
    let header = header(path)?;
    let facts = header.towline.unwrap_or_default();
    let terminal = header.env.contains_key("TERM") || !facts.document.contains("NonInteractive");
    let (sanitiser, rest) = (Sanitiser::text_only(), String::new());
    Ok(Followed { note, facts, began: header.timestamp * 1000, terminal, sanitiser, rest })
}

impl Followed {
    /// The whole lines of these pieces, each with its time; with `all`, also an unfinished last
    /// one.
    fn lines(&mut self, pieces: &[(u64, String)], all: bool) -> Vec<(i64, String)> {
        let mut lines = Vec::new();
        let mut last = self.began;
        for (at, text) in pieces {
            last = self.began + i64::try_from(at / 1000).unwrap_or(0);
            self.rest.push_str(&self.sanitiser.push(text));
            while let Some(end) = self
                .rest
                .find('\n')
                .or_else(|| (self.rest.len() > STREAMED_EVENT).then_some(STREAMED_EVENT))
            {
                let end = (0..=end).rev().find(|at| self.rest.is_char_boundary(*at)).unwrap_or(0);
                let after = self.rest[end..].starts_with('\n');
                lines.push((last, plain(&self.rest[..end])));
                self.rest.drain(..end + usize::from(after));
            }
        }
        if all && !self.rest.is_empty() {
            lines.push((last, plain(&std::mem::take(&mut self.rest))));
        }
        lines
    }
}

/// As Session Manager writes it: tabs become spaces, carriage returns are removed.
fn plain(line: &str) -> String {
    line.replace('\t', "    ").replace('\r', "")
}

fn pieces(line: &str, most: usize) -> Vec<&str> {
    let (mut rest, mut pieces) = (line, Vec::new());
    while rest.len() >= most {
        let (piece, more) = towline_evidence::text::split(rest, most - 1);
        pieces.push(piece);
        rest = more;
    }
    pieces.push(rest);
    pieces
}
