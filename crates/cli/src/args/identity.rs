//! The command line of roles, groups, boundaries, and of access with approval.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::value::parse_tag;

/// Whose policies, or boundary.
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

/// `admin role`.
#[derive(Debug, Subcommand)]
pub(crate) enum RoleCommand {
    /// Make a role; it may do nothing yet
    Create {
        /// Its name
        name: String,
        /// Who may assume it: a trust policy, JSON; `-` for standard input
        #[arg(long, value_name = "FILE")]
        trust: PathBuf,
        /// Longest life of its credentials, seconds, 3600 to 43200
        #[arg(long, value_name = "SECONDS")]
        max_session: Option<i64>,
        /// A tag of it, for policies; may be repeated
        #[arg(long, value_name = "KEY=VALUE", value_parser = parse_tag)]
        tag: Vec<(String, String)>,
    },
    /// List roles
    List,
    /// Change who may assume a role, and for how long
    Update {
        /// Its name
        name: String,
        /// A trust policy, JSON; `-` for standard input
        #[arg(long, value_name = "FILE")]
        trust: Option<PathBuf>,
        /// Longest life of its credentials, seconds, 3600 to 43200
        #[arg(long, value_name = "SECONDS")]
        max_session: Option<i64>,
    },
    /// Remove a role with its policies; credentials of it end
    Delete {
        /// Its name
        name: String,
    },
}

/// `admin group`.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Make a group
    Create {
        /// Its name
        name: String,
    },
    /// List groups with their members
    List,
    /// Put a user into a group
    Add {
        /// The group
        group: String,
        /// The user
        user: String,
    },
    /// Take a user out of a group
    Remove {
        /// The group
        group: String,
        /// The user
        user: String,
    },
    /// Remove a group with its policies
    Delete {
        /// Its name
        name: String,
    },
}

/// `admin boundary`.
#[derive(Debug, Args)]
pub(crate) struct BoundaryArgs {
    /// Whose
    #[arg(long, value_enum, default_value_t = Of::User, global = true)]
    pub of: Of,
    #[command(subcommand)]
    pub command: BoundaryCommand,
}

/// What is done with a boundary.
#[derive(Debug, Subcommand)]
pub(crate) enum BoundaryCommand {
    /// Set the most that policies can give
    Put {
        /// Whose
        name: String,
        /// JSON; `-` for standard input
        file: PathBuf,
    },
    /// Print it
    Get {
        /// Whose
        name: String,
    },
    /// Remove it
    Delete {
        /// Whose
        name: String,
    },
}

/// `access`.
#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    /// Ask for access to devices
    Request {
        /// Ids, names, or tag:KEY=VALUE for all devices of a tag
        #[arg(required = true)]
        device: Vec<String>,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// List requests, newest first
    List,
    /// Give access
    Approve {
        /// The request
        request: String,
        /// For how many minutes, 15 to 720
        #[arg(long, default_value_t = 60)]
        minutes: i64,
    },
    /// Give no access
    Reject {
        /// The request
        request: String,
    },
    /// Take access back
    Revoke {
        /// The request
        request: String,
    },
    /// Print the credentials of an approved request, for a shell to evaluate
    Token {
        /// The request
        request: String,
    },
}
