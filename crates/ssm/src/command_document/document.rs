//! Reading a command document: its parameters, its steps, and that they fit each other.

use std::collections::BTreeMap;

use serde_json::Value;
use towline_policy::first_clash;

use super::limits::{MAX_PARAMETERS, MAX_STEPS};
use super::parameter::Parameter;
use super::platform::{Host, Platform, skipped};
use super::refusal::content;
use super::runtime_config;
use super::step::Step;
use crate::documents::Parameters;
use crate::error::ApiError;

/// The document of ad-hoc commands for PowerShell.
pub const RUN_POWERSHELL_SCRIPT: &str = "AWS-RunPowerShellScript";
/// What is run by [`RUN_POWERSHELL_SCRIPT`].
pub const RUN_POWERSHELL_SCRIPT_TEXT: &str = include_str!("run_powershell_script.json");
/// Schema versions of command documents, all of which run.
pub const SCHEMAS: &[&str] = &["2.2", "2.0", "1.2"];
/// The document of ad-hoc commands.
pub const RUN_SHELL_SCRIPT: &str = "AWS-RunShellScript";
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

impl CommandDocument {
    /// The parameters that count: those given, and the defaults of the others. Not yet judged.
    #[must_use]
    pub fn effective(&self, given: &Parameters) -> Parameters {
        let defaults =
            self.parameters.iter().filter_map(|(name, p)| Some((name.clone(), p.default.clone()?)));
        defaults.chain(given.iter().map(|(name, values)| (name.clone(), values.clone()))).collect()
    }

    /// The platforms that one of its steps runs on, with an agent that has all interpreters.
    #[must_use]
    pub fn platforms(&self) -> Vec<Platform> {
        let runs = |step: &Step, host| {
            step.skipped.is_none()
                && skipped(&step.name, step.only_on.as_ref(), step.interpreter, host).is_none()
        };
        let host = |platform| Host { platform, powershell: true };
        let has_step =
            |platform: &Platform| self.steps.iter().any(|step| runs(step, host(*platform)));
        Platform::ALL.into_iter().filter(has_step).collect()
    }

    /// Reads a document.
    ///
    /// # Errors
    /// `InvalidDocumentContent` with what is wrong with it.
    pub fn parse(value: &Value) -> Result<Self, ApiError> {
        let version = value["schemaVersion"].as_str().unwrap_or_default();
        if !SCHEMAS.contains(&version) {
            return Err(content(format!("schemaVersion must be one of {}", SCHEMAS.join(", "))));
        }
        let mut parameters = BTreeMap::new();
        for (name, described) in members(value, "parameters")? {
            parameters.insert(name.clone(), Parameter::parse(name, described)?);
        }
        if let Some((one, other)) = first_clash(parameters.keys().map(String::as_str)) {
            return Err(content(format!(
                "parameters {one} and {other} differ in letter case only"
            )));
        }
        if parameters.len() > MAX_PARAMETERS {
            return Err(content(format!("the document has more than {MAX_PARAMETERS} parameters")));
        }
        let steps =
            if version == "1.2" { runtime_config::steps(value)? } else { main_steps(value)? };
        if steps.len() > MAX_STEPS {
            return Err(content(format!("the document has more than {MAX_STEPS} steps")));
        }
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

    /// Whether each step can be told from the others by its name and by the folder of its output.
    /// Asked of a text that is to be stored; older ones run without it.
    ///
    /// # Errors
    /// `InvalidDocumentContent` with the two steps that cannot.
    pub fn check_names(&self) -> Result<(), ApiError> {
        let names = self.steps.iter().map(|step| step.name.as_str());
        if let Some((one, other)) = first_clash(names) {
            return Err(content(format!("steps {one} and {other} differ in letter case only")));
        }
        for (at, step) in self.steps.iter().enumerate() {
            let same = |earlier: &&Step| earlier.folder() == step.folder();
            if let Some(earlier) = self.steps[..at].iter().find(same) {
                return Err(content(format!(
                    "steps {} and {} have one folder of output, which has no colons: give them \
                     names that differ in more than colons",
                    earlier.name, step.name
                )));
            }
        }
        Ok(())
    }
}

/// The steps of schema 2.0 and 2.2.
fn main_steps(value: &Value) -> Result<Vec<Step>, ApiError> {
    let steps = value["mainSteps"].as_array().filter(|steps| !steps.is_empty());
    let steps = steps.ok_or_else(|| content("mainSteps must be a list of at least one step"))?;
    steps.iter().take(MAX_STEPS + 1).map(Step::parse).collect()
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
