//! Run Command: the API decides what is sent to which devices; `crate::run_command` carries it out.
//!
//! Data flow of SendCommand: document -> policy on it -> targets -> policy on each device ->
//! parameters put into the document -> one transaction -> the scheduler -> the answer.
//!
//! # Invariants
//! - Policy says yes to the document and to every single device, or nothing is sent at all.
//! - What this gateway would not do as asked (another bucket, notifications, alarms) is refused,
//!   not left out.

mod listing;
mod output;
mod send;
mod shown;
mod systems;
mod targets;
