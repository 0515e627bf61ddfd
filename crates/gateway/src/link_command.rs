//! `sign-in-link`: a link that signs a browser in once.
//!
//! Data flow: the gateway that runs in the directory makes the link and keeps its digest; this
//! program writes it to standard output.
//!
//! # Not here
//! - A link without a running gateway: its links are void when it is started again.

use std::io::Write as _;

use towline_gateway::local::{self, Answer, Order};

use crate::Failure;
use crate::args::Link;

/// Asks for the link and writes it.
pub(crate) async fn run(options: &Link) -> Result<(), Failure> {
    let Link { dir, user, json } = options;
    let answer = local::ask(dir, Order::SignInLink(user.clone())).await.map_err(|error| {
        format!("no gateway answers in {} (start it first): {error}", dir.display())
    })?;
    let link = match answer {
        Answer::Link(link) => link,
        Answer::Failed(why) => return Err(why.into()),
        _ => return Err("the gateway answered something else: is it of another version?".into()),
    };
    let mut stdout = std::io::stdout();
    if *json {
        writeln!(stdout, "{}", serde_json::to_string(&link)?)?;
        return Ok(());
    }
    writeln!(
        stdout,
        "Open this address within {} minutes. It signs in as {} once:\n\n{}",
        link.seconds / 60,
        link.principal_name,
        link.address
    )?;
    Ok(())
}
