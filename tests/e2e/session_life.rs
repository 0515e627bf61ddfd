//! How long sessions last: clocks that are set, devices that are removed, settings that get
//! stricter, places that are used up.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use towline_testkit::lab::{Device, DeviceSetup, GatewaySetup, Lab, Operator};
use towline_testkit::process::{Running, Signal};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, files};

use crate::codes::NOT_CONNECTED;
use crate::run_command;
use crate::tunnel::Forward;

/// Longer than any reconnect of these tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// Variables under which a program has the time of day that `file` says, and its own monotonic
/// clock.
fn clock_from(file: &Path) -> Outcome<Vec<(String, String)>> {
    let folders = std::fs::read_dir("/usr/lib")?.filter_map(|entry| Some(entry.ok()?.path()));
    let library = folders
        .map(|folder| folder.join("faketime/libfaketime.so.1"))
        .find(|file| file.exists())
        .ok_or_else(|| Trouble::new("no libfaketime: on Debian, package faketime"))?;
    let pairs = [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    Ok(pairs.map(|(name, value)| (name.to_owned(), value)).to_vec())
}

fn exec_works(lab: &Lab, device: &Device, when: &str) -> Outcome {
    let out = lab.admin().run(&["exec", device.id(), "--", "echo", when])?;
    ensure(out.stdout == format!("{when}\n").as_bytes(), || format!("{when}: {out:?}"))
}

#[test]
fn sessions_open_after_the_clock_of_the_gateway_or_of_the_device_was_set() -> Outcome {
    let scratch = std::env::temp_dir();
    let file = |end: &str| scratch.join(format!("towline-clock-{}-{end}", std::process::id()));
    let (of_gateway, of_device) = (file("gateway"), file("device"));
    for file in [&of_gateway, &of_device] {
        files::write(file, "+0")?;
    }
    let lab = Lab::with(&GatewaySetup {
        environment: clock_from(&of_gateway)?,
        ..GatewaySetup::default()
    })?;
    let device = lab.device_with(&DeviceSetup {
        environment: clock_from(&of_device)?,
        ..DeviceSetup::default()
    })?;
    exec_works(&lab, &device, "before any step")?;
    for (gateway, device_offset) in
        [("+40", "+0"), ("-65", "+0"), ("+0", "+86400"), ("+40", "-86400"), ("-65", "+65")]
    {
        files::write(&of_gateway, gateway)?;
        files::write(&of_device, device_offset)?;
        exec_works(&lab, &device, &format!("gateway {gateway}, device {device_offset}"))?;
    }
    let links = device.logged().matches("linked to").count();
    ensure(links == 1, || format!("the link was dialled {links} times"))
}

/// A command that runs on a device until it is ended.
struct Long {
    /// The operator's program.
    _running: Running,
    /// The process on the device, which is a process of this machine.
    pid: String,
}

impl Long {
    fn start(operator: &Operator, lab: &Lab, device: &Device, name: &str) -> Outcome<Self> {
        let file = lab.directory().join(format!("{name}.pid"));
        let script = format!(
            "echo $$ > {}.new; mv {0}.new {0}; echo begun; exec sleep 1000",
            file.display()
        );
        let command = operator.towline(&["exec", device.id(), "--", "sh", "-c", &script]);
        let log = lab.directory().join(format!("{name}.log"));
        let running = Running::start("towline exec", command, &log)?;
        let pid = eventually("the command runs", PATIENCE, || std::fs::read_to_string(&file).ok())
            .map_err(|error| Trouble::new(format!("{error}: {}", running.printed())))?;
        // Its process may run before the gateway knows that the session is open.
        eventually("its output has come", PATIENCE, || {
            running.printed().contains("begun").then_some(())
        })?;
        Ok(Self { _running: running, pid: pid.trim().to_owned() })
    }

    fn runs(&self) -> bool {
        PathBuf::from(format!("/proc/{}", self.pid)).exists()
    }
}

fn all_end(commands: &[Long], within: Duration) -> Outcome {
    eventually("the processes end", within, || commands.iter().all(|c| !c.runs()).then_some(()))
}

#[test]
fn a_device_that_is_removed_ends_all_processes_of_its_sessions() -> Outcome {
    let lab = Lab::start()?;
    let admin = lab.admin();
    for words in [["admin", "device", "deregister"], ["admin", "device", "revoke-key"]] {
        let device = lab.device()?;
        let mut commands = Vec::new();
        for number in 0..4 {
            let name = format!("{}-{number}", words[2]);
            commands.push(Long::start(&admin, &lab, &device, &name)?);
        }
        let said = admin.text(&[words[0], words[1], words[2], device.id()])?;
        ensure(said.contains("sessions and commands ended: 4"), || said.clone())?;
        all_end(&commands, PATIENCE)?;
    }
    Ok(())
}

#[test]
fn a_device_that_was_away_when_it_was_removed_ends_its_sessions_when_it_is_refused() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let commands = [Long::start(&lab.admin(), &lab, &device, "away")?];
    device.relay.close(true);
    device.relay.cut();
    let body = json!({ "InstanceId": device.id() });
    let gone = || {
        let status =
            lab.admin().api("AmazonSSM.GetConnectionStatus", &json!({ "Target": device.id() }));
        (status.ok()?["Status"].as_str() != Some("connected")).then_some(())
    };
    eventually("the link is down", PATIENCE, gone)?;
    let answer = lab.admin().api("AmazonSSM.DeregisterManagedInstance", &body)?;
    let count = |name: &str| answer[name].as_u64();
    ensure(
        count("TowlineSessionsEnded") == Some(0) && count("TowlineSessionsNotReached") == Some(1),
        || answer.to_string(),
    )?;
    ensure(commands[0].runs(), || "it ended without being told".into())?;
    device.relay.close(false);
    all_end(&commands, PATIENCE)
}

/// A target on the device that answers each connection with one line.
fn greeter() -> Outcome<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.write_all(b"hello\n");
            std::thread::spawn(move || stream.read_to_end(&mut Vec::new()));
        }
    });
    Ok(port)
}

fn greets(forward: &Forward) -> Outcome<(std::net::TcpStream, bool)> {
    let mut stream = forward.connect()?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = [0; 6];
    let greeted = stream.read_exact(&mut line).is_ok() && &line == b"hello\n";
    Ok((stream, greeted))
}

#[test]
fn stricter_settings_hold_at_once_although_a_connection_through_a_tunnel_is_open() -> Outcome {
    let lab = Lab::start()?;
    let mut device = lab.device()?;
    let port = greeter()?;
    let forward = Forward::start(&lab, &device, &format!("0:{port}"))?;
    let (mut open, greeted) = greets(&forward)?;
    ensure(greeted, || "the tunnel does not work".into())?;

    let stricter = "policy.allowed_forwards = [\"localhost:9\"]\npolicy.allowed_documents = \
                    [\"Towline-*\", \"AWS-StartPort*\"]";
    device.configure(stricter)?;
    device.process()?.signal(Signal::HUP)?;
    eventually("the agent has read its settings", PATIENCE, || {
        device.logged().contains("the permissions of the new settings are in force").then_some(())
    })?;
    let (_second, greeted) = greets(&forward)?;
    ensure(!greeted, || "a new connection of the open tunnel was made".into())?;
    let shell = lab.admin().run(&["forward", device.id(), &format!("0:{port}")])?;
    ensure(!shell.status.success(), || format!("a new tunnel was opened: {shell:?}"))?;
    // The open connection goes on, and the status says what the restart waits for.
    open.write_all(b"x")?;
    let status = device.command(&["status", "--json"]).output()?;
    let status: Value = serde_json::from_slice(&status.stdout)?;
    let reload = status["agent"]["reload"].as_str().unwrap_or_default().to_owned();
    ensure(reload.contains("no connection through a tunnel is open"), || status.to_string())?;
    drop(open);
    eventually("the agent restarts", PATIENCE, || {
        device.logged().contains("transferring").then_some(())
    })?;
    drop(forward);
    Ok(())
}

/// May open shells and commands, and end its own.
const USER: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":["ssm:StartSession","ssm:TerminateSession","ssm:ResumeSession","ssm:DescribeInstanceInformation"],"Resource":"*"}]}"#;

#[test]
fn a_closed_window_makes_room_for_a_new_session_of_its_owner() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device_with(&DeviceSetup {
        config: "sessions.max = 2".into(),
        ..DeviceSetup::default()
    })?;
    let ann = lab.user("ann", Some(USER))?;
    for (operator, who) in [(ann, "ann"), (lab.admin(), "the administrator")] {
        for number in 0..6 {
            let mut shell = operator.shell(device.id())?;
            shell.line("echo sum-$((6 * 7))")?;
            shell
                .expect("sum-42")
                .map_err(|error| Trouble::new(format!("shell {number} of {who}: {error}")))?;
            shell.kill()?;
        }
    }
    Ok(())
}

#[test]
fn one_user_has_half_of_the_sessions_and_a_repair_has_a_place_of_its_own() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device_with(&DeviceSetup {
        config: "sessions.max = 4".into(),
        ..DeviceSetup::default()
    })?;
    let (ann, bob) = (lab.user("ann", Some(USER))?, lab.user("bob", Some(USER))?);
    let mut commands = Vec::new();
    for (operator, name) in [(&ann, "ann-1"), (&ann, "ann-2")] {
        commands.push(Long::start(operator, &lab, &device, name)?);
    }
    let said = ann.run(&["exec", device.id(), "--", "true"])?;
    let words = String::from_utf8_lossy(&said.stderr).into_owned();
    ensure(words.contains("one user may have half of the 4"), || format!("{said:?}"))?;
    for (operator, name) in [(&bob, "bob-1"), (&bob, "bob-2")] {
        commands.push(Long::start(operator, &lab, &device, name)?);
    }

    // The device is full. A shell of the administrator still opens, a command does not.
    let said = lab.admin().run(&["exec", device.id(), "--", "true"])?;
    ensure(!said.status.success(), || "a command took the place for a repair".into())?;
    let mut repair = lab.admin().shell(device.id())?;
    repair.line("echo sum-$((6 * 7))")?;
    repair.expect("sum-42")?;
    let audited = || lab.gateway.logged().contains("ReservedSessionUsed").then_some(());
    eventually("the trail says so", PATIENCE, audited)?;
    let mut second = lab.admin().shell(device.id())?;
    let refused = second.finish(PATIENCE)?;
    ensure(!refused.success(), || "there are two places for a repair".into())?;
    ensure(commands.iter().all(Long::runs), || "a session with a client was ended".into())
}

#[test]
fn no_text_of_a_device_controls_a_terminal() -> Outcome {
    let lab = Lab::start()?;
    let mut device = lab.device()?;
    device.process()?.kill()?;
    let key = std::fs::read(device.state().join("device.key"))?;
    let hostile = "pump\u{1b}]52;c;aGk=\u{7}\u{9b}2J\u{202e}7";
    let mut line = crate::peers::agent::connect(&lab, &key, None)?;
    crate::peers::agent::say_hello_as(&mut line, device.id(), hostile)?;
    let answer = crate::peers::agent::answer(&mut line)?;
    ensure(matches!(answer, towline_wire::message::ToAgent::Welcome(_)), || format!("{answer:?}"))?;
    let listed = lab.admin().api("AmazonSSM.DescribeInstanceInformation", &json!({}))?;
    let name = listed["InstanceInformationList"][0]["ComputerName"].as_str().unwrap_or_default();
    ensure(name == "pump ]52;c;aGk=  2J 7", || format!("{name:?}"))
}

#[test]
fn a_session_on_a_quarantined_device_is_refused_with_the_reason() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.enrolled(&DeviceSetup::default())?;
    quarantine_all(&lab)?;
    let said = lab.admin().run(&["exec", device.id(), "--", "true"])?;
    let words = String::from_utf8_lossy(&said.stderr).into_owned();
    ensure(words.contains("is quarantined"), || words.clone())
}

#[test]
fn a_device_is_back_within_15_s_after_its_quarantine_is_lifted() -> Outcome {
    let lab = Lab::start()?;
    let mut device = lab.enrolled(&DeviceSetup::default())?;
    // The pauses that agents have unless told otherwise: the gateway asks for an hour, they are at
    // most five minutes, and ten seconds where a person may mend what is wrong.
    let settings = device.directory().join("agent.toml");
    let text = std::fs::read_to_string(&settings)?;
    files::write(&settings, text.replace("reconnect_max = \"1s\"", "reconnect_max = \"300s\""))?;
    device.start()?;
    device.wait_online(&lab.admin())?;
    quarantine_all(&lab)?;
    device.relay.cut();
    let pause = eventually("the device was refused", PATIENCE, || {
        let log = device.logged();
        let (_, refused) = log.split_once("refuses this device (Quarantined)")?;
        let (_, told) = refused.split_once("dialling again in ")?;
        told.split_once(" s,")?.0.parse::<f64>().ok()
    })?;
    ensure(pause < 15.0, || format!("it dials again after {pause} s"))?;
    lab.admin().text(&["admin", "device", "approve", device.id()])?;
    eventually("the device is back", PATIENCE, || exec_works(&lab, &device, "back").ok())
}

/// Writes into the store what two processes with one key would bring about.
fn quarantine_all(lab: &Lab) -> Outcome {
    let database = lab.gateway.directory().join("towline.db");
    let script = "import sqlite3,sys; c=sqlite3.connect(sys.argv[1],timeout=20); \
                  c.execute(\"update devices set status='quarantined'\"); c.commit()";
    let done = lab.admin().python().args(["-c", script]).arg(&database).status()?;
    ensure(done.success(), || "the store cannot be written".into())
}

/// How soon an operator hears that the agent of the device was stopped: it ends by itself within
/// 8 s, and is not back in this test.
const AT_ONCE: Duration = Duration::from_secs(15);

#[test]
fn operators_hear_at_once_that_the_device_restarts() -> Outcome {
    let lab = Lab::start()?;
    let mut device = lab.device()?;
    let port = greeter()?;
    let forward = Forward::start(&lab, &device, &format!("0:{port}"))?;
    let mut shell = lab.admin().shell(device.id())?;
    shell.line("echo sum-$((6 * 7))")?;
    shell.expect("sum-42")?;
    let words = ["exec", "-t", device.id(), "--", "sh", "-c", "echo begun; exec sleep 1000"];
    let mut command = lab.admin().terminal(&words)?;
    command.expect("begun")?;
    device.process()?.stop()?;
    for mut program in [shell, command] {
        program.expect_within("the agent on the device was stopped", AT_ONCE)?;
        let status = program.finish(AT_ONCE)?;
        ensure(status.code() == Some(NOT_CONNECTED), || format!("{status}"))?;
    }
    let open = || {
        let body = json!({ "State": "Active" });
        let listed = lab.admin().api("AmazonSSM.DescribeSessions", &body).ok()?;
        listed["Sessions"].as_array()?.is_empty().then_some(())
    };
    eventually("no session is listed as open", AT_ONCE, open)?;
    // A forward begins its next session when the device is back.
    device.start()?;
    device.wait_online(&lab.admin())?;
    let (_stream, greeted) = greets(&forward)?;
    ensure(greeted, || "the forward does not go on".into())
}

#[test]
fn what_is_asked_of_a_device_while_its_agent_stops_is_not_refused_for_good() -> Outcome {
    let lab = Lab::start()?;
    let mut device = lab.device()?;
    // The agent waits some seconds for a program that does not let itself be hung up.
    let words =
        ["exec", "-t", device.id(), "--", "sh", "-c", "trap '' HUP; echo begun; sleep 1000"];
    let mut stubborn = lab.admin().terminal(&words)?;
    stubborn.expect("begun")?;
    device.process()?.signal(Signal::TERM)?;
    eventually("the agent stops", PATIENCE, || {
        device.logged().contains("stopping: ending").then_some(())
    })?;
    let starts = run_command::mark(&lab, "starts");
    let id = run_command::send(&lab, &device, &format!("echo x >> {}", starts.display()), 60)?;
    let out = lab.admin().run(&["exec", device.id(), "--", "true"])?;
    ensure(out.status.code() == Some(NOT_CONNECTED), || format!("{out:?}"))?;
    device.process()?.wait(PATIENCE)?;
    let over = run_command::look(&lab, &device, &id)?;
    ensure(over["Status"] != "Failed", || format!("it was refused for good: {over}"))?;
    device.start()?;
    let over = run_command::ended(&lab, &device, &id)?;
    run_command::is(&over, "Success")?;
    ensure(run_command::lines(&starts) == 1, || format!("{over}"))
}
