//! How glibc's allocator is to work in this process: told by the one way there is without foreign
//! calls, its variable, which it reads before `main`. So `serve` starts itself anew once, in the
//! same process, with the variable set.
//!
//! What a link keeps is allocated in the same moment as the rubbish of its handshake. A thread's
//! cache of freed pieces keeps neighbours from growing together again, and the holes stay: seen
//! 16.8 KiB of resident memory a device with the cache, 12.4 to 13.6 without, of which 11.0 are in
//! use (decision 17).
//!
//! # Invariants
//! - A variable that is set already is kept, and nothing happens then, so
//!   there is no loop.
//! - A failure costs memory, not the service: it goes on as it is.
//!
//! # Not here
//! - Other C libraries: they have no such variable.

use std::ffi::OsString;

/// The variable (glibc's manual, "Tunables").
const NAME: &str = "GLIBC_TUNABLES";
/// No cache of freed pieces in each thread.
const VALUE: &str = "glibc.malloc.tcache_count=0";

/// Starts this program anew in this process with the variable set, unless it is set. Returns when
/// that was not needed, or not possible.
pub(crate) fn apply() {
    if !cfg!(target_env = "gnu") || std::env::var_os(NAME).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let error = std::os::unix::process::CommandExt::exec(
        std::process::Command::new(program).args(arguments).env(NAME, VALUE),
    );
    tracing::warn!(%error, "the allocator keeps its cache: each device will cost some KiB more");
}
