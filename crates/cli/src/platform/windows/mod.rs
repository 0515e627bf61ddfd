//! Windows: a console by its sequences, pipes and files by threads.
//!
//! # Invariants
//! - The console is restored however this program ends, except by force ([`console`]).
//! - Unsafe code stands in `calls` alone.

#[allow(unsafe_code)] // the console has no safe interface, see decision 189
pub(crate) mod calls;
mod console;
mod files;
mod signals;
mod sockets;
mod stdio;

pub(crate) use super::names::{Names, is_own_path};
pub(crate) use console::{RawMode, is_terminal, keyboard, notice, prepare, size_of};
pub(crate) use files::{
    HOME, HOSTS, Identity, OWN_FILE, TERM, create_like, create_private, enter_beneath, identity,
    is_socket, is_stream, mode, open_stream, own_folder, private_folder, quoted, stamp, umask,
    variable_name,
};
pub(crate) use signals::{CAN_SUSPEND, Interrupts, Reader, Signals, outlive_file_limit, suspend};
pub(crate) use sockets::{
    PathListener, PathSocket, break_off, is_short_of_descriptors, shut_write,
};
pub(crate) use stdio::{LocalStream, is_reader_gone};
