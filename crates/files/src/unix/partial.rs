//! The file that content arrives in, until it is whole.
//!
//! # Invariants
//! - It belongs to this process's user, others cannot write to it, it has one name, and it is
//!   locked: two copies never write into one partial file.
//! - A name that is taken by anything else is left alone, and another name is made. If it is that
//!   of a copy that goes on, or whose operator is gone, the new file begins with its content.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use ring::digest::{Context, SHA256};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, fstat, openat, statat, unlinkat};
use rustix::io::Errno;

use super::place::{Kind, Place, Seen};
use crate::digest::bytes_of;

/// Bytes that are read at once.
const READ: usize = 64 * 1024;
/// Bytes of a file's name that its partial file's name repeats: with dots, mark and number the name
/// stays below the 255 bytes of most file systems.
const NAME: usize = 200;
/// Names that are tried: another process would have to guess each of them.
const TRIES: u32 = 8;

/// The name of the partial file of `name`; `mark` tells contents or sources apart.
#[must_use]
pub fn partial_name(name: &OsStr, mark: &str) -> OsString {
    let name = name.as_bytes();
    let mut end = name.len().min(NAME);
    // A character of UTF-8 stays whole.
    while end < name.len() && end > 0 && name[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    OsString::from_vec([b".", &name[..end], b".", mark.as_bytes(), b".part"].concat())
}

/// A partial file.
#[derive(Debug)]
pub(crate) struct Partial {
    pub(crate) file: File,
    pub(crate) name: OsString,
    /// Another copy of the same content can go on with it.
    pub(crate) resumable: bool,
    /// The partial file whose content this one began with.
    begun_by: Option<OsString>,
}

impl Partial {
    /// The partial file for a place: that of an earlier copy with this mark, or a new one.
    pub(crate) fn open(place: &Place, mark: &str, resumable: bool) -> io::Result<Self> {
        if !resumable {
            return Self::fresh(place, mark);
        }
        let name = partial_name(&place.name, mark);
        match adopt(place, &name)? {
            Adopted::Ours(file) => Ok(Self { file, name, resumable, begun_by: None }),
            Adopted::Locked(mut begun) => {
                let mut partial = Self::fresh(place, mark)?;
                if let Err(error) = io::copy(&mut begun, &mut partial.file) {
                    partial.remove(place);
                    return Err(error);
                }
                partial.begun_by = Some(name);
                Ok(partial)
            }
            Adopted::Nothing => Self::fresh(place, mark),
        }
    }

    /// A new one, under a name that nobody knows.
    fn fresh(place: &Place, mark: &str) -> io::Result<Self> {
        for _ in 0..TRIES {
            let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
            let name = partial_name(&place.name, &format!("{mark}.{:08x}", random >> 32));
            if let Some(file) = create(place, &name)? {
                return Ok(Self { file, name, resumable: false, begun_by: None });
            }
        }
        Err(Errno::EXIST.into())
    }

    /// Gives content whose name was taken away a new one: another copy that began with it is done,
    /// or somebody removes files.
    pub(crate) fn keep_name(&mut self, place: &Place) -> io::Result<()> {
        if self.is_at_its_name(place) {
            return Ok(());
        }
        let mut fresh = Self::fresh(place, "again")?;
        self.file.seek(SeekFrom::Start(0))?;
        if let Err(error) = io::copy(&mut self.file, &mut fresh.file) {
            fresh.remove(place);
            return Err(error);
        }
        *self = fresh;
        Ok(())
    }

    /// Removes the partial file that this one began with: its content has its name.
    pub(crate) fn remove_begun(&self, place: &Place) {
        if let Some(name) = &self.begun_by
            && let Ok(Adopted::Ours(_) | Adopted::Locked(_)) = adopt(place, name)
        {
            let _ = unlinkat(&place.directory, name, AtFlags::empty());
        }
    }

    /// Bytes that are in it.
    pub(crate) fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// SHA-256 of what is in it.
    pub(crate) fn digest(&mut self) -> io::Result<[u8; 32]> {
        self.file.seek(SeekFrom::Start(0))?;
        let (mut digest, mut buffer) = (Context::new(&SHA256), vec![0; READ]);
        loop {
            match self.file.read(&mut buffer)? {
                0 => return Ok(bytes_of(digest)),
                n => digest.update(&buffer[..n]),
            }
        }
    }

    /// Whether its name still leads to it.
    pub(crate) fn is_at_its_name(&self, place: &Place) -> bool {
        leads_to(place, &self.name, &self.file)
    }

    /// Removes its name, if it is still its name.
    pub(crate) fn remove(&self, place: &Place) {
        if self.is_at_its_name(place) {
            let _ = unlinkat(&place.directory, &self.name, AtFlags::empty());
        }
    }
}

/// Whether a name in the place's directory leads to this file.
fn leads_to(place: &Place, name: &OsStr, file: &File) -> bool {
    let named = statat(&place.directory, name, AtFlags::SYMLINK_NOFOLLOW);
    match (named, fstat(file)) {
        (Ok(named), Ok(open)) => Seen::of(&named).identity == Seen::of(&open).identity,
        _ => false,
    }
}

fn create(place: &Place, name: &OsStr) -> Result<Option<File>, Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(&place.directory, name, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => {
            let file = File::from(file);
            // A file system without locks: the name alone has to do.
            let locked = flock(&file, FlockOperation::NonBlockingLockExclusive);
            Ok((locked != Err(Errno::WOULDBLOCK)).then_some(file))
        }
        Err(Errno::EXIST) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// What the name of a partial file leads to.
enum Adopted {
    /// A file of this user's, new or left by an earlier copy.
    Ours(File),
    /// A file of this user's that another copy has locked.
    Locked(File),
    /// Something else.
    Nothing,
}

fn adopt(place: &Place, name: &OsStr) -> Result<Adopted, Errno> {
    if let Some(file) = create(place, name)? {
        return Ok(Adopted::Ours(file));
    }
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = openat(&place.directory, name, flags, Mode::empty()).map(File::from) else {
        return Ok(Adopted::Nothing);
    };
    let seen = Seen::of(&fstat(&file)?);
    let is_ours = seen.kind == Kind::File
        && seen.uid == rustix::process::geteuid().as_raw()
        && seen.has_one_name
        && seen.mode & 0o022 == 0;
    if !is_ours {
        return Ok(Adopted::Nothing);
    }
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        // The copy that held the lock may have renamed it.
        Ok(()) if leads_to(place, name, &file) => Ok(Adopted::Ours(file)),
        Err(Errno::WOULDBLOCK) => Ok(Adopted::Locked(file)),
        _ => Ok(Adopted::Nothing),
    }
}
