//! Backup and restore of a gateway.
//!
//! Data flow: store, chain and outbox -> [`snapshot`] (a folder of the gateway's directory, at one
//! instant) -> [`mod@file`] (one file, with a digest of each entry) -> [`sealed`]
//! where it is to be encrypted -> [`restore`] (a new directory, in
//! which nothing of the past can be used twice).
//!
//! # Invariants
//! - A backup has no recordings that reached the sink, and keys only where they are asked for.
//! - Nothing of a file is used before all of it was checked.
//!
//! # Not here
//! - Where output goes and what is printed: the program.

pub mod file;
pub mod restore;
pub mod sealed;
pub mod snapshot;
