//! Opens a file that root may obey: nobody but root, or the agent's own user, can have written it.
//!
//! Data flow: an absolute path -> each folder opened by name below the one before, without links
//! -> owner and mode of each, then of the file -> the open file. What is read is what was judged.
//!
//! # Invariants
//! - Each folder and the file belong to root or to the agent's user, and neither the group nor
//!   others can write them. A sticky folder that others can write is refused, too.
//! - No symbolic link is followed, and the file is a regular one with a single name.
//!
//! # Not here
//! - Access control lists: the mode's group bits include their mask (acl(5)).

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::unistd::geteuid;

use crate::sys::owner::other_writer;

/// Why a file is not obeyed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Untrusted {
    /// There is no such file.
    #[error("there is no such file")]
    Missing,
    /// It, or a folder above it, could be somebody else's work.
    #[error(
        "{path} is ignored: {why}; the file and all folders above it must belong to root and be \
         writable by root only"
    )]
    Writable {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The system cannot open it.
    #[error("cannot open {path}: {source}")]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
}

/// Opens an absolute path for reading.
///
/// # Errors
/// The file is missing, cannot be opened, or somebody else could have written it.
pub(super) fn open_file(path: &Path) -> Result<File, Untrusted> {
    let flags = OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let folder = flags | OFlag::O_DIRECTORY | OFlag::O_RDONLY;
    let mut at = PathBuf::from("/");
    let mut held: OwnedFd = open("/", folder, Mode::empty()).map_err(|errno| failed(&at, errno))?;
    judge(&held, &at, SFlag::S_IFDIR)?;
    let mut names = path.components().filter(|part| *part != Component::RootDir).peekable();
    while let Some(name) = names.next() {
        at.push(name);
        let Component::Normal(name) = name else {
            return Err(Untrusted::Writable { path: at, why: "its path is not a plain one" });
        };
        let last = names.peek().is_none();
        // O_NONBLOCK: a FIFO in the file's place does not hold the agent.
        let how = if last { flags | OFlag::O_RDONLY | OFlag::O_NONBLOCK } else { folder };
        held = openat(&held, name, how, Mode::empty()).map_err(|errno| failed(&at, errno))?;
        judge(&held, &at, if last { SFlag::S_IFREG } else { SFlag::S_IFDIR })?;
    }
    Ok(File::from(held))
}

fn failed(path: &Path, errno: Errno) -> Untrusted {
    match errno {
        Errno::ENOENT => Untrusted::Missing,
        Errno::ELOOP | Errno::ENOTDIR => {
            Untrusted::Writable { path: path.to_owned(), why: "it is a link, or not a folder" }
        }
        errno => Untrusted::Open { path: path.to_owned(), source: errno.into() },
    }
}

/// Judges what was opened, not what stands at its path by now.
fn judge(opened: &OwnedFd, path: &Path, kind: SFlag) -> Result<(), Untrusted> {
    let stat = fstat(opened).map_err(|errno| failed(path, errno))?;
    match objection(&stat, kind, geteuid().as_raw()) {
        None => Ok(()),
        Some(why) => Err(Untrusted::Writable { path: path.to_owned(), why }),
    }
}

fn objection(stat: &FileStat, kind: SFlag, own: u32) -> Option<&'static str> {
    let is_file = kind == SFlag::S_IFREG;
    if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != kind {
        return Some(if is_file { "it is not a regular file" } else { "it is not a folder" });
    }
    other_writer(stat.st_uid, stat.st_mode, own)
        .or_else(|| (is_file && stat.st_nlink != 1).then_some("it has a second name"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    const TEXT: &[u8] = b"gateway = \"gw\"\n";

    /// A folder that only its owner can write, below one whose own parents may be anything:
    /// judged from there on by the same function.
    fn judged(make: impl FnOnce(&Path)) -> Option<&'static str> {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("enroll.toml");
        crate::state::atomic::replace(&file, TEXT, 0o600).unwrap();
        make(&file);
        let held = open(&file, OFlag::O_RDONLY | OFlag::O_NONBLOCK, Mode::empty()).unwrap();
        objection(&fstat(&held).unwrap(), SFlag::S_IFREG, geteuid().as_raw())
    }

    #[test]
    fn the_agents_own_file_is_obeyed() {
        assert_eq!(judged(|_| {}), None);
    }

    #[test]
    fn a_file_that_others_can_write_is_not_obeyed() {
        for mode in [0o620, 0o602, 0o666] {
            let why = judged(|file| {
                std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
            });
            assert_eq!(why, Some("its group or other users can write it"), "{mode:o}");
        }
    }

    #[test]
    fn a_file_with_a_second_name_is_not_obeyed() {
        let why = judged(|file| std::fs::hard_link(file, file.with_extension("other")).unwrap());
        assert_eq!(why, Some("it has a second name"));
    }

    #[test]
    fn another_users_file_is_not_obeyed() {
        let temp = tempfile::tempdir().unwrap();
        let held = open(temp.path(), OFlag::O_RDONLY, Mode::empty()).unwrap();
        let mut stat = fstat(&held).unwrap();
        stat.st_uid = 65534;
        let why = objection(&stat, SFlag::S_IFDIR, geteuid().as_raw());
        assert_eq!(why, Some("it belongs to another user"));
    }

    #[test]
    fn a_folder_that_others_can_write_is_not_obeyed_even_when_sticky() {
        // The folder for temporary files is root's, sticky, and writable by all.
        let temp = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
        let file = temp.path().join("enroll.toml");
        crate::state::atomic::replace(&file, TEXT, 0o600).unwrap();
        let error = open_file(&file).unwrap_err().to_string();
        assert!(error.starts_with("/tmp is ignored: its group or other users"), "{error}");
    }

    #[test]
    fn a_link_is_not_followed() {
        let link = Path::new("/proc/self/cwd/enroll.toml");
        let error = open_file(link).unwrap_err().to_string();
        assert!(error.contains("is a link"), "{error}");
        let temp = tempfile::tempdir().unwrap();
        symlink("/etc/hostname", temp.path().join("enroll.toml")).unwrap();
        assert!(open_file(&temp.path().join("enroll.toml")).is_err());
    }

    #[test]
    fn a_file_that_is_not_there_is_missing() {
        let missing = Path::new("/proc/no-such-folder/enroll.toml");
        assert!(matches!(open_file(missing), Err(Untrusted::Missing)));
    }
}
