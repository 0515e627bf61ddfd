//! The data channel of AWS, as session-manager-plugin speaks it, by a scripted client that checks what the plugin would
//! suffer from: sizes, acknowledgements, retransmission, resumption, bulk in both directions, ends and their words.

use std::time::Duration;

use towline_testkit::lab::Lab;
use towline_testkit::lab::programs::workspace;
use towline_testkit::machine::SCRIPT;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually, process};

#[test]
fn a_client_of_the_aws_data_channel_has_shells_commands_and_resumption() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut command = lab.admin().python();
    command.arg(workspace().join("tests/e2e/python/aws_channel.py")).env("TOWLINE_DEVICE", device.id());
    let out = process::finish(command, SCRIPT)?;
    ensure(out.status.success(), || {
        format!("{}\n{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
    })?;
    // Nothing of the ended sessions stays on the device.
    eventually("the device holds no session", Duration::from_secs(20), || {
        let active = lab.admin().api("AmazonSSM.DescribeSessions", &serde_json::json!({ "State": "Active" })).ok()?;
        active["Sessions"].as_array().is_some_and(Vec::is_empty).then_some(())
    })
}
