//! Run Command: what AWS's own client sees of it, and that a command is started once and loses no byte, whatever is cut or killed.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use towline_testkit::lab::programs::workspace;
use towline_testkit::lab::{Device, DeviceSetup, Lab};
use towline_testkit::trouble::{ensure, pause};
use towline_testkit::{Outcome, Trouble, eventually};

/// How long a command may take that has nothing to do.
const SOON: Duration = Duration::from_secs(40);

fn setup(tags: &[(&str, &str)]) -> DeviceSetup {
    DeviceSetup {
        tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        ..DeviceSetup::default()
    }
}

/// Sends a script; gives the command's id.
fn send(lab: &Lab, device: &Device, script: &str, timeout: u32) -> Outcome<String> {
    let body = json!({
        "DocumentName": "AWS-RunShellScript",
        "InstanceIds": [device.id()],
        "Parameters": { "commands": [script], "executionTimeout": [timeout.to_string()] },
    });
    let sent = lab.admin().api("AmazonSSM.SendCommand", &body)?;
    sent["Command"]["CommandId"].as_str().map(str::to_owned).ok_or_else(|| Trouble::new(format!("no id: {sent}")))
}

fn look(lab: &Lab, device: &Device, id: &str) -> Outcome<Value> {
    let body = json!({ "CommandId": id, "InstanceId": device.id() });
    lab.admin().api("AmazonSSM.GetCommandInvocation", &body)
}

/// Waits until the command is over there.
fn ended(lab: &Lab, device: &Device, id: &str) -> Outcome<Value> {
    let mut last = Value::Null;
    let over = eventually("the command is over", SOON, || {
        last = look(lab, device, id).ok()?;
        let running = ["Pending", "InProgress", "Delayed", "Cancelling"];
        (!running.contains(&last["Status"].as_str()?)).then(|| last.clone())
    });
    over.map_err(|error| Trouble::new(format!("{error}; it stands at {last}; the device says {}", device.logged())))
}

/// A file that a script writes to.
fn mark(lab: &Lab, name: &str) -> PathBuf {
    lab.directory().join(name)
}

fn lines(path: &PathBuf) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

fn begun(path: &PathBuf) -> Outcome {
    eventually("the script has begun", SOON, || (lines(path) > 0).then_some(()))
}

#[track_caller]
fn is(invocation: &Value, status: &str) -> Outcome {
    ensure(invocation["Status"] == status, || format!("not {status}: {invocation}"))
}

/// The whole of standard output, from the evidence store.
fn whole_output(invocation: &Value) -> Outcome<String> {
    let url = invocation["StandardOutputUrl"].as_str().unwrap_or_default();
    let path = PathBuf::from(url.strip_prefix("file://").unwrap_or_default());
    eventually("the output is in the sink", SOON, || std::fs::read_to_string(&path).ok())
}

#[test]
fn boto3_sends_lists_looks_and_cancels() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device_with(&setup(&[("Environment", "dev")]))?;
    let second = lab.device_with(&setup(&[("Environment", "dev"), ("Role", "db")]))?;
    let mut other = lab.device_with(&setup(&[("Environment", "prod")]))?;
    other.process()?.stop()?;
    let mut command = lab.admin().python();
    command.arg(workspace().join("tests/e2e/python/run_command.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("TOWLINE_DEVICE", device.id()).env("TOWLINE_SECOND", second.id()).env("TOWLINE_OTHER", other.id());
    let out = command.output()?;
    ensure(out.status.success(), || {
        format!("{}\n{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
    })
}

#[test]
fn a_device_that_is_away_runs_the_command_once_when_it_is_back() -> Outcome {
    let lab = Lab::start()?;
    let mut device = lab.device()?;
    device.process()?.stop()?;
    let starts = mark(&lab, "starts");
    let id = send(&lab, &device, &format!("echo x >> {}; echo here", starts.display()), 60)?;
    is(&look(&lab, &device, &id)?, "Pending")?;
    device.start()?;
    let over = ended(&lab, &device, &id)?;
    is(&over, "Success")?;
    ensure(over["StandardOutputContent"] == "here\n" && lines(&starts) == 1, || format!("{over}"))
}

#[test]
fn links_that_are_cut_all_the_time_neither_start_it_twice_nor_lose_a_byte() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let starts = mark(&lab, "starts");
    // Cut at each of many places: in the greeting, in the order, in the script, in the output.
    for (round, bytes) in [0, 200, 700, 1500, 2500, 4000, 9000, 60_000].into_iter().enumerate() {
        device.relay.cut_after(bytes);
        let script = format!("# {}\necho x >> {}; seq 1 20000", "y".repeat(3000), starts.display());
        let id = send(&lab, &device, &script, 60)?;
        let over = ended(&lab, &device, &id)?;
        is(&over, "Success")?;
        ensure(lines(&starts) == round + 1, || format!("cut after {bytes}: {} starts", lines(&starts)))?;
        let expected: String = (1..=20_000).map(|n| format!("{n}\n")).collect();
        ensure(whole_output(&over)? == expected, || format!("cut after {bytes}: the output is not whole"))?;
    }
    Ok(())
}

#[test]
fn a_gateway_that_is_killed_goes_on_with_the_command_and_its_output() -> Outcome {
    let mut lab = Lab::start()?;
    let device = lab.device()?;
    let starts = mark(&lab, "starts");
    let script = format!("echo x >> {}; for i in $(seq 1 60); do seq 1 500; sleep 0.05; done", starts.display());
    let id = send(&lab, &device, &script, 60)?;
    begun(&starts)?;
    for _ in 0..3 {
        lab.gateway.kill()?;
        lab.gateway.start_again()?;
        device.wait_online(&lab.admin())?;
    }
    let over = ended(&lab, &device, &id)?;
    is(&over, "Success")?;
    let once: String = (1..=500).map(|n| format!("{n}\n")).collect();
    ensure(whole_output(&over)? == once.repeat(60) && lines(&starts) == 1, || format!("{} starts", lines(&starts)))
}

#[test]
fn an_agent_that_is_killed_never_starts_it_again_and_the_operator_is_told() -> Outcome {
    let lab = Lab::start()?;
    let mut device = lab.device()?;
    let starts = mark(&lab, "starts");
    let id = send(&lab, &device, &format!("echo x >> {}; sleep 600", starts.display()), 900)?;
    begun(&starts)?;
    device.process()?.kill()?;
    device.start()?;
    let over = ended(&lab, &device, &id)?;
    is(&over, "Failed")?;
    let words = over["StandardErrorContent"].as_str().unwrap_or_default();
    ensure(words.contains("started before") && over["ResponseCode"] == -1, || format!("{over}"))?;
    ensure(lines(&starts) == 1, || format!("{} starts", lines(&starts)))
}

#[test]
fn an_order_that_never_reached_a_device_which_then_lost_its_power_is_given_again() -> Outcome {
    let lab = Lab::start()?;
    let mut device = lab.device()?;
    let starts = mark(&lab, "starts");
    // From here on nothing goes through: the gateway gives the order to a device that is as good as dead.
    device.relay.hold(true);
    let id = send(&lab, &device, &format!("echo x >> {}", starts.display()), 60)?;
    is(&look(&lab, &device, &id)?, "InProgress")?;
    device.process()?.kill()?;
    device.relay.cut();
    device.relay.hold(false);
    device.start()?;
    is(&ended(&lab, &device, &id)?, "Success")?;
    ensure(lines(&starts) == 1, || format!("{} starts", lines(&starts)))
}

#[test]
fn a_device_that_lost_its_journal_is_not_trusted_to_know() -> Outcome {
    let lab = Lab::start()?;
    let mut device = lab.device()?;
    let starts = mark(&lab, "starts");
    let id = send(&lab, &device, &format!("echo x >> {}; sleep 600", starts.display()), 900)?;
    begun(&starts)?;
    device.process()?.kill()?;
    std::fs::remove_file(device.state().join("journal"))?;
    device.start()?;
    let over = ended(&lab, &device, &id)?;
    is(&over, "Failed")?;
    ensure(lines(&starts) == 1, || format!("{} starts", lines(&starts)))
}

#[test]
fn gateway_and_agent_killed_at_random_moments_start_no_command_twice_and_lose_none() -> Outcome {
    let mut lab = Lab::start()?;
    let mut device = lab.device()?;
    for round in 0..6 {
        let starts = mark(&lab, &format!("starts-{round}"));
        let id = send(&lab, &device, &format!("echo x >> {}; sleep 0.2; echo done", starts.display()), 60)?;
        // A moment between the order and the end of the script; another one each round.
        pause(Duration::from_millis(60 * round));
        if round % 2 == 0 {
            device.process()?.kill()?;
            device.start()?;
        } else {
            lab.gateway.kill()?;
            lab.gateway.start_again()?;
        }
        device.wait_online(&lab.admin())?;
        let over = ended(&lab, &device, &id)?;
        let well = over["Status"] == "Success" && lines(&starts) == 1;
        let told = over["Status"] == "Failed" && lines(&starts) <= 1;
        ensure(well || told, || format!("round {round}: {} starts, {over}", lines(&starts)))?;
    }
    Ok(())
}

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
    eventually("nobody writes any more", Duration::from_secs(20), || {
        pause(Duration::from_millis(400));
        let now = lines(&alive);
        let quiet = now == last;
        last = now;
        quiet.then_some(())
    })
}

#[test]
fn a_device_without_a_writable_state_runs_commands_all_the_same() -> Outcome {
    let lab = Lab::start()?;
    let mut device = lab.enrolled(&DeviceSetup::default())?;
    // A read-only bind mount over the state, in a mount namespace of the agent's own.
    let read_only = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && shift && exec \"$@\"";
    let agent = device.command(&["run"]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", read_only, "sh"]).arg(device.state());
    command.arg(agent.get_program()).args(agent.get_args());
    device.start_as(command)?;
    device.wait_online(&lab.admin())?;
    let id = send(&lab, &device, "echo still here", 60)?;
    let over = ended(&lab, &device, &id)?;
    ensure(over["StandardOutputContent"] == "still here\n", || format!("{over}"))?;
    ensure(device.logged().contains("no journal of commands"), || device.logged())
}

#[test]
fn towline_run_follows_a_command_says_what_came_out_and_its_exit_code_is_the_result() -> Outcome {
    let lab = Lab::start()?;
    let first = lab.device_with(&setup(&[("Environment", "dev")]))?;
    let _second = lab.device_with(&setup(&[("Environment", "dev")]))?;
    let admin = lab.admin();
    let dev = ["run", "--target", "tag:Environment=dev"];
    let good = admin.run(&[&dev[..], &["--concurrency", "50%", "--", "echo same"]].concat())?;
    let text = String::from_utf8_lossy(&good.stdout).into_owned();
    ensure(
        good.status.code() == Some(0) && text.contains("== 2 × Success, exit 0") && text.contains("   same\n"),
        || format!("{good:?}"),
    )?;
    let bad = admin.run(&[&dev[..], &["--max-errors", "5", "--", "sh", "-c", "exit 7"]].concat())?;
    let said = String::from_utf8_lossy(&bad.stderr).into_owned();
    ensure(bad.status.code() == Some(1) && said.matches(": Failed").count() == 2, || format!("{bad:?}"))?;
    let json = admin.run(&[&dev[..], &["-o", "json", "--", "true"]].concat())?;
    let whole: Value = serde_json::from_slice(&json.stdout)?;
    ensure(
        whole["Command"]["Status"] == "Success"
            && whole["CommandInvocations"].as_array().is_some_and(|all| all.len() == 2),
        || format!("{whole}"),
    )?;
    let one = admin.run(&["run", "--target", first.id(), "--watch", first.id(), "--", "echo seen; exit 9"])?;
    ensure(one.status.code() == Some(9) && String::from_utf8_lossy(&one.stderr).contains("seen\n"), || {
        format!("{one:?}")
    })?;
    let none = admin.run(&["run", "--target", "tag:Environment=none", "--", "true"])?;
    ensure(none.status.code() == Some(250), || format!("{none:?}"))
}
