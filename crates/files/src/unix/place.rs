//! A place for a file: its directory, opened, and a name in it.
//!
//! # Invariants
//! - What is done at a place is done in the opened directory: a directory that is renamed or
//!   replaced by a link meanwhile changes nothing.
//! - The name itself is never followed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, RawMode, Stat, fstat, mkdirat, openat, statat,
};
use rustix::io::Errno;

use crate::fault::Fault;

/// What stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A socket.
    Socket,
    /// A device node.
    Device,
    /// A FIFO.
    Fifo,
}

/// What is known of a file.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// What it is.
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// Permission bits, twelve of them.
    pub mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) has_one_name: bool,
    /// Device and inode.
    pub identity: (u64, u64),
}

impl Seen {
    // These numbers have other widths on other systems.
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
    pub(crate) fn of(stat: &Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Link,
            FileType::Fifo => Kind::Fifo,
            FileType::CharacterDevice | FileType::BlockDevice => Kind::Device,
            FileType::Socket | FileType::Unknown => Kind::Socket,
        };
        Self {
            kind,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mode: u32::from(stat.st_mode) & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            has_one_name: stat.st_nlink == 1,
            identity: (stat.st_dev as u64, stat.st_ino),
        }
    }
}

/// A directory and a name in it.
#[derive(Debug)]
pub struct Place {
    pub(crate) directory: OwnedFd,
    pub(crate) name: OsString,
    path: PathBuf,
}

const DIRECTORY: OFlags = ONLY_TO_GO_THROUGH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// Linux opens a directory that may be gone through and not be read.
#[cfg(target_os = "linux")]
const ONLY_TO_GO_THROUGH: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const ONLY_TO_GO_THROUGH: OFlags = OFlags::RDONLY;

impl Place {
    /// The place of `path`. A symbolic link on the way is refused.
    ///
    /// # Errors
    /// [`Fault::Link`], or what the system says about the directories.
    pub fn strict(path: &Path) -> Result<Self, Fault> {
        let mut names: Vec<&OsStr> = path
            .components()
            .filter_map(|component| match component {
                Component::Normal(_) | Component::ParentDir => Some(component.as_os_str()),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
            })
            .collect();
        let last = names.pop().unwrap_or_else(|| OsStr::new("."));
        let start = Path::new(if path.is_absolute() { "/" } else { "" });
        Self::walk(start, &names, last, path)
    }

    /// The place of `below`, which leads from the directory `root` downwards. Links on the way to
    /// `root` are followed; one below it is refused, also where a directory stood a moment ago.
    ///
    /// # Errors
    /// [`Fault::Link`], or what the system says about the directories.
    pub fn beneath(root: &Path, below: &Path) -> Result<Self, Fault> {
        let mut names: Vec<&OsStr> = below.iter().collect();
        let last = names.pop().ok_or(Fault::Directory)?;
        Self::walk(root, &names, last, &root.join(below))
    }

    fn walk(start: &Path, names: &[&OsStr], last: &OsStr, path: &Path) -> Result<Self, Fault> {
        let mut way = start.to_owned();
        let start = if start.as_os_str().is_empty() { Path::new(".") } else { start };
        let mut directory = openat(CWD, start, DIRECTORY, Mode::empty())?;
        for &name in names {
            way.push(name);
            match openat(&directory, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) {
                Ok(next) => directory = next,
                Err(errno) => {
                    let seen = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW);
                    let is_link = seen.is_ok_and(|stat| Seen::of(&stat).kind == Kind::Link);
                    return Err(if is_link { Fault::Link(way) } else { errno.into() });
                }
            }
        }
        Ok(Self { directory, name: last.to_owned(), path: path.to_owned() })
    }

    /// The place that `path` leads to when links are followed, to a file or to nothing yet.
    ///
    /// # Errors
    /// What the system says, for example of a link that leads nowhere.
    pub fn following(path: &Path) -> Result<Self, Fault> {
        let whole = match path.canonicalize() {
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() =>
            {
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                let parent = parent.unwrap_or_else(|| Path::new(".")).canonicalize()?;
                parent.join(path.file_name().unwrap_or_default())
            }
            whole => whole?,
        };
        Self::strict(&whole)
    }

    /// The place of a path whose directories the user of this program has chosen: links among them
    /// are followed.
    ///
    /// # Errors
    /// What the system says about the directory.
    pub fn in_directory_of(path: &Path) -> Result<Self, Fault> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or_else(|| Path::new("."));
        let directory = openat(CWD, parent, DIRECTORY, Mode::empty())?;
        let name = path.file_name().ok_or(Fault::Directory)?.to_owned();
        Ok(Self { directory, name, path: path.to_owned() })
    }

    /// What stands here; `None`: nothing.
    ///
    /// # Errors
    /// What the system says.
    pub fn look(&self) -> Result<Option<Seen>, Fault> {
        match statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Seen::of(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Opens the file that stands here, for reading.
    ///
    /// # Errors
    /// [`Fault::Link`], [`Fault::NotAFile`], or what the system says.
    pub fn read(&self) -> Result<(File, Seen), Fault> {
        // Asked before: opening a device node can have an effect.
        match self.look()?.map(|seen| seen.kind) {
            Some(Kind::Link) => return Err(self.link()),
            None | Some(Kind::File) => {}
            Some(_) => return Err(Fault::NotAFile),
        }
        let file = self.open(OFlags::RDONLY)?;
        let seen = Seen::of(&fstat(&file)?);
        if seen.kind == Kind::File { Ok((file, seen)) } else { Err(Fault::NotAFile) }
    }

    /// Opens what stands here. It never waits, and never follows.
    pub(crate) fn open(&self, access: OFlags) -> Result<File, Errno> {
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        openat(&self.directory, &self.name, flags, Mode::empty()).map(File::from)
    }

    /// Why nothing is written into what stands here.
    pub(crate) fn unfit(&self, kind: Kind) -> Fault {
        match kind {
            Kind::Link => self.link(),
            Kind::Directory => Fault::Directory,
            Kind::Socket => Fault::Socket,
            Kind::File | Kind::Device | Kind::Fifo => Fault::NotAFile,
        }
    }

    fn link(&self) -> Fault {
        Fault::Link(self.path.clone())
    }

    /// Makes a directory here, unless there is one. The umask of this process applies.
    ///
    /// # Errors
    /// [`Fault::Link`], [`Fault::NotADirectory`], or what the system says.
    pub fn make_directory(&self, mode: u32) -> Result<(), Fault> {
        match mkdirat(&self.directory, &self.name, Mode::from_raw_mode((mode & 0o777) as RawMode)) {
            Err(Errno::EXIST) => match self.look()?.map(|seen| seen.kind) {
                Some(Kind::Directory) => Ok(()),
                Some(Kind::Link) => Err(self.link()),
                _ => Err(Fault::NotADirectory),
            },
            result => Ok(result?),
        }
    }

    /// Tells `each` the names in the directory that stands here, with what they are. A name that
    /// vanished meanwhile is told without. With `follow`, links are told as what they lead to.
    ///
    /// # Errors
    /// [`Fault::Link`], what the system says, or what `each` returns.
    pub fn list(
        &self,
        follow: bool,
        each: &mut dyn FnMut(OsString, Option<Seen>) -> io::Result<()>,
    ) -> Result<(), Fault> {
        if self.look()?.is_some_and(|seen| seen.kind == Kind::Link) {
            return Err(self.link());
        }
        let directory = self.open(OFlags::RDONLY | OFlags::DIRECTORY)?;
        let flags = if follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let seen = statat(&directory, OsStr::from_bytes(name), flags).or_else(|_| {
                statat(&directory, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW)
            });
            let seen = seen.ok().map(|stat| Seen::of(&stat));
            each(OsString::from_vec(name.to_vec()), seen)?;
        }
        Ok(())
    }

    /// Refuses a file of another user in a directory where all may create files: that user has laid
    /// it out there, and may read and change what is put into it. (`fs.protected_regular` of the
    /// kernel has the same rule.)
    pub(crate) fn check_owner(&self, there: &Seen) -> Result<(), Fault> {
        let directory = fstat(&self.directory)?;
        let is_shared = directory.st_mode & 0o1002 == 0o1002;
        let user = rustix::process::geteuid().as_raw();
        if is_shared && there.uid != user && there.uid != directory.st_uid {
            return Err(Fault::OthersFile);
        }
        Ok(())
    }
}
