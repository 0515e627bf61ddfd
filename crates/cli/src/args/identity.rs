//! The command line of roles, groups, boundaries, and of access with approval.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::value::parse_tag;

/// Kind of the owner of policies or of a boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Of {
    /// A user
    User,
    /// A group of users
    Group,
    /// A role
    Role,
}

impl Of {
    /// The API's word; nothing for a user.
    pub(crate) fn word(self) -> Option<String> {
        match self {
            Self::User => None,
            Self::Group => Some("Group".to_owned()),
            Self::Role => Some("Role".to_owned()),
        }
    }
}

/// `login`.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Identity provider; needed only when the gateway has several
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// Role, when your groups give several
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// Sign in from any machine: print an address and a code instead of starting a browser
    #[arg(long)]
    pub no_browser: bool,
    /// Have the provider ask you again, for policies that require a second factor proved just now
    #[arg(long, conflicts_with = "no_browser")]
    pub fresh: bool,
}

/// `admin role`.
#[derive(Debug, Subcommand)]
pub(crate) enum RoleCommand {
    /// Create a role, without permissions
    Create {
        /// Name
        name: String,
        /// Trust policy (who may assume it): JSON file, or `-` for standard input; without it
        /// nobody assumes it, and the groups of an identity provider may give it
        #[arg(long, value_name = "FILE")]
        trust: Option<PathBuf>,
        /// Maximum lifetime of its credentials, 3600 to 43200 seconds
        #[arg(long, value_name = "SECONDS")]
        max_session: Option<i64>,
        /// Tag, for policies; repeatable
        #[arg(long, value_name = "KEY=VALUE", value_parser = parse_tag)]
        tag: Vec<(String, String)>,
    },
    /// List roles
    List,
    /// Update who may assume a role, and for how long
    Update {
        /// Name
        name: String,
        /// Trust policy: JSON file, or `-` for standard input
        #[arg(long, value_name = "FILE")]
        trust: Option<PathBuf>,
        /// Maximum lifetime of its credentials, 3600 to 43200 seconds
        #[arg(long, value_name = "SECONDS")]
        max_session: Option<i64>,
        /// End the sessions of who loses rights; without it, the answer counts them
        #[arg(long)]
        end_sessions: bool,
    },
    /// Delete a role with its policies and credentials
    Delete {
        /// Name
        name: String,
        /// End the sessions of who loses rights; without it, the answer counts them
        #[arg(long)]
        end_sessions: bool,
    },
}

/// `admin group`.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Create a group
    Create {
        /// Name
        name: String,
    },
    /// List groups with their members
    List,
    /// Add a user to a group
    Add {
        /// Group
        group: String,
        /// User
        user: String,
    },
    /// Remove a user from a group
    Remove {
        /// Group
        group: String,
        /// User
        user: String,
        /// End the sessions of who loses rights; without it, the answer counts them
        #[arg(long)]
        end_sessions: bool,
    },
    /// Delete a group with its policies
    Delete {
        /// Name
        name: String,
        /// End the sessions of who loses rights; without it, the answer counts them
        #[arg(long)]
        end_sessions: bool,
    },
}

/// `admin boundary`.
#[derive(Debug, Args)]
pub(crate) struct BoundaryArgs {
    /// Kind of the owner
    #[arg(long, value_enum, default_value_t = Of::User, global = true)]
    pub of: Of,
    #[command(subcommand)]
    pub command: BoundaryCommand,
}

/// Operations on a boundary.
#[derive(Debug, Subcommand)]
pub(crate) enum BoundaryCommand {
    /// Set the boundary: the most that policies can allow
    Put {
        /// User or role
        name: String,
        /// JSON file, or `-` for standard input
        file: PathBuf,
        /// End the sessions of who loses rights; without it, the answer counts them
        #[arg(long)]
        end_sessions: bool,
    },
    /// Print the boundary
    Get {
        /// User or role
        name: String,
    },
    /// Delete the boundary
    Delete {
        /// User or role
        name: String,
    },
}

/// `mfa`.
#[derive(Debug, Subcommand)]
pub(crate) enum MfaCommand {
    /// Create your second factor and print its secret for an authenticator
    Create,
    /// Enable your second factor
    Enable {
        /// The code that the authenticator shows [default: a line of standard input]
        code: Option<String>,
    },
    /// Print temporary credentials with a second factor as shell exports
    Session {
        /// The code that the authenticator shows [default: a line of standard input]
        code: Option<String>,
    },
    /// Remove a second factor: yours with a code, or that of another user
    Delete {
        /// User [default: you]
        #[arg(long)]
        user: Option<String>,
        /// The code that the authenticator shows; `-` for a line of standard input
        code: Option<String>,
    },
}

/// `access`.
#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    /// Request access to devices
    Request {
        /// Devices: ids, names, or tag:KEY=VALUE for all devices with a tag
        #[arg(required = true)]
        device: Vec<String>,
        /// Reason
        #[arg(long)]
        reason: String,
    },
    /// List requests, newest first
    List,
    /// Approve a request
    Approve {
        /// Request id
        request: String,
        /// Duration in minutes, 15 to 720 or what the approval policy allows [default: 60, or the
        /// policy's]
        #[arg(long)]
        minutes: Option<i64>,
    },
    /// Extend granted access before it ends
    Extend {
        /// Request id
        request: String,
        /// Minutes from now, 15 to 720 or what the approval policy allows
        #[arg(long, default_value_t = 60)]
        minutes: i64,
    },
    /// Open access at once in an emergency; everybody who can decide is told
    BreakGlass {
        /// Devices: ids, names, or tag:KEY=VALUE for all devices with a tag
        #[arg(required = true)]
        device: Vec<String>,
        /// Reason
        #[arg(long)]
        reason: String,
        /// Duration in minutes, 15 to 240
        #[arg(long, default_value_t = 60)]
        minutes: i64,
    },
    /// Reject a request
    Reject {
        /// Request id
        request: String,
    },
    /// Revoke granted access
    Revoke {
        /// Request id
        request: String,
        /// End the sessions of who loses rights; without it, the answer counts them
        #[arg(long)]
        end_sessions: bool,
    },
    /// Print the credentials of an approved request as shell exports
    Token {
        /// Request id
        request: String,
        /// Wait until somebody has decided
        #[arg(long)]
        wait: bool,
    },
}
