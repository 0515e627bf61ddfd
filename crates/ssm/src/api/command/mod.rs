//! Run Command: send, list, look at, cancel.
//!
//! Data flow: as in [`super`]. Besides AWS's members, invocations and plugins carry
//! `TowlineReason`: why a command ended as it did, in words, where its status alone does not say
//! so.
//!
//! # Invariants
//! - Requests keep the limits of AWS's model. What a document makes of parameters is
//!   `crate::command_document`'s, which devices targets mean is the gateway's.
//! - The times of [`GetCommandInvocationResult`] are texts, as AWS has them; all others are
//!   numbers.

mod list;
mod output;
mod send;

pub use list::*;
pub use output::*;
pub use send::*;
