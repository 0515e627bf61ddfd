//! A cgroup for each session, where the device has a writable cgroup v2 file system.
//!
//! A process cannot leave its cgroup by a fork, by `setsid` or by a cleared environment. So the
//! kernel keeps the list of all that a session started, and one write ends it. The agent makes
//! its directories below the cgroup it was started in (under systemd its unit, with
//! `Delegate=yes`; there the agent first moves into a leaf). It turns on one controller, pids,
//! and sets one limit, the number of processes.
//!
//! # Invariants
//! - The name of a directory holds the agent's process id: two agents on one device never touch
//!   each other's.
//! - [`Home::sweep`] of the next agent ends what a killed agent left.

mod directory;
mod home;
mod leaf;
mod session;
mod tasks;

pub use home::Home;
pub use session::{Cgroup, Entrances};
