//! Run Command: what is sent to whom is decided here; `crate::run_command` carries it out.
//!
//! Way of SendCommand: document -> policy on it -> targets -> policy on each device -> parameters
//! put into the document -> one transaction -> the scheduler -> the answer.
//!
//! # Invariants
//! - Policy says yes to the document and to every single device, or nothing is sent at all.
//! - What this gateway would not do as asked (another bucket, notifications, alarms) is refused,
//!   not left out.

mod listing;
mod send;
mod shown;
mod targets;
