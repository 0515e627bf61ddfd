//! The most processes of one session, where the kernel's pids controller can be had for its cgroup.
//!
//! It stands at one of two places: in the session's own cgroup, when the controller belongs to the unified hierarchy and is on
//! for those below the agent, or can be turned on there without harm ([`enable`]); or in a hierarchy of its own, which devices with the old ones beside the unified have. There
//! the session gets a second directory of the same name.
//!
//! # Invariants
//! - The limit never keeps a session from starting: without it the session has none, and the agent's log says so.
//! - A second directory that is left over is empty, and goes when the next session is made or the next agent starts. None goes
//!   that a child may be about to enter: neither another agent's, nor one whose session has its own cgroup still.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the limit is written. See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tasks {
    /// In the session's own cgroup.
    Own,
    /// In a directory below this one.
    Apart(PathBuf),
}

impl Tasks {
    /// Finds the place, given the agent's own cgroup and the texts of `mountinfo` and `cgroup` in `/proc/self`.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(super) fn find(home: &Path, mounts: &str, own: &str, probe: &str) -> Result<Self, String> {
        let enabled = enable(home);
        if enabled.is_ok() {
            return Ok(Self::Own);
        }
        let Some(apart) = locate(mounts, own) else {
            return Err(match enabled {
                Err(error) => format!("the kernel's controller of processes cannot be turned on: {error}"),
                Ok(()) => String::new(),
            });
        };
        let probe = apart.join(probe);
        let probed = fs::create_dir(&probe).and_then(|()| fs::remove_dir(&probe));
        probed.map_err(|error| format!("no directory can be made in {}: {error}", apart.display()))?;
        Ok(Self::Apart(apart))
    }

    /// Sets the limit for a session's cgroup; the second directory, if there is one.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn limit(&self, cgroup: &Path, most: u32) -> io::Result<Option<PathBuf>> {
        let most = most.to_string();
        match self {
            Self::Own => write(&cgroup.join("pids.max"), &most).map(|()| None),
            Self::Apart(home) => {
                let name = cgroup.file_name().ok_or(io::ErrorKind::InvalidInput)?;
                self.tidy(cgroup.parent().unwrap_or(Path::new("/")));
                let dir = home.join(name);
                fs::create_dir(&dir)?;
                write(&dir.join("pids.max"), &most).inspect_err(|_| drop(fs::remove_dir(&dir)))?;
                Ok(Some(dir))
            }
        }
    }

    /// Removes second directories of sessions that are over: of this agent, which makes its cgroups in `cgroups`, and of agents
    /// that are no more.
    pub(super) fn tidy(&self, cgroups: &Path) {
        let Self::Apart(home) = self else { return };
        for dir in super::below(home) {
            let Some(name) = dir.file_name().and_then(|name| name.to_str()) else { continue };
            let over = match super::owner_of(name) {
                Some(owner) if owner == std::process::id() => !cgroups.join(name).exists(),
                Some(owner) => !super::is_alive(owner),
                None => false,
            };
            if over {
                // Fails while processes are in it.
                let _ = fs::remove_dir(dir);
            }
        }
    }
}

/// Turns the controller on for those below `home`, if it is not.
///
/// Only at the root of the hierarchy. In any other cgroup that has processes of its own (the agent) the kernel would take it and
/// from then on let nobody enter what is below: no session, and none of systemd's helpers, so that a reload of the unit fails
/// (Documentation/admin-guide/cgroup-v2.rst, "Threads"; seen on Debian 12).
fn enable(home: &Path) -> io::Result<()> {
    let controllers = home.join("cgroup.subtree_control");
    if fs::read_to_string(&controllers)?.split_whitespace().any(|name| name == "pids") {
        return Ok(());
    }
    // The root alone has no type.
    if home.join("cgroup.type").exists() {
        return Err(io::Error::other("the agent's own process is in the cgroup above those of its sessions"));
    }
    write(&controllers, "+pids")
}

/// Half of what the kernel has for all, and no more than `most`.
pub(super) fn half_of_all(most: u32) -> u32 {
    let all = fs::read_to_string("/proc/sys/kernel/threads-max").ok().and_then(|text| text.trim().parse::<u32>().ok());
    all.map_or(most, |all| (all / 2).clamp(1, most))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::File::options().write(true).open(path)?;
    io::Write::write_all(&mut file, text.as_bytes())
}

/// The agent's own directory in a hierarchy that has the controller.
fn locate(mounts: &str, own: &str) -> Option<PathBuf> {
    let has = |list: &str| list.split(',').any(|controller| controller == "pids");
    let membership = own.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        has(controllers).then_some(path)
    })?;
    let (root, point) = mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut fields = left.split(' ').skip(3);
        let mut right = right.split(' ');
        let is_it = right.next() == Some("cgroup") && right.nth(1).is_some_and(has);
        is_it.then(|| Some((fields.next()?, fields.next()?)))?
    })?;
    let below = Path::new(membership).strip_prefix(root).unwrap_or(Path::new(""));
    Some(Path::new(point).join(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hybrid_device_has_the_controller_in_a_hierarchy_of_its_own() {
        let mounts = "30 22 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      31 22 0:28 / /sys/fs/cgroup/pids rw,nosuid - cgroup cgroup rw,pids\n\
                      32 22 0:29 / /sys/fs/cgroup/unified rw - cgroup2 none rw";
        let own = "8:cpu:/x\n7:pids:/system.slice/towline-agent.service\n0::/\n";
        assert_eq!(locate(mounts, own), Some("/sys/fs/cgroup/pids/system.slice/towline-agent.service".into()));
        assert_eq!(locate(mounts, "8:cpu:/x\n0::/\n"), None);
        assert_eq!(locate("32 22 0:29 / /sys/fs/cgroup rw - cgroup2 none rw", "0::/x\n"), None);
    }

    #[test]
    fn the_limit_is_half_of_what_there_is_and_never_none() {
        let half = half_of_all(4096);
        assert!((1..=4096).contains(&half));
        assert_eq!(half_of_all(1), 1);
    }
}
