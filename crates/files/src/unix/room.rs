//! Free space, asked for before content is written.

use std::ffi::OsString;
use std::fs::File;

use rustix::fs::fstatvfs;

use crate::fault::Fault;

/// Refuses more bytes than the file system of `file` has for this user. `kept` is the partial file
/// that stays.
pub(crate) fn check_room(file: &File, needed: u64, kept: Option<OsString>) -> Result<(), Fault> {
    let system = fstatvfs(file)?;
    let blocks =
        if rustix::process::geteuid().is_root() { system.f_bfree } else { system.f_bavail };
    let free = blocks.saturating_mul(system.f_frsize);
    // Some file systems have no count of blocks.
    if system.f_blocks > 0 && needed > free {
        return Err(Fault::NoRoom { needed, free, kept });
    }
    Ok(())
}
