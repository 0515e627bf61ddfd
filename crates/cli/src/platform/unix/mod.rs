//! Linux, macOS and other systems of the unix kind.
//!
//! # Invariants
//! - The terminal is restored however this program ends, except by SIGKILL ([`raw`]).
//! - The open file descriptions that are shared with the parent shell stay as they are ([`stdio`]).

mod files;
mod folders;
mod names;
mod raw;
mod reader;
mod signals;
mod sockets;
mod stdio;
mod tty;

pub(crate) use files::{
    Identity, create_like, create_private, enter_beneath, identity, is_socket, is_stream, mode,
    open_stream, private_folder, stamp, umask,
};
pub(crate) use folders::{HOME, HOSTS, OWN_FILE, TERM, own_folder, variable_name};
pub(crate) use names::{Names, is_own_path, quoted};
pub(crate) use raw::RawMode;
pub(crate) use reader::{Reader, is_reader_gone};
pub(crate) use signals::{CAN_SUSPEND, Interrupts, Signals, outlive_file_limit, suspend};
pub(crate) use sockets::{
    PathListener, PathSocket, break_off, is_short_of_descriptors, shut_write,
};
pub(crate) use stdio::LocalStream;
pub(crate) use tty::{is_terminal, keyboard, notice, prepare, size_of};
