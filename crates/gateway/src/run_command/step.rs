//! One step of a command on one device: where it stands, how it ended, and which step follows.
//!
//! # Invariants
//! - What follows is computed from the plan and the states alone, so it is the same after a
//!   restart.

use serde::{Deserialize, Serialize};
use towline_host::clock::UnixMillis;
use towline_ssm::api::command::CommandStatus;
use towline_ssm::command_document::{After, Host, Plan, PlannedStep};
use towline_wire::lane::Lanes;
use towline_wire::message::ExitStatus;

/// A step as stored, and as the API reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepState {
    /// Where it stands.
    pub status: CommandStatus,
    /// The same with more words.
    pub details: String,
    /// Exit code; -1 while there is none.
    pub code: i64,
    /// When it was given to the device, ms.
    pub started: Option<i64>,
    /// When it ended, ms.
    pub ended: Option<i64>,
    /// Bytes of standard output and standard error.
    #[serde(with = "as_array")]
    pub written: Lanes<u64>,
    /// Why it ended so, where the status does not say it.
    pub reason: Option<String>,
    /// It is for another platform: it counts as done, and `reason` says so in AWS's words.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
}

/// Stored as an array of two, as every version has stored it.
mod as_array {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use towline_wire::lane::Lanes;

    pub(super) fn serialize<S: Serializer>(of: &Lanes<u64>, to: S) -> Result<S::Ok, S::Error> {
        [of.io, of.err].serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Lanes<u64>, D::Error> {
        <[u64; 2]>::deserialize(from).map(Lanes::from)
    }
}

impl Default for StepState {
    fn default() -> Self {
        Self {
            status: CommandStatus::Pending,
            details: "Pending".to_owned(),
            code: -1,
            started: None,
            ended: None,
            written: Lanes::default(),
            reason: None,
            skipped: false,
        }
    }
}

/// How a step came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Its process ended.
    Exited(ExitStatus),
    /// The device did not start it, for this reason.
    Refused(String),
    /// It was stopped because somebody wanted so.
    Cancelled,
    /// It printed more than is kept.
    TooMuchOutput,
    /// Its device did not come back before everything of the command was over.
    Lost,
    /// Something of the device or of ours was not as it must be.
    Broken(String),
}

impl StepState {
    /// How each step of a plan stands on a device before anything was done.
    pub(crate) fn first(plan: &Plan, host: Host) -> Vec<Self> {
        let state = |step: &PlannedStep| match step.skipped_on(host) {
            None => Self::default(),
            Some(reason) => Self {
                status: CommandStatus::Success,
                details: "Success".to_owned(),
                code: 0,
                reason: Some(reason),
                skipped: true,
                ..Self::default()
            },
        };
        plan.steps.iter().map(state).collect()
    }

    /// It was given to a device.
    pub(super) fn begin(&mut self, now: UnixMillis) {
        self.set(CommandStatus::InProgress, "InProgress");
        self.started.get_or_insert(now.0);
    }

    /// It has ended.
    pub(super) fn end(&mut self, end: &End, written: Lanes<u64>, now: UnixMillis) {
        let (status, details, code, reason) = judged(end);
        self.set(status, details);
        self.code = code;
        self.ended = Some(now.0);
        self.written = written;
        self.reason = reason;
    }

    /// It will not be run.
    pub(super) fn skip(&mut self, details: &str, reason: &str) {
        self.set(CommandStatus::Cancelled, details);
        self.reason = Some(reason.to_owned());
    }

    fn set(&mut self, status: CommandStatus, details: &str) {
        self.status = status;
        details.clone_into(&mut self.details);
    }
}

/// In AWS's words, with the exit code, and with a reason where one is needed.
fn judged(end: &End) -> (CommandStatus, &'static str, i64, Option<String>) {
    use CommandStatus::{Cancelled, Failed, Success, TimedOut};
    let failed = |why: String| (Failed, "Failed", -1, Some(why));
    match end {
        End::Exited(ExitStatus::Code(0)) => (Success, "Success", 0, None),
        End::Exited(ExitStatus::Code(code)) => (Failed, "Failed", i64::from(*code), None),
        End::Exited(ExitStatus::Signal(signal)) => (
            Failed,
            "Failed",
            128 + i64::from(*signal),
            Some(format!("the script was killed by signal {signal}")),
        ),
        End::Exited(ExitStatus::TimedOut) => {
            let why =
                "the script took longer than its execution time-out, and was ended".to_owned();
            (TimedOut, "ExecutionTimedOut", -1, Some(why))
        }
        End::Refused(why) => failed(format!("the device did not run it: {why}")),
        End::Cancelled => (Cancelled, "Cancelled", -1, None),
        End::TooMuchOutput => {
            let most = crate::limits::MAX_SCRIPT_OUTPUT;
            failed(format!(
                "the script printed more than {most} bytes, and was ended; what is kept is cut \
                 there"
            ))
        }
        End::Lost => {
            let why =
                "the device did not come back in time; whether the script came to its end is not \
                 known"
                    .to_owned();
            (TimedOut, "ExecutionTimedOut", -1, Some(why))
        }
        End::Broken(why) => failed(why.clone()),
    }
}

/// The step to be run next; `None` when the document has come to its end.
pub(super) fn next(plan: &Plan, states: &[StepState]) -> Option<usize> {
    let mut over = false;
    for (at, (step, state)) in plan.steps.iter().zip(states).enumerate() {
        if !state.status.is_final() {
            if !over || step.finally {
                return Some(at);
            }
            continue;
        }
        let after =
            if state.status == CommandStatus::Success { step.on_success } else { step.on_failure };
        over |= after != After::Continue;
    }
    None
}

/// How the whole went on one device: the first step that did not go well, unless its document says
/// that this is well.
pub(super) fn whole(plan: &Plan, states: &[StepState]) -> (CommandStatus, String) {
    for (step, state) in plan.steps.iter().zip(states) {
        let forgiven =
            step.on_failure == After::SuccessAndExit && state.status == CommandStatus::Failed;
        let skipped = state.status == CommandStatus::Cancelled
            && state.ended.is_none()
            && state.details == SKIPPED;
        if state.status.is_final()
            && state.status != CommandStatus::Success
            && !forgiven
            && !skipped
        {
            return (state.status, state.details.clone());
        }
    }
    (CommandStatus::Success, "Success".to_owned())
}

/// `details` of a step that its document left out.
pub(super) const SKIPPED: &str = "Skipped";

#[cfg(test)]
mod tests {
    use towline_ssm::command_document::{Condition, Interpreter, Platform};

    use super::*;

    fn plan(after: &[(After, After, bool)]) -> Plan {
        let step =
            |(at, (on_success, on_failure, finally)): (usize, &(After, After, bool))| PlannedStep {
                name: format!("step{at}"),
                folder: String::new(),
                script: String::new(),
                working_directory: String::new(),
                timeout: 1,
                on_success: *on_success,
                on_failure: *on_failure,
                finally: *finally,
                skipped: None,
                interpreter: Interpreter::Shell,
                only_on: None,
            };
        Plan { steps: after.iter().enumerate().map(step).collect() }
    }

    fn ended(code: u8) -> StepState {
        let mut state = StepState::default();
        state.end(&End::Exited(ExitStatus::Code(code)), Lanes::default(), UnixMillis(1));
        state
    }

    #[test]
    fn a_failed_step_stops_nothing_unless_its_document_says_so() {
        use After::{Continue, Exit, SuccessAndExit};
        let fresh = StepState::default;
        let go_on = plan(&[(Continue, Continue, false), (Continue, Continue, false)]);
        assert_eq!(next(&go_on, &[fresh(), fresh()]), Some(0));
        assert_eq!(next(&go_on, &[ended(1), fresh()]), Some(1));
        assert_eq!(whole(&go_on, &[ended(1), ended(0)]).0, CommandStatus::Failed);
        let stop = plan(&[
            (Continue, Exit, false),
            (Continue, Continue, false),
            (Continue, Continue, true),
        ]);
        assert_eq!(
            next(&stop, &[ended(1), fresh(), fresh()]),
            Some(2),
            "the final step runs whatever came before"
        );
        assert_eq!(next(&stop, &[ended(1), fresh(), ended(0)]), None);
        let forgive = plan(&[(Continue, SuccessAndExit, false), (Continue, Continue, false)]);
        assert_eq!(next(&forgive, &[ended(1), fresh()]), None);
        assert_eq!(whole(&forgive, &[ended(1), fresh()]).0, CommandStatus::Success);
    }

    #[test]
    fn a_step_for_another_platform_counts_as_done_and_the_others_run() {
        use After::Continue;
        let mut both = plan(&[(Continue, Continue, false), (Continue, Continue, false)]);
        both.steps[0].only_on =
            Some(Condition { platform: Platform::Windows, shown: String::new() });
        let host = Host { platform: Platform::Linux, powershell: false };
        let mut states = StepState::first(&both, host);
        assert_eq!(next(&both, &states), Some(1));
        assert_eq!((states[0].status, states[0].code), (CommandStatus::Success, 0));
        states[1] = ended(3);
        assert_eq!((next(&both, &states), whole(&both, &states).0), (None, CommandStatus::Failed));
    }

    #[test]
    fn a_state_is_stored_with_its_bytes_as_an_array_of_two() {
        let state = StepState { written: Lanes::new(3, 4), ..StepState::default() };
        let text = serde_json::to_string(&state).unwrap();
        assert!(text.contains("\"written\":[3,4]"), "{text}");
        assert_eq!(serde_json::from_str::<StepState>(&text).unwrap(), state);
    }

    #[test]
    fn each_end_has_its_status_its_code_and_where_it_needs_them_words() {
        for (end, details, code, words) in [
            (End::Exited(ExitStatus::Code(3)), "Failed", 3, ""),
            (End::Exited(ExitStatus::Signal(9)), "Failed", 137, "signal 9"),
            (End::Exited(ExitStatus::TimedOut), "ExecutionTimedOut", -1, "time-out"),
            (End::Refused("no".into()), "Failed", -1, "did not run it: no"),
            (End::Lost, "ExecutionTimedOut", -1, "not known"),
        ] {
            let mut state = StepState::default();
            state.end(&end, Lanes::default(), UnixMillis(1));
            assert_eq!((state.details.as_str(), state.code), (details, code));
            assert!(state.reason.unwrap_or_default().contains(words), "{end:?}");
        }
    }
}
