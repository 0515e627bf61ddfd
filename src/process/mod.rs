//! Child processes: started for a session, and ended with all that they started.
//!
//! Way of an opening: [`crate::sys::account`] (the user) and [`environment`] (the variables) ->
//! [`spawn::Plan`] (all that the child needs, ready before the fork) -> [`spawn::Child`] (a process
//! and the descriptors to talk to it). Way of an end: [`reap`] reports which child ended;
//! [`ending::Ending`] ends the processes that the session has left, found by its
//! [`family::Family`].
//!
//! # Invariants
//! - Each descriptor is close-on-exec: a session inherits its three standard ones and nothing else.
//! - A session's end leaves no process, whatever the session's programs did to hide (given a cgroup
//!   v2 file system; without one, see the limits in [`family`]).
//!
//! # Not here
//! - System calls without a safe form: [`crate::sys`]. Terminals: [`crate::pty`].

pub mod ending;
pub mod environment;
mod exit;
pub mod family;
pub mod reap;
pub mod spawn;
mod state_transfer;
pub(crate) mod terminfo;

pub use exit::Exit;
