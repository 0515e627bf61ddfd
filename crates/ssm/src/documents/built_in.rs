//! The texts of the built-in documents, as GetDocument shows them.
//!
//! Data flow: [`super::BUILT_IN`] -> JSON in the form of AWS's own session documents; the command
//! documents stand in files as they are.
//!
//! # Invariants
//! - Made from the table that StartSession resolves with: parameters, defaults and patterns cannot
//!   differ from what counts.

use serde_json::{Map, Value, json};

use super::catalogue::{BUILT_IN, Document};
use super::content::Kind;
use super::names::{
    INTERACTIVE_COMMAND, NON_INTERACTIVE_COMMAND, PORT_FORWARDING, REMOTE_HOST_FORWARDING,
    RUN_SHELL, SSH_SESSION,
};
use crate::command_document::{
    RUN_POWERSHELL_SCRIPT, RUN_POWERSHELL_SCRIPT_TEXT, RUN_SHELL_SCRIPT, RUN_SHELL_SCRIPT_TEXT,
};

/// Beginnings of names that are not for own documents: those of AWS, and ours.
pub const RESERVED_PREFIXES: &[&str] = &["aws", "amazon", "amzn", "towline-"];

/// Command documents and their texts.
const COMMANDS: [(&str, &str); 2] = [
    (RUN_SHELL_SCRIPT, RUN_SHELL_SCRIPT_TEXT),
    (RUN_POWERSHELL_SCRIPT, RUN_POWERSHELL_SCRIPT_TEXT),
];

/// The kind and text (JSON) of a built-in document.
#[must_use]
pub fn text(name: &str) -> Option<(Kind, String)> {
    if let Some((_, text)) = COMMANDS.iter().find(|(own, _)| *own == name) {
        return Some((Kind::Command, (*text).to_owned()));
    }
    let document = BUILT_IN.iter().find(|document| document.name == name)?;
    Some((Kind::Session, format!("{:#}", session(document))))
}

/// The names of all built-in documents, sorted.
#[must_use]
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = BUILT_IN
        .iter()
        .map(|document| document.name)
        .chain(COMMANDS.map(|(name, _)| name))
        .collect();
    names.sort_unstable();
    names
}

/// Whether a name may not be given to an own document, nor in other letters. The shell document is
/// its owner's to replace.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    let small = name.to_ascii_lowercase();
    name != RUN_SHELL
        && (RESERVED_PREFIXES.iter().any(|prefix| small.starts_with(prefix))
            || names().iter().any(|known| known.eq_ignore_ascii_case(name)))
}

fn session(document: &Document) -> Value {
    let mut tree = json!({
        "schemaVersion": "1.0",
        "description": document.description,
        "sessionType": document.session_type,
    });
    if document.name == RUN_SHELL {
        tree["inputs"] = json!({});
        return tree;
    }
    let parameters: Map<String, Value> = document
        .parameters
        .iter()
        .map(|parameter| {
            let mut shown = json!({
                "type": if parameter.list { "StringList" } else { "String" },
                "allowedPattern": parameter.allowed_pattern,
            });
            if let Some(default) = parameter.default {
                shown["default"] = json!(default);
            }
            (parameter.name.to_owned(), shown)
        })
        .collect();
    tree["parameters"] = Value::Object(parameters);
    tree["properties"] = properties(document.name);
    tree
}

/// The same for each system.
fn on_each(branch: &Value) -> Value {
    json!({ "linux": branch, "macos": branch, "windows": branch })
}

fn properties(name: &str) -> Value {
    match name {
        INTERACTIVE_COMMAND => {
            on_each(&json!({ "commands": "{{ command }}", "runAsElevated": false }))
        }
        NON_INTERACTIVE_COMMAND => on_each(&json!({
            "commands": "{{ command }}",
            "runAsElevated": false,
            "separateOutputStream": "{{ separateOutputStream }}",
            "stdOutSeparatorPrefix": "{{ stdOutSeparatorPrefix }}",
            "stdErrSeparatorPrefix": "{{ stdErrSeparatorPrefix }}",
        })),
        PORT_FORWARDING => json!({
            "portNumber": "{{ portNumber }}", "localPortNumber": "{{ localPortNumber }}", "type": "LocalPortForwarding"
        }),
        REMOTE_HOST_FORWARDING => json!({
            "portNumber": "{{ portNumber }}", "localPortNumber": "{{ localPortNumber }}", "host": "{{ host }}",
            "type": "LocalPortForwarding"
        }),
        SSH_SESSION => json!({ "portNumber": "{{ portNumber }}" }),
        _ => json!({}),
    }
}
