//! The AWS CLI with `towline` in place of its plugin, and clients of AWS's data channel, with
//! ports.

use std::process::{Command, Stdio};

use towline_testkit::lab::Lab;
use towline_testkit::lab::programs::workspace;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually, machine};

use super::ssh::Ssh;
use super::{PATIENCE, ask, connect, echo_server};
use crate::plugin::{start_port, start_session};

#[test]
fn the_aws_cli_makes_a_port_local_and_says_which() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let server = echo_server()?;
    for (document, parameters) in [
        ("AWS-StartPortForwardingSession", format!(r#"{{"portNumber":["{}"]}}"#, server.port())),
        (
            "AWS-StartPortForwardingSessionToRemoteHost",
            format!(
                r#"{{"host":["127.0.0.1"],"portNumber":["{}"],"localPortNumber":["0"]}}"#,
                server.port()
            ),
        ),
    ] {
        let command = start_session(
            &lab,
            &device,
            &["--document-name", document, "--parameters", &parameters],
        )?;
        let (mut running, port) =
            start_port(command, &lab.directory().join(format!("{document}.log")))?;
        let mut streams = [connect(port)?, connect(port)?];
        for stream in &mut streams {
            ask(stream, b"a word through the plugin")?;
        }
        running.stop()?;
        eventually("the plugin has ended with the tool that started it", PATIENCE, || {
            (!running.has_group()).then_some(())
        })?;
    }
    Ok(())
}

#[test]
fn ssh_takes_the_aws_cli_for_its_proxy_command() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    // The line of AWS's documents for ~/.ssh/config.
    let proxy = "Host mi-*\n    ProxyCommand sh -c \"PYTHON -m awscli ssm start-session --target \
                 %h \
                 --document-name AWS-StartSSHSession --parameters 'portNumber=%p'\"\n";
    let ssh = Ssh::start(&lab, &proxy.replace("PYTHON", &machine::program().to_string_lossy()))?;
    let mut command = start_session(&lab, &device, &[])?;
    // Its environment is what is wanted of it, not its words.
    let mut ssh_command = Command::new("ssh");
    ssh_command
        .arg("-F")
        .arg(lab.directory().join("ssh/config"))
        .args([device.id(), "echo sum-$((6 * 7))"]);
    for (name, value) in command.stdin(Stdio::null()).get_envs() {
        match value {
            Some(value) => ssh_command.env(name, value),
            None => ssh_command.env_remove(name),
        };
    }
    let out = ssh_command.stdin(Stdio::null()).output()?;
    ensure(out.status.success() && out.stdout == b"sum-42\n", || {
        format!("port {}: {out:?}", ssh.port)
    })
}

#[test]
fn a_client_of_the_aws_data_channel_has_ports_of_both_kinds_and_ssh() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let server = echo_server()?;
    let mut command = lab.admin().python();
    command.arg(workspace().join("tests/e2e/python/aws_ports.py"));
    command.env("TOWLINE_DEVICE", device.id()).env("TOWLINE_ECHO", server.port().to_string());
    let out = command.output()?;
    ensure(out.status.success(), || {
        format!(
            "{}\n{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        )
    })?;
    eventually("no session is left", PATIENCE, || {
        let active = lab
            .admin()
            .api("AmazonSSM.DescribeSessions", &serde_json::json!({ "State": "Active" }))
            .ok()?;
        active["Sessions"].as_array().is_some_and(Vec::is_empty).then_some(())
    })
}
