//! Directories of the cgroup file system: their names, what is below them, writes to their files.

use crate::limits;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The names of all directories that agents make begin with this.
pub(super) const PREFIX: &str = "towline";

/// The process id in a directory's name.
pub(super) fn owner_of(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.strip_prefix('-')?.split('-').next()?.parse().ok()
}

pub(super) fn is_alive(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

/// Whether processes can enter a directory that is made here for the trial: not below a cgroup that
/// holds processes and passes controllers on. Kernels before 4.14 do not know the question.
pub(super) fn can_be_entered(probe: &Path) -> io::Result<()> {
    fs::create_dir(probe)?;
    let kind = fs::read_to_string(probe.join("cgroup.type"));
    let _ = fs::remove_dir(probe);
    match kind {
        Ok(kind) if kind.trim() != "domain" => {
            Err(io::Error::other("no process can enter a cgroup below it"))
        }
        _ => Ok(()),
    }
}

/// Writes to a file of the kernel's, which has to be there.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::File::options().write(true).open(path)?;
    io::Write::write_all(&mut file, text.as_bytes())
}

/// The directories directly below one, at most [`limits::FAMILY_PASS`].
pub(super) fn below(dir: &Path) -> Vec<PathBuf> {
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

    #[test]
    fn the_owner_stands_in_the_name() {
        assert_eq!(owner_of("towline-421-alice-0123"), Some(421));
        assert_eq!(owner_of("towline-agent.service"), None);
        assert_eq!(owner_of("user.slice"), None);
    }
}
