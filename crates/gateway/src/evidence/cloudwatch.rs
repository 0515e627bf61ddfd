//! CloudWatch Logs: what terminals show, as Session Manager writes it there: streamed as JSON, or as text at the end.
//!
//! Way: a recording begins, and its file gets a second name in `cloudwatch/` -> once a second each of these is read on, block
//! by block -> text without control sequences -> `PutLogEvents` on a stream that is named after the session -> the place is
//! noted beside it -> when the recording is over and sent, both names go.
//!
//! # Invariants
//! - The recorder never waits for this: it reads what is on the disk. A dead endpoint costs disk, which the recorder counts.
//! - What was sent is sent again only after a crash between an answer and its note.
//! - What the service refuses again and again while it takes others goes to quarantine.
//!
//! # Not here
//! - Secrets of the terminal: only output is sent, and what is not echoed is not output.
//! - Sessions without a terminal are not streamed, as with AWS; their text comes at the end.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flate2::bufread::GzDecoder;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use towline_evidence::cast::{Code, Event, Facts, Header, MAX_LINE};
use towline_evidence::tame::Tamer;

use super::aws::{Call, CallError, Client, Target};
use super::recorder::Recorder;
use super::settings::CloudWatch;
use super::sink::SinkError;
use crate::clock::Clock;

/// How often files are read on. Session Manager looks once a second, too.
const EVERY: Duration = Duration::from_secs(1);
/// Longest wait after failures.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Text in one streamed event, bytes; what Session Manager sends.
const STREAMED: usize = 33_000;
/// Text in one event at the end, bytes, and events of one call; what Session Manager sends.
const AT_END: usize = 200_000;
/// See [`AT_END`].
const EVENTS: usize = 4;
/// Bytes of one recording that are unpacked in one round.
const ROUND: u64 = 8 * 1024 * 1024;
/// Refusals of one session, each while another got through, until it is put aside.
const PATIENCE: u32 = 5;

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
    refused: u32,
}

/// See the module.
pub(super) struct Follower {
    folder: PathBuf,
    quarantine: PathBuf,
    client: Client,
    region: String,
    recorder: Arc<Recorder>,
    followed: HashMap<String, Followed>,
}

/// Gives a recording that begins its second name. `path`: the file that the recorder writes.
pub(super) fn follow(home: &Path, session: &str, path: &Path, wanted: &Wanted) -> io::Result<()> {
    let folder = home.join("cloudwatch");
    let note = Note { wanted: wanted.clone(), offset: 0, stream: false };
    write_note(&folder, session, &note)?;
    fs::hard_link(path, folder.join(format!("{session}.cast")))
}

fn write_note(folder: &Path, session: &str, note: &Note) -> io::Result<()> {
    let text = serde_json::to_string(note).unwrap_or_default(); // plain data: cannot fail
    let fresh = folder.join(format!("{session}.new"));
    fs::File::create(&fresh).and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()))?;
    fs::rename(fresh, folder.join(format!("{session}.note")))
}

fn region(settings: &CloudWatch) -> String {
    settings.region.clone().unwrap_or_else(|| "us-east-1".to_owned())
}

/// A client for the service.
pub(super) fn client(settings: &CloudWatch, clock: &Clock) -> Result<Client, SinkError> {
    let region = region(settings);
    let endpoint = settings.endpoint.clone().unwrap_or_else(|| format!("https://logs.{region}.amazonaws.com"));
    let key = settings.access_key_id.as_deref().zip(settings.secret_access_key_file.as_deref());
    Client::new(&Target { endpoint, region: &region, key }, clock)
}

impl Follower {
    pub(super) fn new(settings: &CloudWatch, recorder: Arc<Recorder>, clock: &Clock) -> Result<Self, SinkError> {
        let (client, region) = (client(settings, clock)?, region(settings));
        let home = &recorder.settings.home;
        let (folder, quarantine) = (home.join("cloudwatch"), home.join("quarantine"));
        Ok(Self { folder, quarantine, client, region, recorder, followed: HashMap::new() })
    }

    /// Follows for ever.
    pub(super) async fn run(mut self) {
        let mut wait = EVERY;
        loop {
            tokio::time::sleep(wait).await;
            let (sent, failed) = self.round().await;
            wait = if failed > 0 && sent == 0 { (wait * 2).min(LONGEST_WAIT) } else { EVERY };
        }
    }

    /// Reads each file on; how many calls got through, and how many sessions failed.
    pub(super) async fn round(&mut self) -> (usize, usize) {
        let (mut sent, mut failures) = (0, Vec::new());
        for session in sessions(&self.folder) {
            match self.go_on(&session).await {
                Ok(calls) => sent += calls,
                Err(error) => failures.push((session, error)),
            }
        }
        let failed = failures.len();
        for (session, error) in failures {
            tracing::warn!(session, error, "the log for CloudWatch waits");
            let Some(followed) = self.followed.get_mut(&session) else { continue };
            followed.refused += u32::from(sent > 0);
            if followed.refused >= PATIENCE {
                self.put_aside(&session, &error);
            }
        }
        (sent, failed)
    }

    async fn go_on(&mut self, session: &str) -> Result<usize, String> {
        let path = self.folder.join(format!("{session}.cast"));
        // Asked before the file is read: what is over by now is read to its end.
        let over = !self.recorder.is_recording(session);
        let mut followed = match self.followed.remove(session) {
            Some(followed) => followed,
            None => open(&self.folder, session, &path).map_err(|e| e.to_string())?,
        };
        let result = self.send(session, &path, &mut followed, over).await;
        let done = matches!(result, Ok((_, true)));
        if done {
            for suffix in ["cast", "note"] {
                let _ = fs::remove_file(self.folder.join(format!("{session}.{suffix}")));
            }
        } else {
            self.followed.insert(session.to_owned(), followed);
        }
        result.map(|(calls, _)| calls)
    }

    /// Sends what is new; the number of calls, and whether that was all.
    async fn send(
        &self,
        session: &str,
        path: &Path,
        followed: &mut Followed,
        over: bool,
    ) -> Result<(usize, bool), String> {
        let streaming = followed.note.wanted.streaming && followed.terminal;
        if !streaming && !over {
            return Ok((0, false));
        }
        let (mut calls, wanted) = (0, followed.note.wanted.clone());
        loop {
            let before = (followed.tamer.clone(), followed.rest.clone());
            let (text, end) = read_on(path, followed.note.offset).map_err(|e| e.to_string())?;
            let at_end = end == followed.note.offset;
            let lines = followed.lines(&text, over && at_end);
            for events in self.events(session, followed, &lines, streaming) {
                if !followed.note.stream {
                    self.make_stream(&wanted.group, session).await.map_err(|e| e.to_string())?;
                    followed.note.stream = true;
                }
                if let Err(error) = self.put(&wanted.group, session, &events).await {
                    (followed.tamer, followed.rest) = before; // the same is made of the same bytes once more
                    return Err(error.to_string());
                }
                calls += 1;
            }
            followed.note.offset = end;
            write_note(&self.folder, session, &followed.note).map_err(|e| e.to_string())?;
            if at_end {
                return Ok((calls, over));
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
        let most = if streaming { STREAMED } else { AT_END };
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
                let message = if streaming { self.streamed(session, followed, at, &list) } else { list.join("\n") };
                (at, if message.is_empty() { " ".to_owned() } else { message })
            })
            .collect();
        made.chunks(EVENTS).map(<[_]>::to_vec).collect()
    }

    fn streamed(&self, session: &str, followed: &Followed, at: i64, lines: &[&str]) -> String {
        let facts = &followed.facts;
        json!({
            "eventVersion": "1.0",
            "eventTime": crate::clock::UnixMillis(at).to_rfc3339(),
            "awsRegion": self.region,
            "target": { "id": facts.device },
            "userIdentity": { "arn": facts.principal },
            "runAsUser": facts.run_as.clone().unwrap_or_default(),
            "sessionId": session,
            "sessionData": lines,
        })
        .to_string()
    }

    async fn logs(&self, action: &str, body: Value) -> Result<Vec<u8>, CallError> {
        let headers = [
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("x-amz-target", format!("Logs_20140328.{action}")),
        ];
        let body = body.to_string().into_bytes();
        let method = reqwest::Method::POST;
        self.client.call(Call { service: "logs", method, path: "/", query: "", headers: &headers, body }).await
    }

    async fn make_stream(&self, group: &str, session: &str) -> Result<(), CallError> {
        let body = json!({ "logGroupName": group, "logStreamName": stream_of(session) });
        match self.logs("CreateLogStream", body).await {
            Err(error) if error.is("ResourceAlreadyExistsException") => Ok(()),
            result => result.map(drop),
        }
    }

    async fn put(&self, group: &str, session: &str, events: &[(i64, String)]) -> Result<(), CallError> {
        let events: Vec<Value> =
            events.iter().map(|(at, message)| json!({ "timestamp": at, "message": message })).collect();
        let body = json!({ "logGroupName": group, "logStreamName": stream_of(session), "logEvents": events });
        self.logs("PutLogEvents", body).await.map(drop)
    }

    fn put_aside(&mut self, session: &str, why: &str) {
        self.followed.remove(session);
        for suffix in ["cast", "note"] {
            let name = format!("{session}.{suffix}");
            let _ = fs::rename(self.folder.join(&name), self.quarantine.join(format!("cloudwatch__{name}")));
        }
        tracing::error!(session, why, "a log for CloudWatch was put into quarantine: look at it, then move it back");
        let (name, why) = (format!("cloudwatch:{session}"), why.to_owned());
        if let Err(error) = self.recorder.record(towline_evidence::node::What::Lost { name, why }) {
            tracing::error!(%error, "the node's chain cannot be written");
        }
    }
}

/// The stream's name: the session's, without what the service forbids.
pub(super) fn stream_of(session: &str) -> String {
    session.replace([':', '*'], "")
}

/// Names of all sessions that are followed, by their files.
fn sessions(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|e| Some(e.file_name().to_str()?.strip_suffix(".cast")?.to_owned())).collect();
    names.sort();
    names
}

fn open(folder: &Path, session: &str, path: &Path) -> io::Result<Followed> {
    let note = fs::read_to_string(folder.join(format!("{session}.note")))?;
    let note: Note = serde_json::from_str(&note)?;
    let header = header(path)?;
    let facts = header.towline.unwrap_or_default();
    let terminal = header.env.contains_key("TERM") || !facts.document.contains("NonInteractive");
    let (tamer, rest) = (Tamer::text_only(), String::new());
    Ok(Followed { note, facts, began: header.timestamp * 1000, terminal, tamer, rest, refused: 0 })
}

fn header(path: &Path) -> io::Result<Header> {
    let mut first = Vec::new();
    let file = BufReader::new(File::open(path)?);
    BufReader::new(GzDecoder::new(file)).take(MAX_LINE as u64).read_until(b'\n', &mut first)?;
    Header::parse(first.strip_suffix(b"\n").unwrap_or(&first)).map_err(io::Error::other)
}

/// When a recording began, ms since the epoch.
pub(super) fn began(path: &Path) -> io::Result<i64> {
    Ok(header(path)?.timestamp * 1000)
}

/// Output of whole blocks from `offset` on, with the times of its pieces, and the place behind them.
pub(super) fn read_on(path: &Path, offset: u64) -> io::Result<(Vec<(u64, String)>, u64)> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut reader = BufReader::new(file);
    let (mut pieces, mut end) = (Vec::new(), offset);
    while end - offset < ROUND && !reader.fill_buf()?.is_empty() {
        let mut member = Vec::new();
        let mut decoder = GzDecoder::new(&mut reader);
        // A block that is just being written is not whole: it is for the next round.
        if (&mut decoder).take(ROUND * 8).read_to_end(&mut member).is_err() || !member.ends_with(b"\n") {
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
            while let Some(end) = self.rest.find('\n').or_else(|| (self.rest.len() > STREAMED).then_some(STREAMED)) {
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
