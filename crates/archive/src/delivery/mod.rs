//! Delivery: from files on this disk to a folder, a bucket, or CloudWatch Logs.
//!
//! `sink` writes objects, `aws_call` calls services; `outbox` delivers finished files to the sink;
//! `queue` runs the senders of files with notes: `cloudwatch` (session logs), `output_logs`
//! (outputs of commands), `copies` (logs for the users' buckets). `retention` removes.

mod aws_call;
mod cloudwatch;
mod copies;
mod error;
mod log_events;
mod outbox;
mod output_logs;
mod outputs;
mod queue;
mod reading;
mod retention;
mod sink;

pub(crate) use cloudwatch::Follower;
pub(crate) use copies::Copier;
pub use error::SinkError;
pub(crate) use log_events::LogEvents;
pub(crate) use outbox::Outbox;
pub use outbox::put as put_into_outbox;
pub(crate) use outbox::put_link as link_into_outbox;
pub use output_logs::Note as OutputNote;
pub(crate) use output_logs::OutputLogs;
pub(crate) use queue::{Queue, Sender};
pub(crate) use reading::header_in;
#[cfg(test)]
pub(crate) use retention::apply as apply_retention;
pub(crate) use retention::keep as keep_retention;
pub use sink::Sink;
