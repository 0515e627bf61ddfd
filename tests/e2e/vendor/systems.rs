//! The system of a device: the word of the control channel's opening frame, and of the reports.
//! Rights depend on it, for Windows has no run-as.

use serde_json::json;
use towline_testkit::Outcome;
use towline_testkit::lab::Lab;
use towline_testkit::trouble::ensure;

use super::wait_online;
use crate::codes::DENIED;
use crate::peers::vendor::{KEYS, Platform, Socket, VendorAgent, WINDOWS};

/// A device that has connected, and has not reported anything yet. Its channel is open while the
/// socket lives.
fn before_its_report(
    lab: &Lab,
    platform: Platform,
) -> Outcome<(std::sync::Arc<VendorAgent>, Socket)> {
    let agent = VendorAgent::new(lab, KEYS[0], platform)?;
    ensure(agent.register(&lab.activation(1)?)?.status == 200, || "refused".into())?;
    ensure(agent.renew()?.status == 200, || "no keys".into())?;
    let control = agent.open_control()?;
    wait_online(lab, &agent)?;
    Ok((agent, control))
}

/// What an operator is told who starts a command as this user.
fn refused_as(lab: &Lab, agent: &VendorAgent, user: &str) -> Outcome<String> {
    let out = lab.admin().run(&["exec", "--user", user, &agent.id(), "--", "true"])?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(!out.status.success(), || "it was started".into())?;
    Ok(said)
}

fn says(agent: &VendorAgent, platform: &str) -> Outcome {
    let health = json!({ "InstanceId": agent.id(), "AgentVersion": "3.3.0.0",
        "PlatformType": platform });
    let answer = agent.call("AmazonSSM.UpdateInstanceInformation", "ssm", &health)?;
    ensure(answer.status == 200, || format!("{answer:?}"))
}

#[test]
fn a_device_is_judged_by_the_word_that_its_control_channel_is_opened_with() -> Outcome {
    let lab = Lab::start()?;
    let (agent, _control) = before_its_report(&lab, WINDOWS)?;
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": "*", "Resource": "*" },
            { "Effect": "Deny", "Action": "ssm:StartSession", "Resource": "*",
              "Condition": { "StringEquals": { "towline:DocumentParameter/runAsUser": "ssm-user" } } },
        ],
    });
    let ann = lab.user("ann", Some(&policy.to_string()))?;
    let denied = ann.run(&["exec", "--user", "ssm-user", &agent.id(), "--", "true"])?;
    ensure(denied.status.code() == Some(DENIED), || format!("{denied:?}"))?;
    // Windows would take bob for ssm-user.
    let said = refused_as(&lab, &agent, "bob")?;
    ensure(said.contains("as ssm-user, not as bob"), || said)?;
    let shown = lab.admin().api("AmazonSSM.DescribeInstanceInformation", &json!({}))?;
    ensure(shown["InstanceInformationList"][0]["PlatformType"] == "Windows", || {
        format!("{shown}")
    })?;
    // Two words that differ: nothing is started.
    says(&agent, "Linux")?;
    let said = refused_as(&lab, &agent, "bob")?;
    ensure(said.contains("opened as Windows, and its last report says Linux"), || said)
}

#[test]
fn an_older_agent_starts_no_program_before_its_first_report() -> Outcome {
    let lab = Lab::start()?;
    let silent = Platform { health: "Windows", frame: "" };
    let (agent, _control) = before_its_report(&lab, silent)?;
    let said = refused_as(&lab, &agent, "bob")?;
    ensure(said.contains("which system it runs"), || said)?;
    says(&agent, "Windows")?;
    let said = refused_as(&lab, &agent, "bob")?;
    ensure(said.contains("as ssm-user, not as bob"), || said)
}

/// What is sent twice as it is, of what the device's own key signed.
#[test]
fn a_request_for_keys_is_answered_once() -> Outcome {
    let lab = Lab::start()?;
    let (agent, _control) = before_its_report(&lab, WINDOWS)?;
    let body = json!({ "Fingerprint": agent.fingerprint });
    let target = "AmazonSSM.RequestManagedInstanceRoleToken";
    let [first, again] = agent.by_own_key_twice(target, &body)?;
    ensure(first.status == 200, || format!("{first:?}"))?;
    let is_refused = again.status != 200 && again.body.contains("InvalidSignatureException");
    ensure(is_refused && !again.body.contains("SecretAccessKey"), || {
        "a request that somebody has copied was answered with keys".into()
    })?;
    let fresh = agent.renew()?;
    ensure(fresh.status == 200, || format!("{fresh:?}"))
}
