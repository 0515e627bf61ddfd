//! The recorder: from a session's output to a sealed recording on this disk.

pub(crate) mod destinations;
mod disk_space;
mod export;
mod gzip;
mod job;
pub(crate) mod node_chain;
#[allow(clippy::module_inception)] // the main type has a file of its name
pub(crate) mod recorder;
pub(crate) mod staging;
pub(crate) mod tape;
