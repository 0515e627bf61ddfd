//! The agent becomes another program without a session noticing: an upgrade, a downgrade, new
//! settings.
//!
//! Way: told to start anew -> [`preflight`] (the installed program, in a process of its own, says
//! whether it would take over) -> everything that sessions are made of goes into a file in memory,
//! in the [`form`] below -> [`exchange`] executes the installed program in this process -> it finds
//! its [`Predecessor`] in the environment and goes on. The children stay children of the same
//! process; only the link is dialled again, and resuming covers its bytes.
//!
//! # Invariants
//! - Until the exec has worked nothing is given up: whatever fails before it leaves the agent, its
//!   link and its sessions as they were.
//! - A new program that cannot go on with what it was left executes the old one again, which takes
//!   its sessions back.
//! - A signal that comes in between waits: none ends the process while nobody listens.
//! - A descriptor is handed over by being left open on purpose, and is taken once.
//!
//! # Not here
//! - The link: TLS state is not handed over. It is a secret, and would be a format of somebody
//!   else's library.

pub mod exchange;
pub mod form;
mod predecessor;
pub mod preflight;

pub use exchange::VARIABLE;
pub use predecessor::Predecessor;
