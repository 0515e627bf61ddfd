//! A place for a file: a folder and a name in it.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use crate::fault::Fault;

/// A folder and a name in it.
#[derive(Debug)]
pub struct Place {
    pub(super) folder: PathBuf,
    pub(super) name: OsString,
    path: PathBuf,
}

impl Place {
    /// The place that `path` leads to when links are followed, to a file or to nothing yet.
    ///
    /// # Errors
    /// What the system says, for example of a link that leads nowhere.
    pub fn following(path: &Path) -> Result<Self, Fault> {
        match path.canonicalize() {
            Ok(whole) => Self::in_directory_of(&whole),
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() =>
            {
                Self::in_directory_of(path)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The place of a path whose directories the user of this program has chosen: links among them
    /// are followed.
    ///
    /// # Errors
    /// What the system says about the directory.
    pub fn in_directory_of(path: &Path) -> Result<Self, Fault> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = parent.unwrap_or_else(|| Path::new(".")).to_owned();
        if !folder.metadata()?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory).into());
        }
        let name = path.file_name().ok_or(Fault::Directory)?.to_owned();
        Ok(Self { folder, name, path: path.to_owned() })
    }

    /// The place of `below`, which leads from the directory `root` downwards. A link below `root`
    /// is refused.
    ///
    /// # Errors
    /// [`Fault::Link`], or what the system says about the directories.
    pub fn beneath(root: &Path, below: &Path) -> Result<Self, Fault> {
        let (mut way, mut names) = (root.to_owned(), below.iter());
        let last = names.next_back().ok_or(Fault::Directory)?;
        for name in names {
            way.push(name);
            if way.symlink_metadata()?.is_symlink() {
                return Err(Fault::Link(way));
            }
        }
        Self::in_directory_of(&way.join(last))
    }

    /// Makes a directory here, unless there is one. The mode has no meaning here.
    ///
    /// # Errors
    /// [`Fault::Link`], [`Fault::NotADirectory`], or what the system says.
    pub fn make_directory(&self, _mode: u32) -> Result<(), Fault> {
        match std::fs::create_dir(self.full()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match self.look()? {
                Some(there) if there.is_symlink() => Err(self.link()),
                Some(there) if there.is_dir() => Ok(()),
                _ => Err(Fault::NotADirectory),
            },
            result => Ok(result?),
        }
    }

    /// Refuses what no file can take the place of.
    pub(super) fn check_file(&self) -> Result<(), Fault> {
        match self.look()? {
            Some(there) if there.is_symlink() => Err(self.link()),
            Some(there) if there.is_dir() => Err(Fault::Directory),
            Some(there) if !there.is_file() => Err(Fault::NotAFile),
            _ => Ok(()),
        }
    }

    /// The whole path.
    pub(super) fn full(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    fn look(&self) -> io::Result<Option<Metadata>> {
        match self.full().symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            result => result.map(Some),
        }
    }

    fn link(&self) -> Fault {
        Fault::Link(self.path.clone())
    }
}
