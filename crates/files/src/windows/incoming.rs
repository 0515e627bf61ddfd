//! Content on its way into a place.
//!
//! # Invariants
//! - Content arrives in a partial file. Its digest is taken from that file, not from what arrived.
//! - What is dropped before the end leaves a partial file only where a later copy can go on with
//!   it.

use std::ffi::OsString;
use std::io::{self, Seek as _, SeekFrom, Write as _};

use super::partial::Partial;
use super::place::Place;
use crate::fault::Fault;
use crate::wish::Wish;

/// Content on its way into a place.
pub struct Incoming {
    place: Place,
    /// None once it was renamed or removed.
    partial: Option<Partial>,
}

impl Incoming {
    /// Begins: what stands at the place decides whether it can be written.
    ///
    /// # Errors
    /// [`Fault`]: nothing can be written there.
    pub fn begin(place: Place, wish: &Wish<'_>) -> Result<Self, Fault> {
        place.check_file()?;
        let mut partial = Partial::open(&place, wish.mark, wish.size.is_some())?;
        let mut have = partial.size()?;
        if wish.size.is_none_or(|size| have > size) {
            partial.file.set_len(0)?;
            have = 0;
        }
        partial.file.seek(SeekFrom::Start(have))?;
        Ok(Self { place, partial: Some(partial) })
    }

    /// Bytes of the content that an earlier copy has brought.
    ///
    /// # Errors
    /// What the system says.
    pub fn have(&self) -> io::Result<u64> {
        self.partial.as_ref().map_or(Ok(0), Partial::size)
    }

    /// Whether the writer may wait for another program: never here.
    #[must_use]
    pub fn may_block(&self) -> bool {
        false
    }

    /// Further content.
    ///
    /// # Errors
    /// [`Fault::DiskFull`], [`Fault::TooLarge`], or what the system says. Nothing more can be
    /// written then.
    pub fn write(&mut self, data: &[u8]) -> Result<(), Fault> {
        let partial = self.partial.as_mut().ok_or(Fault::Disturbed)?;
        let Err(error) = partial.file.write_all(data) else { return Ok(()) };
        let no_room = Fault::of_no_room(&error);
        if no_room.is_some() {
            self.remove();
        }
        Err(no_room.unwrap_or(Fault::Io(error)))
    }

    /// The content is whole: checks its digest and gives it the name.
    ///
    /// # Errors
    /// [`Fault::Damaged`], or why it cannot have the name.
    pub fn finish(mut self, digest: &[u8; 32]) -> Result<(), Fault> {
        let partial = self.partial.as_mut().ok_or(Fault::Disturbed)?;
        if partial.digest()? != *digest {
            self.remove();
            return Err(Fault::Damaged);
        }
        let flushed = partial.file.sync_all();
        let installed = flushed.map_err(Fault::from).and_then(|()| self.place.check_file());
        let Some(Partial { file, name, .. }) = self.partial.take() else {
            return Err(Fault::Disturbed);
        };
        // Not every file system renames a file that is open.
        drop(file);
        let from = self.place.folder.join(name);
        let renamed = installed.and_then(|()| Ok(std::fs::rename(&from, self.place.full())?));
        if renamed.is_err() {
            let _ = std::fs::remove_file(&from);
        }
        renamed
    }

    /// The name of the partial file that a later copy of the same content goes on with.
    #[must_use]
    pub fn resumable(&self) -> Option<OsString> {
        self.partial
            .as_ref()
            .filter(|partial| partial.resumable)
            .map(|partial| partial.name.clone())
    }

    fn remove(&mut self) {
        if let Some(Partial { file, name, .. }) = self.partial.take() {
            drop(file);
            let _ = std::fs::remove_file(self.place.folder.join(name));
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let is_kept =
            |partial: &Partial| partial.resumable && partial.size().is_ok_and(|size| size > 0);
        if !self.partial.as_ref().is_some_and(is_kept) {
            self.remove();
        }
    }
}
