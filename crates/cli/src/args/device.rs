//! The command line of `devices`, `tag` and `activation`.

use clap::{Args, Subcommand, ValueEnum};

use super::value::{parse_duration, parse_tag};

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
