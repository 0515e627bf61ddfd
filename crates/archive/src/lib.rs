//! The archive: records sessions, and delivers recordings, logs and outputs of commands to their
//! destinations.
//!
//! Data flow: a session's output -> a [`Tape`] (memory, never waits) -> the [`Recorder`] (one
//! thread: seals, compresses, writes to this disk) -> the outbox (tries until it succeeds) -> a
//! [`Sink`] (a folder, or S3). Beside it: the node's signed chain, logs for CloudWatch, copies for
//! buckets that session preferences name.
//!
//! # Invariants
//! - A slow or dead sink costs disk space, up to a limit. A slow or dead disk costs memory, up to a
//!   limit. Neither delays a session, unless the settings demand that an unrecorded session ends.
//! - Output that was not recorded is a gap in the recording. A file that was lost is a record in
//!   the node's chain.
//! - The keys in `gateway.toml` and the folder on the disk are called `evidence`; both names stay.
//!
//! # Not here
//! - Formats and verification: `towline_evidence`. Who may see a recording: the gateway's API.
#![forbid(unsafe_code)]

mod archive;
mod backlog;
mod backup;
mod delivery;
pub mod index;
pub mod limits;
mod part;
mod recorded;
mod recorder;
pub mod settings;
mod spool;
#[cfg(test)]
mod tests;
mod verification;

pub use archive::{Archive, ArchiveError, KEY, PUBLIC_KEY};
pub use backlog::{Backlog, Room};
pub use backup::{copy_cursors, copy_unsent};
pub use delivery::{OutputNote, Sink, SinkError, put_into_outbox};
pub use part::{FILE as PART, Part};
pub use recorder::{
    BucketCopy, CannotRecord, Destinations, LogGroup, OnTaken, Recorder, RecordingEvent,
    RecordingEvents, Tape,
};
pub use verification::{CannotVerify, Verdict, Verification};
