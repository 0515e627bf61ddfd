//! Plain logs of sessions in buckets that session preferences name (`s3BucketName`, `s3KeyPrefix`), as Session Manager puts them
//! there: one object `<prefix>/<session>.log` when the session is over, what `script` makes of its output.
//!
//! Way: a recording begins, and its file gets a second name in `copies/` with a note of the wish -> when it is over, the output of
//! its blocks is written beside it -> sent -> all three names go.
//!
//! # Invariants
//! - The recorder never waits for this; a bucket that is away costs disk, which the recorder counts.
//! - At most [`CLIENTS`] buckets are kept open. Access is the one of `[evidence.s3]`: no document brings credentials along.
//! - A bucket that says no (not there, not allowed) again and again loses the copy to quarantine, and the node's chain says so.
//!   One that is away, or says "later", is waited for.
//!
//! # Not here
//! - The sealed recording: it is in the gateway's own sink, whatever preferences say. Copies elsewhere are not sealed.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use towline_evidence::layout;
use towline_evidence::node::What;

use super::cloudwatch::{began, read_on};
use super::recorder::Recorder;
use super::settings::{S3, SinkSettings};
use super::sink::{Sink, SinkError};
use crate::clock::{Clock, UnixMillis};

/// How often finished sessions are looked for.
const EVERY: Duration = Duration::from_secs(1);
/// Longest wait after failures.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Refusals of one copy until it is put aside: with the waits between them more than an hour.
const PATIENCE: u32 = 20;
/// Buckets that are kept open.
const CLIENTS: usize = 16;

/// A bucket that preferences name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyWanted {
    /// Its name.
    pub bucket: String,
    /// In front of the object's name; may be empty.
    pub prefix: String,
    /// Whether the bucket must encrypt.
    pub encrypted: bool,
}

impl CopyWanted {
    /// The object's key.
    #[must_use]
    pub fn key(&self, session: &str) -> String {
        layout::log(&self.prefix, session)
    }
}

/// Notes that a recording that begins is to be copied. `path`: the file that the recorder writes.
pub(super) fn expect(home: &Path, session: &str, path: &Path, wanted: &CopyWanted) -> io::Result<()> {
    let folder = home.join("copies");
    let text = serde_json::to_string(wanted).unwrap_or_default(); // plain data: cannot fail
    let fresh = folder.join(format!("{session}.new"));
    File::create(&fresh).and_then(|mut file| file.write_all(text.as_bytes()))?;
    fs::rename(fresh, folder.join(format!("{session}.note")))?;
    fs::hard_link(path, folder.join(format!("{session}.cast")))
}

/// See the module.
pub(super) struct Copier {
    folder: PathBuf,
    quarantine: PathBuf,
    s3: S3,
    clock: Clock,
    recorder: Arc<Recorder>,
    buckets: BTreeMap<(String, bool), Sink>,
    refused: HashMap<String, u32>,
}

impl Copier {
    pub(super) fn new(s3: &S3, recorder: Arc<Recorder>, clock: &Clock) -> Self {
        let home = &recorder.settings.home;
        let (folder, quarantine) = (home.join("copies"), home.join("quarantine"));
        let (s3, clock) = (s3.clone(), clock.clone());
        Self { folder, quarantine, s3, clock, recorder, buckets: BTreeMap::new(), refused: HashMap::new() }
    }

    /// Copies for ever.
    pub(super) async fn run(mut self) {
        let mut wait = EVERY;
        loop {
            tokio::time::sleep(wait).await;
            let (mut sent, mut failed) = (0, 0);
            for session in self.finished() {
                match self.copy(&session).await {
                    Ok(()) => sent += 1,
                    Err(error) => {
                        failed += 1;
                        self.note_failure(&session, &error);
                    }
                }
            }
            wait = if failed > 0 && sent == 0 { (wait * 2).min(LONGEST_WAIT) } else { EVERY };
        }
    }

    /// Sessions that are over and not copied.
    fn finished(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|e| Some(e.file_name().to_str()?.strip_suffix(".cast")?.to_owned()));
        names.filter(|session| !self.recorder.is_recording(session)).collect()
    }

    async fn copy(&mut self, session: &str) -> Result<(), SinkError> {
        let wanted: CopyWanted =
            serde_json::from_slice(&fs::read(self.path(session, "note"))?).map_err(io::Error::other)?;
        let (cast, log) = (self.path(session, "cast"), self.path(session, "log"));
        let (from, to) = (cast.clone(), log.clone());
        let written =
            tokio::task::spawn_blocking(move || if to.exists() { Ok(()) } else { write_log(&from, &to) }).await;
        written.map_err(io::Error::other)??;
        let key = wanted.key(session);
        if wanted.bucket == self.s3.bucket {
            self.recorder.note_output(&key, &log)?; // in the sink's own bucket nothing lies that the chain does not name
        }
        self.bucket(&wanted)?.send(&key, &log).await?;
        self.refused.remove(session);
        for suffix in ["cast", "note", "log"] {
            let _ = fs::remove_file(self.path(session, suffix)); // sent: what stays is sent once more
        }
        Ok(())
    }

    fn bucket(&mut self, wanted: &CopyWanted) -> Result<Sink, SinkError> {
        let place = (wanted.bucket.clone(), wanted.encrypted);
        if let Some(sink) = self.buckets.get(&place) {
            return Ok(sink.clone());
        }
        let mut s3 = S3 { bucket: wanted.bucket.clone(), ..self.s3.clone() };
        if wanted.encrypted && s3.server_side_encryption.is_none() {
            s3.server_side_encryption = Some("AES256".to_owned());
        }
        let sink = Sink::open(&SinkSettings::S3(Box::new(s3)), &self.clock)?;
        if self.buckets.len() >= CLIENTS {
            self.buckets.pop_first();
        }
        self.buckets.insert(place, sink.clone());
        Ok(sink)
    }

    fn note_failure(&mut self, session: &str, error: &SinkError) {
        tracing::warn!(session, %error, "the log that the session's preferences want waits");
        let refused = self.refused.entry(session.to_owned()).or_default();
        *refused += u32::from(error.is_refusal());
        if *refused >= PATIENCE {
            self.refused.remove(session);
            for suffix in ["cast", "note", "log"] {
                let name = format!("{session}.{suffix}");
                let _ = fs::rename(self.folder.join(&name), self.quarantine.join(format!("copies__{name}")));
            }
            tracing::error!(session, "the bucket refuses the session's log: it lies in quarantine");
            let (name, why) = (format!("copy:{session}"), error.to_string());
            if let Err(error) = self.recorder.record(What::Lost { name, why }) {
                tracing::error!(%error, "the node's chain cannot be written");
            }
        }
    }

    fn path(&self, session: &str, suffix: &str) -> PathBuf {
        self.folder.join(format!("{session}.{suffix}"))
    }
}

/// Writes a finished recording's output as `script` would; the file appears whole.
fn write_log(cast: &Path, log: &Path) -> io::Result<()> {
    let fresh = log.with_extension("part");
    let mut file = BufWriter::new(File::create(&fresh)?);
    let (began, mut offset, mut last) = (began(cast)?, 0, 0);
    writeln!(file, "Script started on {}", UnixMillis(began).to_rfc3339())?;
    loop {
        let (pieces, end) = read_on(cast, offset)?;
        for (at, text) in pieces {
            file.write_all(text.as_bytes())?;
            last = at;
        }
        if end == offset {
            break;
        }
        offset = end;
    }
    let ended = began + i64::try_from(last / 1000).unwrap_or(0);
    write!(file, "\nScript done on {}\n", UnixMillis(ended).to_rfc3339())?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_data()?;
    fs::rename(fresh, log)
}
