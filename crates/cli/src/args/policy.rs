//! The command line of `policy`: checks of local documents, and queries of stored policies.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::value::parse_tag;

/// `policy`.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Check whether a policy is valid, and print where it is not
    Check {
        /// JSON file, or `-` for standard input
        file: PathBuf,
    },
    /// Evaluate a request against policies and explain the decision, or evaluate many requests
    ///
    /// One request: exit code 0 if it is allowed, 254 if it is not. With --batch: exit code 0 if
    /// every line is valid, 250 if one is not. An invalid line gets the answer `Invalid`, and its
    /// reason goes to standard error.
    ///
    /// Without --policy and --boundary, the gateway evaluates the stored policies of the principal.
    Test(TestArgs),
    /// List who has access to a device, by the stored policies
    Who {
        /// Device: id, name, or tag:KEY=VALUE if exactly one device matches
        device: String,
    },
}

impl TestArgs {
    /// Whether the gateway evaluates its stored policies.
    pub(crate) fn asks_gateway(&self) -> bool {
        self.batch.is_none() && self.policy.is_empty() && self.boundary.is_none()
    }
}

/// `policy test`.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// JSON lines file, or `-` for standard input:
    /// {"policies":[…],"boundary":{…}|null,"request":{"principal":ARN,"action":…,
    /// "resource":ARN,"context":{key: value or list}}}; the answer to each is Allowed,
    /// ExplicitlyDenied or ImplicitlyDenied
    #[arg(long, value_name = "FILE", conflicts_with_all = ["principal", "action", "resource", "policy", "boundary", "context"])]
    pub batch: Option<PathBuf>,
    /// Principal: an ARN; for the gateway also a user name
    #[arg(long, value_name = "ARN", required_unless_present = "batch")]
    pub principal: Option<String>,
    /// Action, for example ssm:StartSession
    #[arg(long, required_unless_present = "batch")]
    pub action: Option<String>,
    /// Resource: an ARN or *; for the gateway also a device id
    #[arg(long, value_name = "ARN", required_unless_present = "batch")]
    pub resource: Option<String>,
    /// Context key, for example ssm:resourceTag/site=berlin; repeat a key to add a value
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_tag)]
    pub context: Vec<(String, String)>,
    /// Policy of the principal, JSON file; repeatable
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub policy: Vec<PathBuf>,
    /// Permission boundary of the principal, JSON file
    #[arg(long, value_name = "FILE")]
    pub boundary: Option<PathBuf>,
}
