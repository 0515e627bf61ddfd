//! Command documents: schema 2.2 with `aws:runShellScript` steps, and what they mean with their
//! parameters.
//!
//! Way: a document's text -> [`CommandDocument::parse`] (all that could be wrong with it) ->
//! [`CommandDocument::bind`] with the parameters of SendCommand -> a [`Plan`] of steps, each a
//! script -> the gateway.
//!
//! # Invariants
//! - A plan holds only values that their parameter allows, and scripts of at most [`MAX_SCRIPT`]
//!   bytes.
//! - A parameter that the document does not have is refused, never ignored. So is what this gateway
//!   could not do as written: another action, another schema, a value from AWS's parameter store.
//! - Patterns are matched against the whole value, whatever anchors they have, and in linear time.
//!
//! # Not here
//! - Where documents are kept, and who may use them: the gateway. Their text (JSON or YAML):
//!   `crate::documents::content`.

mod binding;
mod parameter;
mod step;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::api::session::Parameters;
use crate::error::{ApiError, ErrorCode};
pub use parameter::Parameter;
pub use step::{After, Step};

/// The document of ad-hoc commands.
pub const RUN_SHELL_SCRIPT: &str = "AWS-RunShellScript";
/// Largest script of one step, bytes, with all its parameters in place: what an agent takes in one
/// buffer. AWS's documents have at most 64 KiB as well.
pub const MAX_SCRIPT: usize = 64 * 1024;
/// Most steps of one document.
pub const MAX_STEPS: usize = 32;
/// Most parameters of one document.
pub const MAX_PARAMETERS: usize = 64;
/// Longest `timeoutSeconds` of a step, as at AWS: two days.
pub const MAX_TIMEOUT: u32 = 172_800;
/// Seconds that a step may take when its document does not say.
pub const DEFAULT_TIMEOUT: u32 = 3600;

/// What is run by [`RUN_SHELL_SCRIPT`].
pub const RUN_SHELL_SCRIPT_TEXT: &str = include_str!("run_shell_script.json");

/// A document that was read and is good.
#[derive(Debug, Clone)]
pub struct CommandDocument {
    /// For people.
    pub description: String,
    /// What it takes, by name.
    pub parameters: BTreeMap<String, Parameter>,
    /// What it does, in order.
    pub steps: Vec<Step>,
}

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
    /// The script, at most [`MAX_SCRIPT`] bytes.
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
}

impl Plan {
    /// Seconds that all steps together may take.
    #[must_use]
    pub fn timeout(&self) -> u64 {
        self.steps.iter().map(|step| u64::from(step.timeout)).sum()
    }
}

impl CommandDocument {
    /// The parameters that count: those given, and the defaults of the others. Not yet judged.
    #[must_use]
    pub fn effective(&self, given: &Parameters) -> Parameters {
        let defaults =
            self.parameters.iter().filter_map(|(name, p)| Some((name.clone(), p.default.clone()?)));
        defaults.chain(given.iter().map(|(name, values)| (name.clone(), values.clone()))).collect()
    }

    /// Reads a document.
    ///
    /// # Errors
    /// `InvalidDocumentContent` with what is wrong with it.
    pub fn parse(value: &Value) -> Result<Self, ApiError> {
        match value["schemaVersion"].as_str() {
            Some("2.2" | "2.0") => {}
            Some(other) => {
                return Err(content(format!(
                    "schemaVersion {other:?} is not served: write a document of schema 2.2"
                )));
            }
            None => {
                return Err(content("the document has no schemaVersion, which must be \"2.2\""));
            }
        }
        let mut parameters = BTreeMap::new();
        for (name, described) in members(value, "parameters")? {
            parameters.insert(name.clone(), Parameter::parse(name, described)?);
        }
        if parameters.len() > MAX_PARAMETERS {
            return Err(content(format!("the document has more than {MAX_PARAMETERS} parameters")));
        }
        let steps = value["mainSteps"].as_array().filter(|steps| !steps.is_empty());
        let steps =
            steps.ok_or_else(|| content("mainSteps must be a list of at least one step"))?;
        if steps.len() > MAX_STEPS {
            return Err(content(format!("the document has more than {MAX_STEPS} steps")));
        }
        let steps = steps.iter().map(Step::parse).collect::<Result<Vec<_>, _>>()?;
        for (at, step) in steps.iter().enumerate() {
            if steps[..at].iter().any(|earlier| earlier.name == step.name) {
                return Err(content(format!("two steps are called {}", step.name)));
            }
        }
        let description = value["description"].as_str().unwrap_or_default().to_owned();
        let document = Self { description, parameters, steps };
        document.check_placeholders()?;
        Ok(document)
    }
}

/// The members of an object that may be absent.
fn members<'a>(
    value: &'a Value,
    name: &str,
) -> Result<impl Iterator<Item = (&'a String, &'a Value)>, ApiError> {
    let object = match &value[name] {
        Value::Null => None,
        Value::Object(members) => Some(members),
        _ => return Err(content(format!("{name} must be an object"))),
    };
    Ok(object.into_iter().flatten())
}

fn content(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidDocumentContent, message)
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidParameters, message)
}
