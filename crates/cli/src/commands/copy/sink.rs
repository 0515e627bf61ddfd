//! Where content goes on this machine: a file, a device node or FIFO, or a stream of this process.
//!
//! # Invariants
//! - A write that may wait for another program does not hold up signals.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use ring::digest::{Context, SHA256};
use towline_files::{Fault, Incoming, Wish, bytes_of};

use super::job::Job;
use crate::platform;

/// A place for content.
pub(super) enum Sink {
    /// What [`towline_files`] writes.
    File(Incoming),
    /// A descriptor that is open: `/dev/stdout`, `>(program)`.
    Stream {
        /// The descriptor.
        file: File,
        /// Of what was written.
        digest: Box<Context>,
    },
    /// A write is under way.
    Away,
}

impl Sink {
    /// Opens the place of `path`.
    pub(super) fn open(path: &Path, job: &Job, wish: &Wish<'_>) -> Result<Self, Fault> {
        if platform::is_stream(path) {
            let (file, digest) = (platform::open_stream(path)?, Box::new(Context::new(&SHA256)));
            return Ok(Self::Stream { file, digest });
        }
        Incoming::begin(job.place(path)?, wish).map(Self::File)
    }

    /// Bytes that are there of an earlier copy.
    pub(super) fn have(&self) -> io::Result<u64> {
        match self {
            Self::File(incoming) => incoming.have(),
            Self::Stream { .. } | Self::Away => Ok(0),
        }
    }

    /// The name of the partial file, where a later copy can go on with it.
    pub(super) fn resumable(&self) -> Option<OsString> {
        match self {
            Self::File(incoming) => incoming.resumable(),
            Self::Stream { .. } | Self::Away => None,
        }
    }

    /// Further content.
    pub(super) async fn write(&mut self, data: &[u8]) -> Result<(), Fault> {
        if let Self::File(incoming) = self
            && !incoming.may_block()
        {
            return incoming.write(data);
        }
        let (mut sink, data) = (std::mem::replace(self, Self::Away), data.to_vec());
        let written = tokio::task::spawn_blocking(move || {
            let result = sink.write_now(&data);
            (sink, result)
        });
        let (sink, result) = written.await.map_err(io::Error::other)?;
        *self = sink;
        result
    }

    fn write_now(&mut self, data: &[u8]) -> Result<(), Fault> {
        match self {
            Self::File(incoming) => incoming.write(data),
            Self::Stream { file, digest } => {
                digest.update(data);
                Ok(file.write_all(data)?)
            }
            Self::Away => Ok(()),
        }
    }

    /// The content is whole.
    pub(super) fn finish(self, digest: &[u8; 32]) -> Result<(), Fault> {
        match self {
            Self::File(incoming) => incoming.finish(digest),
            Self::Stream { digest: seen, .. } => {
                (bytes_of(*seen) == *digest).then_some(()).ok_or(Fault::DamagedInPlace)
            }
            Self::Away => Err(Fault::Disturbed),
        }
    }
}
