//! Plain session logs in buckets that session preferences name (`s3BucketName`, `s3KeyPrefix`), in
//! Session Manager's form: one object `<prefix>/<session>.log` after the session, with the text
//! that `script` would write.
//!
//! Data flow: a recording begins, and its file gets a second name in `copies/` with a note of the
//! bucket -> after its end the output of its blocks is written beside it -> sent -> all three files
//! are removed.
//!
//! # Invariants
//! - The recorder never waits for this. An unreachable bucket costs disk space, which the recorder
//!   counts.
//! - At most [`BUCKET_CLIENTS`] clients are kept. The credentials are those of `[evidence.s3]`:
//!   documents hold none.
//! - A log that its bucket refuses repeatedly (no such bucket, not allowed) goes to quarantine, and
//!   the node's chain records it. An unreachable or busy bucket is tried again.
//!
//! # Not here
//! - The sealed recording: it is in the gateway's own sink, whatever preferences say. These logs
//!   are not sealed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::SinkError;
use super::queue::{Sender, Turn};
use super::reading::{began, read_on};
use super::sink::Sink;
use crate::limits::{BUCKET_CLIENTS, COPY_PATIENCE, SESSIONS_ROUND};
use crate::recorder::{BucketCopy, Recorder};
use crate::settings::{S3, SinkSettings};
use crate::spool::{COPIES, Spool, read_note};
use towline_host::clock::{Clock, UnixMillis};

/// Sends logs to the buckets of session preferences.
pub(crate) struct Copier {
    folder: PathBuf,
    s3: S3,
    clock: Clock,
    recorder: Arc<Recorder>,
    buckets: BTreeMap<(String, bool), Sink>,
}

impl Sender for Copier {
    type Error = SinkError;
    const SPOOL: Spool = COPIES;
    const PATIENCE: u32 = COPY_PATIENCE;
    const ROUND: usize = SESSIONS_ROUND;

    /// Sends the log of a recording that has ended.
    async fn send(&mut self, session: &str) -> Result<Turn, SinkError> {
        if self.recorder.is_recording(session) {
            return Ok(Turn { through: 0, done: false });
        }
        let copy: BucketCopy = read_note(&self.folder, session)?;
        let (from, log) = (self.path(session, "cast"), self.path(session, "log"));
        let to = log.clone();
        let written =
            tokio::task::spawn_blocking(
                move || if to.exists() { Ok(()) } else { write_log(&from, &to) },
            )
            .await;
        written.map_err(io::Error::other)??;
        let key = copy.key(session);
        if copy.bucket == self.s3.bucket {
            // the chain names every object in the sink's own bucket
            self.recorder.record_output(&key, &log)?;
        }
        self.bucket(&copy)?.send(&key, &log).await?;
        Ok(Turn { through: 1, done: true })
    }

    fn counts(error: &SinkError, _: bool) -> bool {
        error.is_refusal()
    }

    fn log_failure(session: &str, error: &SinkError) {
        tracing::warn!(
            session, %error,
            "cannot send the log that session preferences ask for; retrying"
        );
    }

    fn on_quarantine(&mut self, session: &str, _: &SinkError) {
        tracing::error!(session, "the bucket refuses a session log: it was moved to quarantine");
    }
}

impl Copier {
    pub(crate) fn new(s3: &S3, recorder: Arc<Recorder>, clock: &Clock) -> Self {
        let folder = recorder.settings.home.join(COPIES.folder);
        let (s3, clock) = (s3.clone(), clock.clone());
        Self { folder, s3, clock, recorder, buckets: BTreeMap::new() }
    }

    fn bucket(&mut self, copy: &BucketCopy) -> Result<Sink, SinkError> {
        let place = (copy.bucket.clone(), copy.encrypted);
        if let Some(sink) = self.buckets.get(&place) {
            return Ok(sink.clone());
        }
        let mut s3 = S3 { bucket: copy.bucket.clone(), ..self.s3.clone() };
        if copy.encrypted && s3.server_side_encryption.is_none() {
            s3.server_side_encryption = Some("AES256".to_owned());
        }
        let sink = Sink::open(&SinkSettings::S3(Box::new(s3)), &self.clock)?;
        if self.buckets.len() >= BUCKET_CLIENTS {
            self.buckets.pop_first();
        }
        self.buckets.insert(place, sink.clone());
        Ok(sink)
    }

    fn path(&self, session: &str, suffix: &str) -> PathBuf {
        self.folder.join(format!("{session}.{suffix}"))
    }
}

/// Writes the output of a finished recording as `script` would. The file appears whole.
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
