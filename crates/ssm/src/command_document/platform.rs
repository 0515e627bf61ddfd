//! Systems that devices have, what runs a script on them, and the condition that a step is for one
//! of them.
//!
//! # Invariants
//! - The words about a step that a device skips are those of AWS's agent.

use serde::{Deserialize, Serialize};

/// A system, as preconditions name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Platform {
    /// Linux.
    Linux,
    /// Windows.
    Windows,
    /// macOS.
    MacOs,
}

impl Platform {
    /// All of them, in the order in which AWS names them.
    pub const ALL: [Self; 3] = [Self::Windows, Self::Linux, Self::MacOs];

    /// The platform of a name, in any letter case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|platform| platform.name().eq_ignore_ascii_case(name))
    }

    /// Its name as AWS writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linux => "Linux",
            Self::Windows => "Windows",
            Self::MacOs => "MacOS",
        }
    }
}

/// What runs the script of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Interpreter {
    /// A POSIX shell, or what the first line of the script names.
    #[default]
    Shell,
    /// PowerShell.
    PowerShell,
}

impl Interpreter {
    /// The interpreter of an action; `None` for any other action.
    pub(super) fn of(action: &str) -> Option<Self> {
        [Self::Shell, Self::PowerShell].into_iter().find(|one| one.action() == action)
    }

    /// The action.
    #[must_use]
    pub const fn action(self) -> &'static str {
        match self {
            Self::Shell => "aws:runShellScript",
            Self::PowerShell => "aws:runPowerShellScript",
        }
    }

    /// The folder of its outputs.
    pub(super) const fn folder(self) -> &'static str {
        match self {
            Self::Shell => "awsrunShellScript",
            Self::PowerShell => "awsrunPowerShellScript",
        }
    }
}

/// What a device can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Host {
    /// Its system.
    pub platform: Platform,
    /// Whether its agent runs PowerShell.
    pub powershell: bool,
}

impl Host {
    /// Whether it has this interpreter: Windows has no POSIX shell.
    const fn runs(self, interpreter: Interpreter) -> bool {
        match interpreter {
            Interpreter::Shell => !matches!(self.platform, Platform::Windows),
            Interpreter::PowerShell => self.powershell,
        }
    }
}

/// The platform that a step is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// The platform.
    pub platform: Platform,
    /// The condition as AWS's agent shows it.
    pub shown: String,
}

/// Why this host skips a step; `None`: it runs the step.
pub(super) fn skipped(
    name: &str,
    only_on: Option<&Condition>,
    interpreter: Interpreter,
    host: Host,
) -> Option<String> {
    let reason = match only_on {
        Some(condition) if condition.platform != host.platform => {
            format!("unsatisfied preconditions: '{}'", condition.shown)
        }
        _ if !host.runs(interpreter) => format!("unsupported plugin: {}", interpreter.action()),
        _ => return None,
    };
    Some(in_words(&reason, name))
}

/// The sentence about a step that is skipped.
pub(super) fn in_words(reason: &str, name: &str) -> String {
    format!("Step execution skipped due to {reason}. Step name: {name}")
}
