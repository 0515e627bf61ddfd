//! The command line: what can be written.
//!
//! # Invariants
//! - A secret is never an argument: other users of the machine could read it.
//! - Each message about a wrong argument says what is expected.

// doc comments are help texts, where brackets mean "optional"
#![allow(rustdoc::broken_intra_doc_links)]

pub(crate) mod admin;
mod cli;
pub(crate) mod device;
pub(crate) mod evidence;
pub(crate) mod identity;
pub(crate) mod policy;
pub(crate) mod provider;
pub(crate) mod run;
pub(crate) mod session;
pub(crate) mod tunnel;
mod value;

pub(crate) use cli::{Cli, Command, Global};
