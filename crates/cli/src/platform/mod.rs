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

#[cfg(any(windows, test))]
mod console_modes;
#[cfg(any(windows, test))]
mod console_text;
#[cfg(any(windows, test))]
mod names;
mod replace;
mod signal;
mod source;
mod stream;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as side;
#[cfg(windows)]
use windows as side;

pub(crate) use replace::replace;
pub(crate) use side::{
    CAN_SUSPEND, HOME, HOSTS, Identity, Interrupts, LocalStream, Names, OWN_FILE, PathListener,
    PathSocket, RawMode, Reader, Signals, TERM, break_off, create_private, enter_beneath, identity,
    is_own_path, is_reader_gone, is_short_of_descriptors, is_socket, is_stream, is_terminal,
    keyboard, mode, notice, open_stream, outlive_file_limit, own_folder, prepare, quoted,
    shut_write, size_of, stamp, suspend, umask, variable_name,
};
pub(crate) use signal::Signal;
pub(crate) use source::Source;
pub(crate) use stream::{Access, gone};
