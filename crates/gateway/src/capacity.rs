//! How many connections this process may hold: derived from what the system gives it, unless a
//! setting says otherwise.
//!
//! Data flow: [`Host::read`] (open files, memory) and `max_connections` of the configuration ->
//! [`Capacity`] -> the listener's bounds, and one line in the log.
//!
//! # Invariants
//! - A connection is an open file: neither the setting nor the memory raises the number above what
//!   the limit of open files leaves.
//!
//! # Not here
//! - The limit itself is raised by the program, before it reads its configuration.

use std::fmt;
use std::fs;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::sysinfo::sysinfo;

use crate::limits::MOST_OTHER_FILES;
use crate::limits::{CONNECTION_BYTES, FEWEST_CONNECTIONS, FEWEST_OTHER_FILES, MOST_CONNECTIONS};

/// What the system gives this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// Files that may be open at once.
    pub files: u64,
    /// Bytes of memory: of the machine, or of the control group that has less.
    pub memory: u64,
}

/// What bounds the number of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// `max_connections` of the configuration.
    Setting,
    /// The limit of open files.
    Files,
    /// The memory.
    Memory,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Setting => "max_connections of the configuration",
            Self::Files => "the limit of open files",
            Self::Memory => "half of the memory",
        })
    }
}

/// How many connections, and what bounds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Open at once.
    pub connections: usize,
    /// Why not more.
    pub bound: Bound,
}

impl Host {
    /// Asks the system. What it does not tell bounds nothing.
    #[must_use]
    pub fn read() -> Self {
        let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
        let machine = sysinfo().map_or(u64::MAX, |info| info.ram_total());
        Self { files, memory: machine.min(memory_of_group(Path::new("/sys/fs/cgroup"))) }
    }
}

impl Host {
    /// The same where connections come by pipes in memory (`pipes`): they are no open files.
    #[must_use]
    pub const fn with(self, pipes: bool) -> Self {
        if pipes { Self { files: u64::MAX, ..self } } else { self }
    }
}

impl Capacity {
    /// For this host. A setting replaces what the memory would give.
    #[must_use]
    pub fn of(host: Host, setting: Option<usize>) -> Self {
        let others = (host.files / 16).clamp(FEWEST_OTHER_FILES, MOST_OTHER_FILES);
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(MOST_CONNECTIONS);
        let by_files = number(host.files.saturating_sub(others)).max(FEWEST_CONNECTIONS);
        let (wanted, bound) = match setting {
            Some(setting) => (setting, Bound::Setting),
            None => (number(host.memory / 2 / CONNECTION_BYTES), Bound::Memory),
        };
        if wanted > by_files {
            return Self { connections: by_files, bound: Bound::Files };
        }
        Self { connections: wanted.max(FEWEST_CONNECTIONS), bound }
    }
}

/// The least memory that a control group above this process allows (version 2). Without such a
/// group: no bound.
fn memory_of_group(root: &Path) -> u64 {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let path = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let groups = Path::new(path).ancestors().map(|group| root.join(group).join("memory.max"));
    let limits = groups.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    limits.min().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[track_caller]
    fn allows(files: u64, memory: u64, setting: Option<usize>, connections: usize, bound: Bound) {
        let capacity = Capacity::of(Host { files, memory }, setting);
        assert_eq!(capacity, Capacity { connections, bound });
    }

    #[test]
    fn connections_follow_from_open_files_and_memory_whichever_is_less() {
        allows(524_288, 4 * GIB, None, 131_072, Bound::Memory);
        allows(20_000, 24 * GIB, None, 18_750, Bound::Files);
        allows(1024, 4 * GIB, None, 896, Bound::Files);
        allows(u64::MAX, u64::MAX, None, MOST_CONNECTIONS, Bound::Memory);
    }

    #[test]
    fn a_setting_replaces_what_the_memory_gives_and_not_what_open_files_leave() {
        allows(524_288, GIB, Some(100_000), 100_000, Bound::Setting);
        allows(524_288, 64 * GIB, Some(500), 500, Bound::Setting);
        allows(4096, 64 * GIB, Some(100_000), 3840, Bound::Files);
    }

    #[test]
    fn the_system_tells_something() {
        let host = Host::read();
        assert!(host.files > 0 && host.memory > CONNECTION_BYTES, "{host:?}");
    }
}
