//! Messages as datagrams: each is one of the socket's, bounded, and read as a whole.
//!
//! # Invariants
//! - No descriptor comes along: the kernel closes those that somebody sends, and the message is no
//!   message then.

use crate::sys::calls;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use towline_wire::message::MessageError;
use towline_wire::separation::MAX;

/// Sends one message, encoded.
///
/// # Errors
/// The socket's; [`io::ErrorKind::WouldBlock`] when `now` is set and it has no room.
pub(super) fn say(
    to: BorrowedFd<'_>,
    message: Result<Vec<u8>, MessageError>,
    now: bool,
) -> io::Result<()> {
    let bytes = message.map_err(io::Error::other)?;
    let waiting = if now { MsgFlags::MSG_DONTWAIT } else { MsgFlags::empty() };
    let flags = MsgFlags::MSG_NOSIGNAL | waiting;
    loop {
        match send(to.as_raw_fd(), &bytes, flags) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(_) => return Ok(()),
        }
    }
}

/// Receives one message; `None` when the other process is gone.
///
/// # Errors
/// The socket's; [`io::ErrorKind::WouldBlock`] when `now` is set and there is none; or it is no
/// message.
pub(super) fn hear<M>(
    from: BorrowedFd<'_>,
    now: bool,
    decode: fn(&[u8]) -> Result<M, MessageError>,
) -> io::Result<Option<M>> {
    loop {
        // First its length: room for the longest message would stay in memory of both processes.
        let waiting = if now { MsgFlags::MSG_DONTWAIT } else { MsgFlags::empty() };
        let look = waiting | MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC;
        let length = match recv(from.as_raw_fd(), &mut [], look) {
            Err(Errno::EINTR) => continue,
            Err(Errno::ECONNRESET) | Ok(0) => return Ok(None),
            Err(errno) => return Err(errno.into()),
            Ok(length) if length > MAX => return Err(io::ErrorKind::InvalidData.into()),
            Ok(length) => length,
        };
        let mut bytes = vec![0; length];
        let length = match calls::receive(from, &mut bytes, now) {
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
            Ok((_, false)) => return Err(io::ErrorKind::InvalidData.into()),
            Ok((length, true)) => length,
        };
        return decode(bytes.get(..length).unwrap_or_default()).map(Some).map_err(io::Error::other);
    }
}
