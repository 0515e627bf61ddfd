//! What the server programs need of the machine below them: the time of day, random bytes, and
//! files that only their owner can read.
//!
//! [`clock`], [`entropy`] and [`files`] do not know each other.
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
