//! Delivery: from this disk to a folder, a bucket, or CloudWatch Logs.

pub(crate) mod aws_call;
pub(crate) mod cloudwatch;
pub(crate) mod copies;
pub(crate) mod log_events;
pub(crate) mod outbox;
pub(crate) mod output_logs;
mod outputs;
pub(crate) mod queue;
pub(crate) mod retention;
pub(crate) mod sink;
