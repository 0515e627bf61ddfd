//! Rows of commands and invocations, as plain structs.

use crate::engine::Row;

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
    /// Comment of the sender.
    pub comment: String,
    /// JSON of the request.
    pub parameters: String,
    /// JSON of the request.
    pub instance_ids: String,
    /// JSON of the request.
    pub targets: String,
    /// ARN of the sender.
    pub principal_arn: String,
    /// Id of the person behind it; empty for one of an older version.
    pub person_id: String,
    /// User to run as; empty for the device's default.
    pub run_as: String,
    /// As given in the request.
    pub max_concurrency: String,
    /// As given in the request.
    pub max_errors: String,
    /// The resolved plan, JSON.
    pub plan: String,
    /// Destinations of the output, JSON.
    pub output: String,
    /// Seconds within which it must begin on a device.
    pub timeout_s: i64,
    /// When it was sent.
    pub requested_at: UnixMillis,
    /// Deadline after which it begins on no device.
    pub deliver_by: UnixMillis,
    /// Deadline after which no step runs.
    pub expires_at: UnixMillis,
}

#[cfg(any(test, feature = "testing"))]
impl NewCommand {
    /// A command of nobody, sent at this moment and delivered as long as it takes.
    #[must_use]
    pub fn for_tests(id: &str, at: UnixMillis) -> Self {
        let text = |text: &str| text.to_owned();
        Self {
            id: text(id),
            document: text("AWS-RunShellScript"),
            document_version: text("1"),
            comment: String::new(),
            parameters: text("{}"),
            instance_ids: text("[]"),
            targets: text("[]"),
            principal_arn: String::new(),
            person_id: String::new(),
            run_as: String::new(),
            max_concurrency: text("50"),
            max_errors: text("0"),
            plan: text("{}"),
            output: text("{}"),
            timeout_s: 3600,
            requested_at: at,
            deliver_by: UnixMillis(i64::MAX),
            expires_at: UnixMillis(i64::MAX),
        }
    }
}

/// A command as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentCommand {
    /// The command as sent.
    pub new: NewCommand,
    /// Its status.
    pub status: String,
    /// Its status in detail.
    pub details: String,
    /// Number of its devices.
    pub targets: i64,
    /// Number of devices where it has ended.
    pub completed: i64,
    /// Number of devices where it failed.
    pub errors: i64,
    /// Number of devices that it did not reach in time.
    pub undelivered: i64,
}

/// The new state of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandEnd {
    /// Id of the command.
    pub id: String,
    /// Its status.
    pub status: String,
    /// Its status in detail.
    pub details: String,
    /// Number of devices where it has ended.
    pub completed: i64,
    /// Number of devices where it failed.
    pub errors: i64,
    /// Number of devices that it did not reach in time.
    pub undelivered: i64,
    /// Whether it has ended.
    pub ended: bool,
}

/// The beginning of a step's output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputHeads {
    /// Number of the step.
    pub step: i64,
    /// Beginning of standard output.
    pub stdout: Vec<u8>,
    /// Beginning of standard error.
    pub stderr: Vec<u8>,
}

/// The new state of an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvocationChange {
    /// The command.
    pub command: String,
    /// The device.
    pub device: String,
    /// Its status.
    pub status: String,
    /// Its status in detail.
    pub details: String,
    /// Reason, for users.
    pub reason: String,
    /// Number of the current step.
    pub step: i64,
    /// Boots of the agent that received the current step.
    pub given_to: Vec<[u8; 16]>,
    /// JSON of all steps.
    pub steps: String,
    /// The output of the step that this change ends.
    pub heads: Option<OutputHeads>,
    /// Whether it counts against the concurrency.
    pub active: bool,
    /// Whether this gateway goes on with it.
    pub carried: bool,
    /// Whether the database may have lost what became of it.
    pub doubted: bool,
    /// Whether it has ended.
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
    /// Its status.
    pub status: String,
    /// Its status in detail.
    pub details: String,
    /// Reason, for users.
    pub reason: String,
    /// Number of the current step.
    pub step: i64,
    /// Boots of the agent that received the current step.
    pub given_to: Vec<[u8; 16]>,
    /// JSON of all steps.
    pub steps: String,
    /// The node that carries it, or has ended it; empty: none.
    pub node: String,
    /// Whether it counts against the concurrency.
    pub active: bool,
    /// Whether somebody wants it stopped.
    pub cancelled: bool,
    /// Whether the database may have lost what became of it: another server took its place.
    pub doubted: bool,
    /// Whether it has ended.
    pub ended: bool,
}

/// A command that has not ended, as a gateway looks for what others have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCommand {
    /// Its id.
    pub id: String,
    /// Counts its changes.
    pub version: i64,
    /// Whether somebody wants all of it stopped.
    pub cancelled: bool,
}

/// An invocation that a node wants to carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The command.
    pub command: String,
    /// The device, whose link this node holds.
    pub device: String,
    /// At most so many invocations of the command are active on all nodes.
    pub concurrency: i64,
    /// With more errors than these on all nodes, no further device gets the command.
    pub most_errors: i64,
}

/// A piece of the output of a step that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputPiece {
    /// The command.
    pub command: String,
    /// The device.
    pub device: String,
    /// Number of the step.
    pub step: i64,
    /// Number of the stream.
    pub lane: i64,
    /// Where it begins in the stream.
    pub start: i64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

pub(super) const COMMAND: &str = "SELECT id, document, document_version, comment, parameters, instance_ids, targets, principal_arn, \
     person_id, run_as, max_concurrency, max_errors, plan, output, timeout_s, requested_at, deliver_by, \
     expires_at, status, details, \
     target_count, completed_count, error_count, undelivered_count FROM commands c";

pub(super) fn command(row: &Row) -> Result<SentCommand, sqlx::Error> {
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
            person_id: row.try_get("person_id")?,
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
     i.given_to, i.steps, i.node, i.active, i.cancelled, i.doubted, i.ended_at \
     FROM command_invocations i";

pub(super) fn invocation(row: &Row) -> Result<InvocationRow, sqlx::Error> {
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
        node: row.try_get("node")?,
        active: row.try_get::<i64, _>("active")? != 0,
        cancelled: row.try_get::<i64, _>("cancelled")? != 0,
        doubted: row.try_get::<i64, _>("doubted")? != 0,
        ended: row.try_get::<Option<i64>, _>("ended_at")?.is_some(),
    })
}
