//! The process's limit of open files: a connection is a file, and many systems start processes with
//! 1024.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use towline_gateway::limits::MAX_CONNECTIONS;

/// Files besides connections: listeners, the store, what the runtime keeps open.
const OTHERS: u64 = 128;

/// Raises the limit to what the system allows; says so when that is too little.
pub(crate) fn raise() {
    let wanted = MAX_CONNECTIONS as u64 + OTHERS;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft >= wanted {
        return;
    }
    let possible = wanted.min(hard);
    if let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, possible, hard) {
        tracing::warn!(%error, "cannot raise the limit of open files from {soft}");
    } else if possible < wanted {
        tracing::warn!(
            "the system allows {possible} open files: that many connections, not {MAX_CONNECTIONS}"
        );
    }
}
