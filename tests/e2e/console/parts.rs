//! A recording that two gateways made, in the console of one of them: while both live, and after
//! the other one was killed with its part.

use std::net::Ipv4Addr;

use serde_json::json;
use towline_testkit::lab::programs::workspace;
use towline_testkit::relay::Relay;
use towline_testkit::{Outcome, Trouble};

use super::{browser, perform};
use crate::cluster::{PATIENCE, Pair, serve};

#[test]
fn a_recording_of_two_gateways_is_played_as_one_and_names_what_is_missing() -> Outcome {
    let front = Relay::to((Ipv4Addr::LOCALHOST, 9).into())?;
    let origin = format!("https://{}", front.address());
    let known = format!("[console]\norigins = [\"{origin}\"]\n");
    let mut pair = Pair::with(&known)?;
    // The other gateway does not know the page's origin: who passes a request on has judged it.
    pair.b.kill()?;
    let settings = pair.b_home.join("gateway.toml");
    let others = std::fs::read_to_string(&settings)?.replace(&known, "");
    towline_testkit::files::write(&settings, others)?;
    pair.b = serve(&pair.lab, &pair.b_home, pair.b_address)?;
    front.retarget(pair.a_address());
    let to_a = Relay::to(pair.a_address())?;
    let device = pair.device_at(&[to_a.address(), pair.b_address])?;
    let a = pair.admin_at(pair.a_address());
    let mut shell = a.shell(device.id())?;
    shell.line("echo at_a$((40+2))")?;
    shell.expect("at_a42")?;
    let open = a.api("AmazonSSM.DescribeSessions", &json!({ "State": "Active" }))?;
    let session = open["Sessions"][0]["SessionId"].as_str();
    let session = session.ok_or_else(|| Trouble::new(format!("no session: {open}")))?;
    to_a.close(true);
    to_a.cut();
    shell.line("echo at_b$((40+2))")?;
    shell.expect("at_b42")?;
    shell.line("exit 0")?;
    shell.finish(PATIENCE)?;
    let mut command = browser(&pair.lab)?;
    command.arg(workspace().join("tests/e2e/console/story_parts.js"));
    command.env("TOWLINE_ORIGIN", &origin).env("TOWLINE_SESSION", session);
    perform(command, |what| match what {
        "kill" => pair.b.kill(),
        _ => Err(Trouble::new(format!("the browser asks for {what}"))),
    })
}
