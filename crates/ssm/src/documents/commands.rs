//! The commands of a session document: a branch for each system.
//!
//! Data flow: `properties` -> [`Commands::read`] -> [`Commands::of`] the system of a device.
//!
//! # Invariants
//! - A branch without a command says nothing; at least one branch has a command.
//! - A device runs the branch of its own system and no other.

use serde_json::{Map, Value};

use super::content::{invalid, known, text_of};
use crate::command_document::Platform;
use crate::error::{ApiError, ErrorCode};

/// The commands, by system.
#[derive(Debug)]
pub(super) struct Commands(Vec<(Platform, Command)>);

/// The command for one system, with its placeholders.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) commands: String,
    pub(super) elevated: bool,
    pub(super) separate_output: String,
    pub(super) stdout_prefix: String,
    pub(super) stderr_prefix: String,
}

impl Commands {
    /// Reads `properties`.
    ///
    /// # Errors
    /// `InvalidDocumentContent`, with the member.
    pub(super) fn read(properties: &Map<String, Value>) -> Result<Self, ApiError> {
        let mut branches: Vec<(Platform, Command)> = Vec::new();
        for (name, value) in properties {
            let Some(platform) = Platform::parse(name) else {
                return Err(invalid(&format!(
                    "properties.{name} is not a system: linux, windows or macos"
                )));
            };
            let branch = match value {
                Value::Null => continue,
                Value::Object(branch) => branch,
                _ => return Err(invalid(&format!("properties.{name} must be an object"))),
            };
            let Some(command) = Command::read(name, branch)? else { continue };
            if branches.iter().any(|(other, _)| *other == platform) {
                return Err(invalid(&format!("properties have {name} twice")));
            }
            branches.push((platform, command));
        }
        if branches.is_empty() {
            return Err(invalid(
                "properties must have the commands of a system: linux, windows or macos",
            ));
        }
        Ok(Self(branches))
    }

    /// The command for a device of this system.
    ///
    /// # Errors
    /// `InvalidDocument`: it has none.
    pub(super) fn of(&self, platform: Platform) -> Result<&Command, ApiError> {
        let found = self.0.iter().find(|(own, _)| *own == platform);
        found.map(|(_, command)| command).ok_or_else(|| {
            let there: Vec<_> = self.platforms().into_iter().map(Platform::name).collect();
            let name = platform.name();
            let message = format!(
                "the document has no commands for {name}, which the device runs: it has them for \
                 {}",
                there.join(" and ")
            );
            ApiError::new(ErrorCode::InvalidDocument, message)
        })
    }

    /// The systems that it has a command for.
    pub(super) fn platforms(&self) -> Vec<Platform> {
        let has = |platform: &Platform| self.0.iter().any(|(own, _)| own == platform);
        Platform::ALL.into_iter().filter(has).collect()
    }

    /// Every text that may have placeholders.
    pub(super) fn texts(&self) -> Vec<&String> {
        let mut texts = Vec::new();
        for (_, command) in &self.0 {
            texts.extend([&command.commands, &command.separate_output]);
            texts.extend([&command.stdout_prefix, &command.stderr_prefix]);
        }
        texts
    }
}

impl Command {
    /// Reads one branch; `None`: it has no command.
    fn read(name: &str, branch: &Map<String, Value>) -> Result<Option<Self>, ApiError> {
        const MEMBERS: [&str; 5] = [
            "commands",
            "runAsElevated",
            "separateOutputStream",
            "stdOutSeparatorPrefix",
            "stdErrSeparatorPrefix",
        ];
        known(branch, &format!("properties.{name}."), &MEMBERS)?;
        let text = |key: &str| {
            let at = |_| invalid(&format!("properties.{name}.{key} must be a text"));
            text_of(branch, key).map(|text| text.unwrap_or_default().to_owned()).map_err(at)
        };
        let commands = text("commands")?;
        if commands.is_empty() {
            return Ok(None);
        }
        if commands.contains('\0') {
            return Err(invalid(&format!("properties.{name}.commands must have no NUL")));
        }
        let elevated = match branch.get("runAsElevated") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(on)) => *on,
            Some(Value::String(on)) if on.eq_ignore_ascii_case("true") => true,
            Some(Value::String(on)) if on.eq_ignore_ascii_case("false") || on.is_empty() => false,
            Some(_) => {
                let message = format!("properties.{name}.runAsElevated must be true or false");
                return Err(invalid(&message));
            }
        };
        let separate_output = match branch.get("separateOutputStream") {
            Some(Value::Bool(on)) => on.to_string(),
            _ => text("separateOutputStream")?,
        };
        let (stdout_prefix, stderr_prefix) =
            (text("stdOutSeparatorPrefix")?, text("stdErrSeparatorPrefix")?);
        Ok(Some(Self { commands, elevated, separate_output, stdout_prefix, stderr_prefix }))
    }
}
