//! Content on its way into a place.
//!
//! Data flow: [`Incoming::begin`] looks at what stands there and asks for room ->
//! [`Incoming::write`] -> [`Incoming::finish`].
//!
//! # Invariants
//! - Content for a regular file arrives in a partial file. Its digest is taken from that file, not
//!   from what arrived.
//! - What is dropped before the end leaves a partial file only where a later copy can go on with
//!   it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};

use ring::digest::{Context, SHA256};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use super::partial::Partial;
use super::place::{Kind, Place, Seen};
use super::replace;
use super::room::check_room;
use crate::digest::bytes_of;
use crate::fault::Fault;
use crate::wish::Wish;

/// Content on its way into a place.
pub struct Incoming {
    place: Place,
    mode: u32,
    sink: Sink,
}

enum Sink {
    Partial(Partial),
    /// Written into what stands there.
    Direct(Box<Direct>),
}

struct Direct {
    file: File,
    digest: Context,
    written: u64,
    is_regular: bool,
}

impl Incoming {
    /// Begins: what stands at the place decides how it is written.
    ///
    /// # Errors
    /// [`Fault`]: nothing can be written there.
    pub fn begin(place: Place, wish: &Wish<'_>) -> Result<Self, Fault> {
        let there = place.look()?;
        match there.as_ref().map(|there| (there.kind, there)) {
            None => {}
            Some((Kind::File, there)) => place.check_owner(there)?,
            Some((Kind::Device | Kind::Fifo, _)) => return Self::direct(place, wish),
            Some((kind, _)) => return Err(place.unfit(kind)),
        }
        let partial = match Partial::open(&place, wish.mark, wish.size.is_some()) {
            Err(error) if there.is_some() && is_closed(&error) => {
                return Self::direct(place, wish);
            }
            partial => partial?,
        };
        let mut incoming = Self { place, mode: wish.mode, sink: Sink::Partial(partial) };
        incoming.prepare(wish.size)?;
        Ok(incoming)
    }

    /// Finds the end of what is there already, and room for the rest.
    fn prepare(&mut self, size: Option<u64>) -> Result<(), Fault> {
        let Sink::Partial(partial) = &mut self.sink else { return Ok(()) };
        let Some(size) = size else { return Ok(()) };
        let mut have = partial.size()?;
        if have > size {
            partial.file.set_len(0)?;
            have = 0;
        }
        partial.file.seek(SeekFrom::Start(have))?;
        let kept = (partial.resumable && have > 0).then(|| partial.name.clone());
        check_room(&partial.file, size - have, kept)
    }

    /// Content goes straight into what stands there: a node, or a file in a directory where no
    /// other can be made.
    fn direct(place: Place, wish: &Wish<'_>) -> Result<Self, Fault> {
        let file = place.open(OFlags::WRONLY).map_err(|errno| match errno {
            Errno::NXIO => Fault::NoReader,
            errno => errno.into(),
        })?;
        let seen = Seen::of(&rustix::fs::fstat(&file)?);
        if !matches!(seen.kind, Kind::File | Kind::Device | Kind::Fifo) {
            return Err(place.unfit(seen.kind));
        }
        let is_regular = seen.kind == Kind::File;
        match wish.size {
            Some(size) if is_regular => {
                check_room(&file, size.saturating_sub(seen.size), None)?;
            }
            Some(needed) if seen.kind == Kind::Device => {
                // A disk has an end, a terminal has none.
                let free = (&file).seek(SeekFrom::End(0)).unwrap_or(0);
                if free > 0 && free < needed {
                    return Err(Fault::NoRoom { needed, free, kept: None });
                }
                let _ = (&file).seek(SeekFrom::Start(0));
            }
            _ => {}
        }
        fcntl_setfl(&file, fcntl_getfl(&file)?.difference(OFlags::NONBLOCK))?;
        let direct = Direct { file, digest: Context::new(&SHA256), written: 0, is_regular };
        Ok(Self { place, mode: wish.mode, sink: Sink::Direct(Box::new(direct)) })
    }

    /// Bytes of the content that an earlier copy has brought.
    ///
    /// # Errors
    /// What the system says.
    pub fn have(&self) -> io::Result<u64> {
        match &self.sink {
            Sink::Partial(partial) => partial.size(),
            Sink::Direct(_) => Ok(0),
        }
    }

    /// Whether the content goes straight into a device node or a FIFO, and the writer may wait.
    #[must_use]
    pub fn may_block(&self) -> bool {
        matches!(&self.sink, Sink::Direct(direct) if !direct.is_regular)
    }

    /// Further content.
    ///
    /// # Errors
    /// [`Fault::DiskFull`], [`Fault::TooLarge`], or what the system says. Nothing more can be
    /// written then.
    pub fn write(&mut self, data: &[u8]) -> Result<(), Fault> {
        match &mut self.sink {
            Sink::Partial(partial) => {
                let Err(error) = partial.file.write_all(data) else { return Ok(()) };
                let no_room = Fault::of_no_room(&error);
                if no_room.is_some() {
                    partial.remove(&self.place);
                }
                Err(no_room.unwrap_or(Fault::Io(error)))
            }
            Sink::Direct(direct) => {
                direct.digest.update(data);
                direct.written += data.len() as u64;
                Ok(direct.file.write_all(data)?)
            }
        }
    }

    /// The content is whole: checks its digest and gives it the name.
    ///
    /// # Errors
    /// [`Fault::Damaged`] or [`Fault::DamagedInPlace`], or why it cannot have the name.
    pub fn finish(mut self, digest: &[u8; 32]) -> Result<(), Fault> {
        match &mut self.sink {
            Sink::Partial(partial) => {
                if partial.digest()? != *digest {
                    partial.remove(&self.place);
                    return Err(Fault::Damaged);
                }
                let installed = replace::install(&self.place, partial, self.mode);
                match &installed {
                    Err(Fault::InPart { .. }) => partial.resumable = true,
                    Err(_) => partial.remove(&self.place),
                    Ok(()) => partial.remove_begun(&self.place),
                }
                installed
            }
            Sink::Direct(direct) => {
                if direct.is_regular && direct.file.metadata()?.len() > direct.written {
                    direct.file.set_len(direct.written)?;
                }
                match direct.file.sync_all() {
                    // A terminal or a FIFO has nothing to sync.
                    Err(error)
                        if !direct.is_regular && error.kind() == io::ErrorKind::InvalidInput => {}
                    result => result?,
                }
                let is_right = bytes_of(direct.digest.clone()) == *digest;
                is_right.then_some(()).ok_or(Fault::DamagedInPlace)
            }
        }
    }

    /// The name, in the place's directory, of the partial file that stays when this copy ends now.
    #[must_use]
    pub fn kept(&self) -> Option<OsString> {
        match &self.sink {
            Sink::Partial(partial) if self.is_kept(partial) => Some(partial.name.clone()),
            _ => None,
        }
    }

    /// The name of the partial file that a later copy of the same content goes on with.
    #[must_use]
    pub fn resumable(&self) -> Option<OsString> {
        match &self.sink {
            Sink::Partial(partial) if partial.resumable => Some(partial.name.clone()),
            _ => None,
        }
    }

    fn is_kept(&self, partial: &Partial) -> bool {
        partial.resumable
            && partial.size().is_ok_and(|size| size > 0)
            && partial.is_at_its_name(&self.place)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Sink::Partial(partial) = &self.sink
            && !self.is_kept(partial)
        {
            partial.remove(&self.place);
        }
    }
}

/// Whether no file can be made in the directory.
fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}
