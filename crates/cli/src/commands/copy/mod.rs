//! `cp`: files and folders between this machine and a device, without a server on the device.
//!
//! Data flow: which side is the device's ([`side`]) -> a session for that one path ([`transfer`]) ->
//! file by file, each with its digest ([`put`], [`get`]).

mod get;
mod progress;
mod put;
mod side;
mod transfer;

pub(super) use transfer::run;
