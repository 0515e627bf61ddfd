//! A device that belongs to nobody yet: it waits, quietly, and enrolls itself when somebody has
//! said where to.
//!
//! Way: [`until_enrolled`] looks for an enrollment (made by `enroll` in another process), then for
//! an [`order`] (a file in the image or on a stick, variables, the kernel's command line); an order
//! is carried out until the gateway takes or refuses it, and its file is removed.
//!
//! # Invariants
//! - The service manager hears that the agent is ready: waiting is no failure, so nothing restarts
//!   it in a loop.
//! - An order never moves a device that belongs to somebody: it is not even read then.
//! - The activation code is used once; an order on a medium that cannot be written is told, not
//!   hidden.

pub mod order;
mod waiting;

pub use waiting::until_enrolled;
