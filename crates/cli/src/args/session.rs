//! The command line of `shell`, `attach`, `exec` and `sessions`.

use clap::Args;

use crate::terminal::escape::parse_character;

/// `shell`.
#[derive(Debug, Args)]
pub(crate) struct ShellArgs {
    /// Id, name, or tag:KEY=VALUE when one device matches
    #[arg(required_unless_present = "session", conflicts_with = "session")]
    pub device: Option<String>,
    /// The user on the device [file: user; else what the device's administrator set]
    #[arg(long, conflicts_with = "session")]
    pub user: Option<String>,
    /// Come back to this session
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    /// Why, for the audit trail
    #[arg(long, conflicts_with = "session")]
    pub reason: Option<String>,
    /// How the session looks from here.
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// `attach`.
#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    /// Its id, as `towline sessions` shows it
    pub session: String,
    /// How the session looks from here.
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// What belongs to a terminal at this end.
#[derive(Debug, Args)]
pub(crate) struct ScreenArgs {
    /// Begins an escape after a new line (~. ends, ~? helps); `none` for no escapes
    #[arg(long, value_name = "CHARACTER", default_value = "~")]
    escape_char: String,
}

impl ScreenArgs {
    /// The escape character; nothing for none.
    ///
    /// # Errors
    /// A sentence that says what is possible.
    pub(crate) fn escape(&self) -> Result<Option<u8>, String> {
        parse_character(&self.escape_char).map_err(|why| format!("--escape-char: {why}"))
    }
}

/// `exec`.
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// Id, name, or tag:KEY=VALUE when one device matches
    pub device: String,
    /// The user on the device [file: user; else what the device's administrator set]
    #[arg(long)]
    pub user: Option<String>,
    /// Why, for the audit trail
    #[arg(long)]
    pub reason: Option<String>,
    /// Do not read standard input: in loops that read it themselves, and in the background
    #[arg(short = 'n', long)]
    pub no_stdin: bool,
    /// The program and its arguments, as they are: no shell looks at them
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `sessions`.
#[derive(Debug, Args)]
pub(crate) struct SessionsArgs {
    /// Those that are over
    #[arg(long)]
    pub history: bool,
    /// Only those on this device: id, name, or tag:KEY=VALUE
    #[arg(long)]
    pub device: Option<String>,
    /// Only those of this owner (an ARN)
    #[arg(long)]
    pub owner: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}
