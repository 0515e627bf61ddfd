//! What never changes about a session.

use tokio::time::Instant;
use towline_ssm::documents::DETACHED;
use towline_wire::message::Destination;

/// What never changes about a session.
#[derive(Debug, Clone)]
pub struct Meta {
    /// Its id.
    pub name: String,
    /// The device.
    pub device: String,
    /// ARN of its owner.
    pub owner: String,
    /// Whose share of the device it takes: the id of the user behind it, where it is known.
    pub share_of: String,
    /// What the AWS dialect calls its kind.
    pub session_type: &'static str,
    /// What the AWS dialect tells its client of it.
    pub properties: serde_json::Value,
    /// Where it leads, when it is a tunnel.
    pub tunnel: Option<Destination>,
    /// The AWS dialect keeps standard error apart.
    pub separate_output: bool,
    /// What a client of AWS sees before the text of standard output and standard error, where they
    /// are separate.
    pub prefixes: [String; 2],
    /// Ends it when nothing moves for so long.
    pub idle: std::time::Duration,
    /// When it ends whatever it does.
    pub end_at: Option<Instant>,
    /// How long it waits for a lost device or a lost client.
    pub grace: std::time::Duration,
    /// A step of a command: it has no row among the sessions and no watch, and one that was being
    /// opened when the link was lost may run all the same. What becomes of it is decided by
    /// [`crate::run_command`].
    pub step: bool,
    /// Its input is recorded, as far as the device says that it was echoed.
    pub input: bool,
}

impl Meta {
    /// It runs on a terminal.
    #[must_use]
    pub fn has_terminal(&self) -> bool {
        has_terminal(self.session_type)
    }

    /// It needs neither a client nor traffic nor a link.
    #[must_use]
    pub fn is_detached(&self) -> bool {
        self.session_type == DETACHED
    }
}

/// Whether sessions of this type, as stored, run on a terminal. Those of an older version have none
/// stored, and are shells.
pub(crate) fn has_terminal(session_type: &str) -> bool {
    matches!(session_type, "" | "Standard_Stream" | "InteractiveCommands")
}

/// The AWS dialect's name for what a session does, as stored; a shell's for a row of an older
/// version.
pub(super) fn session_type_of(stored: &str) -> &'static str {
    let names = ["InteractiveCommands", "NonInteractiveCommands", "Port", DETACHED];
    names.into_iter().find(|name| *name == stored).unwrap_or("Standard_Stream")
}
