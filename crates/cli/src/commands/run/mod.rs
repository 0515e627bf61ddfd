//! `run`: one command for many devices, followed to its end ([`send`]), with progress on standard
//! error ([`progress`]) and a summary on standard output ([`summary`]). `outputs`: the whole output
//! of a command ([`output`]).

mod output;
mod progress;
mod send;
mod summary;

pub(super) use output::outputs;
pub(super) use send::run;
