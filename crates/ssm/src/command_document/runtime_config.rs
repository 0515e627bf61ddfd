//! Steps of documents of schema 1.2: `runtimeConfig` with the plugin `aws:runShellScript` or
//! `aws:runPowerShellScript`.
//!
//! Data flow: `runtimeConfig` -> [`steps`] -> [`Step`]s as those of `mainSteps`.
//!
//! # Invariants
//! - One set of properties is one step, in order. A single step has the plugin's name, as at AWS;
//!   of several each has its `id`.
//! - Another plugin is refused by name, and so are several: their order is not kept. Schema 1.2 has
//!   no preconditions.

use serde_json::Value;

use super::platform::Interpreter;
use super::refusal::content;
use super::step::{Step, name_of};
use crate::error::ApiError;

pub(super) fn steps(value: &Value) -> Result<Vec<Step>, ApiError> {
    let plugins = value["runtimeConfig"].as_object().filter(|plugins| !plugins.is_empty());
    let needs = "runtimeConfig must be an object with the plugin aws:runShellScript or \
                 aws:runPowerShellScript, and no other";
    let mut plugins = plugins.ok_or_else(|| content(needs))?.iter();
    let (Some((plugin, described)), None) = (plugins.next(), plugins.next()) else {
        return Err(content(needs));
    };
    let Some(interpreter) = Interpreter::of(plugin) else {
        let shown: String = plugin.chars().take(64).collect();
        return Err(content(format!(
            "runtimeConfig: the plugin {shown:?} is not served by this gateway, which runs \
             aws:runShellScript and aws:runPowerShellScript"
        )));
    };
    let properties = match &described["properties"] {
        Value::Array(sets) if !sets.is_empty() => sets.as_slice(),
        set @ Value::Object(_) => std::slice::from_ref(set),
        _ => {
            return Err(content(format!(
                "runtimeConfig.{plugin}.properties must be an object, or a list of objects"
            )));
        }
    };
    let at = format!("runtimeConfig.{plugin}.properties.");
    let step = |set: &Value| {
        let name = if properties.len() == 1 { plugin } else { name_of(&set["id"])? };
        Step::of_inputs(name, (interpreter, None), set, &at)
    };
    properties.iter().map(step).collect()
}
