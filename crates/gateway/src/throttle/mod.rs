//! Failures of strangers: counted per source, at one gateway or at several together, and what the
//! log says of them.
//!
//! # Not here
//! - Telling the other gateways: [`crate::cluster`].

mod counted;
mod log_budget;

pub use counted::{Shared, Source, Throttle, Window, subscriber};
pub use log_budget::LogBudget;
