//! Every bound of the archive.

/// Output of a session, bytes, that its agent may send before the recorder has taken it, a lane.
pub const RECORDED_WINDOW: u64 = 1024 * 1024;
