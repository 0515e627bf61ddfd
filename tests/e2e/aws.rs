//! The data channel of AWS, as session-manager-plugin speaks it, by a scripted client that checks
//! what the plugin would suffer from: sizes, acknowledgements, retransmission, resumption, bulk in
//! both directions, ends and their words.

use std::time::Duration;

use towline_testkit::lab::Lab;
use towline_testkit::lab::programs::workspace;
use towline_testkit::machine::SCRIPT;
use towline_testkit::process::Running;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually, process};

#[test]
fn a_client_of_the_aws_data_channel_has_shells_commands_and_resumption() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut command = lab.admin().python();
    command
        .arg(workspace().join("tests/e2e/python/aws_channel.py"))
        .env("TOWLINE_DEVICE", device.id());
    let out = process::finish(command, SCRIPT)?;
    ensure(out.status.success(), || {
        format!(
            "{}\n{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        )
    })?;
    no_session_is_left(&lab)
}

fn no_session_is_left(lab: &Lab) -> Outcome {
    eventually("no session is left", Duration::from_secs(60), || {
        let active = lab
            .admin()
            .api("AmazonSSM.DescribeSessions", &serde_json::json!({ "State": "Active" }))
            .ok()?;
        active["Sessions"].as_array().is_some_and(Vec::is_empty).then_some(())
    })
}

/// How often the client asks for it: four times in a shell, once in a command.
const KILLS: usize = 5;

#[test]
fn a_client_of_the_aws_data_channel_survives_a_killed_gateway_without_a_byte_lost_or_doubled()
-> Outcome {
    let mut lab = Lab::start()?;
    let device = lab.device()?;
    let mut command = lab.admin().python();
    command
        .arg(workspace().join("tests/e2e/python/aws_restart.py"))
        .env("TOWLINE_DEVICE", device.id());
    command.env("TOWLINE_FLAG", lab.directory().join("go-on"));
    let mut client =
        Running::start("the client", command, &lab.directory().join("aws-restart.log"))?;
    for number in 1..=KILLS {
        client.wait_for("it asks for a kill", 0, SCRIPT, |said| {
            (said.lines().filter(|line| *line == "kill").count() >= number).then_some(())
        })?;
        lab.gateway.kill()?;
        lab.gateway.start_again()?;
    }
    client.wait_for("it is done", 0, SCRIPT, |said| {
        said.lines().any(|line| line == "well").then_some(())
    })?;
    ensure(client.wait(SCRIPT)?.success(), || "it ended badly".into())?;
    // A session takes its journal along, at the latest when the next client comes or the gateway
    // starts.
    no_session_is_left(&lab)?;
    lab.gateway.kill()?;
    lab.gateway.start_again()?;
    let left = std::fs::read_dir(lab.gateway.directory().join("channels"))?.count();
    ensure(left == 0, || format!("{left} journals are left"))
}
