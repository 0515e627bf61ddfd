//! The command line of `policy`: documents judged without a gateway, and questions to the stored
//! ones.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::value::parse_tag;

/// `policy`.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Say whether a policy could be stored, and if not, where it is wrong
    Check {
        /// JSON; `-` for standard input
        file: PathBuf,
    },
    /// Say whether policies allow a request, and why; or answer many requests, a word each
    ///
    /// One request: exit code 0 when it is allowed, 254 when it is not. With --batch: exit code 0
    /// when every line was understood, whatever the words; 250 when one was not: its word is
    /// `Invalid`, the reason goes to standard error.
    ///
    /// Without --policy and --boundary the gateway answers, by what it has stored for the
    /// principal.
    Test(TestArgs),
    /// List who may do what on a device, by the policies that the gateway has stored
    Who {
        /// Id, name, or tag:KEY=VALUE when one device matches
        device: String,
    },
}

impl TestArgs {
    /// Whether the question is about what the gateway has stored.
    pub(crate) fn asks_gateway(&self) -> bool {
        self.batch.is_none() && self.policy.is_empty() && self.boundary.is_none()
    }
}

/// `policy test`.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// JSON lines, `-` for standard input:
    /// {"policies":[…],"boundary":{…}|null,"request":{"principal":ARN,"action":…,
    /// "resource":ARN,"context":{key: value or list}}}; the answer to each is Allowed,
    /// ExplicitlyDenied or ImplicitlyDenied
    #[arg(long, value_name = "FILE", conflicts_with_all = ["principal", "action", "resource", "policy", "boundary", "context"])]
    pub batch: Option<PathBuf>,
    /// Who asks: an ARN; for the gateway also the name of a user
    #[arg(long, value_name = "ARN", required_unless_present = "batch")]
    pub principal: Option<String>,
    /// For what, for example ssm:StartSession
    #[arg(long, required_unless_present = "batch")]
    pub action: Option<String>,
    /// On what: an ARN, or *; for the gateway also the id of a device
    #[arg(long, value_name = "ARN", required_unless_present = "batch")]
    pub resource: Option<String>,
    /// What else is known of the request, for example ssm:resourceTag/site=berlin; the same key
    /// again is one more value
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_tag)]
    pub context: Vec<(String, String)>,
    /// A policy of the one who asks, JSON; may be repeated
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub policy: Vec<PathBuf>,
    /// Her permission boundary, JSON
    #[arg(long, value_name = "FILE")]
    pub boundary: Option<PathBuf>,
}
