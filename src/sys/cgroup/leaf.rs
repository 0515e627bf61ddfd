//! The agent's own cgroup, below the one that systemd delegated.
//!
//! A cgroup of version 2 passes a controller on only while it holds no process itself ("No
//! Internal Process Constraint", Documentation/admin-guide/cgroup-v2.rst). So the agent moves
//! into a leaf of its unit's cgroup, and makes the cgroups of its sessions beside that leaf.
//! After an upgrade the new program is in the leaf already.
//!
//! # Invariants
//! - The agent moves only if systemd has marked the cgroup as delegated (`Delegate=`), and only
//!   if systemd then puts its own helpers (`ExecReload=`) into `.control`, since version 240.
//!   Else the kernel would refuse them, and a reload would fail.
//!
//! # Not here
//! - `DelegateSubgroup=` (systemd 254), by which systemd moves the agent itself: systemd of
//!   Debian 12 does not know it, and warns at each start.

use super::directory::write;
use crate::sys::calls;
use std::ffi::CString;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Its name; none of a session's, which have a number behind the prefix.
pub(super) const LEAF: &str = "towline-leaf";

/// From the agent's own cgroup to the one in which those of its sessions are made.
pub(super) fn home(own: PathBuf) -> PathBuf {
    match own.parent() {
        Some(above) if own.ends_with(LEAF) => above.to_owned(),
        _ => own,
    }
}

/// Whether systemd has given this cgroup to the agent: it leaves a mark on the directory.
pub(super) fn is_given(home: &Path) -> bool {
    // The variable came with version 240, as the place for the helpers did; the unit of the agent
    // has a state directory.
    let recent = std::env::var_os("STATE_DIRECTORY").is_some();
    let path = CString::new(home.as_os_str().as_bytes()).unwrap_or_default();
    // The second is for a systemd that may not set the first, in a container.
    recent
        && [c"trusted.delegate", c"user.delegate"]
            .iter()
            .any(|name| calls::has_attribute(&path, name, b"1"))
}

/// Moves the agent into its leaf, unless it is there.
///
/// # Errors
/// The system's: no right to, or no process may enter what is below this cgroup.
pub(super) fn enter(home: &Path) -> io::Result<()> {
    let leaf = home.join(LEAF);
    match fs::create_dir(&leaf) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    write(&leaf.join("cgroup.procs"), "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_the_leaf_makes_its_sessions_cgroups_beside_it() {
        let unit = Path::new("/sys/fs/cgroup/system.slice/towline-agent.service");
        assert_eq!(home(unit.join(LEAF)), unit);
        assert_eq!(home(unit.to_owned()), unit);
        assert_eq!(home("/sys/fs/cgroup".into()), Path::new("/sys/fs/cgroup"));
    }

    #[test]
    fn the_leaf_is_never_taken_for_a_session_that_was_left_behind() {
        assert_eq!(crate::sys::cgroup::directory::owner_of(LEAF), None);
    }

    #[test]
    fn a_cgroup_without_systemds_mark_is_not_ours() {
        let temp = tempfile::tempdir().unwrap();
        assert!(!is_given(temp.path()));
    }
}
