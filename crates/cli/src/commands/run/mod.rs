//! `run`: one command for many devices, followed to its end ([`send`]), with progress on standard
//! error ([`progress`]) and a summary on standard output ([`summary`]).

mod progress;
mod send;
mod summary;

pub(super) use send::run;
