//! Where the tests of a run keep their files: in memory, where there is plenty.
//!
//! Data flow: the file system in memory and what the kernel says is available -> [`Scratch`] ->
//! `TMPDIR` of the test runner; the folder goes away with its value.
//!
//! # Invariants
//! - Tests make thousands of stores, each of which waits for the disk a hundred times. None of them
//!   asks the disk for what it wrote before a loss of power, so none loses meaning by it.
//! - Who sets `TMPDIR` decides. With less memory than [`PLENTY`] the files stay where they were.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::fs::StatVfsMountFlags;
use towline_testkit::Outcome;

/// Linux keeps what lies here in memory.
const FOLDER: &str = "/dev/shm";
/// Bytes that must be free there, and available as memory at all: a run was seen to keep less than
/// a quarter of it.
const PLENTY: u64 = 10 << 30;
/// What a folder for temporary files has: anybody may make files, and change their own alone.
const MODE: u32 = 0o1777;

/// A folder in memory, or none.
pub(super) struct Scratch(Option<tempfile::TempDir>);

impl Scratch {
    /// # Errors
    /// The folder cannot be made although there is room.
    pub(super) fn new() -> Outcome<Self> {
        if std::env::var_os("TMPDIR").is_some() || !is_roomy(Path::new(FOLDER)) {
            return Ok(Self(None));
        }
        // A short name: paths of sockets have 107 bytes at most.
        let folder = tempfile::Builder::new().prefix("t").rand_bytes(4).tempdir_in(FOLDER)?;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(MODE))?;
        Ok(Self(Some(folder)))
    }

    /// Its path, if there is one.
    pub(super) fn path(&self) -> Option<&Path> {
        self.0.as_ref().map(tempfile::TempDir::path)
    }
}

/// Whether programs can run there, and there is plenty of room and of memory.
fn is_roomy(folder: &Path) -> bool {
    let Ok(found) = rustix::fs::statvfs(folder) else { return false };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let runs = !found.f_flag.contains(StatVfsMountFlags::NOEXEC);
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    runs && free >= PLENTY && available(&meminfo) >= PLENTY
}

/// Bytes of memory that new programs can have, by the kernel's table (proc(5), `MemAvailable`).
fn available(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read_from_the_kernels_table() {
        let table = "MemTotal:       24000000 kB\nMemAvailable:   11000000 kB\nCached: 5 kB\n";
        assert_eq!(available(table), 11_000_000 << 10);
        assert_eq!(available("MemTotal: 5 kB\n"), 0);
        assert!(!is_roomy(Path::new("/nowhere-at-all")));
    }
}
