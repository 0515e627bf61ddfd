//! Windows, where the operator's end of a copy runs.
//!
//! # Invariants
//! - A symbolic link at the end of a path is not followed, unless [`Place::following`] was asked
//!   for.
//! - A file changes as a whole: content arrives in a partial file beside it, its digest is taken
//!   from that file, then it is renamed.
//! - A partial file is locked while it is used: two copies never write into one.
//!
//! # Not here
//! - Owners, modes and extended attributes: a new file has the rights that its folder gives.

mod incoming;
mod partial;
mod place;

pub use incoming::Incoming;
pub use partial::partial_name;
pub use place::Place;
