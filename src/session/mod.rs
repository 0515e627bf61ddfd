//! Sessions: from a granted order to a process, its streams, and its end.
//!
//! Way of an opening: [`gate`] (is the grant genuine, does the device permit it) ->
//! [`table::Table::open`] -> [`running::Running`]; a [`script`] is gathered first. Way of a byte:
//! program -> replay ring of the stream -> link; link -> program, or its input buffer while the
//! program does not read.
//!
//! # Invariants
//! - At most N sessions; each with one input buffer and one or two replay rings, all bounded.
//! - A session does not know of links: it fills its rings until they are full, and then its program
//!   waits.
//! - A session leaves the table only when it is forgotten, refused, or its grace is over (a script
//!   knows no grace: it has its own time); its processes are ended by [`crate::process::ending`] even
//!   when the session is long gone.

pub mod echo;
pub mod gate;
pub mod input;
pub mod running;
pub mod script;
pub mod table;
