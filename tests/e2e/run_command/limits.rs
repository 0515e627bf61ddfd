//! What bounds a command: bytes, time, processes, and the time in which it must have begun.

use std::time::Duration;

use serde_json::{Value, json};
use towline_testkit::lab::{DeviceSetup, Lab};
use towline_testkit::process::{Running, Signal};
use towline_testkit::trouble::{ensure, pause};
use towline_testkit::{Outcome, eventually};

use super::{ended, ended_within, is, lines, look, mark, send, setup, whole_output};

#[test]
fn a_script_that_prints_for_ever_is_ended_at_its_limit_and_what_it_printed_is_kept() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let id = send(&lab, &device, "yes 0123456789abcdef0123456789abcdef0123456789abcdef", 600)?;
    let over = ended(&lab, &device, &id)?;
    is(&over, "Failed")?;
    let words = over["StandardErrorContent"].as_str().unwrap_or_default();
    ensure(words.contains("67108864 bytes"), || format!("{over}"))?;
    ensure(whole_output(&over)?.len() == 64 * 1024 * 1024, || "not as much as is kept".to_owned())
}

#[test]
fn a_script_that_forks_for_ever_leaves_nobody_when_its_time_is_over() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let alive = mark(&lab, "alive");
    let script = format!("f() {{ echo x >> {}; sleep 0.05; f & }}; f; sleep 600", alive.display());
    let id = send(&lab, &device, &script, 1)?;
    let over = ended(&lab, &device, &id)?;
    ensure(over["StatusDetails"] == "ExecutionTimedOut", || format!("{over}"))?;
    let mut last = 0;
    eventually("nobody writes any more", Duration::from_secs(60), || {
        pause(Duration::from_millis(400));
        let now = lines(&alive);
        let quiet = now == last;
        last = now;
        quiet.then_some(())
    })
}

#[test]
fn a_script_that_forks_for_ever_gets_no_more_processes_than_a_session_may_have() -> Outcome {
    let lab = Lab::start()?;
    let limited = ("TOWLINE_SESSIONS_MAX_PROCESSES".to_owned(), "25".to_owned());
    let device =
        lab.device_with(&DeviceSetup { environment: vec![limited], ..DeviceSetup::default() })?;
    if device.logged().contains("processes of one session: any number: ") {
        // Said in words: there is nothing to be limited on this machine.
        return Ok(());
    }
    let id = send(
        &lab,
        &device,
        "i=0; while [ $i -lt 500 ]; do sleep 30 & i=$((i+1)); echo made; done; sleep 60",
        20,
    )?;
    let over = ended(&lab, &device, &id)?;
    let made = over["StandardOutputContent"].as_str().unwrap_or_default().matches("made").count();
    ensure((1..25).contains(&made), || format!("{made} processes: {over}"))?;
    ensure(over["Status"] != "Success", || format!("{over}"))?;
    // The limit was the session's own: the next one has all of its own again.
    is(
        &ended(
            &lab,
            &device,
            &send(&lab, &device, "for i in 1 2 3 4 5; do sleep 0 & done; wait", 20)?,
        )?,
        "Success",
    )
}

#[test]
fn a_device_that_does_not_come_back_in_time_never_gets_the_command() -> Outcome {
    let lab = Lab::start()?;
    let there = lab.device_with(&setup(&[("Environment", "dev")]))?;
    let mut away = lab.device_with(&setup(&[("Environment", "dev")]))?;
    away.process()?.stop()?;
    let starts = mark(&lab, "starts");
    // The shortest time that AWS's model has.
    let body = json!({
        "DocumentName": "AWS-RunShellScript",
        "Targets": [{ "Key": "tag:Environment", "Values": ["dev"] }],
        "TimeoutSeconds": 30,
        "Parameters": { "commands": [format!("echo x >> {}", starts.display())] },
    });
    let sent = lab.admin().api("AmazonSSM.SendCommand", &body)?;
    let id = sent["Command"]["CommandId"].as_str().unwrap_or_default().to_owned();
    is(&ended(&lab, &there, &id)?, "Success")?;
    is(&look(&lab, &away, &id)?, "Pending")?;
    let over = ended_within(Duration::from_secs(90), &lab, &away, &id)?;
    let words = over["TowlineReason"].as_str().unwrap_or_default();
    ensure(
        over["Status"] == "TimedOut"
            && over["StatusDetails"] == "DeliveryTimedOut"
            && !words.is_empty(),
        || format!("{over}"),
    )?;
    let listed = lab.admin().api("AmazonSSM.ListCommands", &json!({ "CommandId": id }))?;
    let command: &Value = &listed["Commands"][0];
    let counts = ["TargetCount", "CompletedCount", "ErrorCount", "DeliveryTimedOutCount"]
        .map(|name| &command[name]);
    ensure(counts == [2, 2, 0, 1] && command["Status"] == "TimedOut", || format!("{command}"))?;
    away.start()?;
    away.wait_online(&lab.admin())?;
    // A command that is sent now comes behind whatever would have been given to it.
    is(&ended(&lab, &away, &send(&lab, &away, "true", 20)?)?, "Success")?;
    ensure(lines(&starts) == 1, || format!("{} starts", lines(&starts)))
}

#[test]
fn a_step_waits_while_the_command_log_is_full_and_runs_when_there_is_room() -> Outcome {
    let lab = Lab::start()?;
    let config = "audit.when_full = \"refuse-sessions\"\naudit.spool_bytes = 0".into();
    let device = lab.device_with(&DeviceSetup { config, ..DeviceSetup::default() })?;
    device.relay.delay(Duration::from_millis(200));
    // More records than a slow link carries: memory for them is full as long as this goes on.
    let noise = "a=$(head -c 1000 /dev/zero | tr '\\0' x); while :; do /bin/true $a; done";
    let noise = ["exec", "-n", device.id(), "--", "sh", "-c", noise];
    let noise = Running::start("towline", lab.admin().towline(&noise), &mark(&lab, "noise"))?;
    eventually("no session is opened", Duration::from_secs(60), || {
        let out = lab.admin().run(&["exec", "-n", device.id(), "--", "true"]).ok()?;
        String::from_utf8_lossy(&out.stderr).contains(FULL).then_some(())
    })?;
    let before = device.logged().matches(FULL).count();
    let id = send(&lab, &device, "echo ran", 20)?;
    eventually("the step was refused", Duration::from_secs(60), || {
        (device.logged().matches(FULL).count() > before).then_some(())
    })?;
    noise.signal(Signal::TERM)?;
    device.relay.delay(Duration::ZERO);
    let over = ended(&lab, &device, &id)?;
    is(&over, "Success")?;
    ensure(over["StandardOutputContent"] == "ran\n", || format!("{over}"))
}

/// What the agent says then.
const FULL: &str = "the command log is full";
