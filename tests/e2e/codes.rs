//! The exit codes of the command line, as its manual promises them to scripts (`towline --help`):
//! written down once more, so that a change of the program does not change its tests with it.

/// The access key is not accepted, or its policies do not allow this.
pub(crate) const DENIED: i32 = 254;
/// The device is not connected.
pub(crate) const NOT_CONNECTED: i32 = 253;
/// The command line or a setting is wrong.
pub(crate) const USAGE: i32 = 252;
/// The session ended otherwise than by the end of its program.
pub(crate) const ENDED: i32 = 251;
/// The gateway or the device refused for another reason.
pub(crate) const REFUSED: i32 = 250;
