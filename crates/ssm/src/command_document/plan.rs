//! What a bound command document means on each device.

use super::platform::{Condition, Host, Interpreter, skipped};
use super::step::After;

/// What is to be done on each device.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Plan {
    /// Its steps, in order.
    pub steps: Vec<PlannedStep>,
}

/// One step with everything in its place.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PlannedStep {
    /// What AWS calls the plugin's name.
    pub name: String,
    /// Where its output lies below command and device.
    pub folder: String,
    /// The script, at most [`MAX_SCRIPT`](super::MAX_SCRIPT) bytes.
    pub script: String,
    /// What runs the script.
    #[serde(default)]
    pub interpreter: Interpreter,
    /// The platform that it is for; none: every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_on: Option<Condition>,
    /// Where it runs; empty: the user's home.
    pub working_directory: String,
    /// Seconds after which it is ended.
    pub timeout: u32,
    /// What follows when it went well.
    pub on_success: After,
    /// What follows when it did not.
    pub on_failure: After,
    /// Runs whatever came before.
    pub finally: bool,
    /// Why it runs on no device here, in AWS's words; its script is empty then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

impl PlannedStep {
    /// Why this host skips it, in AWS's words; `None`: it runs there.
    #[must_use]
    pub fn skipped_on(&self, host: Host) -> Option<String> {
        let own = || skipped(&self.name, self.only_on.as_ref(), self.interpreter, host);
        self.skipped.clone().or_else(own)
    }
}

impl Plan {
    /// Whether a host runs one of its steps.
    #[must_use]
    pub fn runs_on(&self, host: Host) -> bool {
        self.steps.iter().any(|step| step.skipped_on(host).is_none())
    }

    /// The script of each step that runs on some device, without its last line end: what policies
    /// see as `towline:CommandLine`.
    pub fn command_lines(&self) -> impl Iterator<Item = &str> {
        self.steps
            .iter()
            .filter(|step| step.skipped.is_none())
            .map(|step| step.script.strip_suffix('\n').unwrap_or(&step.script))
    }

    /// Seconds that all steps together may take.
    #[must_use]
    pub fn timeout(&self) -> u64 {
        self.steps.iter().map(|step| u64::from(step.timeout)).sum()
    }
}
