//! The command line of `admin provider`: identity providers, and their people.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::value::parse_tag;

/// Where answers of a provider come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Redirect {
    /// An address of its own
    Own,
    /// The address of providers that an older version has made
    Shared,
}

/// `admin provider`.
#[derive(Debug, Subcommand)]
pub(crate) enum ProviderCommand {
    /// Add an identity provider; without further options, it vouches for jobs alone
    Create {
        /// Name
        name: String,
        /// Issuer, exactly as tokens have it in the claim `iss`
        #[arg(long, value_name = "URL")]
        issuer: String,
        /// Redirect address: one of its own, or the shared one, where one provider alone may be
        #[arg(long, value_enum, default_value_t = Redirect::Own)]
        redirect: Redirect,
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// List identity providers
    List,
    /// Show the settings of an identity provider
    Show {
        /// Name
        name: String,
    },
    /// Replace the settings of an identity provider; options that are left out are removed
    Update {
        /// Name
        name: String,
        #[command(flatten)]
        settings: SettingsArgs,
        /// End the sessions of its people, who may have lost a role; without it, the answer counts
        /// them
        #[arg(long)]
        end_sessions: bool,
    },
    /// Change the redirect address of an identity provider; first register it at the provider
    Redirect {
        /// Name
        name: String,
        /// The address from now on; `show` has it as OwnRedirectUri
        #[arg(value_enum)]
        address: Redirect,
    },
    /// Delete an identity provider; credentials that came from it end
    Delete {
        /// Name
        name: String,
        /// End the sessions of who loses rights; without it, the answer counts them
        #[arg(long)]
        end_sessions: bool,
    },
    /// Stop an identity provider at once: nobody signs in through it, credentials that came from it
    /// end
    Disable {
        /// Name
        name: String,
        /// End the sessions of who loses rights; without it, the answer counts them
        #[arg(long)]
        end_sessions: bool,
    },
    /// Let people and jobs of a stopped identity provider sign in again; what the stop has ended
    /// stays ended
    Enable {
        /// Name
        name: String,
    },
    /// List the people and jobs that an identity provider vouched for
    People {
        /// Name
        name: String,
    },
    /// Reject a subject of an identity provider from now on
    Block {
        /// Name
        name: String,
        /// Subject (the claim `sub`)
        subject: String,
        /// End its sessions; without it, the answer counts them
        #[arg(long)]
        end_sessions: bool,
    },
    /// Accept a blocked subject again
    Unblock {
        /// Name
        name: String,
        /// Subject (the claim `sub`)
        subject: String,
    },
}

/// Settings of an identity provider.
#[derive(Debug, Args)]
pub(crate) struct SettingsArgs {
    /// Accepted audience (`aud`) of tokens of jobs; repeatable
    #[arg(long, value_name = "AUDIENCE")]
    pub audience: Vec<String>,
    /// Id of the gateway's client at the provider, for people who sign in
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// File with the secret of that client, or `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub client_secret: Option<PathBuf>,
    /// Scope to ask for besides `openid`; repeatable
    #[arg(long, value_name = "SCOPE")]
    pub scope: Vec<String>,
    /// Claim with the name to show, such as `preferred_username`
    #[arg(long, value_name = "CLAIM")]
    pub name_claim: Option<String>,
    /// Principal tag from a claim, for policies; repeatable
    #[arg(long, value_name = "KEY=CLAIM", value_parser = parse_tag)]
    pub tag: Vec<(String, String)>,
    /// Claim with the groups, such as `groups` or `realm_access.roles`
    #[arg(long, value_name = "CLAIM")]
    pub groups: Option<String>,
    /// Character between groups that are one string
    #[arg(long, value_name = "CHARACTER")]
    pub groups_separator: Option<String>,
    /// Role that a group gives to people who sign in; repeatable
    #[arg(long, value_name = "GROUP=ROLE", value_parser = parse_group)]
    pub group_role: Vec<(String, String)>,
    /// Role of people in none of these groups; without it, they are rejected
    #[arg(long, value_name = "ROLE")]
    pub default_role: Option<String>,
    /// Value of `amr` or `acr` that proves a second factor; repeatable
    #[arg(long, value_name = "VALUE")]
    pub second_factor: Vec<String>,
    /// Value of `acr_values` to ask for when a policy requires a fresh second factor; repeatable
    #[arg(long, value_name = "VALUE")]
    pub acr_value: Vec<String>,
}

/// `GROUP=ROLE`: groups may have `=` in them (`cn=ops,dc=corp`), roles have none in practice.
fn parse_group(text: &str) -> Result<(String, String), String> {
    match text.rsplit_once('=') {
        Some((group, role)) if !group.is_empty() && !role.is_empty() => {
            Ok((group.to_owned(), role.to_owned()))
        }
        _ => Err("expected GROUP=ROLE".to_owned()),
    }
}
