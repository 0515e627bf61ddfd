//! Plain logs of sessions in buckets that session preferences name (`s3BucketName`, `s3KeyPrefix`),
//! as Session Manager puts them there: one object `<prefix>/<session>.log` when the session is
//! over, what `script` makes of its output.
//!
//! Way: a recording begins, and its file gets a second name in `copies/` with a note of the wish ->
//! when it is over, the output of its blocks is written beside it -> sent -> all three names go.
//!
//! # Invariants
//! - The recorder never waits for this; a bucket that is away costs disk, which the recorder
//!   counts.
//! - At most [`CLIENTS`] buckets are kept open. Access is the one of `[evidence.s3]`: no document
//!   brings credentials along.
//! - A bucket that says no (not there, not allowed) again and again loses the copy to quarantine,
//!   and the node's chain says so. One that is away, or says "later", is waited for.
//!
//! # Not here
//! - The sealed recording: it is in the gateway's own sink, whatever preferences say. Copies
//!   elsewhere are not sealed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use towline_evidence::layout;

use crate::delivery::cloudwatch::{began, read_on};
use crate::delivery::queue::{self, Place, Sender, Turn, read_note};
use crate::delivery::sink::{Sink, SinkError};
use crate::recorder::recorder::Recorder;
use crate::settings::{S3, SinkSettings};
use towline_host::clock::{Clock, UnixMillis};

/// Where recordings wait; `log` is what is made of one.
const PLACE: Place = Place { folder: "copies", files: &["cast", "note", "log"], lost: "copy:" };
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
pub(crate) fn expect(
    home: &Path,
    session: &str,
    path: &Path,
    wanted: &CopyWanted,
) -> io::Result<()> {
    queue::add(home, &PLACE, session, path, wanted)
}

/// See the module.
pub(crate) struct Copier {
    folder: PathBuf,
    s3: S3,
    clock: Clock,
    recorder: Arc<Recorder>,
    buckets: BTreeMap<(String, bool), Sink>,
}

impl Sender for Copier {
    type Error = SinkError;
    const PLACE: Place = PLACE;
    /// With the waits between them, more than an hour.
    const PATIENCE: u32 = 20;
    /// A recording that goes on costs one look at it.
    const ROUND: usize = 16_384;

    /// Copies a recording that is over.
    async fn send(&mut self, session: &str) -> Result<Turn, SinkError> {
        if self.recorder.is_recording(session) {
            return Ok(Turn { through: 0, done: false });
        }
        let wanted: CopyWanted = read_note(&self.folder, session)?;
        let (from, log) = (self.path(session, "cast"), self.path(session, "log"));
        let to = log.clone();
        let written =
            tokio::task::spawn_blocking(
                move || if to.exists() { Ok(()) } else { write_log(&from, &to) },
            )
            .await;
        written.map_err(io::Error::other)??;
        let key = wanted.key(session);
        if wanted.bucket == self.s3.bucket {
            self.recorder.record_output(&key, &log)?; // in the sink's own bucket nothing lies that the chain does not name
        }
        self.bucket(&wanted)?.send(&key, &log).await?;
        Ok(Turn { through: 1, done: true })
    }

    fn blames(error: &SinkError, _: bool) -> bool {
        error.is_refusal()
    }

    fn say_waits(session: &str, error: &SinkError) {
        tracing::warn!(session, %error, "the log that the session's preferences want waits");
    }

    fn put_aside(&mut self, session: &str, _: &SinkError) {
        tracing::error!(session, "the bucket refuses the session's log: it lies in quarantine");
    }
}

impl Copier {
    pub(crate) fn new(s3: &S3, recorder: Arc<Recorder>, clock: &Clock) -> Self {
        let folder = recorder.settings.home.join(PLACE.folder);
        let (s3, clock) = (s3.clone(), clock.clone());
        Self { folder, s3, clock, recorder, buckets: BTreeMap::new() }
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
