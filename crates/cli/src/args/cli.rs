//! The command line: what may be written.
//!
//! # Invariants
//! - A secret is never an argument: others on the machine could read it.
//! - Each message about a wrong argument says what would be right.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use super::device::{ActivationCommand, DevicesArgs, TagArgs};
use super::session::{AttachArgs, ExecArgs, SessionsArgs, ShellArgs};
use super::{admin, evidence, identity, policy, run, tunnel};
use crate::config::Flags;
use crate::exit;
use crate::output::Format;

/// Shell access to devices that only dial out.
#[derive(Debug, Parser)]
#[command(name = "towline", version, about, arg_required_else_help = true, propagate_version = true, after_help = exit::help())]
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
