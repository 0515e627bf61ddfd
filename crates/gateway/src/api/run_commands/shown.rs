//! Commands and invocations as the API shows them.

use towline_evidence::layout;
use towline_host::clock::UnixMillis;
use towline_ssm::api::command::{
    CloudWatchOutputConfig, Command, CommandInvocation, CommandPlugin, CommandStatus,
    MAX_PLUGIN_OUTPUT, MAX_STDERR,
};
use towline_ssm::clock::EpochSeconds;
use towline_ssm::command_document::Plan;
use towline_ssm::error::ApiError;
use towline_store::{InvocationRow, SentCommand};
use towline_wire::lane::{Lane, Lanes};

use super::super::internal::internal;
use crate::plane::Commands;
use crate::run_command::{NAMES, Place, StepState};

/// What stands between the two streams in a plugin's output, as at AWS.
const BETWEEN: &str = "\n----------ERROR-------\n";
/// What stands at the end of output that is cut, as at AWS.
const CUT_MARK: &str = "--output truncated--";

/// A row's JSON, read.
pub(super) fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, ApiError> {
    serde_json::from_str(text).map_err(|error| internal("a stored command", &error))
}

pub(super) fn status(word: &str) -> CommandStatus {
    CommandStatus::parse(word).unwrap_or(CommandStatus::Failed)
}

fn logs(place: &Place) -> Option<CloudWatchOutputConfig> {
    (place.log_group.is_some() || place.log_enabled.is_some()).then(|| CloudWatchOutputConfig {
        cloud_watch_log_group_name: place.log_group.clone(),
        cloud_watch_output_enabled: place.log_enabled,
    })
}

/// A command.
pub(super) fn command(row: SentCommand) -> Result<Command, ApiError> {
    let place: Place = read(&row.new.output)?;
    Ok(Command {
        document_name: row.new.document,
        document_version: Some(row.new.document_version).filter(|version| !version.is_empty()),
        comment: row.new.comment,
        expires_after: Some(EpochSeconds::from_millis(row.new.expires_at.0)),
        parameters: read(&row.new.parameters)?,
        instance_ids: read(&row.new.instance_ids)?,
        targets: read(&row.new.targets)?,
        requested_date_time: Some(EpochSeconds::from_millis(row.new.requested_at.0)),
        status: status(&row.status),
        status_details: row.details,
        cloud_watch_output_config: logs(&place),
        output_s3_region: place.region,
        output_s3_bucket_name: place.bucket.unwrap_or_default(),
        output_s3_key_prefix: place.key_prefix.unwrap_or_default(),
        max_concurrency: row.new.max_concurrency,
        max_errors: row.new.max_errors,
        target_count: row.targets,
        completed_count: row.completed,
        error_count: row.errors,
        delivery_timed_out_count: row.undelivered,
        service_role: String::new(),
        timeout_seconds: Some(row.new.timeout_s),
        command_id: row.new.id,
    })
}

/// A command's row with its JSON read: what its invocations need of it.
pub(super) struct Sent {
    pub(super) row: SentCommand,
    pub(super) plan: Plan,
    pub(super) place: Place,
}

impl Sent {
    pub(super) fn new(row: SentCommand) -> Result<Self, ApiError> {
        Ok(Self { plan: read(&row.new.plan)?, place: read(&row.new.output)?, row })
    }

    pub(super) fn version(&self) -> Option<String> {
        Some(self.row.new.document_version.clone()).filter(|version| !version.is_empty())
    }

    pub(super) fn logs(&self) -> Option<CloudWatchOutputConfig> {
        logs(&self.place)
    }

    /// Where the whole of a step's streams is; empty for a stream without bytes.
    pub(super) fn urls(
        &self,
        commands: &dyn Commands,
        device: &str,
        at: usize,
        state: &StepState,
    ) -> Lanes<String> {
        let url = |lane: Lane| {
            let object = self.object(device, at, lane).filter(|_| state.written[lane] > 0);
            object.map(|object| commands.url(&object)).unwrap_or_default()
        };
        Lanes::new(url(Lane::Io), url(Lane::Err))
    }

    /// Key of a step's stream in the sink.
    pub(super) fn object(&self, device: &str, at: usize, lane: Lane) -> Option<String> {
        let step = self.plan.steps.get(at)?;
        let name = NAMES[lane];
        Some(layout::output(&self.place.prefix, &self.row.new.id, device, &step.folder, name))
    }

    /// An invocation without its plugins.
    pub(super) fn invocation(
        &self,
        row: &InvocationRow,
        name: String,
        urls: Lanes<String>,
    ) -> CommandInvocation {
        let Lanes { io: standard_output_url, err: standard_error_url } = urls;
        CommandInvocation {
            command_id: row.command.clone(),
            instance_id: row.device.clone(),
            instance_name: name,
            comment: self.row.new.comment.clone(),
            document_name: self.row.new.document.clone(),
            document_version: self.version(),
            requested_date_time: Some(EpochSeconds::from_millis(row.requested_at.0)),
            status: status(&row.status),
            status_details: row.details.clone(),
            trace_output: String::new(),
            standard_output_url,
            standard_error_url,
            command_plugins: Vec::new(),
            service_role: String::new(),
            cloud_watch_output_config: self.logs(),
            towline_reason: Some(row.reason.clone()).filter(|reason| !reason.is_empty()),
        }
    }

    /// One step of it. Without `heads` its output is not shown.
    pub(super) fn plugin(
        &self,
        at: usize,
        state: &StepState,
        heads: Option<Lanes<&[u8]>>,
        urls: Lanes<String>,
    ) -> CommandPlugin {
        let Lanes { io: standard_output_url, err: standard_error_url } = urls;
        CommandPlugin {
            name: self.plan.steps.get(at).map_or_else(String::new, |step| step.name.clone()),
            status: plugin_status(state.status),
            status_details: state.details.clone(),
            response_code: state.code,
            response_start_date_time: state.started.map(EpochSeconds::from_millis),
            response_finish_date_time: state.ended.map(EpochSeconds::from_millis),
            towline_output_withheld: heads.is_none(),
            output: heads.map(|heads| whole(state, heads)).unwrap_or_default(),
            standard_output_url,
            standard_error_url,
            output_s3_region: self.place.region.clone(),
            output_s3_bucket_name: self.place.bucket.clone().unwrap_or_default(),
            output_s3_key_prefix: self.place.key_prefix.clone().unwrap_or_default(),
            towline_reason: state.reason.clone().filter(|_| !state.skipped),
        }
    }
}

/// The beginnings of both streams as the output of a plugin.
fn whole(state: &StepState, heads: Lanes<&[u8]>) -> String {
    let errors = text(heads.err, state.written[Lane::Err], MAX_PLUGIN_OUTPUT);
    let own = text(heads.io, state.written[Lane::Io], MAX_PLUGIN_OUTPUT);
    let (mut output, stderr) = streams(state, own, &errors);
    if !stderr.is_empty() {
        output.push_str(BETWEEN);
        output.push_str(&stderr);
    }
    match output.chars().nth(MAX_PLUGIN_OUTPUT) {
        Some(_) => marked(&output, MAX_PLUGIN_OUTPUT),
        None => output,
    }
}

/// Plugins know fewer words than invocations.
const fn plugin_status(status: CommandStatus) -> CommandStatus {
    match status {
        CommandStatus::Delayed => CommandStatus::Pending,
        CommandStatus::Cancelling => CommandStatus::InProgress,
        other => other,
    }
}

/// At most so many characters of what may not be text, marked as cut where `written` bytes were
/// more than that.
pub(super) fn text(bytes: &[u8], written: u64, most: usize) -> String {
    let whole = String::from_utf8_lossy(bytes);
    let cut = written > bytes.len() as u64 || whole.chars().nth(most).is_some();
    if cut { marked(&whole, most) } else { whole.into_owned() }
}

/// The beginning of a text that is cut at so many characters, with AWS's mark at its end.
fn marked(text: &str, most: usize) -> String {
    let room = most.saturating_sub(CUT_MARK.len());
    text.trim_end_matches(CUT_MARK).chars().take(room).chain(CUT_MARK.chars()).collect()
}

/// Standard error, and behind it why the step ended so: clients of AWS show nothing else.
fn with_reason(stderr: &str, reason: Option<&str>) -> String {
    let Some(reason) = reason else { return stderr.to_owned() };
    let words = format!("towline: {reason}\n");
    let room = MAX_STDERR.saturating_sub(words.chars().count() + 1);
    let mut all: String = stderr.chars().take(room).collect();
    if !all.is_empty() && !all.ends_with('\n') {
        all.push('\n');
    }
    all + &words
}

/// Both streams as clients see them, with the words about a step that did not end well or was not
/// run, where AWS has them.
pub(super) fn streams(state: &StepState, stdout: String, stderr: &str) -> (String, String) {
    match &state.reason {
        Some(reason) if state.skipped => (reason.clone(), String::new()),
        reason => (stdout, with_reason(stderr, reason.as_deref())),
    }
}

/// An ISO 8601 time.
pub(super) fn instant(millis: Option<i64>) -> String {
    millis.map(|at| UnixMillis(at).to_rfc3339()).unwrap_or_default()
}

/// An ISO 8601 duration.
pub(super) fn elapsed(state: &StepState) -> String {
    match (state.started, state.ended) {
        (Some(started), Some(ended)) => {
            let millis = ended.saturating_sub(started).max(0);
            format!("PT{}.{:03}S", millis / 1000, millis % 1000)
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_stands_behind_what_the_script_said_and_is_never_cut_off() {
        assert_eq!(with_reason("oh", Some("too long")), "oh\ntowline: too long\n");
        assert_eq!(with_reason("", Some("x")), "towline: x\n");
        let long = with_reason(&"ü".repeat(MAX_STDERR), Some("too long"));
        assert_eq!(long.chars().count(), MAX_STDERR);
        assert!(long.ends_with("towline: too long\n"));
    }

    #[test]
    fn output_that_is_cut_is_marked_within_its_limit_and_whole_output_is_not() {
        assert_eq!(text(b"hello", 5, 30), "hello");
        assert_eq!(text("ü".repeat(30).as_bytes(), 60, 30), "ü".repeat(30));
        let cut = text("ü".repeat(31).as_bytes(), 62, 30);
        assert_eq!(cut, "ü".repeat(10) + CUT_MARK);
        assert_eq!(text(b"the head", 9_000, 40), format!("the head{CUT_MARK}"));
    }

    #[test]
    fn times_are_iso_8601_and_empty_before_they_are_known() {
        let mut state = StepState { started: Some(1_000), ..StepState::default() };
        assert_eq!(
            (instant(state.started).as_str(), elapsed(&state).as_str()),
            ("1970-01-01T00:00:01Z", "")
        );
        state.ended = Some(3_250);
        assert_eq!(elapsed(&state), "PT2.250S");
    }
}
