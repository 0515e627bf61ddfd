//! Run Command over several gateways: each carries the devices that it holds, and limits are those
//! of all.

use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use towline_testkit::lab::{Device, Operator};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually};

use crate::cluster::Pair;
use crate::run_command::{begun, lines, mark, setup};

const SOON: Duration = Duration::from_secs(40);

/// Sends a script to all devices of the site; the command's id.
fn send(at: &Operator, script: &str, more: &[(&str, &str)]) -> Outcome<String> {
    let mut body = json!({
        "DocumentName": "AWS-RunShellScript",
        "Targets": [{ "Key": "tag:site", "Values": ["shed"] }],
        "Parameters": { "commands": [script] },
    });
    for (name, value) in more {
        body[*name] = json!(value);
    }
    let sent = at.api("AmazonSSM.SendCommand", &body)?;
    sent["Command"]["CommandId"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Trouble::new(format!("no id: {sent}")))
}

/// How the command ended on a device.
fn ended(at: &Operator, id: &str, device: &Device) -> Outcome<Value> {
    let body = json!({ "CommandId": id, "InstanceId": device.id() });
    let mut last = Value::Null;
    let over = eventually("the command is over on a device", SOON, || {
        last = at.api("AmazonSSM.GetCommandInvocation", &body).ok()?;
        let running = ["Pending", "InProgress", "Delayed", "Cancelling"];
        (!running.contains(&last["Status"].as_str()?)).then(|| last.clone())
    });
    over.map_err(|error| {
        Trouble::new(format!("{error}; it stands at {last}; the device says {}", device.logged()))
    })
}

fn succeeded(at: &Operator, id: &str, device: &Device) -> Outcome {
    let over = ended(at, id, device)?;
    ensure(over["Status"] == "Success", || format!("{over}; {}", device.logged()))
}

/// Waits for what the command says of itself as a whole.
fn stands(at: &Operator, id: &str, status: &str, completed: i64) -> Outcome {
    let mut last = Value::Null;
    let known = eventually("the command is over", SOON, || {
        last = at.api("AmazonSSM.ListCommands", &json!({ "CommandId": id })).ok()?;
        let command = &last["Commands"][0];
        (command["Status"] == status && command["CompletedCount"] == completed).then_some(())
    });
    known.map_err(|error| Trouble::new(format!("{error}: {last}")))
}

/// The whole standard output on a device.
fn output(at: &Operator, id: &str, device: &Device) -> Outcome<String> {
    let (mut all, mut offset) = (Vec::new(), json!(0));
    loop {
        let body = json!({
            "CommandId": id, "InstanceId": device.id(), "Stream": "stdout", "Offset": offset,
        });
        let piece = at.api("Towline.GetCommandOutput", &body)?;
        let data = piece["Data"].as_str().unwrap_or_default();
        let data = base64::engine::general_purpose::STANDARD.decode(data);
        all.extend(data.map_err(|error| Trouble::new(error.to_string()))?);
        offset = piece["NextOffset"].clone();
        if offset.is_null() {
            return Ok(String::from_utf8_lossy(&all).into_owned());
        }
    }
}

#[test]
fn a_command_for_a_tag_runs_once_on_the_devices_of_both_gateways() -> Outcome {
    let pair = Pair::start()?;
    let shed = setup(&[("site", "shed")]);
    let on_a = pair.device_with(&[pair.a_address()], &shed)?;
    let on_b = pair.device_with(&[pair.b_address], &shed)?;
    let (a, b) = (pair.admin_at(pair.a_address()), pair.admin_at(pair.b_address));
    for (sender, reader, name) in [(&a, &b, "a"), (&b, &a, "b")] {
        let starts = mark(&pair.lab, &format!("starts-{name}"));
        let script = format!("echo x >> {}; echo hello; seq 1 5000", starts.display());
        let id = send(sender, &script, &[])?;
        let expected: String = (1..=5000).map(|n| format!("{n}\n")).collect();
        for device in [&on_a, &on_b] {
            succeeded(reader, &id, device)?;
            for at in [sender, reader] {
                let whole = output(at, &id, device)?;
                ensure(whole == format!("hello\n{expected}"), || {
                    format!("sent to {name}: {} bytes of output", whole.len())
                })?;
            }
        }
        stands(reader, &id, "Success", 2)?;
        ensure(lines(&starts) == 2, || format!("sent to {name}: {} starts", lines(&starts)))?;
    }
    Ok(())
}

#[test]
fn concurrency_and_errors_are_counted_over_both_gateways() -> Outcome {
    let pair = Pair::start()?;
    let shed = setup(&[("site", "shed")]);
    let mut devices = Vec::new();
    for address in [pair.a_address(), pair.b_address, pair.a_address(), pair.b_address] {
        devices.push(pair.device_with(&[address], &shed)?);
    }
    let (a, b) = (pair.admin_at(pair.a_address()), pair.admin_at(pair.b_address));
    let turns = mark(&pair.lab, "turns");
    let script = format!("echo in >> {0}; sleep 0.5; echo out >> {0}", turns.display());
    let id = send(&a, &script, &[("MaxConcurrency", "1")])?;
    for device in &devices {
        succeeded(&b, &id, device)?;
    }
    let turns = std::fs::read_to_string(&turns)?;
    ensure(turns == "in\nout\n".repeat(4), || format!("not one after the other: {turns:?}"))?;

    let starts = mark(&pair.lab, "starts");
    let script = format!("echo x >> {}; exit 3", starts.display());
    let id = send(&b, &script, &[("MaxConcurrency", "1"), ("MaxErrors", "0")])?;
    stands(&a, &id, "Failed", 4)?;
    ensure(lines(&starts) == 1, || format!("{} devices got it", lines(&starts)))
}

#[test]
fn a_command_is_stopped_at_both_gateways_through_either() -> Outcome {
    let pair = Pair::start()?;
    let shed = setup(&[("site", "shed")]);
    let on_a = pair.device_with(&[pair.a_address()], &shed)?;
    let on_b = pair.device_with(&[pair.b_address], &shed)?;
    let (a, b) = (pair.admin_at(pair.a_address()), pair.admin_at(pair.b_address));
    for (sender, stopper, name) in [(&a, &b, "a"), (&b, &a, "b")] {
        let starts = mark(&pair.lab, &format!("starts-{name}"));
        let id = send(sender, &format!("echo x >> {}; sleep 600", starts.display()), &[])?;
        eventually("both have begun", SOON, || (lines(&starts) == 2).then_some(())).map_err(
            |error| {
                let said = [pair.lab.gateway.logged(), pair.b.printed()].join("\n");
                Trouble::new(format!("sent to {name}: {error}; the gateways say {said}"))
            },
        )?;
        stopper.api("AmazonSSM.CancelCommand", &json!({ "CommandId": id }))?;
        for device in [&on_a, &on_b] {
            let over = ended(sender, &id, device)?;
            ensure(over["Status"] == "Cancelled", || format!("sent to {name}: {over}"))?;
        }
        stands(sender, &id, "Cancelled", 2)?;
    }
    Ok(())
}

#[test]
fn a_command_goes_on_at_the_other_gateway_when_its_own_is_killed() -> Outcome {
    let mut pair = Pair::start()?;
    let device =
        pair.device_with(&[pair.a_address(), pair.b_address], &setup(&[("site", "shed")]))?;
    let (a, b) = (pair.admin_at(pair.a_address()), pair.admin_at(pair.b_address));
    let starts = mark(&pair.lab, "starts");
    let script = format!(
        "echo x >> {}; for i in $(seq 1 60); do seq 1 500; sleep 0.05; done",
        starts.display()
    );
    let id = send(&a, &script, &[])?;
    begun(&starts)?;
    eventually("some output is kept for the other gateway", SOON, || {
        let pieces = "select count(*) from command_output_pieces";
        (pair.server.psql("towline", pieces).ok()? != "0").then_some(())
    })?;
    pair.lab.gateway.kill()?;
    succeeded(&b, &id, &device)?;
    let expected: String = (1..=500).map(|n| format!("{n}\n")).collect();
    let whole = output(&b, &id, &device)?;
    ensure(whole == expected.repeat(60), || format!("{} bytes of output", whole.len()))?;
    ensure(lines(&starts) == 1, || format!("{} starts", lines(&starts)))?;
    stands(&b, &id, "Success", 1)?;
    let left = pair.server.psql("towline", "select count(*) from command_output_pieces")?;
    ensure(left == "0", || format!("{left} pieces of output are left"))?;
    pair.lab.gateway.start_again()?;
    let through_a = output(&a, &id, &device)?;
    ensure(through_a == whole, || format!("through a: {} bytes", through_a.len()))
}
