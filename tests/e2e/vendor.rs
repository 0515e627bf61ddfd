//! A device with amazon-ssm-agent, as a peer plays it: registered by an activation, seen in lists,
//! reached by shells and commands.

use serde_json::json;
use towline_testkit::lab::Lab;
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually};

use crate::peers::vendor::{LINUX, VendorAgent, WINDOWS};

/// Waits until the gateway says that the device is connected.
fn wait_online(lab: &Lab, agent: &VendorAgent) -> Outcome {
    eventually("the device is connected", PATIENCE, || {
        let body = json!({ "Target": agent.id() });
        let answer = lab.admin().api("AmazonSSM.GetConnectionStatus", &body).ok()?;
        (answer["Status"] == "connected").then_some(())
    })
}

fn online(lab: &Lab) -> Outcome<std::sync::Arc<VendorAgent>> {
    let agent = VendorAgent::connected(lab, LINUX)?;
    wait_online(lab, &agent)?;
    Ok(agent)
}

#[test]
fn a_registered_device_is_listed_with_its_agent_and_its_system() -> Outcome {
    let lab = Lab::start()?;
    let agent = VendorAgent::connected(&lab, WINDOWS)?;
    wait_online(&lab, &agent)?;
    let filter = json!({ "Filters": [{ "Key": "PlatformTypes", "Values": ["Windows"] }] });
    let listed = lab.admin().api("AmazonSSM.DescribeInstanceInformation", &filter)?;
    let device = &listed["InstanceInformationList"][0];
    let wanted = [
        ("InstanceId", agent.id()),
        ("PingStatus", "Online".into()),
        ("PlatformType", "Windows".into()),
        ("PlatformName", "Some System".into()),
        ("AgentVersion", "3.3.0.0".into()),
        ("ComputerName", "vendor-box".into()),
        ("TowlineAgentKind", "vendor".into()),
    ];
    for (name, value) in wanted {
        ensure(device[name] == value.as_str(), || format!("{name}: {device}"))?;
    }
    let table = lab.admin().text(&["devices"])?;
    ensure(table.contains("amazon-ssm-agent 3.3.0.0"), || table)
}

#[test]
fn a_shell_has_its_size_its_keys_and_a_good_end() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let words = ["shell", "--user", "operator", &agent.id()];
    let mut shell = Terminal::start(&lab.admin().towline(&words), 33, 99)?;
    shell.line("echo sum-$((6 * 7)); stty size")?;
    shell.expect("sum-42")?;
    shell.expect("33 99")?;
    shell.resize(40, 132)?;
    shell.line(
        "until [ \"$(stty size)\" = \"40 132\" ]; do sleep 0.02; done; echo sized-$((6 * 7))",
    )?;
    shell.expect("sized-42")?;
    shell.line("sleep 1000")?;
    shell.send("\u{3}")?;
    shell.line("echo status-$?")?;
    shell.expect("status-130")?;
    shell.line("exit")?;
    ensure(shell.finish(PATIENCE)?.success(), || "the shell did not end well".into())?;
    let seen = agent.seen();
    ensure(
        seen.iter().any(|line| line == r#"session Standard_Stream as "operator" runAs true"#),
        || format!("{seen:?}"),
    )?;
    eventually("the agent's word of the end is acknowledged", PATIENCE, || {
        agent.seen().iter().any(|line| line.starts_with("end of ")).then_some(())
    })
}

#[test]
fn a_command_has_its_outputs_apart_and_its_exit_code() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let words = [
        "exec",
        "--user",
        "operator",
        &agent.id(),
        "--",
        "sh",
        "-c",
        "echo out; echo err >&2; exit 3",
    ];
    let out = lab.admin().run(&words)?;
    ensure(out.stdout == b"out\n" && out.stderr == b"err\n" && out.status.code() == Some(3), || {
        format!("{out:?}\n{:?}\n{}", agent.seen(), lab.gateway.logged())
    })
}

#[test]
fn a_session_without_a_user_is_refused_in_words() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let out = lab.admin().run(&["exec", &agent.id(), "--", "true"])?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(!out.status.success() && said.contains("name the user"), || format!("{out:?}"))
}
