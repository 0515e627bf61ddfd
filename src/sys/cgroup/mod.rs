//! A cgroup of its own for each session, where the device has a writable cgroup v2 file system.
//!
//! A process cannot leave its cgroup by forking, by `setsid`, or by clearing its environment: with
//! a cgroup, "all that this session started" is a fact kept by the kernel, and ending it is one
//! write. The agent makes its directories below the cgroup it was started in (under systemd: its
//! unit, with `Delegate=yes`; there it moves itself into a [`leaf`] first). The one limit that it
//! sets, and the one controller that it turns on, is the number of processes ([`tasks`]).
//!
//! # Invariants
//! - A directory's name holds the agent's process id: two agents on one device never touch each
//!   other's.
//! - What a killed agent left behind is ended by the next one's [`Home::sweep`].

mod directory;
mod home;
mod leaf;
mod session;
mod tasks;

pub use home::Home;
pub use session::Cgroup;
