//! The process's limit of open files: a connection is a file, and many systems start processes with
//! 1024, though they allow more to those who ask.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use towline_gateway::limits::MOST_FILES;

/// Raises the limit to what the system allows.
pub(crate) fn raise() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let possible = hard.min(MOST_FILES);
    if soft >= possible {
        return;
    }
    if let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, possible, hard) {
        tracing::warn!(%error, "cannot raise the limit of open files from {soft} to {possible}");
    }
}
