//! The command line for operators' machines that do not run Linux: `cargo xtask windows`, `cargo
//! xtask macos`, `dist --laptops`.

mod command;
mod macho;
mod pack;
mod signature;
mod system;
mod wine;
mod zip;

pub(crate) use command::{archives, macos, windows};
