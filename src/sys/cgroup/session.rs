//! The cgroup of one session: its members, its end, its removal.

use super::directory::below;
use crate::limits;
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The cgroup of one session.
#[derive(Debug)]
pub struct Cgroup {
    pub(super) dir: PathBuf,
    /// The directory with its limit of processes, where that is another one.
    pub(super) apart: Option<PathBuf>,
}

/// Open files through which the process of a session comes into its cgroups, see
/// [`crate::process::spawn::Request::cgroups`].
#[derive(Debug, Default)]
pub struct Entrances {
    /// The directory of the session's cgroup: the kernel has a child born there.
    pub directory: Option<File>,
    /// `cgroup.procs` of it, where the kernel cannot.
    pub processes: Option<File>,
    /// `tasks` of the directory with the limit of processes, where that is another one.
    pub limit: Option<File>,
}

impl Cgroup {
    /// An existing one, made by the previous program.
    #[must_use]
    pub fn at(dir: PathBuf) -> Self {
        Self { dir, apart: None }
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Opens the ways by which the child comes in. One that cannot be opened, because somebody else
    /// removed its directory, is `None`.
    #[must_use]
    pub fn entrances(&self) -> Entrances {
        let open = |dir: &Path, name| File::options().write(true).open(dir.join(name)).ok();
        let apart = self.apart.as_deref();
        Entrances {
            directory: File::open(&self.dir).ok(),
            processes: open(&self.dir, "cgroup.procs"),
            // Since Linux 5.19 a process moves itself by `tasks` without waiting for the others.
            limit: apart.and_then(|dir| open(dir, "tasks").or_else(|| open(dir, "cgroup.procs"))),
        }
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
