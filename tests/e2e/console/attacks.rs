//! What a person does at a bad moment, and what another one does to her meanwhile: questions that
//! cross, keys that are pressed twice, a user who changes, connections that end at once, files that
//! change under a copy, disks that are full, rights that are taken away.

use serde_json::json;
use towline_testkit::lab::Lab;
use towline_testkit::lab::programs::workspace;
use towline_testkit::mount::Mount;
use towline_testkit::{Outcome, Trouble};

use super::{browser, perform, serve_console_at};

/// What bob may do.
const JOINS: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*",
    "Action":["towline:JoinSession","ssm:StartSession"]}]}"#;

#[test]
fn nothing_is_answered_sent_or_lost_at_a_bad_moment() -> Outcome {
    let mut lab = Lab::start()?;
    let origin = format!("https://{}", lab.gateway.address());
    serve_console_at(&mut lab, &origin)?;
    let shared = lab.directory().join("shared");
    std::fs::create_dir_all(shared.join("there"))?;
    // Before the device starts: it does not see later mounts.
    let _disk = Mount::small_disk(shared.join("small"), 1 << 20)?;
    let device = lab.device()?;
    let bob = lab.user("bob", Some(JOINS))?;
    let mut command = browser(&lab)?;
    command.arg(workspace().join("tests/e2e/console/story_attacks.js"));
    command.env("TOWLINE_ORIGIN", &origin).env("TOWLINE_DEVICE", device.id());
    command.env("TOWLINE_SHARED", &shared);
    let mut joiner = None;
    let admin = lab.admin();
    perform(command, |what| match what.split_once(' ').unwrap_or((what, "")) {
        ("join", session) => {
            joiner = Some(bob.terminal(&["join", session])?);
            Ok(())
        }
        ("terminate", session) => {
            admin.api("AmazonSSM.TerminateSession", &json!({ "SessionId": session })).map(drop)
        }
        ("refuse", _) => {
            let policy = json!({ "PrincipalName": "ann", "PolicyName": "sees" });
            admin.api("Towline.DeletePrincipalPolicy", &policy).map(drop)
        }
        _ => Err(Trouble::new(format!("the browser asks for {what}"))),
    })
}
