//! The command line: what may be written.
//!
//! # Invariants
//! - A secret is never an argument: others on the machine could read it.
//! - Each message about a wrong argument says what would be right.

pub(crate) mod admin;
pub(crate) mod evidence;
pub(crate) mod identity;
pub(crate) mod policy;
pub(crate) mod run;
pub(crate) mod tunnel;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::config::Flags;
use crate::terminal::escape::parse_character;

/// Shell access to devices that only dial out.
#[derive(Debug, Parser)]
#[command(name = "towline", version, about, arg_required_else_help = true, propagate_version = true, after_help = crate::exit::help())]
pub(crate) struct Cli {
    /// Where the gateway is and how to answer.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// The gateway, https://HOST[:PORT] [env: TOWLINE_ENDPOINT, AWS_ENDPOINT_URL_SSM; file:
    /// endpoint]
    #[arg(long, global = true, value_name = "URL")]
    pub endpoint: Option<String>,
    /// The authorities to trust, a PEM file [env: TOWLINE_CA, AWS_CA_BUNDLE; file: ca]
    #[arg(long, global = true, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The region for signatures [env: AWS_REGION]
    #[arg(long, global = true)]
    pub region: Option<String>,
    /// The profile of ~/.aws/credentials and ~/.aws/config [env: AWS_PROFILE]
    #[arg(long, global = true)]
    pub profile: Option<String>,
    /// How to answer
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

impl Global {
    /// The part of them that settings are made of.
    #[must_use]
    pub(crate) fn flags(&self) -> Flags {
        Flags {
            endpoint: self.endpoint.clone(),
            ca: self.ca.clone(),
            region: self.region.clone(),
            profile: self.profile.clone(),
        }
    }
}

/// Form of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// The API's own objects.
    Json,
}

/// All commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List devices
    Devices(DevicesArgs),
    /// Open a shell on a device, or come back to one
    Shell(ShellArgs),
    /// Run a program on a device, without a terminal
    Exec(ExecArgs),
    /// Run a command on many devices, and say what came out
    Run(run::RunArgs),
    /// Come back to a shell that goes on: the same as shell --session
    Attach(AttachArgs),
    /// Make a port of a device, or one that it reaches, a local one
    Forward(tunnel::ForwardArgs),
    /// Connect standard input and output to a port of a device: a ProxyCommand for ssh
    Proxy(tunnel::ProxyArgs),
    /// Copy files and folders to or from a device; no server is needed there
    Cp(tunnel::CopyArgs),
    /// Print the lines for ~/.ssh/config with which ssh, scp, sftp and rsync reach devices
    SshConfig {
        /// Only the pattern for ids: asks no gateway for names
        #[arg(long)]
        only_ids: bool,
    },
    /// List sessions
    Sessions(SessionsArgs),
    /// End a session
    Terminate {
        /// Its id, as `towline sessions` shows it
        session: String,
    },
    /// List ended sessions: who, where, how long, why over, where the recording is
    Logs(evidence::LogsArgs),
    /// Play the recording of a session in this terminal
    Play(evidence::PlayArgs),
    /// Write the recording of a session as asciicast, text or JSON
    Export(evidence::ExportArgs),
    /// List what a session executed, with exit codes and durations
    Commands(evidence::CommandsArgs),
    /// Show who did what: the audit trail, newest first
    Audit(evidence::AuditArgs),
    /// Check that recordings are what was recorded; files and folders without a gateway
    Verify(evidence::VerifyArgs),
    /// Let new devices in
    #[command(subcommand)]
    Activation(ActivationCommand),
    /// Set, remove or show the tags of a device
    Tag(TagArgs),
    /// Users, groups, roles, access keys, policies, device keys
    #[command(subcommand)]
    Admin(admin::AdminCommand),
    /// Ask for access to devices for a time, decide about it, get its credentials
    #[command(subcommand)]
    Access(identity::AccessCommand),
    /// Say as whom the gateway knows you
    Whoami,
    /// Check and test policies; ask who may do what on a device
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Print the profile with which AWS's tools (AWS CLI, boto3) find the gateway, or write it
    ///
    /// The profile is named by --profile, `towline` when it is not. It holds no access key: see
    /// docs/aws-tools.md.
    AwsConfig {
        /// Add it to ~/.aws/config [env: AWS_CONFIG_FILE]
        #[arg(long)]
        write: bool,
    },
    /// Print completions for a shell
    Completions {
        /// For which shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print the manual page, or write a page for each command
    Man {
        /// Write towline.1, towline-shell.1 and so on into this folder
        #[arg(long, value_name = "FOLDER")]
        dir: Option<std::path::PathBuf>,
    },
}

/// `devices`.
#[derive(Debug, Args)]
pub(crate) struct DevicesArgs {
    /// Only those with this tag; may be repeated, all must match
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_tag)]
    pub tag: Vec<(String, String)>,
    /// Only those in this state
    #[arg(long, value_enum)]
    pub state: Option<DeviceState>,
    /// Only those whose agent is older than VERSION [default: than the newest agent of any device]
    #[arg(long, value_name = "VERSION", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub outdated: Option<String>,
}

/// States of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeviceState {
    /// Connected.
    Online,
    /// Not connected.
    Offline,
    /// Waiting for approval.
    Pending,
    /// Its key was seen twice at once.
    Quarantined,
}

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

/// `activation`.
#[derive(Debug, Subcommand)]
pub(crate) enum ActivationCommand {
    /// Make an activation: its code is shown this once
    Create(ActivationArgs),
    /// List activations
    List,
    /// Remove an activation; devices that came in with it stay
    Delete {
        /// Its id
        id: String,
    },
}

/// `activation create`.
#[derive(Debug, Args)]
pub(crate) struct ActivationArgs {
    /// For people
    #[arg(long)]
    pub description: Option<String>,
    /// Name of its devices when they bring none
    #[arg(long)]
    pub name: Option<String>,
    /// How many devices it lets in
    #[arg(long, default_value_t = 1)]
    pub limit: u16,
    /// For how long: a number and s, m, h or d [default: the gateway's, a day]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub expires_in: Option<u64>,
    /// A tag that its devices get; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_tag)]
    pub tag: Vec<(String, String)>,
    /// Its devices wait until an administrator lets them in
    #[arg(long)]
    pub approval: bool,
    /// Only from addresses in this range
    #[arg(long, value_name = "CIDR")]
    pub from: Option<String>,
    /// The label that AWS's API requires
    #[arg(long, default_value = "towline")]
    pub iam_role: String,
}

/// `tag`.
#[derive(Debug, Args)]
pub(crate) struct TagArgs {
    /// Id, name, or tag:KEY=VALUE when one device matches
    pub device: String,
    /// Tags to set; without any, and without --remove, the tags are shown
    #[arg(value_name = "KEY=VALUE", value_parser = parse_tag)]
    pub set: Vec<(String, String)>,
    /// A tag to remove; may be repeated
    #[arg(long, value_name = "KEY")]
    pub remove: Vec<String>,
}

/// `KEY=VALUE`; the value may be empty and may hold more of `=`.
pub(crate) fn parse_tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a tag is written KEY=VALUE".to_owned()),
    }
}

/// A number of seconds from `90s`, `15m`, `12h` or `30d`.
fn parse_duration(text: &str) -> Result<u64, String> {
    let bad = || "a duration is a number and s, m, h or d, for example 12h".to_owned();
    let unit = text.chars().last().ok_or_else(bad)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(bad()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| bad())?;
    number.checked_mul(seconds).filter(|&total| total > 0).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once(&"towline").chain(line))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_stands_behind_two_dashes_is_the_command_whatever_it_looks_like() {
        let cli = parse(&["exec", "pi", "--user", "me", "--", "ls", "-l", "--", "--user"]).unwrap();
        let Command::Exec(args) = cli.command else { panic!() };
        assert_eq!(
            (args.user.as_deref(), args.command),
            (Some("me"), vec!["ls".into(), "-l".into(), "--".into(), "--user".into()])
        );
        assert!(parse(&["exec", "pi"]).is_err());
    }

    #[test]
    fn options_of_every_command_stand_before_or_behind_it() {
        for line in [["-o", "json", "devices"], ["devices", "-o", "json"]] {
            assert_eq!(parse(&line).unwrap().global.output, Format::Json);
        }
    }

    #[test]
    fn a_shell_is_of_a_device_or_of_a_session_not_of_both_or_none() {
        assert!(parse(&["shell", "pi"]).is_ok());
        assert!(parse(&["shell", "--session", "x"]).is_ok());
        assert!(parse(&["shell"]).is_err());
        assert!(parse(&["shell", "pi", "--session", "x"]).is_err());
        assert!(parse(&["attach", "x", "--escape-char", "none"]).is_ok());
    }

    #[test]
    fn tags_and_durations_say_how_they_are_written() {
        assert_eq!(parse_tag("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(parse_tag("a="), Ok(("a".into(), String::new())));
        assert!(parse_tag("=b").is_err() && parse_tag("ab").is_err());
        assert_eq!(parse_duration("12h"), Ok(43_200));
        for bad in ["", "h", "12", "0d", "-1d", "1w", "99999999999999999999d", "1é"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
