//! Run Command: commands for many devices, carried to each at most once.
//!
//! Data flow: the API stores a command and its invocations, and says
//! [`crate::plane::Commands::sent`] -> `scheduler` (one task: who gets it when, what is stored) ->
//! `carry` (one task a device and step: order, output, end) over [`crate::sessions`] -> `output`
//! (files) -> [`towline_archive`]. What is decided is decided in `live` and `step`, which do no
//! I/O.
//!
//! # Invariants
//! - That a step is given to a device stands in the store before the order leaves; how it ended
//!   before the device may forget it.
//! - Whether a device has begun a step that it does not hold is known to its journal alone: the
//!   order names every start of the agent that may have begun it, and the device refuses when one
//!   of them has.
//! - Memory: some 300 bytes for each device that is not over, and for each that runs what may be on
//!   its way.
//!
//! # Not here
//! - Who may send what where: the API asks policy before anything is stored.

mod carry;
mod doubt;
mod event;
mod keeping;
mod learning;
mod live;
#[cfg(test)]
mod live_tests;
mod nodes;
mod output;
mod runner;
mod scheduler;
mod shared;
mod step;

pub use output::NAMES;
pub use runner::{Commands, times};
pub use shared::Place;
pub use step::StepState;
