//! The operator's end: the local terminal, or the pipes and files in its place.
//!
//! # Invariants
//! - The terminal is restored however this program ends, except by SIGKILL ([`raw`]).
//! - The open file descriptions that are shared with the parent shell stay as they are ([`stdio`]).
//!
//! # Not here
//! - The bytes of the session pass unchanged. Only the operator's escapes ([`escape`]) and what the
//!   session switches on in the terminal ([`modes`]) are looked for in them.

pub(crate) mod escape;
pub(crate) mod modes;
mod printable;
pub(crate) mod raw;
pub(crate) mod reader;
pub(crate) mod status;
pub(crate) mod stdio;
mod tty;

pub(crate) use printable::{is_reordering, printable};
pub(crate) use tty::{is_terminal, size_of, term};
