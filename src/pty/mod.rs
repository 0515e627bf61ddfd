//! Terminals: their size, and the pseudo-terminal of a session.
//!
//! # Not here
//! - The processes on a terminal: [`crate::process`].
//! - No PAM and no login records: the agent is a static binary, and starts a shell with nothing
//!   writable.

mod size;
mod terminal;

pub use size::Size;
pub(crate) use terminal::open;
pub use terminal::{foreground, resize};
