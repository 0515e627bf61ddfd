//! What a bound command document means on each device.

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

impl Plan {
    /// The script of each step that runs, without its last line end: what policies see as
    /// `towline:CommandLine`.
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
