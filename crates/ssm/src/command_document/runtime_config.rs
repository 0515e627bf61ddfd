//! Steps of documents of schema 1.2: `runtimeConfig` with the plugin `aws:runShellScript`.
//!
//! Data flow: `runtimeConfig` -> [`steps`] -> [`Step`]s as those of `mainSteps`.
//!
//! # Invariants
//! - One set of properties is one step, in order. A single step has the plugin's name, as at AWS;
//!   of several each has its `id`.
//! - Another plugin is refused by name. Schema 1.2 has no preconditions.

use serde_json::Value;

use super::refusal::content;
use super::step::{ACTION, Step, name_of};
use crate::error::ApiError;

pub(super) fn steps(value: &Value) -> Result<Vec<Step>, ApiError> {
    let plugins = value["runtimeConfig"].as_object().filter(|plugins| !plugins.is_empty());
    let plugins = plugins.ok_or_else(|| {
        content("runtimeConfig must be an object with the plugin aws:runShellScript")
    })?;
    if let Some(other) = plugins.keys().find(|name| *name != ACTION) {
        let shown: String = other.chars().take(64).collect();
        return Err(content(format!(
            "runtimeConfig: the plugin {shown:?} is not served by this gateway, which runs {ACTION}"
        )));
    }
    let properties = match plugins.get(ACTION).map(|plugin| &plugin["properties"]) {
        Some(Value::Array(sets)) if !sets.is_empty() => sets.as_slice(),
        Some(set @ Value::Object(_)) => std::slice::from_ref(set),
        _ => {
            return Err(content(format!(
                "runtimeConfig.{ACTION}.properties must be an object, or a list of objects"
            )));
        }
    };
    let at = format!("runtimeConfig.{ACTION}.properties.");
    let step = |set: &Value| {
        let name = if properties.len() == 1 { ACTION } else { name_of(&set["id"])? };
        Step::of_inputs(name, set, &at)
    };
    properties.iter().map(step).collect()
}
