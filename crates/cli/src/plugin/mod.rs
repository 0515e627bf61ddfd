//! A replacement for AWS's session-manager-plugin: `towline` installed or linked under that name.
//!
//! Data flow: `aws ssm start-session` asks the gateway for a session and calls this program with
//! the answer ([`call`]) -> the session's stream, in Towline's dialect or in AWS's
//! ([`crate::session`]) -> the terminal of the caller ([`serve`]).

mod call;
mod serve;

pub(crate) use serve::{arguments, run};
