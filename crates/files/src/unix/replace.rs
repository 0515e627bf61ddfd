//! The name of a place is given to content that is whole.
//!
//! # Invariants
//! - A new name is given only while nothing has it.
//! - An existing file is replaced by rename if the new one can have everything that it has: owner,
//!   group, mode. Else it is written in place, from the partial file.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsFd;

use rustix::fs::{
    FlockOperation, Gid, Mode, OFlags, RawMode, RenameFlags, Uid, fchmod, fchown, flistxattr,
    flock, fstat, renameat, renameat_with,
};
use rustix::io::Errno;

use super::partial::Partial;
use super::place::{Kind, Place, Seen};
use super::room::check_room;
use crate::fault::Fault;

/// Times that the place is looked at again because another program changed it: other copies into
/// the same name.
const TRIES: u32 = 16;
/// Bytes that are copied at once.
const COPY: usize = 64 * 1024;

/// Gives the content of `partial` the name of `place`; `mode` is that of a new file.
pub(crate) fn install(place: &Place, partial: &mut Partial, mode: u32) -> Result<(), Fault> {
    for _ in 0..TRIES {
        partial.keep_name(place)?;
        match place.look()? {
            None => match make(place, partial, mode) {
                // It got a name, or the partial file lost its own, since they were looked at.
                Err(Errno::EXIST | Errno::STALE | Errno::NOENT) => {}
                result => return Ok(result?),
            },
            Some(there) if there.kind == Kind::File => match over(place, partial, &there) {
                Err(Fault::Disturbed) => {}
                result => return result,
            },
            Some(there) => return Err(place.unfit(there.kind)),
        }
    }
    Err(Fault::Disturbed)
}

fn make(place: &Place, partial: &Partial, mode: u32) -> Result<(), Errno> {
    fchmod(&partial.file, Mode::from_raw_mode((mode & 0o777) as RawMode))?;
    rustix::fs::fsync(&partial.file)?;
    if !partial.is_at_its_name(place) {
        return Err(Errno::STALE);
    }
    let (from, to) = (&partial.name, &place.name);
    match renameat_with(&place.directory, from, &place.directory, to, RenameFlags::NOREPLACE) {
        // A file system or kernel without the flag.
        Err(Errno::INVAL | Errno::NOSYS) => renameat(&place.directory, from, &place.directory, to),
        result => result,
    }
}

fn over(place: &Place, partial: &mut Partial, there: &Seen) -> Result<(), Fault> {
    place.check_owner(there)?;
    if there.has_one_name && !has_attributes(place) && resembles(partial, there) {
        rustix::fs::fsync(&partial.file)?;
        if !partial.is_at_its_name(place) {
            return Err(Fault::Disturbed);
        }
        match renameat(&place.directory, &partial.name, &place.directory, &place.name) {
            Ok(()) => return Ok(()),
            // A mount point, or a directory that lets nobody remove the file of another user.
            Err(Errno::BUSY | Errno::PERM | Errno::ACCESS | Errno::XDEV) => {}
            Err(Errno::NOENT) => return Err(Fault::Disturbed),
            Err(errno) => return Err(errno.into()),
        }
    }
    in_place(place, partial, there)
}

/// Gives the partial file owner, group and mode of the file that it is to replace.
fn resembles(partial: &Partial, there: &Seen) -> bool {
    let Ok(ours) = fstat(&partial.file) else { return false };
    let owner = (ours.st_uid != there.uid).then(|| Uid::from_raw(there.uid));
    let group = (ours.st_gid != there.gid).then(|| Gid::from_raw(there.gid));
    let owned = (owner.is_none() && group.is_none()) || fchown(&partial.file, owner, group).is_ok();
    owned && fchmod(&partial.file, Mode::from_raw_mode(there.mode as RawMode)).is_ok()
}

/// Access lists, labels, capabilities. A file that cannot be read is taken to have none.
fn has_attributes(place: &Place) -> bool {
    let mut none: [u8; 0] = [];
    place
        .open(OFlags::RDONLY)
        .is_ok_and(|file| flistxattr(file.as_fd(), &mut none).is_ok_and(|bytes| bytes > 0))
}

fn in_place(place: &Place, partial: &mut Partial, there: &Seen) -> Result<(), Fault> {
    let mut file = place.open(OFlags::WRONLY).map_err(|errno| match errno {
        Errno::NOENT => Fault::Disturbed,
        errno => Fault::NotWritable(errno.into()),
    })?;
    // Two copies that write in place would mix: the later one is refused.
    let locked = flock(&file, FlockOperation::NonBlockingLockExclusive);
    if locked == Err(Errno::WOULDBLOCK) || Seen::of(&fstat(&file)?).identity != there.identity {
        return Err(Fault::Disturbed);
    }
    let size = partial.size()?;
    check_room(&file, size.saturating_sub(there.size), None)?;
    partial.file.seek(SeekFrom::Start(0))?;
    let mut copy = || {
        let mut buffer = vec![0; COPY];
        loop {
            match partial.file.read(&mut buffer)? {
                0 => break,
                n => file.write_all(&buffer[..n])?,
            }
        }
        file.set_len(size)?;
        file.sync_all()
    };
    if let Err(why) = copy() {
        return Err(Fault::InPart { why, kept: partial.name.clone() });
    }
    partial.remove(place);
    Ok(())
}
