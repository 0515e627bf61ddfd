//! What a session is to do, as amazon-ssm-agent reads it: a session document with its placeholders
//! filled in.
//!
//! # Invariants
//! - Parameters are empty, for the gateway has resolved the document already: the agent has nothing
//!   to fill in.
//! - A user other than `ssm-user` is always sent. The agent makes the account `ssm-user` by itself.
//! - What the agent cannot do is refused in words, never sent as something else.

use serde_json::{Value, json};

use crate::documents::{SessionPlan, quoted};

/// The account that the agent makes when it is told none.
const OWN_USER: &str = "ssm-user";

/// A session for an agent.
#[derive(Debug, Clone, Copy)]
pub struct SessionOrder<'a> {
    /// Its id.
    pub session: &'a str,
    /// Its document's name.
    pub document: &'a str,
    /// What to do.
    pub plan: &'a SessionPlan,
    /// The account; none leaves it to the agent.
    pub run_as: Option<&'a str>,
    /// ARN of the caller.
    pub owner: &'a str,
    /// What is typed into a shell before the user.
    pub profile: Option<&'a str>,
}

/// The content of `interactive_shell`.
///
/// # Errors
/// Words for the caller: the agent cannot do it.
pub fn session_content(order: &SessionOrder<'_>) -> Result<Value, &'static str> {
    let (kind, properties) = kind_and_properties(order.plan)?;
    let user = order.run_as.filter(|user| *user != OWN_USER);
    let mut document = json!({
        "schemaVersion": "1.0",
        "sessionType": kind,
        "inputs": { "runAsEnabled": user.is_some(), "runAsDefaultUser": user.unwrap_or_default() },
        "parameters": {},
    });
    if !properties.is_null() {
        document["properties"] = properties;
    }
    if let Some(profile) = order.profile.filter(|_| matches!(order.plan, SessionPlan::Shell { .. }))
    {
        // The agent on macOS reads what is for Linux.
        document["inputs"]["shellProfile"] = json!({ "linux": profile, "windows": profile });
    }
    Ok(json!({
        "DocumentName": order.document,
        "DocumentContent": document,
        "SessionId": order.session,
        "Parameters": {},
        "RunAsUser": user.unwrap_or_default(),
        "SessionOwner": order.owner,
    }))
}

fn kind_and_properties(plan: &SessionPlan) -> Result<(&'static str, Value), &'static str> {
    Ok(match plan {
        SessionPlan::Shell { .. } => (plan.session_type(), Value::Null),
        SessionPlan::InteractiveCommand { command } => (plan.session_type(), on_each(command)),
        SessionPlan::NonInteractiveCommand { command, separate_output, .. } => {
            (plan.session_type(), apart(by_shell(command), *separate_output))
        }
        SessionPlan::Exec { detach: true, .. } => {
            return Err("amazon-ssm-agent detaches no program: leave --detach out");
        }
        SessionPlan::Exec { argv, terminal: true, .. } => (plan.session_type(), of_arguments(argv)),
        SessionPlan::Exec { argv, .. } => (plan.session_type(), apart(of_arguments(argv), true)),
        SessionPlan::Port { .. } | SessionPlan::Ssh { .. } => {
            (plan.session_type(), plan.handshake_properties())
        }
        SessionPlan::Copy { .. } => {
            return Err("amazon-ssm-agent copies no files: use scp over `towline proxy`");
        }
    })
}

/// The command on each platform.
fn on_each(command: &str) -> Value {
    let branch = json!({ "commands": command, "runAsElevated": false });
    json!({ "linux": branch, "macos": branch, "windows": branch })
}

/// A command without a terminal on each platform. On Linux and macOS the agent reads it as a
/// program with its arguments, so the shell is named.
fn by_shell(command: &str) -> Value {
    let mut properties = on_each(command);
    let words = ["sh".to_owned(), "-c".to_owned(), command.to_owned()];
    for platform in ["linux", "macos"] {
        properties[platform]["commands"] = json!(quoted(&words));
    }
    properties
}

/// A program with its arguments on each platform: Windows reads the line by PowerShell.
fn of_arguments(argv: &[String]) -> Value {
    let mut properties = on_each(&quoted(argv));
    properties["windows"]["commands"] = json!(powershell(argv));
    properties
}

/// Arguments as one line that PowerShell reads as these arguments.
fn powershell(argv: &[String]) -> String {
    let word = |argument: &String| format!("'{}'", argument.replace('\'', "''"));
    format!("& {}", argv.iter().map(word).collect::<Vec<_>>().join(" "))
}

/// Whether outputs come apart, which each platform's branch says. An agent that keeps them together
/// sends no exit code. Prefixes are put in by the gateway (decision 143): the agent gets none.
fn apart(mut properties: Value, separate: bool) -> Value {
    for branch in properties.as_object_mut().into_iter().flat_map(|branches| branches.values_mut())
    {
        branch["separateOutputStream"] = json!(separate);
        branch["stdOutSeparatorPrefix"] = json!("");
        branch["stdErrSeparatorPrefix"] = json!("");
    }
    properties
}
