//! The command line of `shell`, `attach`, `exec` and `sessions`.

use super::value::parse_user;
use clap::Args;

use crate::terminal::escape::parse_character;

/// `shell`.
#[derive(Debug, Args)]
pub(crate) struct ShellArgs {
    /// Device: id, name, or tag:KEY=VALUE if exactly one device matches
    #[arg(required_unless_present = "session", conflicts_with = "session")]
    pub device: Option<String>,
    /// User on the device [file: user; default: set by the device's administrator]
    #[arg(long, conflicts_with = "session", value_parser = parse_user)]
    pub user: Option<String>,
    /// Reattach to this session
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    /// Reason, for the audit trail
    #[arg(long, conflicts_with = "session")]
    pub reason: Option<String>,
    /// The local terminal.
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// `attach`.
#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    /// Session id, as listed by `towline sessions`
    pub session: String,
    /// The local terminal.
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// Options of the local terminal.
#[derive(Debug, Args)]
pub(crate) struct ScreenArgs {
    /// Escape character after a newline (~. disconnects, ~? shows help), or `none`
    #[arg(long, value_name = "CHARACTER", default_value = "~")]
    escape_char: String,
}

impl ScreenArgs {
    /// The escape character; nothing for none.
    ///
    /// # Errors
    /// What is expected, as a sentence.
    pub(crate) fn escape(&self) -> Result<Option<u8>, String> {
        parse_character(&self.escape_char).map_err(|why| format!("--escape-char: {why}"))
    }
}

/// `watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Session id, as listed by `towline sessions`
    pub session: String,
    /// Do not tell the session's owner; needs the right towline:WatchSessionUnseen
    #[arg(long)]
    pub unseen: bool,
}

/// `exec`.
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// Device: id, name, or tag:KEY=VALUE if exactly one device matches
    pub device: String,
    /// User on the device [file: user; default: set by the device's administrator]
    #[arg(long, value_parser = parse_user)]
    pub user: Option<String>,
    /// Reason, for the audit trail
    #[arg(long)]
    pub reason: Option<String>,
    /// Do not read standard input, for shell loops and background jobs
    #[arg(short = 'n', long)]
    pub no_stdin: bool,
    /// Run the program on a terminal, like a shell (for top, editors, password prompts)
    #[arg(short = 't', long, conflicts_with = "no_stdin")]
    pub terminal: bool,
    /// Leave the program running without input and output, until it ends or `terminate` (the
    /// device must allow it: sessions.allow_detach); prints the session
    #[arg(long, conflicts_with = "terminal")]
    pub detach: bool,
    /// Program and arguments, passed unchanged: no shell interprets them
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `sessions`.
#[derive(Debug, Args)]
pub(crate) struct SessionsArgs {
    /// Only programs that run detached
    #[arg(long)]
    pub detached: bool,
    /// Ended sessions
    #[arg(long)]
    pub history: bool,
    /// Only sessions on this device: id, name, or tag:KEY=VALUE
    #[arg(long)]
    pub device: Option<String>,
    /// Only sessions of this owner (ARN)
    #[arg(long)]
    pub owner: Option<String>,
    /// Maximum number of sessions
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}
