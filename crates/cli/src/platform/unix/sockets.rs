//! Sockets of this machine: those that have a path, and what TCP cannot be told portably.

use std::io;
use std::time::Duration;

use std::os::fd::AsFd;
pub(crate) use tokio::net::{UnixListener as PathListener, UnixStream as PathSocket};

use rustix::net::sockopt::set_socket_linger;
use rustix::net::{Shutdown, shutdown};

/// Nothing more will be written: the program at the other end reads an end.
pub(crate) fn shut_write(socket: &impl AsFd) {
    // A program that has gone says so when it is read.
    let _ = shutdown(socket, Shutdown::Write);
}

/// The next close of this socket tells its program that something broke.
pub(crate) fn break_off(socket: &impl AsFd) {
    let _ = set_socket_linger(socket, Some(Duration::ZERO));
}

/// Whether descriptors are short for the moment, of this process or of the system.
#[must_use]
pub(crate) fn is_short_of_descriptors(error: &io::Error) -> bool {
    let short = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
    rustix::io::Errno::from_io_error(error).is_some_and(|errno| short.contains(&errno))
}
