//! `towline` in place of AWS's plugin, against a gateway that speaks AWS's dialect only: the real
//! one, behind a proxy that takes the offer of our own dialect out of each upgrade.

use std::process::Command;

use towline_testkit::lab::operator::COMMAND;
use towline_testkit::lab::programs::workspace;
use towline_testkit::lab::{Device, Lab};
use towline_testkit::process::Running;
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually, process};

use crate::plugin::{start_port, start_session};
use crate::tunnel::{ask, connect, echo_server};

/// The proxy.
struct AwsOnly {
    running: Running,
    port: u16,
}

impl AwsOnly {
    fn start(lab: &Lab) -> Outcome<Self> {
        let mut command = lab.admin().python();
        command.arg(workspace().join("tests/e2e/python/aws_only.py"));
        command.env("TOWLINE_UPSTREAM", lab.gateway.address().to_string());
        command.env("TOWLINE_CERTIFICATE", lab.gateway.directory().join("server.pem"));
        command.env("TOWLINE_KEY", lab.gateway.directory().join("server.key.pem"));
        let mut running =
            Running::start("the proxy", command, &lab.directory().join("aws-only.log"))?;
        let port = running.wait_for("the proxy listens", 0, PATIENCE, |said| {
            said.lines().find_map(|line| line.strip_prefix("listening on "))?.parse().ok()
        })?;
        Ok(Self { running, port })
    }

    /// `aws ssm start-session` by way of it.
    fn start_session(&self, lab: &Lab, device: &Device, more: &[&str]) -> Outcome<Command> {
        let mut command = start_session(lab, device, more)?;
        command.env("AWS_ENDPOINT_URL", format!("https://127.0.0.1:{}", self.port));
        Ok(command)
    }

    /// Streams that were opened without our dialect.
    fn streams(&self) -> usize {
        self.running.printed().lines().filter(|line| *line == "no offer").count()
    }
}

#[test]
fn a_shell_of_a_gateway_that_knows_only_aws_has_its_size_keys_and_a_good_end() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let proxy = AwsOnly::start(&lab)?;
    let mut shell = Terminal::start(&proxy.start_session(&lab, &device, &[])?, 33, 99)?;
    shell.expect("Starting session with SessionId: ")?;
    shell.line("echo sum-$((6 * 7)); stty size")?;
    shell.expect("sum-42")?;
    shell.expect("33 99")?;
    shell.line("f=$(mktemp); echo begin-$((1 + 1)) >$f; tail -f $f")?;
    shell.expect("begin-2")?;
    shell.send("\u{3}")?;
    shell.line("echo status-$?; rm $f")?;
    shell.expect("status-130")?;
    shell.resize(40, 132)?;
    shell.line("sh -c 'until [ \"$(stty size)\" = \"40 132\" ]; do sleep 0.02; done'; echo resized-$((6 * 7))")?;
    shell.expect("resized-42")?;
    shell.line("exit 7")?;
    shell.expect("Exiting session with sessionId: ")?;
    ensure(shell.finish(PATIENCE)?.success(), || "a shell that was left is a normal end".into())?;
    ensure(proxy.streams() == 1, || format!("{} streams without our dialect", proxy.streams()))
}

#[test]
fn a_shell_of_such_a_gateway_goes_on_after_it_was_killed_and_the_escape_ends_it_there() -> Outcome {
    let mut lab = Lab::start()?;
    let device = lab.device()?;
    let proxy = AwsOnly::start(&lab)?;
    let mut shell = Terminal::start(&proxy.start_session(&lab, &device, &[])?, 24, 80)?;
    shell.line("here=$((6 * 7)); echo before-$here")?;
    shell.expect("before-42")?;
    lab.gateway.kill()?;
    lab.gateway.start_again()?;
    shell.line("echo after-$here")?;
    shell.expect("after-42")?;
    ensure(proxy.streams() > 1, || "it came back by another stream".into())?;
    shell.send("\r~.")?;
    ensure(shell.finish(PATIENCE)?.success(), || "~. is a normal end".into())?;
    eventually("the session is over at the gateway, too", PATIENCE, || {
        let active = lab
            .admin()
            .api("AmazonSSM.DescribeSessions", &serde_json::json!({ "State": "Active" }))
            .ok()?;
        active["Sessions"].as_array().is_some_and(Vec::is_empty).then_some(())
    })
}

#[test]
fn a_command_of_such_a_gateway_keeps_its_outputs_apart_and_tells_its_exit_code() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let proxy = AwsOnly::start(&lab)?;
    let asked = r#"{"command":["echo out-$((6 * 7)); echo err-$((6 * 7)) >&2; exit 3"],"separateOutputStream":["true"]}"#;
    let document = ["--document-name", "AWS-StartNonInteractiveCommand", "--parameters", asked];
    let out = process::finish(proxy.start_session(&lab, &device, &document)?, COMMAND)?;
    let (said, complained) =
        (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    ensure(out.status.success(), || format!("{out:?}"))?;
    ensure(said.contains("out-42\n") && said.contains("EXIT_CODE: 3"), || format!("{said}"))?;
    ensure(complained.contains("err-42\n"), || format!("{complained}"))
}

#[test]
fn a_port_of_such_a_gateway_is_made_local() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let proxy = AwsOnly::start(&lab)?;
    let server = echo_server()?;
    let parameters = format!(r#"{{"portNumber":["{}"]}}"#, server.port());
    let document =
        ["--document-name", "AWS-StartPortForwardingSession", "--parameters", &parameters];
    let command = proxy.start_session(&lab, &device, &document)?;
    let (mut running, port) = start_port(command, &lab.directory().join("foreign-port.log"))?;
    let mut streams = [connect(port)?, connect(port)?];
    for stream in &mut streams {
        ask(stream, b"a word through smux of the first version")?;
    }
    running.stop()?;
    eventually("the plugin has ended", PATIENCE, || (!running.has_group()).then_some(()))
}
