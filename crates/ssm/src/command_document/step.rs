//! Steps of a document.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::refusal::content;
use crate::error::ApiError;

/// The one action there is.
const ACTION: &str = "aws:runShellScript";

/// What follows a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum After {
    /// The next step.
    #[default]
    Continue,
    /// The end: as well as this step went.
    Exit,
    /// The end, which counts as success.
    SuccessAndExit,
}

/// One step as it was written, its placeholders still in it.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its name, unique in the document.
    pub name: String,
    /// Lines of its script; one that is nothing but a list's placeholder becomes the list.
    pub run_command: Vec<String>,
    /// Where it runs.
    pub working_directory: String,
    /// Seconds, or a placeholder for them.
    pub timeout_seconds: String,
    /// What follows when it went well.
    pub on_success: After,
    /// What follows when it did not.
    pub on_failure: After,
    /// Runs whatever came before.
    pub finally: bool,
    /// It is for Linux, or for every platform.
    pub for_linux: bool,
}

impl Step {
    /// Reads a step.
    ///
    /// # Errors
    /// `InvalidDocumentContent`.
    pub(super) fn parse(value: &Value) -> Result<Self, ApiError> {
        let name = value["name"].as_str().unwrap_or_default();
        let good = (4..=128).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:".contains(&b));
        if !good {
            return Err(content("each step has a name of 4 to 128 letters, digits and _-.:"));
        }
        let wrong = |what: &str| content(format!("step {name}: {what}"));
        match value["action"].as_str() {
            Some(ACTION) => {}
            Some(_) => {
                return Err(wrong(
                    "its action is not served by this gateway, which runs aws:runShellScript",
                ));
            }
            None => return Err(wrong("it has no action")),
        }
        let inputs = &value["inputs"];
        let run_command = match &inputs["runCommand"] {
            Value::String(line) => vec![line.clone()],
            Value::Array(lines) if lines.iter().all(Value::is_string) && !lines.is_empty() => {
                lines.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => return Err(wrong("inputs.runCommand must be a list of lines")),
        };
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        let after = |key: &str| match inputs[key].as_str() {
            None => Ok(After::Continue),
            Some("exit") => Ok(After::Exit),
            Some("successAndExit") => Ok(After::SuccessAndExit),
            Some(_) => Err(wrong(&format!("{key} must be exit or successAndExit"))),
        };
        Ok(Self {
            name: name.to_owned(),
            run_command,
            working_directory: text(&inputs["workingDirectory"]),
            timeout_seconds: text(&inputs["timeoutSeconds"]),
            on_success: after("onSuccess")?,
            on_failure: after("onFailure")?,
            finally: inputs["finallyStep"].as_bool() == Some(true) || inputs["finallyStep"].as_str() == Some("true"),
            for_linux: for_linux(&value["precondition"]).ok_or_else(|| {
                wrong("its precondition must be {\"StringEquals\": [\"platformType\", \"Linux\"]} or absent")
            })?,
        })
    }
}

/// Whether a precondition lets Linux in; `None` for one that cannot be judged here.
fn for_linux(precondition: &Value) -> Option<bool> {
    if precondition.is_null() {
        return Some(true);
    }
    match precondition["StringEquals"].as_array()?.as_slice() {
        [Value::String(key), Value::String(platform)] if key == "platformType" => {
            Some(platform == "Linux")
        }
        _ => None,
    }
}
