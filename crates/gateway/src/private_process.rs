//! Keeps the process's memory, which holds keys, out of files and other processes.
//!
//! # Not here
//! - Swap: encrypt it, or have none.

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};

/// No core file, no debugger of the same user, no reader of /proc/PID/mem but root.
pub(crate) fn apply() {
    let core = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let dump = prctl::set_dumpable(false);
    for result in [core, dump] {
        if let Err(error) = result {
            tracing::warn!(%error, "the process's memory may be written to a core file");
        }
    }
}
