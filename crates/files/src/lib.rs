//! Content that is put into files, at both ends of a copy.
//!
//! Data flow: a path -> [`Place`] (its directory, opened, and a name) -> [`Incoming`] (content on
//! its way into the place) -> [`Incoming::finish`], which checks the digest and gives the content
//! the name.
//!
//! # Invariants
//! - [`Place::strict`] opens no symbolic link. The last name of a path is never followed.
//! - A regular file changes as a whole: content arrives in a partial file, its digest is taken from
//!   that file, then it is renamed. Exceptions are written in place: a file with several names or
//!   with extended attributes, a mount point, a file whose owner cannot be given to a new one, and
//!   a file in a directory that cannot be written.
//! - An existing file keeps its owner, group, mode, names and attributes.
//! - A device node or a FIFO stays what it is: content is written into it.
//! - A partial file belongs to this process's user, nobody else may write to it, it has one name,
//!   and it is locked while it is used. Another file under its name is left alone.
//!
//! On Windows, where only the operator's end of a copy runs, paths take the place of opened
//! directories, and there are no owners, modes, device nodes or FIFOs. What is left of the rules
//! there is in `windows`.
//!
//! # Not here
//! - Bytes from a network: both ends speak [`towline-wire`'s copy protocol] elsewhere.
//!
//! [`towline-wire`'s copy protocol]: ../towline_wire/copy/index.html
#![forbid(unsafe_code)]

mod digest;
mod fault;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;
mod wish;

#[cfg(unix)]
use unix as side;
#[cfg(windows)]
use windows as side;

pub use digest::bytes_of;
pub use fault::Fault;
pub use side::{Incoming, Place, partial_name};
#[cfg(unix)]
pub use side::{Kind, Seen};
pub use wish::Wish;
