//! `cp`: files and folders between this machine and a device, without a server on the device.
//!
//! Data flow: which side is the device's ([`side`]) -> a session for that one path ([`transfer`])
//! -> file by file, each with its digest ([`put`], [`get`]). Content without a file of its own:
//! [`stream`] as a source, [`sink`] as a destination.

mod get;
mod itself;
mod job;
mod progress;
mod put;
mod side;
mod sink;
mod stream;
mod transfer;

pub(super) use transfer::run;
