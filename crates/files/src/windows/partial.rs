//! The file that content arrives in, until it is whole.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{self, Read as _, Seek as _, SeekFrom};

use ring::digest::{Context, SHA256};

use super::place::Place;
use crate::digest::bytes_of;

/// Bytes that are read at once.
const READ: usize = 64 * 1024;
/// Characters of a file's name that its partial file's name repeats: with dots, mark and number the
/// name stays below the 255 that NTFS takes.
const NAME: usize = 200;
/// Names that are tried: another program would have to guess each of them.
const TRIES: u32 = 8;

/// The name of the partial file of `name`; `mark` tells contents or sources apart.
#[must_use]
pub fn partial_name(name: &OsStr, mark: &str) -> OsString {
    let (mut short, mut units) = (String::new(), 0);
    for character in name.to_string_lossy().chars() {
        units += character.len_utf16();
        if units > NAME {
            break;
        }
        short.push(character);
    }
    format!(".{short}.{mark}.part").into()
}

/// A partial file.
pub(super) struct Partial {
    pub(super) file: File,
    pub(super) name: OsString,
    /// Another copy of the same content can go on with it.
    pub(super) resumable: bool,
}

impl Partial {
    /// The partial file for a place: that of an earlier copy with this mark, or a new one. One that
    /// another copy has locked is left alone.
    pub(super) fn open(place: &Place, mark: &str, resumable: bool) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        if resumable {
            let name = partial_name(&place.name, mark);
            let path = place.folder.join(&name);
            let is_file = path.symlink_metadata().map(|there| there.is_file());
            let opened = match is_file {
                Ok(true) => options.open(&path),
                Ok(false) => Err(io::ErrorKind::AlreadyExists.into()),
                Err(_) => options.clone().create_new(true).open(&path),
            };
            if let Ok(file) = opened
                && file.try_lock().is_ok()
            {
                return Ok(Self { file, name, resumable });
            }
        }
        options.create_new(true);
        for _ in 0..TRIES {
            let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
            let name = partial_name(&place.name, &format!("{mark}.{:08x}", random >> 32));
            match options.open(place.folder.join(&name)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                opened => return Ok(Self { file: opened?, name, resumable: false }),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Bytes that are in it.
    pub(super) fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// SHA-256 of what is in it.
    pub(super) fn digest(&mut self) -> io::Result<[u8; 32]> {
        self.file.seek(SeekFrom::Start(0))?;
        let (mut digest, mut buffer) = (Context::new(&SHA256), vec![0; READ]);
        loop {
            match self.file.read(&mut buffer)? {
                0 => return Ok(bytes_of(digest)),
                n => digest.update(&buffer[..n]),
            }
        }
    }
}
