//! What ends or is not enough: a second factor that policies want fresh, and access for a time, in
//! the console.

use std::process::Command;

use serde_json::{Value, json};
use towline_testkit::lab::programs::workspace;
use towline_testkit::lab::{GatewaySetup, Lab, Operator};
use towline_testkit::{Outcome, Trouble};

use super::{browser, perform, serve_console_at};
use crate::access_requests::ends_in;

/// Her own codes and the list of devices; sessions with a second factor that was proved within ten
/// minutes.
const STRICT: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":["towline:CreateSecondFactor","towline:EnableSecondFactor",
     "towline:DeleteSecondFactor","ssm:DescribeInstanceInformation"],"Resource":"*"},
    {"Effect":"Allow","Action":["ssm:StartSession","ssm:DescribeSessions"],"Resource":"*",
     "Condition":{"NumericLessThan":{"aws:MultiFactorAuthAge":"600"}}},
    {"Effect":"Allow","Action":["ssm:ResumeSession","ssm:TerminateSession"],"Resource":"*"}]}"#;
/// Asks for access, and uses it.
const ASKS: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":
    ["ssm:StartAccessRequest","ssm:GetAccessToken","ssm:ResumeSession","ssm:TerminateSession",
     "ssm:DescribeInstanceInformation"],"Resource":"*"}]}"#;

/// A story in Chromium, for this user.
fn story(lab: &Lab, name: &str, user: &Operator, device: &str) -> Outcome<Command> {
    let mut command = browser(lab)?;
    command.arg(workspace().join("tests/e2e/console").join(name));
    command.env("TOWLINE_ORIGIN", format!("https://{}", lab.gateway.address()));
    command.env("TOWLINE_DEVICE", device);
    for (name, value) in user.environment() {
        match name {
            "AWS_ACCESS_KEY_ID" => command.env("TOWLINE_KEY", value),
            "AWS_SECRET_ACCESS_KEY" => command.env("TOWLINE_SECRET", value),
            _ => &mut command,
        };
    }
    Ok(command)
}

#[test]
fn a_second_factor_that_a_policy_wants_fresh_is_asked_for_in_a_dialog() -> Outcome {
    let mut lab = Lab::start()?;
    let origin = format!("https://{}", lab.gateway.address());
    serve_console_at(&mut lab, &origin)?;
    let device = lab.device()?;
    let ann = lab.user("ann", Some(STRICT))?;
    let command = story(&lab, "story_factor.js", &ann, device.id())?;
    perform(command, |what| Err(Trouble::new(format!("the browser asks for {what}"))))
}

/// Under access for a quarter of an hour; `config`: further lines of the gateway's configuration.
fn access_ends(config: &str) -> Outcome {
    let setup = GatewaySetup { config: config.to_owned(), ..GatewaySetup::default() };
    let mut lab = Lab::with(&setup)?;
    let origin = format!("https://{}", lab.gateway.address());
    serve_console_at(&mut lab, &origin)?;
    let device = lab.device()?;
    let (ann, admin) = (lab.user("ann", Some(ASKS))?, lab.admin());
    let request = ann.text(&["access", "request", device.id(), "--reason", "pump 7 leaks"])?;
    let request = request.trim().to_owned();
    admin.text(&["access", "approve", &request, "--minutes", "15"])?;
    let given = ann.api("AmazonSSM.GetAccessToken", &json!({ "AccessRequestId": request }))?;
    let mut command = story(&lab, "story_access_end.js", &ann, device.id())?;
    for (variable, name) in [
        ("TOWLINE_TEMPORARY_KEY", "AccessKeyId"),
        ("TOWLINE_TEMPORARY_SECRET", "SecretAccessKey"),
        ("TOWLINE_TEMPORARY_TOKEN", "SessionToken"),
    ] {
        let value: &Value = &given["Credentials"][name];
        command.env(variable, value.as_str().ok_or_else(|| Trouble::new(format!("{given}")))?);
    }
    command.env("TOWLINE_REQUEST", &request);
    if !config.is_empty() {
        command.env("TOWLINE_ENDS", "yes");
    }
    perform(command, |what| match what.strip_prefix("ends in ").map(str::parse) {
        Some(Ok(seconds)) => ends_in(&lab, &request, seconds),
        None if what == "extend" => {
            admin.text(&["access", "extend", &request, "--minutes", "60"]).map(drop)
        }
        _ => Err(Trouble::new(format!("the browser asks for {what}"))),
    })
}

#[test]
fn a_bar_warns_before_granted_access_ends_and_the_session_goes_on() -> Outcome {
    access_ends("")
}

#[test]
fn a_bar_warns_before_a_session_ends_with_granted_access() -> Outcome {
    access_ends("access_ends_sessions = true\n")
}
