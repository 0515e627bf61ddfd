//! The built-in session documents, and how a document with parameters becomes a plan.

use super::names::{
    INTERACTIVE_COMMAND, NON_INTERACTIVE_COMMAND, PORT_FORWARDING, REMOTE_HOST_FORWARDING,
    RUN_SHELL, SSH_SESSION, TOWLINE_COPY, TOWLINE_EXEC,
};
use super::parameter::{
    ARGV, COMMAND, DETACH, DIRECTION, FOLLOW, HOST, LOCAL_PORT, PATH, Parameter, Parameters,
    RUN_AS, SEPARATE, STDERR_PREFIX, STDOUT_PREFIX, TERMINAL, port,
};
use super::plan::SessionPlan;
use super::values::{Values, invalid};
use crate::error::{ApiError, ErrorCode};

/// A session document.
#[derive(Debug, Clone, Copy)]
pub struct Document {
    /// Its name.
    pub name: &'static str,
    /// The `sessionType` it would have in JSON.
    pub session_type: &'static str,
    /// For people.
    pub description: &'static str,
    /// What it takes.
    pub parameters: &'static [Parameter],
    plan: fn(&Values<'_>) -> Result<SessionPlan, ApiError>,
}

/// All built-in documents.
pub const BUILT_IN: &[Document] = &[
    Document {
        name: RUN_SHELL,
        session_type: "Standard_Stream",
        description: "A login shell on the device.",
        parameters: &[RUN_AS],
        plan: |values| Ok(SessionPlan::Shell { run_as: values.optional("runAsUser") }),
    },
    Document {
        name: INTERACTIVE_COMMAND,
        session_type: "InteractiveCommands",
        description: "One command on a terminal of the device.",
        parameters: &[COMMAND],
        plan: |values| Ok(SessionPlan::InteractiveCommand { command: values.command()? }),
    },
    Document {
        name: NON_INTERACTIVE_COMMAND,
        session_type: "NonInteractiveCommands",
        description: "One command on the device, without a terminal.",
        parameters: &[COMMAND, SEPARATE, STDOUT_PREFIX, STDERR_PREFIX],
        plan: |values| {
            Ok(SessionPlan::NonInteractiveCommand {
                command: values.command()?,
                separate_output: values.one("separateOutputStream").eq_ignore_ascii_case("true"),
                stdout_prefix: values.one("stdOutSeparatorPrefix").to_owned(),
                stderr_prefix: values.one("stdErrSeparatorPrefix").to_owned(),
            })
        },
    },
    Document {
        name: PORT_FORWARDING,
        session_type: "Port",
        description: "A TCP port of the device, made local.",
        parameters: &[port("portNumber", "80"), LOCAL_PORT],
        plan: |values| {
            Ok(SessionPlan::Port {
                host: None,
                port: values.port("portNumber"),
                local_port: values.port("localPortNumber"),
            })
        },
    },
    Document {
        name: REMOTE_HOST_FORWARDING,
        session_type: "Port",
        description: "A TCP port that the device can reach, made local.",
        parameters: &[HOST, port("portNumber", "80"), LOCAL_PORT],
        plan: |values| {
            Ok(SessionPlan::Port {
                host: values.optional("host"),
                port: values.port("portNumber"),
                local_port: values.port("localPortNumber"),
            })
        },
    },
    Document {
        name: SSH_SESSION,
        session_type: "Port",
        description: "A byte stream to the SSH server of the device.",
        parameters: &[port("portNumber", "22")],
        plan: |values| Ok(SessionPlan::Ssh { port: values.port("portNumber") }),
    },
    Document {
        name: TOWLINE_EXEC,
        session_type: "NonInteractiveCommands",
        description: "A program with arguments, its standard streams apart and its exit status passed on.",
        parameters: &[ARGV, RUN_AS, TERMINAL, DETACH],
        plan: |values| {
            let is_set = |name| values.one(name) == "true";
            if is_set("terminal") && is_set("detach") {
                return Err(invalid("what is detached has no terminal".to_owned()));
            }
            Ok(SessionPlan::Exec {
                argv: values.argv()?,
                run_as: values.optional("runAsUser"),
                terminal: is_set("terminal"),
                detach: is_set("detach"),
            })
        },
    },
    Document {
        name: TOWLINE_COPY,
        session_type: "NonInteractiveCommands",
        description: "Files of one place of the device, read or written as a user, without any server there.",
        parameters: &[PATH, DIRECTION, FOLLOW, RUN_AS],
        plan: |values| {
            Ok(SessionPlan::Copy {
                path: values.path()?,
                put: values.one("direction") == "put",
                follow: values.one("follow") == "true",
                run_as: values.optional("runAsUser"),
            })
        },
    },
];

/// The plan of a session: `document` as StartSession has it (absent means [`RUN_SHELL`]), with
/// these parameters.
///
/// # Errors
/// `InvalidDocument` when there is no such document, `InvalidParameters` when the parameters do not
/// fit it.
pub fn resolve(document: Option<&str>, parameters: &Parameters) -> Result<SessionPlan, ApiError> {
    let document = find(document.unwrap_or(RUN_SHELL))?;
    Values { document, given: parameters }.check()?;
    let values = Values { document, given: &effective(document, parameters) };
    (document.plan)(&values)
}

/// The values that count for a built-in document, for policies: defaults included, paths and hosts
/// in their one spelling. What was given and does not fit the document is left as it is:
/// [`resolve`] refuses it.
#[must_use]
pub fn effective(document: &Document, given: &Parameters) -> Parameters {
    let defaults = document
        .parameters
        .iter()
        .filter_map(|p| Some((p.name.to_owned(), vec![p.default?.to_owned()])));
    let given = given.iter().map(|(name, values)| {
        let parameter = document.parameters.iter().find(|p| p.name == name);
        let spelt = |value: &String| match parameter.map(|p| p.canonical(value)) {
            Some(Ok(canonical)) => canonical,
            Some(Err(_)) | None => value.clone(),
        };
        (name.clone(), values.iter().map(spelt).collect())
    });
    defaults.chain(given).collect()
}

/// A built-in document by its name.
///
/// # Errors
/// `InvalidDocument` when there is none.
pub fn find(name: &str) -> Result<&'static Document, ApiError> {
    BUILT_IN.iter().find(|document| document.name == name).ok_or_else(|| {
        ApiError::new(ErrorCode::InvalidDocument, "no session document of this name exists here")
    })
}
