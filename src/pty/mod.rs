//! Terminals: their size, the pseudo-terminal of a session, and its entry in `utmp`.
//!
//! # Not here
//! - The processes on a terminal: [`crate::process`].
//! - PAM: a static program cannot load its modules.

mod login_records;
mod size;
mod terminal;

pub(crate) use login_records::{log_in, log_out};
pub use size::Size;
pub(crate) use terminal::open;
pub use terminal::{foreground, resize};
