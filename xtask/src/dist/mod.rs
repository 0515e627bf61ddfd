//! `cargo xtask dist`: the files of a release. Static programs for each class of devices, packages
//! of them, digests and bills of materials.

pub(crate) mod build;
pub(crate) mod class;
mod command;
pub(crate) mod cross;
pub(crate) mod digest;
pub(crate) mod sbom;
pub(crate) mod size;
pub(crate) mod toolchain;

pub(crate) use command::{command, download};
