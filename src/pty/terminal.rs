//! Pseudo-terminals: opened for a session's user, resized, asked for their foreground.
//!
//! # Invariants
//! - The agent's end never blocks; the session's end does.
//! - A terminal belongs to the session's user, as `login` would leave it.

use super::Size;
use crate::logger;
use crate::sys::calls;
use nix::errno::Errno;
use nix::fcntl::{self, OFlag};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::stat::{Mode, fchmod};
use nix::sys::termios::{InputFlags, SetArg, tcgetattr, tcsetattr};
use nix::unistd::{Group, Pid, Uid, fchown};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

/// A new terminal of this size for a session of `owner`: the agent's end, which never blocks, the
/// session's end, and its name.
///
/// # Errors
/// The step that failed, and what the kernel said.
pub(crate) fn open(
    size: Size,
    owner: Uid,
) -> Result<(OwnedFd, OwnedFd, String), (&'static str, Errno)> {
    let at = |step| move |errno| (step, errno);
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let master = posix_openpt(flags | OFlag::O_NONBLOCK)
        .map_err(at("open a terminal (is /dev/pts mounted?)"))?;
    grantpt(&master).map_err(at("grant a terminal"))?;
    unlockpt(&master).map_err(at("unlock a terminal"))?;
    let name = ptsname_r(&master).map_err(at("name a terminal"))?;
    let slave = fcntl::open(name.as_str(), flags, Mode::empty())
        .map_err(at("open the session's terminal"))?;
    let master = OwnedFd::from(master);
    resize(master.as_fd(), size).map_err(at("size a terminal"))?;
    let mut settings = tcgetattr(&slave).map_err(at("read a terminal's settings"))?;
    settings.input_flags.insert(InputFlags::IUTF8); // erase removes characters, not bytes
    tcsetattr(&slave, SetArg::TCSANOW, &settings).map_err(at("change a terminal's settings"))?;
    if nix::unistd::geteuid().is_root() {
        give_to(&slave, owner);
    }
    Ok((master, slave, name))
}

/// As `login` leaves a terminal: the user's, and `write`able by the group tty. The session works
/// without it, only programs that open their terminal by name do not; so a failure is no reason to
/// refuse.
fn give_to(slave: &OwnedFd, owner: Uid) {
    let tty = Group::from_name("tty").ok().flatten().map(|group| group.gid);
    let mode = if tty.is_some() { 0o620 } else { 0o600 };
    if let Err(errno) =
        fchown(slave, Some(owner), tty).and_then(|()| fchmod(slave, Mode::from_bits_truncate(mode)))
    {
        logger::debug!("cannot change the owner of a terminal: {errno}");
    }
}

/// Tells a terminal its new size.
///
/// # Errors
/// The descriptor is no terminal.
pub fn resize(master: BorrowedFd<'_>, size: Size) -> nix::Result<()> {
    calls::set_size(master, &size.to_kernel())
}

/// The process group in the foreground of a terminal: it gets the signals of the operator.
///
/// # Errors
/// The descriptor is no terminal, or nobody is in its foreground.
pub fn foreground(master: BorrowedFd<'_>) -> nix::Result<Pid> {
    calls::foreground_group(master)
}
