//! Simulated devices, thousands in one process: real keys, real TLS, the real wire, and no shell
//! behind it.

mod device;
mod identity;
mod link;
mod mux;
mod plan;
mod stored;

pub use device::{Counts, until};
pub use identity::id;
pub use mux::{Mux, Pipe};
pub use plan::{Plan, Way, run};
pub use stored::store;
