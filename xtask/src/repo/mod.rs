//! `cargo xtask repo CHANNEL KEY`: signed package repositories from `target/dist/packages`, for
//! fleets that are rolled out by their own package managers. A channel (stable, canary) is a
//! directory; a device follows the one it is pointed at.

mod alpine;
mod command;
mod opkg;
pub(crate) mod signed;

pub(crate) use command::{Signer, apt, command};
use command::{readable, write_index};
