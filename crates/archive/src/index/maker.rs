//! The thread that makes indexes, one at a time.
//!
//! Data flow: a session of [`Waiting`](crate::recorder) -> its recording, in the outbox or in the
//! sink -> `indexes/SESSION`, a file that grows -> the outbox.
//!
//! # Invariants
//! - What an earlier process left in `indexes/` is made again at the start: an index that the
//!   node's chain names reaches the sink.
//! - A recording that cannot be indexed costs a line of the log, and nothing else.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt as _;
use tokio::runtime::Handle;
use towline_evidence::layout;
use towline_host::files;

use super::builder::{NoIndex, build};
use crate::delivery::{Sink, SinkError};
use crate::limits::{INDEX_NICENESS, INDEX_WAITING, INDEXED_FROM};
use crate::recorded;
use crate::recorder::Recorder;

/// Makes indexes.
pub(crate) struct Maker {
    recorder: Arc<Recorder>,
    sink: Sink,
    runtime: Handle,
    folder: PathBuf,
}

impl Maker {
    /// Starts the thread. Call it within the runtime that the sink works in.
    pub(crate) fn start(recorder: Arc<Recorder>, sink: Sink) -> io::Result<()> {
        let folder = recorder.home().join("indexes");
        files::private_dir(&folder).map_err(io::Error::other)?;
        for entry in fs::read_dir(&folder)? {
            if let Some(session) = entry?.file_name().to_str() {
                recorder.to_index.add(session);
            }
        }
        let maker = Self { recorder, sink, runtime: Handle::current(), folder };
        let thread = std::thread::Builder::new().name("towline-index".to_owned());
        thread.spawn(move || maker.run()).map(drop)
    }

    fn run(&self) {
        // On Linux a nice value belongs to the thread.
        let _ = rustix::process::nice(INDEX_NICENESS);
        while let Some(session) = self.recorder.to_index.next() {
            // The terminal is a library's, and draws what strangers wrote.
            let made = std::panic::catch_unwind(AssertUnwindSafe(|| self.make(&session)));
            let made = made.unwrap_or_else(|_| Err(io::Error::other("it panicked").into()));
            match made {
                Ok(Some(keyframes)) => tracing::info!(session, keyframes, "recording indexed"),
                Ok(None) => {}
                Err(NoIndex::Stopped) => return,
                Err(error) => tracing::warn!(session, %error, "a recording gets no index"),
            }
            let _ = fs::remove_file(self.folder.join(&session)); // moved, or of no use
        }
    }

    /// Makes the index of a recording; the number of keyframes, or none when it needs none.
    fn make(&self, session: &str) -> Result<Option<usize>, NoIndex> {
        if let Some(why) = self.recorder.paused() {
            return Err(io::Error::other(why).into());
        }
        if self.recorder.is_recording(session) {
            return Ok(None); // it is asked for again when it ends
        }
        let opened = recorded::open(&self.recorder, &self.sink, &self.runtime, session, 0)?;
        let Some((recording, _)) = opened else { return Ok(None) };
        let path = self.folder.join(session);
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = BufWriter::new(options.open(&path)?);
        let stopped = || self.recorder.to_index.is_closed();
        let Some(table) = build(session, recording, file, INDEXED_FROM, stopped)? else {
            return Ok(None);
        };
        let keyframes = table.keyframes.len();
        let object = self.recorder.index_object(session);
        self.recorder.export_file(&object, &path, keyframes as u64)?;
        Ok(Some(keyframes))
    }
}

/// Asks for an index of each recording in the sink that has none. Returns how many were asked for,
/// and whether that is all.
///
/// # Errors
/// The sink's.
pub(crate) async fn ask_for_all(
    recorder: &Recorder,
    sink: &Sink,
) -> Result<(usize, bool), SinkError> {
    let (mut recordings, mut indexes) = (Vec::new(), std::collections::HashSet::new());
    let mut objects = sink.store().list(None);
    while let Some(object) = objects.next().await {
        let object = object?;
        let key = object.location.as_ref();
        if let Some(session) = layout::session_of(key) {
            recordings.push(session.to_owned());
        } else if layout::is_index(key) {
            indexes.insert(key.to_owned());
        }
        if recordings.len() > INDEX_WAITING {
            break;
        }
    }
    let mut asked = 0;
    for session in &recordings {
        if !indexes.contains(&recorder.index_object(session)) {
            if !recorder.to_index.add(session) {
                return Ok((asked, false));
            }
            asked += 1;
        }
    }
    Ok((asked, recordings.len() <= INDEX_WAITING))
}
