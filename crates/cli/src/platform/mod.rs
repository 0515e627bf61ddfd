//! Everything in which systems differ, behind one interface: the terminal and its raw mode, the
//! standard streams, signals, local sockets, rights and identities of files, folders of
//! configuration.
//!
//! Data flow: one side is compiled, and this file names what it must have. Both sides have the same
//! names, so the rest of the program is written once.
//!
//! # Invariants
//! - Code of one system stands below this folder alone; `crates/e2e/tests/tidy/files.rs` checks it.
//!
//! # Not here
//! - Files in which received content arrives: `towline-files`.

mod replace;
mod signal;
#[cfg(unix)]
mod unix;

#[cfg(unix)]
use unix as side;

pub(crate) use replace::replace;
pub(crate) use side::{
    HOME, HOSTS, Identity, Interrupts, LocalStream, PathListener, PathSocket, RawMode, Reader,
    Signals, break_off, identity, is_short_of_descriptors, is_socket, is_stream, is_terminal, mode,
    open_stream, own_folder, shut_write, size_of, stamp, suspend, umask,
};
pub(crate) use signal::Signal;

/// In which direction a standard stream is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Standard input.
    Read,
    /// Standard output and error.
    Write,
}

/// Waits until the reader of an output is gone; for ever when none is watched.
pub(crate) async fn gone(reader: Option<&Reader>) {
    match reader {
        Some(reader) => reader.gone().await,
        None => std::future::pending().await,
    }
}
