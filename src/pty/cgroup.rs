//! A cgroup of its own for each session, where the device has a writable cgroup v2 file system.
//!
//! A process cannot leave its cgroup by forking, by `setsid`, or by clearing its environment: with
//! a cgroup, "all that this session started" is a fact kept by the kernel, and ending it is one
//! write. The agent makes its directories below the cgroup it was started in (under systemd: its
//! unit, with `Delegate=yes`; there it moves itself into a [`leaf`] first). The one limit that it
//! sets, and the one controller that it turns on, is the number of processes ([`tasks`]).
//!
//! # Invariants
//! - A directory's name holds the agent's process id: two agents on one device never touch each
//!   other's.
//! - What a killed agent left behind is ended by the next one's [`Home::sweep`].

mod leaf;
mod tasks;

use crate::limits;
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use tasks::Tasks;

const PREFIX: &str = "towline";

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
        let level = if tasks.is_ok() || home.is_some() && most == 0 {
            log::Level::Info
        } else {
            log::Level::Warn
        };
        let limit =
            tasks.map_or_else(|why| format!("any number: {why}"), |_| format!("at most {most}"));
        log::log!(level, "processes of one session: {limit}");
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
            0 => Err("so it is set".to_owned()),
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

    /// Makes the cgroup of one session. What it lacks stands in the log.
    ///
    /// # Errors
    /// The directory cannot be made: the hierarchy's limits, or rights that changed since
    /// [`Self::find`].
    pub fn make(&self, session: &str) -> io::Result<Cgroup> {
        let unlimited = |error: &io::Error| {
            log::warn!("session {session} may have any number of processes: {error}")
        };
        let safe: String = session
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
            .take(64)
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

/// The process id in a directory's name.
fn owner_of(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.strip_prefix('-')?.split('-').next()?.parse().ok()
}

fn is_alive(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

/// Whether processes can enter a directory that is made here for the trial: not below a cgroup that
/// holds processes and passes controllers on. Kernels before 4.14 do not know the question.
fn can_be_entered(probe: &Path) -> io::Result<()> {
    fs::create_dir(probe)?;
    let kind = fs::read_to_string(probe.join("cgroup.type"));
    let _ = fs::remove_dir(probe);
    match kind {
        Ok(kind) if kind.trim() != "domain" => {
            Err(io::Error::other("nobody can enter cgroups below"))
        }
        _ => Ok(()),
    }
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

/// The cgroup of one session.
#[derive(Debug)]
pub struct Cgroup {
    dir: PathBuf,
    /// The directory with its limit of processes, where that is another one.
    apart: Option<PathBuf>,
}

impl Cgroup {
    /// One that is there already, made by the program before us.
    #[must_use]
    pub fn at(dir: PathBuf) -> Self {
        Self { dir, apart: None }
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Opens the files through which the child moves itself in, see
    /// [`super::spawn::Request::cgroups`]. One that cannot be opened, because somebody else removed
    /// its directory, is `None`.
    #[must_use]
    pub fn entrances(&self) -> [Option<File>; 2] {
        let open = |dir: &Path| File::options().write(true).open(dir.join("cgroup.procs")).ok();
        [open(&self.dir), self.apart.as_deref().and_then(open)]
    }

    /// Processes in it and in cgroups made below it, at most [`limits::FAMILY_PASS`].
    #[must_use]
    pub fn members(&self) -> Vec<Pid> {
        let mut found = Vec::new();
        collect(&self.dir, limits::CGROUP_DEPTH, &mut found);
        found
    }

    /// Kills all its processes: in one step where the kernel can (5.14 and later), else one by one.
    pub fn kill(&self) {
        let at_once = File::options().write(true).open(self.dir.join("cgroup.kill"));
        let killed = at_once.and_then(|mut file| io::Write::write_all(&mut file, b"1"));
        if killed.is_err() {
            for pid in self.members() {
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            }
        }
    }

    /// True when no living process is in it or below it. One that cannot be read is gone, and so
    /// empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        fs::read_to_string(self.dir.join("cgroup.events"))
            .map_or(true, |events| events.lines().any(|line| line == "populated 0"))
    }

    /// Removes the directory and those made below it.
    ///
    /// # Errors
    /// It is not empty.
    pub fn remove(&self) -> io::Result<()> {
        remove(&self.dir, limits::CGROUP_DEPTH)?;
        if let Some(apart) = &self.apart {
            // Not empty for a moment longer: the next session's start tries again.
            let _ = fs::remove_dir(apart);
        }
        Ok(())
    }
}

fn collect(dir: &Path, depth: usize, found: &mut Vec<Pid>) {
    let procs = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    let room = limits::FAMILY_PASS.saturating_sub(found.len());
    found.extend(procs.lines().filter_map(|line| line.parse().ok()).map(Pid::from_raw).take(room));
    if depth > 0 {
        below(dir).iter().for_each(|child| collect(child, depth - 1, found));
    }
}

fn remove(dir: &Path, depth: usize) -> io::Result<()> {
    if depth > 0 {
        for child in below(dir) {
            remove(&child, depth - 1)?;
        }
    }
    fs::remove_dir(dir)
}

fn below(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let is_dir = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    entries
        .filter_map(Result::ok)
        .filter(is_dir)
        .map(|entry| entry.path())
        .take(limits::FAMILY_PASS)
        .collect()
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
            "30 22 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n31 22 0:28 / /sys/fs/cgroup/unified rw - cgroup2 none rw",
            "3:cpu:/x\n0::/\n",
            Some("/sys/fs/cgroup/unified"),
        );
    }

    #[test]
    fn a_device_with_only_the_old_hierarchy_has_none() {
        check("30 22 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu", "3:cpu:/x\n", None);
    }

    #[test]
    fn the_owner_stands_in_the_name() {
        assert_eq!(owner_of("towline-421-alice-0123"), Some(421));
        assert_eq!(owner_of("towline-agent.service"), None);
        assert_eq!(owner_of("user.slice"), None);
    }
}
