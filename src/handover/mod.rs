//! State transfer: the agent becomes another program while its sessions continue (an upgrade, a
//! downgrade, new settings).
//!
//! Data flow: SIGHUP -> [`preflight`] (the installed program, in its own process, reports
//! whether it can take over) -> the state of all sessions is written to a file in memory, in the
//! [`form`] -> [`exchange`] executes the installed program in this process -> it finds its
//! [`Predecessor`] in the environment and resumes. The children stay children of the same
//! process. The link is dialled again; resuming covers its bytes.
//!
//! # Invariants
//! - The agent gives nothing up before the exec has worked: a failure before it leaves the
//!   agent, its link and its sessions as they were.
//! - A new program that cannot resume executes the old one again, which takes its sessions back.
//! - Signals wait during the exchange: none ends the process while no program handles it.
//! - A descriptor is passed by being left open, and is taken once.
//!
//! # Not here
//! - The link: its TLS state is a secret, in a format of another library.

pub mod exchange;
pub mod form;
mod predecessor;
pub mod preflight;

pub use exchange::VARIABLE;
pub use predecessor::Predecessor;
