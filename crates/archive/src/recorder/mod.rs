//! The recorder: from a session's output to a sealed recording on this disk.
//!
//! Data flow: `tape` (memory) -> `job` (lines and gaps) -> `gzip` -> `staging` (the file) -> the
//! outbox. `worker` is the one thread that does this; `node_chain` names and signs what it made,
//! for all who wait by `shared_chain`; `disk_space` pauses it; `destinations` says where else a log
//! goes.

mod destinations;
mod disk_space;
mod export;
mod gzip;
mod job;
mod node_chain;
#[allow(clippy::module_inception)] // the main type has a file of its name
mod recorder;
mod shared_chain;
mod shares;
mod staging;
mod tape;
mod waiting;
mod worker;

pub use destinations::{BucketCopy, Destinations, LogGroup};
pub(crate) use destinations::{LogNote, stream_of};
pub(crate) use disk_space::free;
pub(crate) use node_chain::ChainFile;
pub use recorder::{CannotRecord, Recorder, RecordingEvent, RecordingEvents};
pub use tape::{OnTaken, Tape};
