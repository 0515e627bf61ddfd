//! The programs by themselves: versions, settings and the errors about wrong ones, defaults,
//! secrets that stay out of argv, and an agent that is not root.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::{Command, Output, Stdio};

use towline_testkit::lab::operator::COMMAND;
use towline_testkit::lab::{Device, DeviceSetup, GatewaySetup, Lab, Programs};
use towline_testkit::netns::Network;
use towline_testkit::process::{self, Running, find};
use towline_testkit::terminal::PATIENCE;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, facts, files};

use crate::codes::REFUSED;

/// Of sysexits.h: what systemd is told not to restart for.
const EX_CONFIG: i32 = 78;

fn said(out: &Output) -> String {
    [&out.stdout[..], &out.stderr].map(String::from_utf8_lossy).concat()
}

#[test]
fn each_program_says_its_name_and_version() -> Outcome {
    let programs = Programs::find()?;
    let version = env!("CARGO_PKG_VERSION");
    for (name, program) in [
        ("towline-agent", programs.agent),
        ("towline-gateway", programs.gateway),
        ("towline", programs.cli),
    ] {
        let mut command = Command::new(program);
        command.arg("--version");
        let out = process::finish(command, COMMAND)?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        ensure(out.status.success() && text.lines().count() == 1, || format!("{name}: {out:?}"))?;
        ensure(text.starts_with(&format!("{name} {version}")), || {
            format!("{name} {version}: {text}")
        })?;
    }
    Ok(())
}

#[test]
fn a_configuration_is_checked_and_every_fault_is_told_with_its_line() -> Outcome {
    let lab = Lab::start()?;
    let file = lab.directory().join("agent.toml");
    let check = |text: &str| -> Outcome<Output> {
        files::write(&file, text)?;
        let mut command = Command::new(Programs::find()?.agent);
        command.args(["config", "check"]).arg("--config").arg(&file);
        process::finish(command, COMMAND)
    };
    let good = check("[sessions]\nmax = 3\n")?;
    ensure(good.status.success() && said(&good).contains("valid, 0 warnings"), || {
        format!("{good:?}")
    })?;
    let odd = check("[session]\nmax = 3\n")?;
    ensure(
        odd.status.success() && said(&odd).contains("agent.toml:2: warning: unknown key"),
        || format!("{odd:?}"),
    )?;
    let bad = check("[sessions]\nmax = 0\ngrace = \"soon\"\n")?;
    ensure(bad.status.code() == Some(EX_CONFIG) && bad.stdout.is_empty(), || format!("{bad:?}"))?;
    for fault in ["agent.toml:2: error: `sessions.max`", "agent.toml:3: error: `sessions.grace`"] {
        ensure(said(&bad).contains(fault), || format!("not told: {fault}: {}", said(&bad)))?;
    }
    let none = check("sessions = [\n")?;
    ensure(none.status.code() == Some(EX_CONFIG) && said(&none).contains("agent.toml:"), || {
        format!("{none:?}")
    })
}

#[test]
fn an_agent_does_not_start_with_a_configuration_that_cannot_be_used() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.enrolled(&DeviceSetup::default())?;
    device.configure("sessions.max = 0\n")?;
    let out = process::finish(device.command(&["run"]), COMMAND)?;
    ensure(out.status.code() == Some(EX_CONFIG) && said(&out).contains("`sessions.max`"), || {
        format!("{out:?}")
    })
}

/// Enrolls a device with the code on standard input, or from a file.
fn enroll(lab: &Lab, device: &Device, code_file: &str, input: Option<&str>) -> Outcome<Output> {
    let activation = lab.activation(1)?;
    let gateway = device.relay.address().to_string();
    let words = [
        "enroll",
        "--gateway",
        &gateway,
        "--activation-id",
        &activation.id,
        "--activation-code-file",
        code_file,
    ];
    let mut command = device.command(&words);
    command.arg("--ca").arg(lab.gateway.ca());
    if input.is_none() {
        files::write(code_file.as_ref(), format!("{}\n", activation.code))?;
    }
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().ok_or_else(|| Trouble::new("no stdin"))?;
    if let Some(end) = input {
        stdin.write_all(format!("{}{end}", activation.code).as_bytes())?;
    }
    drop(stdin);
    let out = process::finish_child(child, "towline-agent enroll", COMMAND)?;
    ensure(!said(&out).contains(&activation.code), || "the code is repeated".into())?;
    Ok(out)
}

#[test]
fn an_activation_code_comes_from_standard_input_or_a_file_and_never_from_argv() -> Outcome {
    let lab = Lab::start()?;
    for end in ["", "\n", "\r\n"] {
        let device = lab.unenrolled(&DeviceSetup::default())?;
        let out = enroll(&lab, &device, "-", Some(end))?;
        ensure(out.status.success() && said(&out).contains("mi-"), || {
            format!("ended by {end:?}: {out:?}")
        })?;
    }
    let device = lab.unenrolled(&DeviceSetup::default())?;
    let file = lab.directory().join("code").display().to_string();
    let out = enroll(&lab, &device, &file, None)?;
    ensure(out.status.success() && said(&out).contains("mi-"), || format!("from a file: {out:?}"))?;
    let device = lab.unenrolled(&DeviceSetup::default())?;
    let out = process::finish(
        device.command(&["enroll", "--gateway", "127.0.0.1:1", "--activation-id", "x"]),
        COMMAND,
    )?;
    ensure(!out.status.success() && said(&out).contains("TOWLINE_ACTIVATION_CODE"), || {
        format!("no code: {out:?}")
    })
}

#[test]
fn a_gateway_listens_on_one_port_which_is_8443_unless_told_otherwise() -> Outcome {
    // Where the port is free, and nobody else is disturbed.
    let _network = Network::enter()?;
    let mut lab = Lab::start()?;
    let sockets = facts::listening_sockets(lab.gateway.process().pid())?;
    ensure(sockets.len() == 1, || {
        format!("more than the one port, without being told: {sockets:?}")
    })?;
    lab.gateway.kill()?;
    let mut serve = Command::new(&lab.programs.gateway);
    serve.arg("serve").arg("--dir").arg(lab.gateway.directory());
    let mut running =
        Running::start("towline-gateway", serve, &lab.directory().join("default.log"))?;
    // Log lines come before it.
    let says = running.wait_for("where it listens", 0, PATIENCE, |printed| {
        printed.lines().find(|line| line.starts_with("listening on")).map(str::to_owned)
    })?;
    ensure(says == "listening on [::]:8443", || says.clone())?;
    let sockets = facts::listening_sockets(running.pid())?;
    ensure(sockets.len() == 1, || format!("more than the one port: {sockets:?}"))
}

fn get(address: &str, path: &str) -> Outcome<String> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn monitoring_has_a_listener_of_its_own_when_asked_for() -> Outcome {
    let _network = Network::enter()?;
    let lab = Lab::with(&GatewaySetup {
        config: "metrics = \"127.0.0.1:9100\"".into(),
        ..GatewaySetup::default()
    })?;
    let device = lab.device()?;
    let health = get("127.0.0.1:9100", "/healthz")?;
    ensure(health.starts_with("HTTP/1.1 200"), || health.clone())?;
    let metrics = get("127.0.0.1:9100", "/metrics")?;
    ensure(metrics.starts_with("HTTP/1.1 200") && metrics.contains("# TYPE towline_"), || {
        metrics.clone()
    })?;
    ensure(!metrics.contains(device.id()), || "monitoring names devices".into())
}

#[test]
fn the_host_in_a_stream_url_is_the_one_that_was_set() -> Outcome {
    let lab = Lab::with(&GatewaySetup {
        config: "stream_url_host = \"streams.towline.test:444\"".into(),
        more_hosts: vec!["streams.towline.test".into()],
        ..GatewaySetup::default()
    })?;
    let device = lab.device()?;
    let started =
        lab.admin().api("AmazonSSM.StartSession", &serde_json::json!({ "Target": device.id() }))?;
    let url = started["StreamUrl"].as_str().unwrap_or_default().to_owned();
    ensure(url.starts_with("wss://streams.towline.test:444/"), || url.clone())?;
    // Without the setting it is the one that the client itself has used, with its port.
    let plain = Lab::start()?;
    let device = plain.device()?;
    let started = plain
        .admin()
        .api("AmazonSSM.StartSession", &serde_json::json!({ "Target": device.id() }))?;
    let url = started["StreamUrl"].as_str().unwrap_or_default().to_owned();
    ensure(url.starts_with(&format!("wss://{}/", plain.gateway.address())), || url.clone())
}

#[test]
fn an_agent_that_is_not_root_gives_sessions_as_itself_and_no_others() -> Outcome {
    let mut lab = Lab::start()?;
    // Its program, its directory and the CA where an ordinary user can reach them.
    let open = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
    };
    open(lab.directory(), 0o711)?;
    let (program, ca) = (lab.directory().join("agent"), lab.directory().join("ca.pem"));
    std::fs::copy(&lab.programs.agent, &program)?;
    std::fs::copy(lab.gateway.ca(), &ca)?;
    open(&program, 0o755)?;
    open(&ca, 0o644)?;
    lab.programs.agent = program;
    let setpriv = find("setpriv")
        .ok_or_else(|| Trouble::new("no setpriv (package util-linux)"))?
        .display()
        .to_string();
    let nobody = 65_534;
    let behind = [
        &setpriv,
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--bounding-set=-all",
        "--no-new-privs",
    ];
    let setup = DeviceSetup {
        behind: behind.map(str::to_owned).to_vec(),
        trust: Some(vec!["--ca".into(), ca.display().to_string()]),
        environment: vec![("HOME".into(), "/".into())],
        ..DeviceSetup::default()
    };
    let mut device = lab.unenrolled(&setup)?;
    chown(device.directory(), Some(nobody), Some(nobody))?;
    chown(device.directory().join("agent.toml"), Some(nobody), Some(nobody))?;
    device.enroll(&lab.activation(1)?)?;
    device.start()?;
    device.wait_online(&lab.admin())?;
    let itself = lab.admin().run(&["exec", device.id(), "--", "id", "-un"])?;
    ensure(itself.stdout == b"nobody\n", || format!("{itself:?}"))?;
    let by_name = lab.admin().run(&["exec", "--user", "nobody", device.id(), "--", "id", "-un"])?;
    ensure(by_name.stdout == b"nobody\n", || format!("{by_name:?}"))?;
    for other in ["root", "daemon"] {
        let out = lab.admin().run(&["exec", "--user", other, device.id(), "--", "id", "-un"])?;
        ensure(out.status.code() == Some(REFUSED) && out.stdout.is_empty(), || {
            format!("{other}: {out:?}")
        })?;
        ensure(said(&out).contains(other), || {
            format!("the refusal does not name {other}: {}", said(&out))
        })?;
    }
    Ok(())
}
