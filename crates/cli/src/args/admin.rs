//! The command line of `admin`: users, access keys, policies, device keys; roles and groups are in
//! [`super::identity`].

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::identity::{BoundaryArgs, GroupCommand, Of, RoleCommand};
use super::value::parse_tag;

/// `admin`.
#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Users
    #[command(subcommand)]
    User(UserCommand),
    /// Access keys of users
    #[command(subcommand)]
    Key(KeyCommand),
    /// Roles: who may assume them, for how long
    #[command(subcommand)]
    Role(RoleCommand),
    /// Groups of users
    #[command(subcommand)]
    Group(GroupCommand),
    /// Policies of users, groups and roles
    Policy(PolicyArgs),
    /// Permission boundaries of users and roles
    Boundary(BoundaryArgs),
    /// Devices and their keys
    #[command(subcommand)]
    Device(DeviceCommand),
}

/// `admin user`.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make a user; it may do nothing yet
    Create {
        /// Its name
        name: String,
        /// A tag of it, for policies; may be repeated
        #[arg(long, value_name = "KEY=VALUE", value_parser = parse_tag)]
        tag: Vec<(String, String)>,
    },
    /// List users
    List,
    /// Remove a user with its keys and policies
    Delete {
        /// Its name
        name: String,
    },
}

/// `admin key`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make an access key: its secret is shown this once
    Create {
        /// Whose
        user: String,
    },
    /// List the access keys of a user
    List {
        /// Whose
        user: String,
    },
    /// Accept requests signed with the key again
    Enable {
        /// Whose
        user: String,
        /// Which
        key: String,
    },
    /// Accept no requests signed with the key
    Disable {
        /// Whose
        user: String,
        /// Which
        key: String,
    },
    /// Remove a key
    Delete {
        /// Whose
        user: String,
        /// Which
        key: String,
    },
}

/// `admin policy`.
#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    /// Whose policies
    #[arg(long, value_enum, default_value_t = Of::User, global = true)]
    pub of: Of,
    #[command(subcommand)]
    pub command: UserPolicyCommand,
}

/// What is done with a policy.
#[derive(Debug, Subcommand)]
pub(crate) enum UserPolicyCommand {
    /// Store a policy under a name, in place of an older one
    Put {
        /// Whose
        user: String,
        /// Its name
        name: String,
        /// JSON; `-` for standard input
        file: PathBuf,
    },
    /// Print a policy
    Get {
        /// Whose
        user: String,
        /// Its name
        name: String,
    },
    /// List the names of a user's policies
    List {
        /// Whose
        user: String,
    },
    /// Remove a policy
    Delete {
        /// Whose
        user: String,
        /// Its name
        name: String,
    },
}

/// `admin device`.
#[derive(Debug, Subcommand)]
pub(crate) enum DeviceCommand {
    /// Let a pending device in
    Approve {
        /// Id, name, or tag:KEY=VALUE when one device matches
        device: String,
    },
    /// List the keys of a device
    Keys {
        /// Id, name, or tag:KEY=VALUE when one device matches
        device: String,
    },
    /// Ask a device to make a new key
    RotateKey {
        /// Id, name, or tag:KEY=VALUE when one device matches
        device: String,
    },
    /// Ban a key of a device, or all of them
    RevokeKey {
        /// Id, name, or tag:KEY=VALUE when one device matches
        device: String,
        /// Only the key with this fingerprint
        #[arg(long)]
        fingerprint: Option<String>,
    },
    /// Forget a device
    Deregister {
        /// Id, name, or tag:KEY=VALUE when one device matches
        device: String,
    },
}
