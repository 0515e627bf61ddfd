//! `cargo xtask fuzz [MINUTES] [TARGET...] [--write]`: every fuzz target of the tree, each for some
//! minutes of processor time.

mod campaign;
mod command;
mod table;
mod target;

pub(crate) use command::command;
