//! `login --no-browser`: a code that a person enters in the console, on any machine.
//!
//! Data flow: a request at the gateway -> address and code on standard error -> polls, until
//! somebody has decided -> credentials.
//!
//! # Invariants
//! - The credentials come to who has this process's verifier alone.
//! - Polls keep the pace that the gateway tells, and end when the request does.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::login::{challenge_of, random};
use crate::api::Client;
use crate::args::identity::LoginArgs;
use crate::config::login::Kept;
use crate::exit::Failure;
use crate::output::complain;

/// Polls without an answer, one after another, after which the command gives up.
const MOST_FAILURES: u32 = 5;

/// What the gateway says to a request.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Asked {
    request_code: String,
    user_code: String,
    verification_uri: String,
    expires_in: u64,
    interval: u64,
}

/// What it says to a poll.
#[derive(Deserialize)]
#[serde(tag = "Status")]
enum Polled {
    Pending,
    SlowDown,
    Rejected,
    Approved {
        #[serde(rename = "Credentials")]
        credentials: Kept,
    },
}

/// Asks for a sign-in and waits for its decision.
pub(super) async fn by_request(client: &mut Client, args: &LoginArgs) -> Result<Kept, Failure> {
    let verifier = random()?;
    let body = json!({
        "Challenge": challenge_of(&verifier),
        "Provider": args.provider,
        "Role": args.role,
        "Client": concat!("towline ", env!("CARGO_PKG_VERSION")),
    });
    let asked: Asked = client.post_unsigned("/sign-in/requests", &body).await?;
    complain("open this address in a browser on any machine and enter the code there:");
    complain(&asked.verification_uri);
    complain(&format!("code: {}", asked.user_code));
    let end = Instant::now() + Duration::from_secs(asked.expires_in.min(3600));
    let mut pace = Duration::from_secs(asked.interval.clamp(1, 60));
    let poll = json!({ "RequestCode": asked.request_code, "Verifier": verifier });
    let mut failures = 0;
    while Instant::now() < end {
        sleep(pace).await;
        match client.post_unsigned("/sign-in/requests/token", &poll).await {
            Ok(Polled::Approved { credentials }) => return Ok(credentials),
            Ok(Polled::Rejected) => {
                return Err(Failure::Usage("the sign-in was rejected in the console".to_owned()));
            }
            Ok(Polled::Pending) => failures = 0,
            Ok(Polled::SlowDown) => pace += Duration::from_secs(1),
            Err(error) if error.may_heal() && failures < MOST_FAILURES => failures += 1,
            Err(error) => return Err(error.into()),
        }
    }
    let message = "nobody decided in time: run `towline login --no-browser` again";
    Err(Failure::Usage(message.to_owned()))
}
