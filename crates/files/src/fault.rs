//! Why a file was not written or read, in words for the operator.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

/// Why a file was not written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A link on the way, or at its end.
    #[error("{} is a symbolic link: use --follow to follow links", .0.display())]
    Link(PathBuf),
    /// Content cannot be put there.
    #[error("it is a directory")]
    Directory,
    /// A directory cannot be made there.
    #[error("it exists and is not a directory")]
    NotADirectory,
    /// Content cannot be put there.
    #[error("it is a socket: nothing can be copied into it")]
    Socket,
    /// It has no content of its own.
    #[error("it is not a file")]
    NotAFile,
    /// A FIFO blocks its writer until somebody reads.
    #[error("it is a FIFO that no process reads: start the reader first")]
    NoReader,
    /// A file that another user has laid out in a shared directory.
    #[error(
        "it belongs to another user, in a directory where all users may create files: remove it or \
         choose another name"
    )]
    OthersFile,
    /// Asked before any content is sent.
    #[error("not enough space: {needed} bytes are needed, {free} are free{}", named(.kept.as_ref()))]
    NoRoom {
        /// Bytes that are still to come.
        needed: u64,
        /// Bytes that the file system has for this user.
        free: u64,
        /// The partial file of an earlier copy.
        kept: Option<OsString>,
    },
    /// Another program was faster.
    #[error("the disk is full: the partial file was removed")]
    DiskFull,
    /// Its own limit, or that of the process that writes it.
    #[error(
        "the file is larger than its file system or the limit of the process (ulimit -f) permits: \
         the partial file was removed"
    )]
    TooLarge,
    /// The content is not what the sender has read.
    #[error("the file arrived damaged: its digest differs from the sender's, so it was discarded")]
    Damaged,
    /// The same, where it cannot be discarded.
    #[error(
        "the content arrived damaged: its digest differs from the sender's, and it was written in \
         place"
    )]
    DamagedInPlace,
    /// Replacing the file would lose something, and it cannot be written either.
    #[error(
        "it cannot be replaced without losing its owner, names or attributes, and it cannot be \
         written: {0}"
    )]
    NotWritable(io::Error),
    /// An error while a file was written in place.
    #[error("it was written in part: {why}; the whole content is in {}", .kept.display())]
    InPart {
        /// What the system says.
        why: io::Error,
        /// The partial file, which is complete.
        kept: OsString,
    },
    /// Another program renames files here.
    #[error("another program changes the files here: try again")]
    Disturbed,
    /// What the system says.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Fault {
    /// The words for a partial file without room, once that is removed. `None`: it is another
    /// error, and the file stays.
    pub(crate) fn of_no_room(error: &io::Error) -> Option<Self> {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(Self::DiskFull),
            io::ErrorKind::FileTooLarge => Some(Self::TooLarge),
            _ => None,
        }
    }

    /// Whether it only says that nothing is there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

fn named(name: Option<&OsString>) -> String {
    name.map(|name| format!("; what arrived before is in {}", name.display())).unwrap_or_default()
}
