//! Archive: recordings of sessions and files of the audit trail, sealed, on their way to a sink.
//!
//! Way: a session's output -> [`tape`] (never waits) -> [`recorder`] (one thread: seals,
//! compresses, stages on this disk) -> `outbox` (tries until it is there) -> [`sink`] (a folder, or
//! S3). Beside it `ledger`, the node's signed chain.
//!
//! # Invariants
//! - A slow or dead sink costs disk, up to a bound; a slow or dead disk costs memory, up to a
//!   bound; neither costs a session time, unless policy says that an unrecorded session must end.
//! - What was not recorded is a gap record; what was lost is a record in the node's chain.
//!
//! # Not here
//! - Forms and verification: `towline_evidence`. Who may see a recording: the API.
#![forbid(unsafe_code)]

mod archive;
mod delivery;
pub mod limits;
mod recorder;
pub mod settings;
#[cfg(test)]
mod tests;

pub use archive::{Archive, ArchiveError, KEY, PUBLIC_KEY};
pub use delivery::output_logs::Note as OutputNote;
pub use delivery::sink::{Sink, SinkError};
pub use recorder::destinations::Destinations;
pub use recorder::recorder::{CannotRecord, Recorder, RecordingEvent, RecordingEvents};
pub use recorder::tape::Tape;
