//! A command is started once and loses no byte, whatever is cut, killed or upgraded.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use towline_testkit::another_version::{CURRENT, NEXT};
use towline_testkit::lab::{Device, DeviceSetup, Lab};
use towline_testkit::trouble::{ensure, pause};
use towline_testkit::{Outcome, files};

use super::{begun, ended, is, lines, look, mark, send, whole_output};
use crate::upgrade::{change, replaceable};

/// Kills an agent in the middle of a script and starts it again, after `between`; how the command
/// ended, which is badly.
fn killed_in_the_middle(between: impl FnOnce(&Device) -> Outcome) -> Outcome<Value> {
    let lab = Lab::start()?;
    let mut device = lab.device()?;
    let starts = mark(&lab, "starts");
    let id = send(&lab, &device, &format!("echo x >> {}; sleep 600", starts.display()), 900)?;
    begun(&starts)?;
    device.process()?.kill()?;
    between(&device)?;
    device.start()?;
    let over = ended(&lab, &device, &id)?;
    is(&over, "Failed")?;
    ensure(lines(&starts) == 1, || format!("{} starts", lines(&starts)))?;
    Ok(over)
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
        ensure(lines(&starts) == round + 1, || {
            format!("cut after {bytes}: {} starts", lines(&starts))
        })?;
        let expected: String = (1..=20_000).map(|n| format!("{n}\n")).collect();
        ensure(whole_output(&over)? == expected, || {
            format!("cut after {bytes}: the output is not whole")
        })?;
    }
    Ok(())
}

#[test]
fn a_gateway_that_is_killed_goes_on_with_the_command_and_its_output() -> Outcome {
    let mut lab = Lab::start()?;
    let device = lab.device()?;
    let starts = mark(&lab, "starts");
    let script = format!(
        "echo x >> {}; for i in $(seq 1 60); do seq 1 500; sleep 0.05; done",
        starts.display()
    );
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
    ensure(whole_output(&over)? == once.repeat(60) && lines(&starts) == 1, || {
        format!("{} starts", lines(&starts))
    })
}

#[test]
fn an_agent_that_is_killed_never_starts_it_again_and_the_operator_is_told() -> Outcome {
    let over = killed_in_the_middle(|_| Ok(()))?;
    let words = over["StandardErrorContent"].as_str().unwrap_or_default();
    ensure(words.contains("started before") && over["ResponseCode"] == -1, || format!("{over}"))
}

#[test]
fn an_order_that_never_reached_a_device_which_then_lost_its_power_is_given_again() -> Outcome {
    let lab = Lab::start()?;
    let mut device = lab.device()?;
    let starts = mark(&lab, "starts");
    // A device gets orders once it has named what it holds.
    let first = send(&lab, &device, "true", 60)?;
    is(&ended(&lab, &device, &first)?, "Success")?;
    // From here on nothing goes through: the gateway gives the order to a device that is as good as
    // dead.
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
    killed_in_the_middle(|device| Ok(std::fs::remove_file(device.state().join("journal"))?))
        .map(drop)
}

#[test]
fn gateway_and_agent_killed_at_random_moments_start_no_command_twice_and_lose_none() -> Outcome {
    let mut lab = Lab::start()?;
    let mut device = lab.device()?;
    for round in 0..6 {
        let starts = mark(&lab, &format!("starts-{round}"));
        let id = send(
            &lab,
            &device,
            &format!("echo x >> {}; sleep 0.2; echo done", starts.display()),
            60,
        )?;
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
fn a_device_without_a_writable_state_runs_commands_all_the_same() -> Outcome {
    let lab = Lab::start()?;
    let mut device = lab.enrolled(&DeviceSetup::default())?;
    // A read-only bind mount over the state, in a mount namespace of the agent's own.
    let read_only =
        "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && shift && exec \"$@\"";
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
fn an_upgrade_of_the_agent_under_a_running_script_neither_loses_nor_repeats_it() -> Outcome {
    let mut lab = Lab::start()?;
    let device = replaceable(&mut lab)?;
    let (starts, go) = (mark(&lab, "starts"), mark(&lab, "go"));
    let script = format!(
        "echo x >> {}; n=0; until [ -e {} ]; do seq 1 200; n=$((n+1)); sleep 0.01; done; echo $n \
         rounds; exit 5",
        starts.display(),
        go.display()
    );
    let id = send(&lab, &device, &script, 120)?;
    begun(&starts)?;
    for version in [NEXT, CURRENT, NEXT] {
        change(&lab, &device, version)?;
    }
    is(&look(&lab, &device, &id)?, "InProgress")?;
    files::write(&go, "")?;
    let over = ended(&lab, &device, &id)?;
    is(&over, "Failed")?;
    ensure(over["ResponseCode"] == 5 && lines(&starts) == 1, || {
        format!("{} starts: {over}", lines(&starts))
    })?;
    let output = whole_output(&over)?;
    let rounds =
        output.lines().last().and_then(|line| line.strip_suffix(" rounds")?.parse::<usize>().ok());
    let once: String = (1..=200).map(|n| format!("{n}\n")).collect();
    let rounds = rounds.unwrap_or(0);
    ensure(rounds > 0 && output == format!("{}{rounds} rounds\n", once.repeat(rounds)), || {
        "bytes are missing".to_owned()
    })
}
