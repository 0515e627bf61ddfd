//! The Towline agent: what runs on the device. It dials out, and listens on nothing.
//!
//! | module | what it knows |
//! |---|---|
//! | [`pty`] | accounts, terminals, child processes, and that none of them is left behind |
//! | [`limits`] | every capacity, its reason, what it costs in memory |
//!
//! # Not here
//! - No listener of any kind: no socket of this program accepts.
//! - No judgement of policy beyond the device's own: who may do what is decided where grants are signed.

pub mod limits;
pub mod pty;
