//! Rows of commands and invocations, as plain structs.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use towline_host::clock::UnixMillis;

/// A command about to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCommand {
    /// A UUID.
    pub id: String,
    /// Name of the document.
    pub document: String,
    /// Its version; empty for a built-in one.
    pub document_version: String,
    /// For people.
    pub comment: String,
    /// JSON of the request.
    pub parameters: String,
    /// JSON of the request.
    pub instance_ids: String,
    /// JSON of the request.
    pub targets: String,
    /// Who sent it.
    pub principal_arn: String,
    /// User to run as; empty for the device's default.
    pub run_as: String,
    /// As of the request.
    pub max_concurrency: String,
    /// As of the request.
    pub max_errors: String,
    /// JSON: what is to be done.
    pub plan: String,
    /// JSON: where output goes.
    pub output: String,
    /// Seconds in which it must have begun on a device.
    pub timeout_s: i64,
    /// When it was sent.
    pub requested_at: UnixMillis,
    /// When it begins nowhere any more.
    pub deliver_by: UnixMillis,
    /// When nothing of it will be under way any more.
    pub expires_at: UnixMillis,
}

/// A command as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentCommand {
    /// What it was sent with.
    pub new: NewCommand,
    /// Where it stands.
    pub status: String,
    /// The same with more words.
    pub details: String,
    /// Devices it is for.
    pub targets: i64,
    /// Devices where it is over.
    pub completed: i64,
    /// Devices where it failed.
    pub errors: i64,
    /// Devices that it did not reach in time.
    pub undelivered: i64,
}

/// Where a command stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandEnd {
    /// Which one.
    pub id: String,
    /// Where it stands.
    pub status: String,
    /// The same with more words.
    pub details: String,
    /// Devices where it is over.
    pub completed: i64,
    /// Devices where it failed.
    pub errors: i64,
    /// Devices that it did not reach in time.
    pub undelivered: i64,
    /// Nothing of it will change any more.
    pub ended: bool,
}

/// The beginnings of a step's output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputHeads {
    /// Which step.
    pub step: i64,
    /// Of standard output.
    pub stdout: Vec<u8>,
    /// Of standard error.
    pub stderr: Vec<u8>,
}

/// Where an invocation stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvocationChange {
    /// The command.
    pub command: String,
    /// The device.
    pub device: String,
    /// Where it stands.
    pub status: String,
    /// The same with more words.
    pub details: String,
    /// Why, in words.
    pub reason: String,
    /// The present step.
    pub step: i64,
    /// Starts of the agent that were given the present step.
    pub given_to: Vec<[u8; 16]>,
    /// JSON of all steps.
    pub steps: String,
    /// The output of a step that has ended with this change.
    pub heads: Option<OutputHeads>,
    /// Nothing of it will change any more.
    pub ended: bool,
}

/// An invocation as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvocationRow {
    /// The command.
    pub command: String,
    /// The device.
    pub device: String,
    /// When the command was sent.
    pub requested_at: UnixMillis,
    /// Where it stands.
    pub status: String,
    /// The same with more words.
    pub details: String,
    /// Why, in words.
    pub reason: String,
    /// The present step.
    pub step: i64,
    /// Starts of the agent that were given the present step.
    pub given_to: Vec<[u8; 16]>,
    /// JSON of all steps.
    pub steps: String,
    /// Nothing of it will change any more.
    pub ended: bool,
}

pub(super) const COMMAND: &str = "SELECT id, document, document_version, comment, parameters, instance_ids, targets, principal_arn, \
     run_as, max_concurrency, max_errors, plan, output, timeout_s, requested_at, deliver_by, expires_at, status, details, \
     target_count, completed_count, error_count, undelivered_count FROM commands c";

pub(super) fn command(row: &SqliteRow) -> Result<SentCommand, sqlx::Error> {
    Ok(SentCommand {
        new: NewCommand {
            id: row.try_get("id")?,
            document: row.try_get("document")?,
            document_version: row.try_get("document_version")?,
            comment: row.try_get("comment")?,
            parameters: row.try_get("parameters")?,
            instance_ids: row.try_get("instance_ids")?,
            targets: row.try_get("targets")?,
            principal_arn: row.try_get("principal_arn")?,
            run_as: row.try_get("run_as")?,
            max_concurrency: row.try_get("max_concurrency")?,
            max_errors: row.try_get("max_errors")?,
            plan: row.try_get("plan")?,
            output: row.try_get("output")?,
            timeout_s: row.try_get("timeout_s")?,
            requested_at: UnixMillis(row.try_get("requested_at")?),
            deliver_by: UnixMillis(row.try_get("deliver_by")?),
            expires_at: UnixMillis(row.try_get("expires_at")?),
        },
        status: row.try_get("status")?,
        details: row.try_get("details")?,
        targets: row.try_get("target_count")?,
        completed: row.try_get("completed_count")?,
        errors: row.try_get("error_count")?,
        undelivered: row.try_get("undelivered_count")?,
    })
}

pub(super) const INVOCATION: &str = "SELECT i.command_id, i.device_id, i.requested_at, i.status, i.details, i.reason, i.step, \
     i.given_to, i.steps, i.ended_at FROM command_invocations i";

pub(super) fn invocation(row: &SqliteRow) -> Result<InvocationRow, sqlx::Error> {
    let given: Vec<u8> = row.try_get("given_to")?;
    Ok(InvocationRow {
        command: row.try_get("command_id")?,
        device: row.try_get("device_id")?,
        requested_at: UnixMillis(row.try_get("requested_at")?),
        status: row.try_get("status")?,
        details: row.try_get("details")?,
        reason: row.try_get("reason")?,
        step: row.try_get("step")?,
        given_to: given.as_chunks().0.to_vec(),
        steps: row.try_get("steps")?,
        ended: row.try_get::<Option<i64>, _>("ended_at")?.is_some(),
    })
}
