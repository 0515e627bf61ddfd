//! Where the agent makes the cgroups of its sessions, and what an earlier agent left there.
//!
//! Reads `/proc/self/mountinfo` and `/proc/self/cgroup`, tries the directory, and makes one below
//! it for each session.
//!
//! # Not here
//! - The cgroup of one session: [`super::session`]. The limit of its processes: [`super::tasks`].

use super::directory::{PREFIX, can_be_entered, is_alive, owner_of};
use super::leaf;
use super::session::Cgroup;
use super::tasks::{self, Tasks};
use crate::limits;
use crate::logger::{self, in_session};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where this agent makes its sessions' cgroups.
#[derive(Debug, Clone)]
pub struct Home {
    dir: PathBuf,
    tasks: Option<Tasks>,
    most: u32,
}

impl Home {
    /// The agent's own cgroup or the one above its leaf, if it is of version 2, and directories can
    /// be made in it. Each session may have `most` processes; unless set half of the kernel's, at
    /// most [`limits::PROCESSES`]; 0 for any number. What came of that is the text, for people.
    #[must_use]
    pub fn find(most: Option<u32>) -> (Option<Self>, String) {
        let most = most.unwrap_or_else(|| tasks::half_of_all(limits::PROCESSES));
        let (home, tasks) = Self::found(most);
        let as_set = tasks.is_ok() || home.is_some() && most == 0;
        let limit =
            tasks.map_or_else(|why| format!("any number: {why}"), |_| format!("at most {most}"));
        if as_set {
            logger::info!("processes of one session: {limit}");
        } else {
            logger::warning!("processes of one session: {limit}");
        }
        (home, limit)
    }

    fn found(most: u32) -> (Option<Self>, Result<Tasks, String>) {
        let probe = format!("{PREFIX}-{}-probe", std::process::id());
        let read = || {
            Some((
                fs::read_to_string("/proc/self/mountinfo").ok()?,
                fs::read_to_string("/proc/self/cgroup").ok()?,
            ))
        };
        let found = read().and_then(|(mounts, own)| {
            let dir = leaf::home(locate(&mounts, &own)?);
            fs::create_dir(dir.join(&probe)).ok()?;
            fs::remove_dir(dir.join(&probe)).ok()?;
            Some((dir, mounts, own))
        });
        let Some((dir, mounts, own)) = found else {
            return (None, Err("no writable cgroup (version 2)".to_owned()));
        };
        let tasks = match most {
            0 => Err("sessions.max_processes is 0".to_owned()),
            _ => Tasks::find(&dir, &mounts, &own, &probe),
        };
        if let Err(error) = can_be_entered(&dir.join(&probe)) {
            // A session that could not enter its cgroup would be taken for one that is over.
            return (None, Err(error.to_string()));
        }
        if let Ok(tasks) = &tasks {
            tasks.tidy(&dir);
        }
        (Some(Self { dir, tasks: tasks.clone().ok(), most }), tasks)
    }

    /// Whether sessions have a limit of processes.
    #[must_use]
    pub fn limits_processes(&self) -> bool {
        self.tasks.is_some()
    }

    /// Makes the cgroup of one session. The log says what it lacks.
    ///
    /// # Errors
    /// The directory cannot be made: the hierarchy's limits, or rights that changed since
    /// [`Self::find`].
    pub fn make(&self, session: &str) -> io::Result<Cgroup> {
        let unlimited = |error: &io::Error| {
            let _session = in_session(session);
            logger::warning!("no limit of processes: {error}");
        };
        let safe: String = session
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
            .take(limits::CGROUP_NAME)
            .collect();
        let dir = self.dir.join(format!("{PREFIX}-{}-{safe}", std::process::id()));
        fs::create_dir(&dir).inspect_err(unlimited)?;
        let limit = self.tasks.as_ref().map(|tasks| tasks.limit(&dir, self.most));
        let apart = limit.and_then(|limit| limit.inspect_err(unlimited).ok().flatten());
        Ok(Cgroup { dir, apart })
    }

    /// Ends what agents that are no more left running, and removes their directories. Returns how
    /// many there were, and how many of them have processes that do not go when they are killed.
    #[must_use]
    pub fn sweep(&self) -> (usize, usize) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return (0, 0) };
        let mut left: Vec<Cgroup> = entries
            .filter_map(Result::ok)
            .filter(|entry| {
                entry.file_name().to_str().and_then(owner_of).is_some_and(|pid| !is_alive(pid))
            })
            .map(|entry| Cgroup::at(entry.path()))
            .collect();
        left.iter().for_each(Cgroup::kill);
        let found = left.len();
        // Who was killed is gone a moment later; or, on a dead file system, not for a long time.
        for look in 0..limits::SWEEP_LOOKS {
            if look > 0 {
                nap();
            }
            left.retain(|cgroup| cgroup.remove().is_err());
            if left.is_empty() {
                break;
            }
        }
        (found, left.len())
    }
}

/// Between two looks whether killed processes are gone.
#[allow(clippy::disallowed_methods)] // at the start, before there is a loop
fn nap() {
    std::thread::sleep(limits::SWEEP_PAUSE);
}

/// From the mount table and this process's membership to its cgroup v2 directory.
fn locate(mounts: &str, own: &str) -> Option<PathBuf> {
    let membership = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    // "36 25 0:31 ROOT POINT OPTIONS ... - cgroup2 SOURCE ..."
    let (root, point) = mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut fields = left.split(' ').skip(3);
        (right.split(' ').next() == Some("cgroup2"))
            .then(|| Some((fields.next()?, fields.next()?)))?
    })?;
    let below = Path::new(membership).strip_prefix(root).unwrap_or(Path::new(""));
    Some(Path::new(point).join(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(mounts: &str, own: &str, expected: Option<&str>) {
        assert_eq!(locate(mounts, own), expected.map(PathBuf::from));
    }

    #[test]
    fn a_unified_hierarchy_is_found_by_its_file_system_type() {
        check(
            "29 22 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw",
            "0::/system.slice/towline-agent.service\n",
            Some("/sys/fs/cgroup/system.slice/towline-agent.service"),
        );
    }

    #[test]
    fn a_hybrid_device_uses_the_unified_part() {
        check(
            "30 22 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n31 22 0:28 / \
             /sys/fs/cgroup/unified rw - cgroup2 none rw",
            "3:cpu:/x\n0::/\n",
            Some("/sys/fs/cgroup/unified"),
        );
    }

    #[test]
    fn a_device_with_only_the_old_hierarchy_has_none() {
        check("30 22 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu", "3:cpu:/x\n", None);
    }
}
