//! The recording of a session that changes gateways: a part at each of them, and one recording to
//! its reader.

use serde_json::json;
use towline_testkit::lab::Operator;
use towline_testkit::relay::Relay;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually};

use crate::cluster::{PATIENCE, Pair};
use crate::evidence::verify_folder;

/// The one session that is open.
fn session(at: &Operator) -> Outcome<String> {
    let open = at.api("AmazonSSM.DescribeSessions", &json!({ "State": "Active" }))?;
    let id = open["Sessions"][0]["SessionId"].as_str();
    id.map(str::to_owned).ok_or_else(|| Trouble::new(format!("no session: {open}")))
}

/// Waits until the recording has these words, in this order, as this gateway reads it.
fn reads(at: &Operator, session: &str, words: &[&str]) -> Outcome<String> {
    let mut last = String::new();
    let found = eventually("the recording has all words", PATIENCE, || {
        last = at.text(&["export", session, "--format", "txt"]).ok()?;
        let mut rest = &*last;
        for word in words {
            rest = rest.split_once(word)?.1;
        }
        Some(last.clone())
    });
    found.map_err(|error| Trouble::new(format!("{error}: {words:?} in {last}")))
}

fn verifies(at: &Operator, session: &str, said: &str) -> Outcome {
    let mut last = String::new();
    let found = eventually("the recording verifies", PATIENCE, || {
        let out = at.run(&["verify", session]).ok()?;
        last = format!("{out:?}");
        (out.status.success() && last.contains(said)).then_some(())
    });
    found.map_err(|error| Trouble::new(format!("{error}: {last}")))
}

#[test]
fn a_demanded_recording_goes_on_at_the_gateway_that_takes_the_session_over() -> Outcome {
    let sink = std::env::temp_dir().join(format!("towline-records-{}", std::process::id()));
    if sink.exists() {
        std::fs::remove_dir_all(&sink)?; // of a run that was killed
    }
    std::fs::create_dir(&sink)?;
    let shared = format!("recording = \"demanded\"\ndirectory = \"{}\"\n", sink.display());
    let mut pair = Pair::with(&shared)?;
    let device = pair.device_at(&[pair.a_address(), pair.b_address])?;
    let front = Relay::to(pair.a_address())?;
    let (a, b) = (pair.admin_at(pair.a_address()), pair.admin_at(pair.b_address));
    let mut shell = pair.admin_at(front.address()).shell(device.id())?;
    shell.line("echo at_a$((40+2))")?;
    shell.expect("at_a42")?;
    let session = session(&a)?;
    reads(&a, &session, &["at_a42"])?;
    front.retarget(pair.b_address);
    pair.lab.gateway.kill()?;
    shell.line("echo at_b$((40+2))")?;
    shell.expect("at_b42")?;
    shell.line("exit 0")?;
    shell.finish(PATIENCE)?;
    let second = reads(&b, &session, &["in the part before", "at_b42"])?;
    ensure(!second.contains("at_a42"), || format!("the first part is on the disk of a: {second}"))?;
    pair.lab.gateway.start_again()?;
    for at in [&a, &b] {
        reads(at, &session, &["at_a42", "in the part before", "at_b42"])?;
        verifies(at, &session, "2 recordings")?;
    }
    let mut last = String::new();
    eventually("the sink of both gateways verifies", PATIENCE, || {
        let out = verify_folder(&pair.lab, &sink, &[]).ok()?;
        last = format!("{out:?}");
        out.status.success().then_some(())
    })
    .map_err(|error| Trouble::new(format!("{error}: {last}")))?;
    std::fs::remove_dir_all(&sink)?;
    ensure(last.contains("2 recordings"), || last.clone())
}

#[test]
fn a_recording_of_two_gateways_is_read_through_either_while_both_live() -> Outcome {
    let mut pair = Pair::start()?;
    let to_a = Relay::to(pair.a_address())?;
    let device = pair.device_at(&[to_a.address(), pair.b_address])?;
    let (a, b) = (pair.admin_at(pair.a_address()), pair.admin_at(pair.b_address));
    let mut shell = a.shell(device.id())?;
    shell.line("echo at_a$((40+2))")?;
    shell.expect("at_a42")?;
    let session = session(&a)?;
    to_a.close(true);
    to_a.cut();
    shell.line("echo at_b$((40+2))")?;
    shell.expect("at_b42")?;
    for at in [&a, &b] {
        reads(at, &session, &["at_a42", "in the part before", "at_b42"])?;
    }
    shell.line("exit 0")?;
    shell.finish(PATIENCE)?;
    for at in [&a, &b] {
        verifies(at, &session, "2 recordings")?;
    }

    // The row goes first. Each gateway has one part, and the other one says that it has the next.
    pair.server.psql("towline", &format!("delete from sessions where id = '{session}'"))?;
    for at in [&a, &b] {
        reads(at, &session, &["at_a42", "in the part before", "at_b42"])?;
    }
    pair.b.kill()?;
    let said = a.run(&["export", &session, "--format", "txt"])?;
    let (text, told) =
        (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    ensure(text.contains("at_a42") && told.contains("may be missing"), || {
        format!("the loss of a part has no word: {text} {told}")
    })
}
