//! The command line of `devices`, `tag` and `activation`.

use clap::{Args, Subcommand, ValueEnum};

use super::value::{parse_duration, parse_tag};

/// `devices`.
#[derive(Debug, Args)]
pub(crate) struct DevicesArgs {
    /// Only devices with this tag; repeatable, all must match
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_tag)]
    pub tag: Vec<(String, String)>,
    /// Only devices in this state
    #[arg(long, value_enum)]
    pub state: Option<DeviceState>,
    /// Only devices whose agent is older than VERSION [default: the newest agent of all devices]
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
    /// Its key was used by two devices at the same time.
    Quarantined,
}

/// `activation`.
#[derive(Debug, Subcommand)]
pub(crate) enum ActivationCommand {
    /// Create an activation; its code is shown only once
    Create(ActivationArgs),
    /// List activations
    List,
    /// Delete an activation; its devices stay enrolled
    Delete {
        /// Activation id
        id: String,
    },
}

/// `activation create`.
#[derive(Debug, Args)]
pub(crate) struct ActivationArgs {
    /// Description, for lists
    #[arg(long)]
    pub description: Option<String>,
    /// Name of devices that set none themselves
    #[arg(long)]
    pub name: Option<String>,
    /// Maximum number of devices
    #[arg(long, default_value_t = 1)]
    pub limit: u16,
    /// Lifetime: a number and s, m, h or d [default: set by the gateway, usually 1d]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub expires_in: Option<u64>,
    /// Tag for its devices; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_tag)]
    pub tag: Vec<(String, String)>,
    /// Keys of tags that its devices may bring themselves [default: none]
    #[arg(long, value_name = "KEY[,KEY]", value_delimiter = ',')]
    pub device_tags: Vec<String>,
    /// Its devices stay pending until an administrator approves them
    #[arg(long)]
    pub approval: bool,
    /// Accept only source addresses in this range
    #[arg(long, value_name = "CIDR")]
    pub from: Option<String>,
    /// Label that the AWS API requires
    #[arg(long, default_value = "towline")]
    pub iam_role: String,
}

/// `tag`.
#[derive(Debug, Args)]
pub(crate) struct TagArgs {
    /// Device: id, name, or tag:KEY=VALUE if exactly one device matches
    pub device: String,
    /// Tags to set; without tags and without --remove, shows the current tags
    #[arg(value_name = "KEY=VALUE", value_parser = parse_tag)]
    pub set: Vec<(String, String)>,
    /// Tag to remove; repeatable
    #[arg(long, value_name = "KEY")]
    pub remove: Vec<String>,
}
