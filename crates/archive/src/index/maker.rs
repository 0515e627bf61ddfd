//! The thread that makes indexes, one at a time.
//!
//! Data flow: a session of [`Waiting`](crate::recorder) -> its recording, in the outbox or in the
//! sink -> `indexes/SESSION`, a file that grows -> the outbox.
//!
//! # Invariants
//! - What an earlier process left in `indexes/` is made again at the start: an index that the node's
//!   chain names reaches the sink.
//! - A recording that cannot be indexed costs a line of the log, and nothing else.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt as _;
use tokio::runtime::Handle;
use towline_evidence::layout;

use super::builder::{NoIndex, build};
use crate::delivery::{Sink, SinkError};
use crate::limits::{INDEX_NICENESS, INDEX_READ, INDEX_WAITING, INDEXED_FROM};
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
        fs::create_dir_all(&folder)?;
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
        let Some(recording) = self.open(session)? else { return Ok(None) };
        let path = self.folder.join(session);
        let file = BufWriter::new(File::create(&path)?);
        let stopped = || self.recorder.to_index.is_closed();
        let Some(table) = build(session, recording, file, INDEXED_FROM, stopped)? else {
            return Ok(None);
        };
        let keyframes = table.keyframes.len();
        let object = self.recorder.index_object(session);
        self.recorder.export_file(&object, &path, keyframes as u64)?;
        Ok(Some(keyframes))
    }

    /// The bytes of a recording that has ended; none when there is no such recording.
    fn open(&self, session: &str) -> io::Result<Option<Box<dyn Read + '_>>> {
        if self.recorder.is_recording(session) {
            return Ok(None);
        }
        let object = self.recorder.object(session);
        match File::open(self.recorder.outbox_folder().join(&object)) {
            Ok(file) => return Ok(Some(Box::new(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let length = self.runtime.block_on(self.sink.length(&object)).map_err(io::Error::other)?;
        let read = |length| SentRecording { maker: self, object, at: 0, length, piece: Vec::new() };
        Ok(length.map(|length| Box::new(read(length)) as Box<dyn Read>))
    }
}

/// A recording in the sink, read piece by piece.
struct SentRecording<'a> {
    maker: &'a Maker,
    object: String,
    at: u64,
    length: u64,
    /// What was read and not taken, backwards.
    piece: Vec<u8>,
}

impl Read for SentRecording<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() && self.at < self.length {
            let end = self.at.saturating_add(INDEX_READ).min(self.length);
            let read = self.maker.sink.read(&self.object, self.at..end);
            self.piece = self.maker.runtime.block_on(read).map_err(io::Error::other)?;
            self.piece.reverse();
            self.at = end;
        }
        let taken = buffer.len().min(self.piece.len());
        let rest = self.piece.len() - taken;
        for (to, from) in buffer.iter_mut().zip(self.piece.drain(rest..).rev()) {
            *to = from;
        }
        Ok(taken)
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
