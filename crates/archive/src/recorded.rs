//! The bytes of a recording, wherever it is: being written, in the outbox, or in the sink.
//!
//! # Invariants
//! - Memory is one piece. It waits for disk and network: call it from a thread that may wait.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};

use tokio::runtime::Handle;

use crate::delivery::Sink;
use crate::limits::RECORDED_READ;
use crate::recorder::Recorder;

/// A recording's bytes, and how many there are.
pub(crate) type Recorded = (Box<dyn Read + Send>, u64);

/// Opens the recording of a session at byte `from`; none when there is none. `runtime` is the one
/// that the sink works in.
///
/// # Errors
/// The disk's, the sink's.
pub(crate) fn open(
    recorder: &Recorder,
    sink: &Sink,
    runtime: &Handle,
    session: &str,
    from: u64,
) -> io::Result<Option<Recorded>> {
    if let Some(path) = recorder.local(session) {
        match File::open(path) {
            Ok(mut file) => {
                let length = file.metadata()?.len();
                file.seek(SeekFrom::Start(from))?;
                return Ok(Some((Box::new(file.take(length.saturating_sub(from))), length)));
            }
            // It has just gone to the sink.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let object = recorder.object(session);
    let length = runtime.block_on(sink.length(&object)).map_err(io::Error::other)?;
    let (sink, runtime) = (sink.clone(), runtime.clone());
    Ok(length.map(|length| {
        let sent = Sent { sink, runtime, object, at: from, length, piece: Vec::new() };
        (Box::new(sent) as Box<dyn Read + Send>, length)
    }))
}

/// A recording in the sink, read piece by piece.
struct Sent {
    sink: Sink,
    runtime: Handle,
    object: String,
    at: u64,
    length: u64,
    /// What was read and not taken, backwards.
    piece: Vec<u8>,
}

impl Read for Sent {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() && self.at < self.length {
            let end = self.at.saturating_add(RECORDED_READ).min(self.length);
            let read = self.sink.read(&self.object, self.at..end);
            self.piece = self.runtime.block_on(read).map_err(io::Error::other)?;
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
