//! What the server programs need of the machine below them: the time of day, random bytes, files
//! that only their owner can read, and a lock on their directory.
//!
//! [`clock`], [`entropy`], [`files`] and [`lock`] do not know each other.
//!
//! # Invariants
//! - Time of day and randomness enter a server program here and nowhere else, so that a test can
//!   set the clock.
//!
//! # Not here
//! - Monotonic time and timeouts: tokio's clock.
//! - The agent: it has no use for this crate and does not link it.
#![forbid(unsafe_code)]

pub mod clock;
pub mod entropy;
pub mod files;
pub mod lock;
