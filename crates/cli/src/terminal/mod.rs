//! The operator's end: the local terminal, or the pipes and files in its place.
//!
//! # Invariants
//! - The terminal is restored however this program ends, except by SIGKILL ([`raw`]).
//! - The open file descriptions that are shared with the parent shell stay as they are ([`stdio`]).
//!
//! # Not here
//! - The bytes of the session are not interpreted, except for the operator's escapes ([`escape`]).

pub(crate) mod escape;
mod printable;
pub(crate) mod raw;
pub(crate) mod reader;
pub(crate) mod status;
pub(crate) mod stdio;
mod tty;

pub(crate) use printable::{is_reordering, printable};
pub(crate) use tty::{is_terminal, size_of, term};
