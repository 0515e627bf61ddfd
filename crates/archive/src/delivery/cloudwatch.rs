//! CloudWatch Logs: what terminals show, as Session Manager writes it there: streamed as JSON, or
//! as text at the end.
//!
//! Way: a recording begins, and its file gets a second name in `cloudwatch/` -> once a second each
//! of these is read on, block by block -> text without control sequences -> `PutLogEvents` on a
//! stream that is named after the session -> the place is noted beside it -> when the recording is
//! over and sent, both names go.
//!
//! # Invariants
//! - The recorder never waits for this: it reads what is on the disk. A dead endpoint costs disk,
//!   which the recorder counts.
//! - What was sent is sent again only after a crash between an answer and its note.
//! - What the service refuses again and again while it takes others goes to quarantine.
//!
//! # Not here
//! - Secrets of the terminal: only output is sent, and what is not echoed is not output.
//! - Sessions without a terminal are not streamed, as with AWS; their text comes at the end.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::GzDecoder;
use serde::{Deserialize, Serialize};
use serde_json::json;
use towline_evidence::cast::{Code, Event, Facts, Header, MAX_LINE};
use towline_evidence::tame::Tamer;

use crate::delivery::log_events::{EVENT, EVENTS, LogEvents};
use crate::delivery::queue::{self, Place, Sender, Turn, read_note, write_note};
use crate::recorder::recorder::Recorder;

/// Text in one streamed event, bytes; what Session Manager sends.
const STREAMED: usize = 33_000;
/// Bytes of one recording that are unpacked in one round.
const ROUND: u64 = 8 * 1024 * 1024;
/// Where recordings wait.
const PLACE: Place = Place { folder: "cloudwatch", files: &["cast", "note"], lost: "cloudwatch:" };

/// Where a session's log goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Log group.
    pub group: String,
    /// While it goes on (JSON), or at the end (text).
    pub streaming: bool,
}

/// What is noted beside a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    #[serde(flatten)]
    wanted: Wanted,
    /// Bytes of the file whose text was sent.
    offset: u64,
    /// The stream was made.
    stream: bool,
}

/// A recording that is followed.
struct Followed {
    note: Note,
    facts: Facts,
    began: i64,
    terminal: bool,
    tamer: Tamer,
    /// Text that is no whole line yet.
    rest: String,
}

/// See the module.
pub(crate) struct Follower {
    folder: PathBuf,
    service: LogEvents,
    recorder: Arc<Recorder>,
    followed: HashMap<String, Followed>,
}

/// Gives a recording that begins its second name. `path`: the file that the recorder writes.
pub(crate) fn follow(home: &Path, session: &str, path: &Path, wanted: &Wanted) -> io::Result<()> {
    let note = Note { wanted: wanted.clone(), offset: 0, stream: false };
    queue::add(home, &PLACE, session, path, &note)
}

impl Sender for Follower {
    type Error = String;
    const PLACE: Place = PLACE;
    const PATIENCE: u32 = 5;
    /// Streamed sessions are read on in each round, so there is room for more of them than a
    /// gateway carries.
    const ROUND: usize = 16_384;

    /// Reads a recording on; calls that got through.
    async fn send(&mut self, session: &str) -> Result<Turn, String> {
        let path = self.folder.join(format!("{session}.cast"));
        // Asked before the file is read: what is over by now is read to its end.
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

    fn say_waits(session: &str, error: &String) {
        tracing::warn!(session, error, "the log for CloudWatch waits");
    }

    fn put_aside(&mut self, session: &str, why: &String) {
        self.followed.remove(session);
        tracing::error!(
            session,
            why,
            "a log for CloudWatch was put into quarantine: look at it, then move it back"
        );
    }
}

impl Follower {
    pub(crate) fn new(service: LogEvents, recorder: Arc<Recorder>) -> Self {
        let folder = recorder.settings.home.join(PLACE.folder);
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
        let streaming = followed.note.wanted.streaming && followed.terminal;
        if !streaming && !over {
            return Ok(Turn { through: 0, done: false });
        }
        let (mut through, group, stream) =
            (0, followed.note.wanted.group.clone(), stream_of(session));
        loop {
            let before = (followed.tamer.clone(), followed.rest.clone());
            let (text, end) = read_on(path, followed.note.offset).map_err(|e| e.to_string())?;
            let at_end = end == followed.note.offset;
            let lines = followed.lines(&text, over && at_end);
            for events in self.events(session, followed, &lines, streaming) {
                if !followed.note.stream {
                    self.service.make_stream(&group, &stream).await.map_err(|e| e.to_string())?;
                    followed.note.stream = true;
                }
                if let Err(error) = self.service.put(&group, &stream, &events).await {
                    (followed.tamer, followed.rest) = before; // the same is made of the same bytes once more
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

    /// The calls for these lines: lists of time and message.
    fn events(
        &self,
        session: &str,
        followed: &Followed,
        lines: &[(i64, String)],
        streaming: bool,
    ) -> Vec<Vec<(i64, String)>> {
        let most = if streaming { STREAMED } else { EVENT };
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
        made.chunks(EVENTS).map(<[_]>::to_vec).collect()
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

/// The stream's name: the session's, without what the service forbids.
pub(crate) fn stream_of(session: &str) -> String {
    session.replace([':', '*'], "")
}

fn open(folder: &Path, session: &str, path: &Path) -> io::Result<Followed> {
    let note = read_note(folder, session)?;
    let header = header(path)?;
    let facts = header.towline.unwrap_or_default();
    let terminal = header.env.contains_key("TERM") || !facts.document.contains("NonInteractive");
    let (tamer, rest) = (Tamer::text_only(), String::new());
    Ok(Followed { note, facts, began: header.timestamp * 1000, terminal, tamer, rest })
}

fn header(path: &Path) -> io::Result<Header> {
    let mut first = Vec::new();
    let file = BufReader::new(File::open(path)?);
    BufReader::new(GzDecoder::new(file)).take(MAX_LINE as u64).read_until(b'\n', &mut first)?;
    Header::parse(first.strip_suffix(b"\n").unwrap_or(&first)).map_err(io::Error::other)
}

/// When a recording began, ms since the epoch.
pub(crate) fn began(path: &Path) -> io::Result<i64> {
    Ok(header(path)?.timestamp * 1000)
}

/// Output of whole blocks from `offset` on, with the times of its pieces, and the place behind
/// them.
pub(crate) fn read_on(path: &Path, offset: u64) -> io::Result<(Vec<(u64, String)>, u64)> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut reader = BufReader::new(file);
    let (mut pieces, mut end) = (Vec::new(), offset);
    while end - offset < ROUND && !reader.fill_buf()?.is_empty() {
        let mut member = Vec::new();
        let mut decoder = GzDecoder::new(&mut reader);
        // A block that is just being written is not whole: it is for the next round.
        if (&mut decoder).take(ROUND * 8).read_to_end(&mut member).is_err()
            || !member.ends_with(b"\n")
        {
            break;
        }
        drop(decoder);
        for line in member.split(|byte| *byte == b'\n') {
            if let Ok(event) = Event::parse(line)
                && event.code == Code::Output
            {
                pieces.push((event.at, event.text));
            }
        }
        end = reader.get_mut().stream_position()? - reader.buffer().len() as u64;
    }
    Ok((pieces, end))
}

impl Followed {
    /// Whole lines of these pieces, each with its time; with `all`, also a last one without an end.
    fn lines(&mut self, pieces: &[(u64, String)], all: bool) -> Vec<(i64, String)> {
        let mut lines = Vec::new();
        let mut last = self.began;
        for (at, text) in pieces {
            last = self.began + i64::try_from(at / 1000).unwrap_or(0);
            self.rest.push_str(&self.tamer.push(text));
            while let Some(end) =
                self.rest.find('\n').or_else(|| (self.rest.len() > STREAMED).then_some(STREAMED))
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

/// As Session Manager has it: tabs are spaces, carriage returns are nothing.
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
