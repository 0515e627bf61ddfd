//! The built-in session documents: what each is called, which parameters it takes, and what session
//! it means.
//!
//! Data flow: StartSession's `DocumentName` and `Parameters` -> [`resolve`] -> [`SessionPlan`] ->
//! the gateway's grant.
//!
//! # Invariants
//! - A plan holds only values that passed the `allowedPattern` of their parameter and the limits
//!   below, so whatever is put into a grant fits a frame of the wire.
//! - A parameter that the document does not have is refused, never ignored: a misspelt restriction
//!   must not vanish.
//!
//! # Not here
//! - No permission and no user look-up. The gateway and the device decide which plans are
//!   served and as which user.

pub mod approval;
pub mod built_in;
mod catalogue;
mod command_line;
mod commands;
pub mod content;
mod names;
pub mod own;
mod parameter;
mod plan;
pub mod preferences;
mod reading;
mod values;
pub mod yaml;

pub use catalogue::{BUILT_IN, Document, effective, find, resolve};
pub use command_line::{command_line, quoted};
pub use names::{
    INTERACTIVE_COMMAND, MAX_ARGUMENTS, MAX_COMMAND_BYTES, MAX_PATH_BYTES, NON_INTERACTIVE_COMMAND,
    PORT_FORWARDING, REMOTE_HOST_FORWARDING, RUN_SHELL, SSH_SESSION, TOWLINE_COPY, TOWLINE_EXEC,
};
pub use parameter::{Form, Parameter, Parameters};
pub use plan::{DETACHED, SessionPlan};
