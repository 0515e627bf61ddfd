//! `login --no-browser`: a code that a person enters in the console, on any machine.
//!
//! Data flow: a request at the gateway -> address and code on standard error -> polls, until
//! somebody has decided -> credentials.
//!
//! # Invariants
//! - The credentials come to who has this process's verifier alone.
//! - Polls keep the pace that the gateway tells, and end when the request does.
//! - A refusal ends the wait with its reason. Who gives up here leaves no request there.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};
use towline_wire::text;

use super::login::{challenge_of, random};
use super::refused_login::RefusedLogin;
use super::step_up::unless_interrupted;
use crate::api::Client;
use crate::args::identity::LoginArgs;
use crate::config::login::Kept;
use crate::exit::Failure;
use crate::output::complain;

/// Polls without an answer, one after another, after which the command gives up: about a minute, in
/// which a gateway can be started again.
const MOST_FAILURES: u32 = 30;
/// How long the gateway may take to forget a request that was given up.
const WITHDRAWAL: Duration = Duration::from_secs(2);
/// Longest words of a refusal, characters.
const MAX_WORDS: usize = 1000;

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
    #[serde(rename_all = "PascalCase")]
    Rejected {
        /// Why, if the gateway refused; nothing when a person did.
        code: Option<String>,
        message: Option<String>,
    },
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
    let outcome = unless_interrupted(Box::pin(decided(client, &asked, &verifier))).await;
    if matches!(outcome, Err(Failure::Signal(_))) {
        let body = json!({
            "RequestCode": asked.request_code, "Verifier": verifier, "Withdraw": true
        });
        let told = client.post_unsigned::<serde_json::Value>("/sign-in/requests/token", &body);
        let _ = timeout(WITHDRAWAL, told).await; // else the request ends by its time
    }
    outcome
}

/// Polls until somebody has decided.
async fn decided(client: &mut Client, asked: &Asked, verifier: &str) -> Result<Kept, Failure> {
    complain("waiting for a decision there; Ctrl-C gives up");
    let end = Instant::now() + Duration::from_secs(asked.expires_in.min(3600));
    let mut pace = Duration::from_secs(asked.interval.clamp(1, 60));
    let poll = json!({ "RequestCode": asked.request_code, "Verifier": verifier });
    let mut failures = 0;
    while Instant::now() < end {
        sleep(pace).await;
        match client.post_unsigned("/sign-in/requests/token", &poll).await {
            Ok(Polled::Approved { credentials }) => return Ok(credentials),
            Ok(Polled::Rejected { code, message }) => {
                let Some((code, message)) = code.zip(message) else {
                    return Err(RefusedLogin::rejected().into());
                };
                let message = text::plain(&message, MAX_WORDS);
                return Err(RefusedLogin::by_code(&text::plain(&code, 64), &message).into());
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
