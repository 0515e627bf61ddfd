//! The limit of processes of one session, where the kernel's pids controller is available.
//!
//! It is set in one of two places: in the session's own cgroup, if the controller belongs to the
//! unified hierarchy and is on or can be turned on ([`enable`]); or in a hierarchy of its own,
//! on devices with version 1 beside version 2. There the session gets a second directory of the
//! same name.
//!
//! # Invariants
//! - The limit never keeps a session from starting. Without it the number is unlimited, and the
//!   log says so.
//! - A second directory that is left over is empty. It is removed when the next session is made
//!   or the next agent starts, but not while a child may be about to enter it: not another
//!   agent's, and not one whose session still has its own cgroup.

use super::directory::{below, can_be_entered, is_alive, owner_of, write};
use super::leaf;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The place where the limit is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tasks {
    /// In the session's own cgroup.
    Own,
    /// In a directory below this one.
    Apart(PathBuf),
}

impl Tasks {
    /// Finds the place, given the cgroup in which those of sessions are made, and the texts of
    /// `mountinfo` and `cgroup` in `/proc/self`.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(super) fn find(home: &Path, mounts: &str, own: &str, probe: &str) -> Result<Self, String> {
        let error = match enable(home, probe, leaf::is_given(home)) {
            Ok(()) => return Ok(Self::Own),
            Err(error) => error,
        };
        let apart = locate(mounts, own).ok_or_else(|| format!("no pids controller: {error}"))?;
        let probe = apart.join(probe);
        let probed = fs::create_dir(&probe).and_then(|()| fs::remove_dir(&probe));
        probed
            .map_err(|error| format!("cannot make a directory in {}: {error}", apart.display()))?;
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

    /// Removes second directories of sessions that are over: of this agent, which makes its cgroups
    /// in `cgroups`, and of agents that are no more.
    pub(super) fn tidy(&self, cgroups: &Path) {
        let Self::Apart(home) = self else { return };
        for dir in below(home) {
            let Some(name) = dir.file_name().and_then(|name| name.to_str()) else { continue };
            let over = match owner_of(name) {
                Some(owner) if owner == std::process::id() => !cgroups.join(name).exists(),
                Some(owner) => !is_alive(owner),
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
/// In a cgroup that has processes of its own the kernel would take it and from then on let nobody
/// enter what is below: no session, and none of systemd's helpers. So it is done at the root of the
/// hierarchy, for which that does not hold, and in a cgroup that is `given` to the agent, which
/// leaves it first ([`leaf`]).
fn enable(home: &Path, probe: &str, given: bool) -> io::Result<()> {
    let controllers = home.join("cgroup.subtree_control");
    if !lists(&home.join("cgroup.controllers"))? {
        return Err(io::Error::other("the agent's cgroup does not have it"));
    }
    let on = lists(&controllers)?;
    // The root alone has no type.
    let root = !home.join("cgroup.type").exists();
    if given {
        // Started by systemd above sessions that outlived the agent before: nobody can enter then
        // until it is off.
        leaf::enter(home)
            .or_else(|_| write(&controllers, "-pids").and_then(|()| leaf::enter(home)))?;
    } else if !on && !root {
        return Err(io::Error::other("systemd did not delegate the cgroup (Delegate=yes)"));
    }
    if given || !on {
        write(&controllers, "+pids")?;
    }
    can_be_entered(&home.join(probe)).inspect_err(|_| {
        // Somebody else's process is beside. Better no limit than no cgroups.
        if given {
            let _ = write(&controllers, "-pids");
        }
    })
}

/// Whether a file that lists controllers has this one.
fn lists(file: &Path) -> io::Result<bool> {
    Ok(fs::read_to_string(file)?.split_whitespace().any(|name| name == "pids"))
}

/// Half of what the kernel has for all, and no more than `most`.
pub(super) fn half_of_all(most: u32) -> u32 {
    let all = fs::read_to_string("/proc/sys/kernel/threads-max")
        .ok()
        .and_then(|text| text.trim().parse::<u32>().ok());
    all.map_or(most, |all| (all / 2).clamp(1, most))
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
    use crate::state::atomic;

    #[test]
    fn a_hybrid_device_has_the_controller_in_a_hierarchy_of_its_own() {
        let mounts = "30 22 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      31 22 0:28 / /sys/fs/cgroup/pids rw,nosuid - cgroup cgroup rw,pids\n\
                      32 22 0:29 / /sys/fs/cgroup/unified rw - cgroup2 none rw";
        let own = "8:cpu:/x\n7:pids:/system.slice/towline-agent.service\n0::/\n";
        assert_eq!(
            locate(mounts, own),
            Some("/sys/fs/cgroup/pids/system.slice/towline-agent.service".into())
        );
        assert_eq!(locate(mounts, "8:cpu:/x\n0::/\n"), None);
        assert_eq!(locate("32 22 0:29 / /sys/fs/cgroup rw - cgroup2 none rw", "0::/x\n"), None);
    }

    /// A directory that looks like a cgroup with these controllers, with an empty leaf.
    fn cgroup(controllers: &str, on: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            atomic::replace(&dir.path().join(name), text.as_bytes(), 0o600).unwrap()
        };
        file("cgroup.controllers", controllers);
        file("cgroup.subtree_control", on);
        file("cgroup.type", "domain\n");
        fs::create_dir(dir.path().join(leaf::LEAF)).unwrap();
        file(&format!("{}/cgroup.procs", leaf::LEAF), "");
        dir
    }

    /// What was written: into the leaf, and to the controllers.
    #[track_caller]
    fn written(dir: &tempfile::TempDir) -> (String, String) {
        let text = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        (text(&format!("{}/cgroup.procs", leaf::LEAF)), text("cgroup.subtree_control"))
    }

    #[test]
    fn in_a_cgroup_that_was_given_to_it_the_agent_goes_into_its_leaf_and_turns_the_controller_on() {
        let dir = cgroup("cpu memory pids", "");
        enable(dir.path(), "probe", true).unwrap();
        assert_eq!(written(&dir), ("0".into(), "+pids".into()));
        assert!(!dir.path().join("probe").exists());
    }

    #[test]
    fn a_cgroup_that_was_not_given_to_it_stays_as_it_is() {
        let dir = cgroup("cpu memory pids", "");
        let error = enable(dir.path(), "probe", false).unwrap_err();
        assert!(error.to_string().contains("Delegate=yes"), "{error}");
        assert_eq!(written(&dir), (String::new(), String::new()));
    }

    #[test]
    fn nobody_moves_for_a_controller_that_is_not_there() {
        let dir = cgroup("cpu memory", "");
        enable(dir.path(), "probe", true).unwrap_err();
        assert_eq!(written(&dir), (String::new(), String::new()));
    }

    #[test]
    fn a_controller_that_is_on_already_is_used() {
        let dir = cgroup("pids", "pids");
        enable(dir.path(), "probe", false).unwrap();
        assert_eq!(written(&dir), (String::new(), "pids".into()));
    }

    #[test]
    fn the_limit_is_half_of_what_there_is_and_never_none() {
        let half = half_of_all(4096);
        assert!((1..=4096).contains(&half));
        assert_eq!(half_of_all(1), 1);
    }
}
