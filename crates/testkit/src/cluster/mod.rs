//! Several gateways at work on one PostgreSQL server, their devices and shells, and a run of
//! faults.
//!
//! Data flow: [`Gateways::start`] (a server, gateways with one CA and a shared sink, a relay for
//! devices in front of each) -> [`run()`] (rounds of one fault each, under open shells) ->
//! [`Told`].
//!
//! # Invariants
//! - Chance comes from a seed.
//! - Nothing is retried that a user would not retry: shells are opened once and live to the end.

mod faults;
mod gateways;
mod invariants;
mod node;
mod run;

pub use faults::{Fault, Faults};
use gateways::BACK;
pub use gateways::Gateways;
pub use node::Node;
pub use run::{Told, run};
