//! Who somebody is: persons behind roles, names that are given again, changes at the same time, the
//! last administrator, owners of recordings, and sessions of who lost their rights. Most attacks
//! are in `python/identities.py`, with real boto3.

use std::time::Duration;

use serde_json::json;
use towline_testkit::lab::programs::workspace;
use towline_testkit::lab::{Device, GatewaySetup, Lab, Operator};
use towline_testkit::machine::SCRIPT;
use towline_testkit::terminal::Terminal;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually, machine, process};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn identities_are_not_names() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut command = lab.admin().python();
    command
        .arg(workspace().join("tests/e2e/python/identities.py"))
        .env("TOWLINE_DEVICE", device.id());
    let out = process::finish(command, SCRIPT)?;
    let said = String::from_utf8_lossy(&out.stdout);
    ensure(out.status.success(), || format!("{said}\n{}", String::from_utf8_lossy(&out.stderr)))
}

/// The pattern of AWS's documents for one's own sessions, for recordings and what is beside them.
const OWN: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":["ssm:StartSession","ssm:ResumeSession"],"Resource":"*"},
    {"Effect":"Allow","Action":["towline:GetRecording","towline:ListSessionCommands","ssm:TerminateSession"],
     "Resource":"arn:aws:ssm:*:*:session/${aws:username}-*"}]}"#;

#[test]
fn a_recording_stays_its_owners_when_the_row_of_the_session_is_gone() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let admin = lab.admin();
    let (owner, shorter) = (lab.user("x-y", Some(OWN))?, lab.user("x", Some(OWN))?);
    owner.text(&["exec", device.id(), "--", "echo", "sum-42"])?;
    let history = || admin.api("AmazonSSM.DescribeSessions", &json!({ "State": "History" }));
    let session = eventually("the session has ended", PATIENCE, || {
        Some(history().ok()?["Sessions"][0]["SessionId"].as_str()?.to_owned())
    })?;
    ensure(session.starts_with("x-y-"), || session.clone())?;
    let body = json!({ "SessionId": session });
    let judge = |who: &Operator, allowed: bool, when: &str| -> Outcome {
        for target in ["Towline.GetRecording", "Towline.ListSessionCommands"] {
            let (_, answer) = who.api_raw(target, &body.to_string())?;
            let denied = answer.contains("AccessDenied");
            ensure(denied != allowed, || format!("{target} {when}: {answer}"))?;
        }
        Ok(())
    };
    eventually("the recording is finished", PATIENCE, || {
        let answer = admin.api("Towline.GetRecording", &body).ok()?;
        (answer["Finished"] == true).then_some(())
    })?;
    judge(&owner, true, "by its owner")?;
    judge(&shorter, false, "by a shorter name")?;

    // As after thirty days.
    let program = "import sqlite3, sys\n\
        with sqlite3.connect(sys.argv[1], timeout=30) as db:\n\
        \x20   db.execute('DELETE FROM sessions WHERE id = ?', sys.argv[2:])";
    let mut prune = machine::python();
    prune.args(["-c", program]).arg(lab.gateway.directory().join("towline.db")).arg(&session);
    let out = process::finish(prune, PATIENCE)?;
    ensure(out.status.success(), || format!("{out:?}"))?;
    let left = history()?;
    ensure(left["Sessions"] == json!([]), || left.to_string())?;
    judge(&owner, true, "by its owner, without the row")?;
    judge(&shorter, false, "by a shorter name, without the row")?;
    judge(&admin, true, "by an administrator, without the row")?;

    admin.api("Towline.DeletePrincipal", &json!({ "PrincipalName": "x-y" }))?;
    let again = lab.user("x-y", Some(OWN))?;
    judge(&again, false, "by a later user of the name")
}

fn works(terminal: &mut Terminal, word: &str) -> Outcome {
    terminal.line(&format!("echo {word}-$((40 + 2))"))?;
    terminal.expect(&format!("{word}-42")).map(drop)
}

fn shell(who: &Operator, device: &Device) -> Outcome<Terminal> {
    let mut terminal = who.shell(device.id())?;
    works(&mut terminal, "begins")?;
    Ok(terminal)
}

#[test]
fn the_sessions_of_who_loses_rights_are_counted_or_ended() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let admin = lab.admin();
    let said = |words: &[&str], expected: &str| -> Outcome {
        let said = admin.text(words)?;
        ensure(said.contains(expected), || format!("{words:?}: {said}"))
    };
    let (ann, bob) = (lab.user("ann", Some(OWN))?, lab.user("bob", Some(OWN))?);
    let (mut hers, mut his) = (shell(&ann, &device)?, shell(&bob, &device)?);
    said(&["admin", "policy", "delete", "ann", "test"], "go on: 1")?;
    works(&mut hers, "goes-on")?;
    let key = ann.keys().id.clone();
    said(&["admin", "key", "disable", "ann", &key], "go on: 1")?;
    works(&mut hers, "still")?;
    said(&["admin", "key", "delete", "ann", &key, "--end-sessions"], "sessions ended: 1")?;
    hers.finish(PATIENCE)?;
    works(&mut his, "untouched")?;
    said(&["admin", "user", "delete", "bob"], "go on: 1")?;
    works(&mut his, "without-a-user")?;

    let history = admin.api("AmazonSSM.DescribeSessions", &json!({ "State": "History" }))?;
    let details = history["Sessions"][0]["Details"].as_str().unwrap_or_default();
    ensure(details.contains("rights of its owner were removed by"), || history.to_string())
}

#[test]
fn a_gateway_ends_the_sessions_of_who_loses_rights_when_it_is_set_so() -> Outcome {
    let config = "removal_ends_sessions = true\n".to_owned();
    let lab = Lab::with(&GatewaySetup { config, ..GatewaySetup::default() })?;
    let device = lab.device()?;
    let admin = lab.admin();
    let (ann, bob) = (lab.user("ann", Some(OWN))?, lab.user("bob", Some(OWN))?);
    let (mut hers, mut his) = (shell(&ann, &device)?, shell(&bob, &device)?);
    // A policy that is stored may give rights: it ends nothing by itself.
    let put = json!({ "PrincipalName": "ann", "PolicyName": "more", "PolicyDocument": OWN });
    let answer = admin.api("Towline.PutPrincipalPolicy", &put)?;
    ensure(answer == json!({ "LiveSessions": 1, "EndedSessions": 0 }), || answer.to_string())?;
    let delete = |name: &str, end: Option<bool>| {
        admin.api("Towline.DeletePrincipal", &json!({ "PrincipalName": name, "EndSessions": end }))
    };
    let answer = delete("bob", Some(false))?;
    ensure(answer == json!({ "LiveSessions": 1, "EndedSessions": 0 }), || answer.to_string())?;
    works(&mut his, "spared")?;
    let answer = delete("ann", None)?;
    ensure(answer == json!({ "LiveSessions": 0, "EndedSessions": 1 }), || answer.to_string())?;
    hers.finish(PATIENCE).map(drop)
}
