//! Putting parameters into their places.
//!
//! # Invariants
//! - One pass: what stands in a value is never taken for a placeholder.
//! - Each step has a folder of its own, also in a document that was stored before its names were
//!   compared.

use std::borrow::Cow;
use std::collections::BTreeMap;

use towline_wire::canonical;

use super::document::{CommandDocument, RUN_POWERSHELL_SCRIPT, RUN_SHELL_SCRIPT};
use super::limits::{DEFAULT_TIMEOUT, MAX_SCRIPT, MAX_SCRIPTS, MAX_TIMEOUT};
use super::parameter::{Kind, Parameter};
use super::plan::{Plan, PlannedStep};
use super::platform::Interpreter;
use super::refusal::{content, invalid};
use super::step::Step;
use crate::documents::Parameters;
use crate::error::{ApiError, ErrorCode};
use crate::parameter_store::refuse;

type Values<'a> = BTreeMap<&'a str, Cow<'a, [String]>>;

impl CommandDocument {
    /// What the document `name` does with these parameters.
    ///
    /// # Errors
    /// `InvalidParameters` with what would be right; no value is repeated.
    pub fn bind(&self, name: &str, given: &Parameters) -> Result<Plan, ApiError> {
        let values = self.values(name, given)?;
        let folders = self.folders(name);
        let mut steps = Vec::new();
        for (step, folder) in self.steps.iter().zip(folders) {
            let script = script(step, &values);
            if script.len() > MAX_SCRIPT {
                let message = format!(
                    "the script of step {} has {} bytes; at most {MAX_SCRIPT} are possible",
                    step.name,
                    script.len()
                );
                return Err(invalid(message));
            }
            refuse(&format!("step {}", step.name), ErrorCode::InvalidParameters, &script)?;
            steps.push(PlannedStep {
                name: step.name.clone(),
                folder,
                script,
                interpreter: step.interpreter,
                only_on: step.only_on.clone(),
                working_directory: working_directory(step, &values)?,
                timeout: if step.skipped.is_some() { 0 } else { timeout(step, &values)? },
                on_success: step.on_success,
                on_failure: step.on_failure,
                finally: step.finally,
                skipped: step.skipped.clone(),
            });
        }
        if steps.iter().map(|step| step.script.len()).sum::<usize>() > MAX_SCRIPTS {
            let message = format!("the scripts of all steps have more than {MAX_SCRIPTS} bytes");
            return Err(invalid(message));
        }
        if steps.iter().all(|step| step.skipped.is_some()) {
            return Err(ApiError::new(
                ErrorCode::UnsupportedPlatformType,
                "no step of the document runs on a device of this gateway",
            ));
        }
        Ok(Plan { steps })
    }

    /// The folders of the steps' output, each another one.
    fn folders(&self, name: &str) -> Vec<String> {
        let mut folders: Vec<String> = Vec::with_capacity(self.steps.len());
        for (at, step) in self.steps.iter().enumerate() {
            let mut folder = match (name, step.interpreter.folder()) {
                (RUN_SHELL_SCRIPT | RUN_POWERSHELL_SCRIPT, own) => format!("{own}/0.{own}"),
                _ => step.folder(),
            };
            while folders.contains(&folder) {
                folder = format!("{folder}.{at}");
            }
            folders.push(folder);
        }
        folders
    }

    fn values<'a>(&'a self, name: &str, given: &'a Parameters) -> Result<Values<'a>, ApiError> {
        if let Some(unknown) = given.keys().find(|key| !self.parameters.contains_key(*key)) {
            let names = self.parameters.keys().cloned().collect::<Vec<_>>().join(", ");
            let shown: String = unknown.chars().take(64).collect();
            return Err(invalid(format!("{name} has no parameter {shown:?}; it takes {names}")));
        }
        let mut values = Values::new();
        for (key, parameter) in &self.parameters {
            let value: Cow<'_, [String]> = match (given.get(key), &parameter.default) {
                (Some(given), _) => {
                    parameter.allow(key, given)?;
                    Cow::Borrowed(given)
                }
                (None, Some(default)) => Cow::Borrowed(default),
                (None, None) => return Err(invalid(format!("{name} needs the parameter {key}"))),
            };
            for one in value.iter() {
                refuse(key, ErrorCode::InvalidParameters, one)?;
            }
            values.insert(key, value);
        }
        Ok(values)
    }

    /// Whether each placeholder that asks for AWS's stores can be answered: none can.
    pub(super) fn check_placeholders(&self) -> Result<(), ApiError> {
        for step in &self.steps {
            let texts =
                step.run_command.iter().chain([&step.working_directory, &step.timeout_seconds]);
            let what = format!("step {}", step.name);
            for text in texts {
                refuse(&what, ErrorCode::InvalidDocumentContent, text)?;
            }
            let whole = whole_placeholder(&step.timeout_seconds);
            if whole.is_some_and(|name| !self.parameters.contains_key(name)) {
                return Err(content(format!(
                    "step {}: timeoutSeconds names no parameter",
                    step.name
                )));
            }
            step.check_settled()?;
        }
        Ok(())
    }
}

impl Step {
    /// Judges the time-out and the working directory that no parameter can change as they are
    /// judged when the step runs.
    fn check_settled(&self) -> Result<(), ApiError> {
        let (none, as_content) = (Values::new(), |error: ApiError| content(error.message));
        if !self.timeout_seconds.contains("{{") {
            timeout(self, &none).map_err(as_content)?;
        }
        if !self.working_directory.contains("{{") {
            working_directory(self, &none).map_err(as_content)?;
        }
        Ok(())
    }
}

fn script(step: &Step, values: &Values<'_>) -> String {
    let mut script = String::new();
    for line in &step.run_command {
        match whole_placeholder(line).and_then(|name| values.get(name)) {
            Some(list) => list.iter().for_each(|line| add(&mut script, line)),
            None => add(&mut script, &put(line, values)),
        }
    }
    script
}

fn add(script: &mut String, line: &str) {
    script.push_str(line);
    script.push('\n');
}

/// Where the step runs. Policies compare the parameter as it was given, so the path has to have its
/// one spelling. On Windows letter case below the drive stays as it was given: it names one folder
/// in either case, and a policy that denies one has to ignore case.
fn working_directory(step: &Step, values: &Values<'_>) -> Result<String, ApiError> {
    let path = put(&step.working_directory, values);
    if path.is_empty() || (step.interpreter == Interpreter::PowerShell && is_of_windows(&path)) {
        return Ok(path);
    }
    if step.interpreter == Interpreter::PowerShell && path.contains('\\') {
        return Err(invalid(format!(
            "the working directory of step {} is not in its one spelling: on Windows write a drive \
             in upper case and whole names between single backslashes, as in C:\\Program Files\\x, \
             and no short name such as PROGRA~1",
            step.name
        )));
    }
    let checked = canonical::check_path(&path);
    checked
        .map_err(|fault| invalid(format!("the working directory of step {} {fault}", step.name)))?;
    Ok(path)
}

/// Whether a path is one of Windows in its one spelling, but for letter case below the drive: a
/// drive in upper case, backslashes, no dots for folders, no short names (`PROGRA~1`).
fn is_of_windows(path: &str) -> bool {
    let Some((drive, rest)) = path.split_once(":\\") else { return false };
    let odd = |c: char| c.is_control() || "/:*?\"<>|".contains(c);
    let short = |name: &str| {
        name.split('~').skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let folder = |name: &str| {
        !name.is_empty() && !name.starts_with(' ') && !name.ends_with(['.', ' ']) && !short(name)
    };
    drive.len() == 1
        && drive.bytes().all(|b| b.is_ascii_uppercase())
        && !rest.contains(odd)
        && (rest.is_empty() || rest.split('\\').all(folder))
}

fn timeout(step: &Step, values: &Values<'_>) -> Result<u32, ApiError> {
    let text = put(&step.timeout_seconds, values);
    if text.is_empty() {
        return Ok(DEFAULT_TIMEOUT);
    }
    let seconds = text.parse().ok().filter(|seconds| (1..=MAX_TIMEOUT).contains(seconds));
    seconds.ok_or_else(|| {
        invalid(format!("the time-out of step {} must be 1 to {MAX_TIMEOUT} seconds", step.name))
    })
}

/// The name in a text that is nothing but `{{ name }}`.
fn whole_placeholder(text: &str) -> Option<&str> {
    let name = text.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
    (!name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
        .then_some(name)
}

/// The text with its placeholders replaced. What names no parameter stays: `{{` is also other
/// programs' notation.
fn put(text: &str, values: &Values<'_>) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find("{{") {
        out.push_str(&rest[..at]);
        let inside = rest[at + 2..].find("}}").map(|end| &rest[at + 2..at + 2 + end]);
        match inside.and_then(|name| Some((values.get(name.trim())?, name.len()))) {
            Some((value, length)) => {
                out.push_str(&joined(value));
                rest = &rest[at + 2 + length + 2..];
            }
            None => {
                out.push_str("{{");
                rest = &rest[at + 2..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// A list inside a line is what a shell takes for several words.
fn joined(values: &[String]) -> String {
    values.join(" ")
}

impl Parameter {
    /// The word for its type, as documents write it.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Text => "String",
            Kind::List => "StringList",
            Kind::Boolean => "Boolean",
            Kind::Integer => "Integer",
            Kind::Map => "StringMap",
            Kind::MapList => "MapList",
        }
    }
}
