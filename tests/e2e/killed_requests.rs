//! A gateway that is killed while it serves a request: what the request changed is on record, and
//! the request is not taken a second time.
//!
//! # Not here
//! - A client that hangs up: `crates/gateway/tests/cut_requests.rs`.

use std::io::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use towline_testkit::Outcome;
use towline_testkit::https::{self, Request};
use towline_testkit::lab::Lab;
use towline_testkit::trouble::ensure;

/// Kills of the test. Each comes a little later after its request than the one before.
const ROUNDS: u32 = 16;
/// How much later.
const STEP: Duration = Duration::from_micros(700);
/// Further kills, where none of these came after its request was taken.
const LATE_ROUNDS: u32 = 7;
/// When the first of them comes; each next one comes after twice that time.
const LATE: Duration = Duration::from_millis(20);

#[test]
fn a_killed_gateway_leaves_no_change_off_the_record_and_takes_no_request_twice() -> Outcome {
    let mut lab = Lab::start()?;
    let host = lab.gateway.address().to_string().replace("127.0.0.1", "localhost");
    let mut taken = 0;
    let early = (0..ROUNDS).map(|round| STEP * round);
    // A slow machine takes none so early: later kills then, until one has been taken.
    let late = (0..LATE_ROUNDS).map(|doubled| LATE * 2_u32.pow(doubled));
    for (round, kill_after) in (0..).zip(early.chain(late)) {
        if round >= ROUNDS && taken > 0 {
            break;
        }
        let description = format!("round {round}");
        let request = creation(&description);
        let keys = lab.gateway.admin().clone();
        let bytes = request.signed(&host, &keys, lab.gateway.region(), https::now())?;
        let mut stream = https::connect(&host, lab.gateway.ca(), None)?;
        stream.write_all(&bytes)?;
        stream.flush()?;
        wait(kill_after);
        lab.gateway.kill()?;
        drop(stream);
        lab.gateway.start_again()?;

        let made = activations(&lab, &description)?;
        let again = https::exchange(&host, lab.gateway.ca(), None, &bytes)?;
        let refused = again.body.contains("InvalidSignatureException");
        ensure(made == 0 || refused, || format!("round {round}: taken again: {again:?}"))?;
        ensure(activations(&lab, &description)? <= 1, || format!("round {round}: made twice"))?;
        taken += u32::from(refused);
    }
    ensure(taken > 0, || "no gateway was killed after it had taken its request".into())?;
    let (made, told) = (activations(&lab, "round ")?, lines(&lab)?);
    ensure(told >= made, || format!("{made} activations, {told} lines that tell of one"))
}

/// Waits for the moment of the kill, which is what is tried.
#[allow(clippy::disallowed_methods, reason = "no event says how far a gateway has come")]
fn wait(kill_after: Duration) {
    std::thread::sleep(kill_after);
}

fn creation(description: &str) -> Request {
    let body = json!({ "IamRole": "towline", "RegistrationLimit": 1, "Description": description });
    Request::json("AmazonSSM.CreateActivation", &body.to_string())
}

/// Activations whose description begins so.
fn activations(lab: &Lab, description: &str) -> Outcome<usize> {
    let answer = lab.admin().api("AmazonSSM.DescribeActivations", &json!({ "MaxResults": 50 }))?;
    let all = answer["ActivationList"].as_array().cloned().unwrap_or_default();
    let whole = !description.ends_with(' ');
    Ok(all
        .iter()
        .filter_map(|activation| activation["Description"].as_str())
        .filter(|text| if whole { *text == description } else { text.starts_with(description) })
        .count())
}

/// Lines of the trail of creations that were done, or of which nobody knows.
fn lines(lab: &Lab) -> Outcome<usize> {
    let text = lab.admin().text(&["audit", "--limit", "1000", "-o", "json"])?;
    let answer: Value = serde_json::from_str(&text)?;
    let events = answer["Events"].as_array().cloned().unwrap_or_default();
    Ok(events
        .iter()
        .filter(|event| event["EventName"] == "CreateActivation")
        .filter_map(|event| serde_json::from_str(event["CloudTrailEvent"].as_str()?).ok())
        .filter(|line: &Value| line["errorCode"].is_null() || line["errorCode"] == "OutcomeUnknown")
        .count())
}
