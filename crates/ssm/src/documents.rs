//! The built-in session documents: what each is called, which parameters it takes, and what session
//! it means.
//!
//! Way: StartSession's `DocumentName` and `Parameters` -> [`resolve`] -> [`SessionPlan`] -> the
//! gateway's grant.
//!
//! # Invariants
//! - A plan holds only values that passed the `allowedPattern` of their parameter and the limits
//!   below, so whatever is put into a grant fits a frame of the wire.
//! - A parameter that the document does not have is refused, never ignored: a misspelt restriction
//!   must not vanish.
//!
//! # Not here
//! - No permission and no user look-up. Which plans are served, and as whom, is decided by the
//!   gateway and the device.

pub mod built_in;
pub mod content;
pub mod own;
pub mod preferences;
pub mod yaml;

use serde_json::{Value, json};

use crate::api::session::Parameters;
use crate::error::{ApiError, ErrorCode};

/// The shell document: what runs when no document is named.
pub const RUN_SHELL: &str = "SSM-SessionManagerRunShell";
/// A command on a terminal.
pub const INTERACTIVE_COMMAND: &str = "AWS-StartInteractiveCommand";
/// A command without a terminal.
pub const NON_INTERACTIVE_COMMAND: &str = "AWS-StartNonInteractiveCommand";
/// A TCP port of the device.
pub const PORT_FORWARDING: &str = "AWS-StartPortForwardingSession";
/// A TCP port that the device can reach.
pub const REMOTE_HOST_FORWARDING: &str = "AWS-StartPortForwardingSessionToRemoteHost";
/// A byte stream to the device's SSH server.
pub const SSH_SESSION: &str = "AWS-StartSSHSession";
/// Our own: a program with its arguments as they are, standard streams apart, exit status passed
/// on.
pub const TOWLINE_EXEC: &str = "Towline-Exec";

/// Our own: files of one place of the device, read or written as a user.
pub const TOWLINE_COPY: &str = "Towline-Copy";

/// Longest command text, and longest sum of all arguments, in bytes. One wire frame has 16 KiB;
/// grant, names and environment need their share of it.
pub const MAX_COMMAND_BYTES: usize = 12 * 1024;
/// Longest path of [`TOWLINE_COPY`], bytes: Linux takes no longer one.
pub const MAX_PATH_BYTES: usize = 4095;
/// Most arguments of [`TOWLINE_EXEC`], program included.
pub const MAX_ARGUMENTS: usize = 256;

/// What a session is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionPlan {
    /// A login shell on a terminal.
    Shell {
        /// The local user, when the operator named one.
        run_as: Option<String>,
    },
    /// A program with arguments, no terminal, standard streams apart.
    Exec {
        /// Program and arguments; at least one, none with a NUL.
        argv: Vec<String>,
        /// The local user, when the operator named one.
        run_as: Option<String>,
    },
    /// A shell command on a terminal.
    InteractiveCommand {
        /// Text for a shell.
        command: String,
    },
    /// A shell command without a terminal.
    NonInteractiveCommand {
        /// Text for a shell.
        command: String,
        /// Whether standard error goes its own way.
        separate_output: bool,
        /// Put in front of standard output.
        stdout_prefix: String,
        /// Put in front of standard error.
        stderr_prefix: String,
    },
    /// A TCP connection from the device.
    Port {
        /// Where to; the device itself when absent.
        host: Option<String>,
        /// Port there.
        port: u16,
        /// Port at the operator; 0 lets the system choose.
        local_port: u16,
    },
    /// A byte stream to an SSH server on the device.
    Ssh {
        /// Its port.
        port: u16,
    },
    /// Files of one place of the device.
    Copy {
        /// A file or folder.
        path: String,
        /// Written, not read.
        put: bool,
        /// The local user, when the operator named one.
        run_as: Option<String>,
    },
}

impl SessionPlan {
    /// The `SessionType` of the data channel's handshake.
    #[must_use]
    pub const fn session_type(&self) -> &'static str {
        match self {
            Self::Shell { .. } => "Standard_Stream",
            Self::InteractiveCommand { .. } => "InteractiveCommands",
            Self::Exec { .. } | Self::NonInteractiveCommand { .. } | Self::Copy { .. } => {
                "NonInteractiveCommands"
            }
            Self::Port { .. } | Self::Ssh { .. } => "Port",
        }
    }

    /// Whether it shows something that is worth recording. Tunnels and copies are no sight: what
    /// they lead to and carry stands in the audit trail.
    #[must_use]
    pub const fn is_shown(&self) -> bool {
        !matches!(self, Self::Port { .. } | Self::Ssh { .. } | Self::Copy { .. })
    }

    /// The `Properties` of the data channel's handshake. Clients read them for ports only, and
    /// there as text; without `type` they take standard input and output for the stream, as SSH
    /// wants it.
    #[must_use]
    pub fn handshake_properties(&self) -> Value {
        match self {
            Self::Port { host, port, local_port } => {
                let mut properties = json!({
                    "portNumber": port.to_string(),
                    "localPortNumber": local_port.to_string(),
                    "type": "LocalPortForwarding",
                });
                if let Some(host) = host {
                    properties["host"] = json!(host);
                }
                properties
            }
            Self::Ssh { port } => json!({ "portNumber": port.to_string() }),
            Self::Shell { .. }
            | Self::Exec { .. }
            | Self::InteractiveCommand { .. }
            | Self::NonInteractiveCommand { .. }
            | Self::Copy { .. } => Value::Null,
        }
    }
}

/// One parameter of a document.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its value when it is not given; none means that it must be.
    pub default: Option<&'static str>,
    /// What its values must match, in the notation of AWS's documents.
    pub allowed_pattern: &'static str,
    /// The same as code; a test holds the two together.
    pub allows: fn(&str) -> bool,
    /// Whether it may have several values, in order.
    pub list: bool,
}

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

const RUN_AS: Parameter = Parameter {
    name: "runAsUser",
    default: Some(""),
    allowed_pattern: "^([a-z_][a-z0-9_.-]{0,30}[$]?)?$",
    allows: |value| value.is_empty() || is_local_user(value),
    list: false,
};
const COMMAND: Parameter = Parameter {
    name: "command",
    default: None,
    allowed_pattern: "^[^\\x00]+$",
    allows: |value| !value.is_empty() && !value.contains('\0'),
    list: false,
};
const SEPARATE: Parameter = Parameter {
    name: "separateOutputStream",
    default: Some("false"),
    allowed_pattern: "^(true|false)$",
    allows: |value| matches!(value.to_ascii_lowercase().as_str(), "true" | "false"),
    list: false,
};
const STDOUT_PREFIX: Parameter = prefix("stdOutSeparatorPrefix");
const STDERR_PREFIX: Parameter = prefix("stdErrSeparatorPrefix");

const fn prefix(name: &'static str) -> Parameter {
    Parameter {
        name,
        default: Some(""),
        allowed_pattern: "^[a-zA-Z0-9\\r\\n_:-]{0,30}$",
        allows: |value| {
            value.len() <= 30
                && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"\r\n_:-".contains(&b))
        },
        list: false,
    }
}

const fn port(name: &'static str, default: &'static str) -> Parameter {
    Parameter {
        name,
        default: Some(default),
        allowed_pattern: "^([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$",
        allows: |value| port_number(value).is_some_and(|port| port != 0),
        list: false,
    }
}

const LOCAL_PORT: Parameter = Parameter {
    name: "localPortNumber",
    default: Some("0"),
    allowed_pattern: "^(0|[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])?$",
    allows: |value| value.is_empty() || port_number(value).is_some(),
    list: false,
};
const HOST: Parameter = Parameter {
    name: "host",
    default: None,
    allowed_pattern: "^[0-9A-Za-z._:-]{1,253}$",
    allows: |value| {
        (1..=253).contains(&value.len())
            && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(&b))
    },
    list: false,
};
const PATH: Parameter = Parameter {
    name: "path",
    default: None,
    allowed_pattern: "^[^\\x00]+$",
    allows: |value| !value.is_empty() && !value.contains('\0'),
    list: false,
};
const DIRECTION: Parameter = Parameter {
    name: "direction",
    default: None,
    allowed_pattern: "^(get|put)$",
    allows: |value| matches!(value, "get" | "put"),
    list: false,
};
const ARGV: Parameter = Parameter {
    name: "argv",
    default: None,
    allowed_pattern: "^[^\\x00]*$",
    allows: |value| !value.contains('\0'),
    list: true,
};

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
        parameters: &[ARGV, RUN_AS],
        plan: |values| {
            Ok(SessionPlan::Exec { argv: values.argv()?, run_as: values.optional("runAsUser") })
        },
    },
    Document {
        name: TOWLINE_COPY,
        session_type: "NonInteractiveCommands",
        description: "Files of one place of the device, read or written as a user, without any server there.",
        parameters: &[PATH, DIRECTION, RUN_AS],
        plan: |values| {
            Ok(SessionPlan::Copy {
                path: values.path()?,
                put: values.one("direction") == "put",
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
    let values = Values { document, given: parameters };
    values.check()?;
    (document.plan)(&values)
}

/// The values that count for a built-in document, defaults included, for policies. What was given
/// and does not fit the document is left as it is: [`resolve`] refuses it.
#[must_use]
pub fn effective(document: &Document, given: &Parameters) -> Parameters {
    let defaults = document
        .parameters
        .iter()
        .filter_map(|p| Some((p.name.to_owned(), vec![p.default?.to_owned()])));
    defaults.chain(given.iter().map(|(name, values)| (name.clone(), values.clone()))).collect()
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

/// The parameters of a request, seen through their document.
struct Values<'a> {
    document: &'static Document,
    given: &'a Parameters,
}

impl Values<'_> {
    fn check(&self) -> Result<(), ApiError> {
        let name = self.document.name;
        for (key, values) in self.given {
            let Some(parameter) = self.document.parameters.iter().find(|p| p.name == key) else {
                return Err(invalid(format!(
                    "{name} has no parameter of one of the given names; it takes {}",
                    self.names()
                )));
            };
            if !parameter.list && values.len() != 1 {
                return Err(invalid(format!("{} takes exactly one value", parameter.name)));
            }
            if !values.iter().all(|value| (parameter.allows)(value)) {
                return Err(invalid(format!(
                    "{} must match {}",
                    parameter.name, parameter.allowed_pattern
                )));
            }
        }
        let missing = self
            .document
            .parameters
            .iter()
            .find(|p| p.default.is_none() && !self.given.contains_key(p.name));
        missing.map_or(Ok(()), |p| Err(invalid(format!("{name} needs the parameter {}", p.name))))
    }

    fn names(&self) -> String {
        self.document.parameters.iter().map(|p| p.name).collect::<Vec<_>>().join(", ")
    }

    fn one(&self, name: &str) -> &str {
        let default =
            self.document.parameters.iter().find(|p| p.name == name).and_then(|p| p.default);
        self.given
            .get(name)
            .and_then(|values| values.first())
            .map_or(default.unwrap_or_default(), String::as_str)
    }

    fn optional(&self, name: &str) -> Option<String> {
        Some(self.one(name)).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    fn port(&self, name: &str) -> u16 {
        port_number(self.one(name)).unwrap_or(0)
    }

    fn command(&self) -> Result<String, ApiError> {
        let command = self.one("command");
        if command.len() > MAX_COMMAND_BYTES {
            return Err(invalid(format!("command must be at most {MAX_COMMAND_BYTES} bytes long")));
        }
        Ok(command.to_owned())
    }

    fn path(&self) -> Result<String, ApiError> {
        let path = self.one("path");
        if path.len() > MAX_PATH_BYTES {
            return Err(invalid(format!("path must be at most {MAX_PATH_BYTES} bytes long")));
        }
        Ok(path.to_owned())
    }

    fn argv(&self) -> Result<Vec<String>, ApiError> {
        let argv = self.given.get("argv").cloned().unwrap_or_default();
        if argv.first().is_none_or(String::is_empty) {
            return Err(invalid("argv must begin with the name of a program".to_owned()));
        }
        let bytes: usize = argv.iter().map(|argument| argument.len() + 1).sum();
        if argv.len() > MAX_ARGUMENTS || bytes > MAX_COMMAND_BYTES {
            let limits = format!(
                "argv must have at most {MAX_ARGUMENTS} arguments and {MAX_COMMAND_BYTES} bytes"
            );
            return Err(invalid(limits));
        }
        Ok(argv)
    }
}

fn invalid(message: String) -> ApiError {
    ApiError::new(ErrorCode::InvalidParameters, message)
}

fn port_number(text: &str) -> Option<u16> {
    let plain = (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    (plain && canonical).then(|| text.parse().ok())?
}

/// User names as `useradd` takes them, with the dots that directories add.
fn is_local_user(name: &str) -> bool {
    let stem = name.strip_suffix('$').unwrap_or(name).as_bytes();
    let Some((first, rest)) = stem.split_first() else { return false };
    let good = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(b);
    rest.len() <= 30 && (first.is_ascii_lowercase() || *first == b'_') && rest.iter().all(good)
}
