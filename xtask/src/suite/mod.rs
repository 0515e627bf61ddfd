//! `cargo xtask test`, `try` and `check`: everything that must hold, or a part of it.

mod command;
mod scratch;
mod selection;
mod steps;

pub(crate) use command::{all, check, equip, filtered, one};
