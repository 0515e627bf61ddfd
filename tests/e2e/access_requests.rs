//! Access with approval, by the command line alone: asked for, decided, used, taken back (decision
//! 32).

use std::process::Output;

use towline_testkit::lab::{Lab, Operator};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble};

const ASKS: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":
    ["ssm:StartAccessRequest","ssm:GetAccessToken","ssm:ResumeSession","ssm:TerminateSession"],"Resource":"*"}]}"#;
const DECIDES: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":
    ["towline:ApproveAccessRequest","towline:ListAccessRequests"],"Resource":"*"}]}"#;

/// The request of `ann` for this device.
fn ask(ann: &Operator, device: &str) -> Outcome<String> {
    Ok(ann.text(&["access", "request", device, "--reason", "pump 7 leaks"])?.trim().to_owned())
}

/// `towline exec` with what `access token` printed, as a shell would have it after `eval`.
fn exec(ann: &Operator, exports: &str, device: &str) -> Outcome<Output> {
    let mut command = ann.towline(&["exec", device, "--", "echo", "sum-42"]);
    for line in exports.lines() {
        let (name, value) = line
            .strip_prefix("export ")
            .and_then(|rest| rest.split_once('='))
            .ok_or_else(|| Trouble::new("no line for a shell"))?;
        command.env(name, value);
    }
    Ok(command.output()?)
}

fn refused(out: &Output, words: &str) -> Outcome {
    let said = String::from_utf8_lossy(&out.stderr);
    ensure(!out.status.success() && said.contains(words), || {
        format!("not refused with {words:?}: {out:?}")
    })
}

#[test]
fn access_is_asked_for_approved_used_and_taken_back() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let (ann, boss) = (lab.user("ann", Some(ASKS))?, lab.user("boss", Some(DECIDES))?);
    refused(&ann.run(&["exec", device.id(), "--", "true"])?, "AccessDenied")?;
    let request = ask(&ann, device.id())?;
    refused(&ann.run(&["access", "token", &request])?, "pending")?;
    refused(&ann.run(&["access", "approve", &request])?, "AccessDenied")?;
    let listed = boss.text(&["access", "list"])?;
    ensure(listed.contains(&request) && listed.contains("pump 7 leaks"), || listed.clone())?;

    boss.text(&["access", "approve", &request, "--minutes", "15"])?;
    let exports = ann.text(&["access", "token", &request])?;
    let out = exec(&ann, &exports, device.id())?;
    ensure(out.status.success() && out.stdout == b"sum-42\n", || format!("{out:?}"))?;
    refused(&ann.run(&["exec", device.id(), "--", "true"])?, "AccessDenied")?;

    boss.text(&["access", "revoke", &request])?;
    refused(&exec(&ann, &exports, device.id())?, "Expired")?;
    refused(&ann.run(&["access", "token", &request])?, "revoked")
}

#[test]
fn access_that_was_rejected_gives_nothing() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let (ann, boss) = (lab.user("ann", Some(ASKS))?, lab.user("boss", Some(DECIDES))?);
    let request = ask(&ann, device.id())?;
    boss.text(&["access", "reject", &request])?;
    refused(&ann.run(&["access", "token", &request])?, "rejected")?;
    let listed = boss.text(&["access", "list"])?;
    ensure(listed.contains("rejected"), || listed.clone())
}
