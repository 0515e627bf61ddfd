//! What a session is to do, once its document and parameters are known.

use serde_json::{Value, json};

/// What a session is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionPlan {
    /// A login shell on a terminal.
    Shell {
        /// The local user, when the operator named one.
        run_as: Option<String>,
    },
    /// A program with arguments; without a terminal its standard streams are apart.
    Exec {
        /// Program and arguments; at least one, none with a NUL.
        argv: Vec<String>,
        /// The local user, when the operator named one.
        run_as: Option<String>,
        /// On a terminal, which its standard streams share.
        terminal: bool,
        /// Without input and output, until it ends or is terminated.
        detach: bool,
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
        /// Symbolic links are followed.
        follow: bool,
        /// The local user, when the operator named one.
        run_as: Option<String>,
    },
}

/// The `SessionType` of a session that needs no client.
pub const DETACHED: &str = "Detached";

impl SessionPlan {
    /// The `SessionType` of the data channel's handshake.
    #[must_use]
    pub const fn session_type(&self) -> &'static str {
        match self {
            Self::Shell { .. } => "Standard_Stream",
            Self::Exec { detach: true, .. } => DETACHED,
            Self::InteractiveCommand { .. } | Self::Exec { terminal: true, .. } => {
                "InteractiveCommands"
            }
            Self::Exec { .. } | Self::NonInteractiveCommand { .. } | Self::Copy { .. } => {
                "NonInteractiveCommands"
            }
            Self::Port { .. } | Self::Ssh { .. } => "Port",
        }
    }

    /// Whether it runs on a terminal.
    #[must_use]
    pub const fn has_terminal(&self) -> bool {
        matches!(
            self,
            Self::Shell { .. }
                | Self::InteractiveCommand { .. }
                | Self::Exec { terminal: true, .. }
        )
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
