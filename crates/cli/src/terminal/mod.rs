//! What passes between the operator's terminal and a session.
//!
//! # Invariants
//! - The bytes of the session pass unchanged, but for what old output asks for ([`queries`]). Only
//!   the operator's escapes ([`escape`]) and what the session switches on in the terminal
//!   ([`modes`]) are looked for in them.
//!
//! # Not here
//! - The terminal itself, raw mode and the standard streams: [`crate::platform`].

pub(crate) mod escape;
pub(crate) mod modes;
mod printable;
pub(crate) mod queries;
pub(crate) mod status;
mod term;

pub(crate) use printable::{is_reordering, printable};
pub(crate) use term::term;
