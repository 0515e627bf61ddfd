//! The command line: what may be written.
//!
//! # Invariants
//! - A secret is never an argument: others on the machine could read it.
//! - Each message about a wrong argument says what would be right.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use super::device::{ActivationCommand, DevicesArgs, TagArgs};
use super::session::{AttachArgs, ExecArgs, SessionsArgs, ShellArgs, WatchArgs};
use super::{admin, evidence, identity, policy, run, tunnel};
use crate::config::Flags;
use crate::exit;
use crate::output::Format;

/// Remote shell for edge devices with no open ports.
#[derive(Debug, Parser)]
#[command(name = "towline", version, about = "Remote shell for edge devices with no open ports", arg_required_else_help = true, propagate_version = true, after_help = exit::help())]
pub(crate) struct Cli {
    /// The gateway, and the output format.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// URL of the gateway, https://HOST[:PORT] [env: TOWLINE_ENDPOINT, AWS_ENDPOINT_URL_SSM; file:
    /// endpoint]
    #[arg(long, global = true, value_name = "URL")]
    pub endpoint: Option<String>,
    /// PEM file with the CA certificates to trust [env: TOWLINE_CA, AWS_CA_BUNDLE; file: ca]
    #[arg(long, global = true, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Region for request signatures [env: AWS_REGION]
    #[arg(long, global = true)]
    pub region: Option<String>,
    /// Profile in ~/.aws/credentials and ~/.aws/config [env: AWS_PROFILE]
    #[arg(long, global = true)]
    pub profile: Option<String>,
    /// Output format
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

impl Global {
    /// The options that the settings are made of.
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

/// All commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List devices
    Devices(DevicesArgs),
    /// Open a shell on a device, or reattach to a session
    Shell(ShellArgs),
    /// Run a program on a device without a terminal
    Exec(ExecArgs),
    /// Run a command on many devices and summarize the results
    Run(run::RunArgs),
    /// Print the whole output of a command that `run` sent
    Outputs(run::OutputsArgs),
    /// Reattach to a running session, as shell --session does
    Attach(AttachArgs),
    /// Forward a local port to a port on, or reachable from, a device
    Forward(tunnel::ForwardArgs),
    /// Connect standard input and output to a port of a device (ProxyCommand for ssh)
    Proxy(tunnel::ProxyArgs),
    /// Copy files and directories to or from a device, without a server on the device
    Cp(tunnel::CopyArgs),
    /// Print a ~/.ssh/config block for ssh, scp, sftp and rsync to devices
    SshConfig {
        /// Print the pattern for ids only, without asking the gateway for names
        #[arg(long)]
        only_ids: bool,
    },
    /// List sessions
    Sessions(SessionsArgs),
    /// Watch a session with a terminal, read-only; ^C leaves
    Watch(WatchArgs),
    /// Type into another user's session in that user's place; asks for consent unless you have the
    /// right towline:TakeOverSession
    Join(AttachArgs),
    /// Show a message to the user of a session, outside of its terminal's output
    Message {
        /// Session id, as listed by `towline sessions`
        session: String,
        /// Message, one line of up to 1,000 characters
        text: String,
    },
    /// End a session
    Terminate {
        /// Session id, as listed by `towline sessions`
        session: String,
    },
    /// List sessions: user, device, duration, end reason, recording
    Logs(evidence::LogsArgs),
    /// Play a recording in this terminal
    Play(evidence::PlayArgs),
    /// Write a recording as asciicast, text, JSON or an SVG picture
    Export(evidence::ExportArgs),
    /// List the commands that a session executed, with exit codes and durations
    Commands(evidence::CommandsArgs),
    /// Show the audit trail, newest first
    Audit(evidence::AuditArgs),
    /// Verify the integrity of recordings (files and directories need no gateway)
    Verify(evidence::VerifyArgs),
    /// Manage activations, which admit new devices
    #[command(subcommand)]
    Activation(ActivationCommand),
    /// Set, remove or show tags of a device
    Tag(TagArgs),
    /// Manage users, groups, roles, access keys, policies and device keys
    #[command(subcommand)]
    Admin(admin::AdminCommand),
    /// Request, approve and use temporary access to devices
    #[command(subcommand)]
    Access(identity::AccessCommand),
    /// Manage and use second factors of users with access keys
    #[command(subcommand)]
    Mfa(identity::MfaCommand),
    /// Show the identity you are authenticated as
    Whoami,
    /// Sign in through the gateway's identity provider, in place of an access key
    Login(identity::LoginArgs),
    /// Forget the credentials of `login`
    Logout,
    /// Print the credentials of `login` for AWS tools (credential_process)
    Credentials,
    /// Show the state of the gateway itself
    Health,
    /// Check and test policies, and list who has access to a device
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Print or write a profile for AWS tools (AWS CLI, boto3)
    ///
    /// --profile sets its name [default: towline]. It holds no access key: see
    /// docs/aws-tools.md.
    AwsConfig {
        /// Add it to ~/.aws/config [env: AWS_CONFIG_FILE]
        #[arg(long)]
        write: bool,
    },
    /// Print the configuration with which amazon-ssm-agent finds the gateway
    ///
    /// See docs/vendor-agent.md for where the file belongs.
    AgentConfig {
        /// For amazon-ssm-agent: the content of amazon-ssm-agent.json
        #[arg(long, required = true)]
        vendor: bool,
    },
    /// Print shell completions
    Completions {
        /// Shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print the manual page, or write one page per command
    Man {
        /// Write towline.1, towline-shell.1, … into this directory
        #[arg(long, value_name = "FOLDER")]
        dir: Option<std::path::PathBuf>,
    },
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
}
