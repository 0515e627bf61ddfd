//! Sessions: from a granted order to a process, its streams, and its end.
//!
//! Data flow of an opening: [`gate`] (grant and device policy) -> [`table::Table::open`] ->
//! [`running::Running`]; a [`script`] is collected first. Data flow of bytes: program -> replay
//! ring of the stream -> link; link -> program, or its input buffer while the program does not
//! read.
//!
//! # Invariants
//! - The number of sessions is bounded; each has one input buffer and one or two bounded replay
//!   rings.
//! - A session does not depend on the link: it fills its rings, and then its program waits.
//! - A session leaves the table when the gateway forgets or refuses it, or when its grace time
//!   is over. A script has its own time limit instead. [`crate::process::ending`] ends its
//!   processes, even when the session has left.

pub mod echo;
pub mod gate;
pub mod input;
pub mod running;
pub mod script;
pub mod table;
