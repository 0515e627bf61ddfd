//! The command line of `admin`: users, access keys, policies, device keys; roles and groups are in
//! [`super::identity`].

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::identity::{BoundaryArgs, GroupCommand, Of, RoleCommand};
use super::provider::ProviderCommand;
use super::value::parse_tag;

/// `admin`.
#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Manage users
    #[command(subcommand)]
    User(UserCommand),
    /// Manage access keys of users
    #[command(subcommand)]
    Key(KeyCommand),
    /// Manage roles: who may assume them, for how long
    #[command(subcommand)]
    Role(RoleCommand),
    /// Manage groups of users
    #[command(subcommand)]
    Group(GroupCommand),
    /// Manage policies of users, groups and roles
    Policy(PolicyArgs),
    /// Manage permission boundaries of users and roles
    Boundary(BoundaryArgs),
    /// Manage devices and their keys
    #[command(subcommand)]
    Device(DeviceCommand),
    /// Manage identity providers: whose tokens are accepted
    #[command(subcommand)]
    Provider(Box<ProviderCommand>),
    /// Manage webhooks: who is told of requests for access
    #[command(subcommand)]
    Webhook(WebhookCommand),
}

/// `admin webhook`.
#[derive(Debug, Subcommand)]
pub(crate) enum WebhookCommand {
    /// Add a webhook and print its secret
    Create {
        /// Name
        name: String,
        /// File with the URL (for mail: mailto:ADDRESS), or `-` for standard input
        #[arg(long, value_name = "FILE")]
        url: PathBuf,
        /// How messages are written: Standard, Slack, Teams or Mail
        #[arg(long, default_value = "Standard")]
        format: String,
    },
    /// List webhooks with the number of messages that wait and that were given up
    List,
    /// List messages that were given up
    Dead {
        /// Name
        name: String,
    },
    /// Send messages again that were given up
    Resend {
        /// Name
        name: String,
    },
    /// Delete a webhook and what waits for it
    Delete {
        /// Name
        name: String,
    },
}

/// `admin user`.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Create a user, without permissions
    Create {
        /// Name
        name: String,
        /// Tag, for policies; repeatable
        #[arg(long, value_name = "KEY=VALUE", value_parser = parse_tag)]
        tag: Vec<(String, String)>,
    },
    /// List users
    List,
    /// Delete a user with its keys and policies
    Delete {
        /// Name
        name: String,
        /// End the sessions of who loses rights; without it, the answer counts them
        #[arg(long)]
        end_sessions: bool,
    },
}

/// `admin key`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Create an access key; its secret is shown only once
    Create {
        /// User, or group or role with --of
        user: String,
    },
    /// List the access keys of a user
    List {
        /// User, or group or role with --of
        user: String,
    },
    /// Accept requests signed with the key again
    Enable {
        /// User, or group or role with --of
        user: String,
        /// Access key id
        key: String,
    },
    /// Reject requests signed with the key
    Disable {
        /// User, or group or role with --of
        user: String,
        /// Access key id
        key: String,
        /// End the sessions of who loses rights; without it, the answer counts them
        #[arg(long)]
        end_sessions: bool,
    },
    /// Delete a key
    Delete {
        /// User, or group or role with --of
        user: String,
        /// Access key id
        key: String,
        /// End the sessions of who loses rights; without it, the answer counts them
        #[arg(long)]
        end_sessions: bool,
    },
}

/// `admin policy`.
#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    /// Kind of the owner
    #[arg(long, value_enum, default_value_t = Of::User, global = true)]
    pub of: Of,
    #[command(subcommand)]
    pub command: UserPolicyCommand,
}

/// Operations on a policy.
#[derive(Debug, Subcommand)]
pub(crate) enum UserPolicyCommand {
    /// Store a policy, replacing one of the same name
    Put {
        /// User, or group or role with --of
        user: String,
        /// Name
        name: String,
        /// JSON file, or `-` for standard input
        file: PathBuf,
        /// End the sessions of who loses rights; without it, the answer counts them
        #[arg(long)]
        end_sessions: bool,
    },
    /// Print a policy
    Get {
        /// User, or group or role with --of
        user: String,
        /// Name
        name: String,
    },
    /// List the names of the policies
    List {
        /// User, or group or role with --of
        user: String,
    },
    /// Delete a policy
    Delete {
        /// User, or group or role with --of
        user: String,
        /// Name
        name: String,
        /// End the sessions of who loses rights; without it, the answer counts them
        #[arg(long)]
        end_sessions: bool,
    },
}

/// `admin device`.
#[derive(Debug, Subcommand)]
pub(crate) enum DeviceCommand {
    /// Approve a pending device
    Approve {
        /// Device: id, name, or tag:KEY=VALUE if exactly one device matches
        device: String,
    },
    /// List the keys of a device
    Keys {
        /// Device: id, name, or tag:KEY=VALUE if exactly one device matches
        device: String,
    },
    /// Ask a device to rotate its key
    RotateKey {
        /// Device: id, name, or tag:KEY=VALUE if exactly one device matches
        device: String,
    },
    /// Revoke all keys of a device, or one: without a key it must be enrolled again
    RevokeKey {
        /// Device: id, name, or tag:KEY=VALUE if exactly one device matches
        device: String,
        /// Revoke only the key with this fingerprint
        #[arg(long)]
        fingerprint: Option<String>,
    },
    /// Deregister a device
    Deregister {
        /// Device: id, name, or tag:KEY=VALUE if exactly one device matches
        device: String,
    },
}
