//! Access with approval, by the command line alone: asked for, decided, used, taken back (decision
//! 32).

use std::process::{Command, Output};

use serde_json::json;
use towline_testkit::lab::{GatewaySetup, Lab, Operator};
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually};

pub(crate) const ASKS: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":
    ["ssm:StartAccessRequest","ssm:GetAccessToken","ssm:ResumeSession","ssm:TerminateSession"],"Resource":"*"}]}"#;
const DECIDES: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":
    ["towline:ApproveAccessRequest","towline:ListAccessRequests"],"Resource":"*"}]}"#;

/// The request of `ann` for this device.
fn ask(ann: &Operator, device: &str) -> Outcome<String> {
    Ok(ann.text(&["access", "request", device, "--reason", "pump 7 leaks"])?.trim().to_owned())
}

/// `towline exec` with what `access token` printed, as a shell would have it after `eval`.
fn exec(ann: &Operator, exports: &str, device: &str) -> Outcome<Output> {
    Ok(granted(ann, exports, &["exec", device, "--", "echo", "sum-42"])?.output()?)
}

/// `towline WORDS…` in that environment.
fn granted(ann: &Operator, exports: &str, words: &[&str]) -> Outcome<Command> {
    let mut command = ann.towline(words);
    for line in exports.lines() {
        let (name, value) = line
            .strip_prefix("export ")
            .and_then(|rest| rest.split_once('='))
            .ok_or_else(|| Trouble::new("no line for a shell"))?;
        command.env(name, value);
    }
    Ok(command)
}

/// A shell of `ann` under access that `boss` has granted for a quarter of an hour, and the request.
fn shell_by_approval(lab: &Lab, device: &str) -> Outcome<(Terminal, String)> {
    let (ann, boss) = (lab.user("ann", Some(ASKS))?, lab.user("boss", Some(DECIDES))?);
    let request = ask(&ann, device)?;
    boss.text(&["access", "approve", &request, "--minutes", "15"])?;
    let exports = ann.text(&["access", "token", &request])?;
    let mut shell = Terminal::start(&granted(&ann, &exports, &["shell", device])?, 24, 100)?;
    shell.expect("granted access ends in 15 min")?;
    works(&mut shell, "told")?;
    Ok((shell, request))
}

fn works(shell: &mut Terminal, word: &str) -> Outcome {
    shell.line(&format!("echo {word}-$((40+2))"))?;
    shell.expect(&format!("{word}-42")).map(drop)
}

/// Lets access end in so many seconds, as if the time until then had passed.
pub(crate) fn ends_in(lab: &Lab, request: &str, seconds: u32) -> Outcome {
    let script = "import sqlite3,sys,time; c=sqlite3.connect(sys.argv[1],timeout=20); \
                  c.execute('update access_requests set expires_at = ? where id = ?', \
                  (int((time.time()+float(sys.argv[3]))*1000), sys.argv[2])); c.commit()";
    let database = lab.gateway.directory().join("towline.db");
    let mut write = lab.admin().python();
    write.args(["-c", script]).arg(database).args([request, &seconds.to_string()]);
    ensure(write.status()?.success(), || "the store cannot be written".into())
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

#[test]
fn a_shell_is_told_before_granted_access_ends_and_goes_on_after_it() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let (mut shell, request) = shell_by_approval(&lab, device.id())?;
    ends_in(&lab, &request, 240)?;
    shell.expect(&format!("ends in 4 min, this session goes on ({request})"))?;
    lab.admin().text(&["access", "extend", &request, "--minutes", "60"])?;
    shell.expect("granted access ends in 60 min, this session goes on")?;
    ends_in(&lab, &request, 50)?;
    shell.expect("granted access ends in 1 min, this session goes on")?;
    ends_in(&lab, &request, 0)?;
    shell.expect("granted access has ended, this session goes on")?;
    works(&mut shell, "after-the-end")?;
    shell.line("exit")?;
    ensure(shell.finish(PATIENCE)?.success(), || "the shell did not end well".into())?;
    let ended = json!({ "State": "History" });
    let recorded = eventually("the recording is there", PATIENCE, || {
        let history = lab.admin().api("AmazonSSM.DescribeSessions", &ended).ok()?;
        let session = history["Sessions"][0]["SessionId"].as_str()?.to_owned();
        let text = lab.admin().text(&["export", &session, "--format", "cast"]).ok()?;
        text.contains("after-the-end-42").then_some(text)
    })?;
    ensure(!recorded.contains("granted access"), || recorded.clone())
}

#[test]
fn a_shell_ends_with_granted_access_when_the_gateway_is_set_so() -> Outcome {
    let config = "access_ends_sessions = true\n".to_owned();
    let lab = Lab::with(&GatewaySetup { config, ..GatewaySetup::default() })?;
    let device = lab.device()?;
    let (mut shell, request) = shell_by_approval(&lab, device.id())?;
    ends_in(&lab, &request, 50)?;
    shell.expect("granted access ends in 1 min, this session ends with it")?;
    ends_in(&lab, &request, 0)?;
    shell.expect("the access that was granted for it has ended")?;
    ensure(!shell.finish(PATIENCE)?.success(), || "the shell ended as if by itself".into())?;
    eventually("the audit line", PATIENCE, || {
        let log = lab.gateway.logged();
        let event = "\"eventName\":\"SessionEndedWithAccess\"";
        log.lines().any(|line| line.contains(event) && line.contains(&request)).then_some(())
    })
}
