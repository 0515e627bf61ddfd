//! A device with amazon-ssm-agent, as a peer plays it: registered by an activation, seen in lists,
//! reached by shells and commands.

mod attacks;
mod claims;
mod clients;
mod cluster;
mod documents;
mod hostile;
mod life;
mod systems;

use std::io::{Read, Write};
use std::process::Stdio;
use std::sync::atomic::Ordering;

use serde_json::json;
use towline_testkit::lab::Lab;
use towline_testkit::relay::Relay;
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, process};

use crate::codes::DENIED;
use crate::peers::vendor::session::NOBODY;
use crate::peers::vendor::{KEYS, LINUX, MACOS, VendorAgent, WINDOWS};
use crate::tunnel::{Forward, echo_server};

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
    shell.line("echo begin-$((1 + 1)); sleep 1000")?;
    shell.expect("begin-2")?;
    shell.send("\u{3}")?;
    shell.expect("vendor$ ")?;
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

/// With and without a handshake: amazon-ssm-agent 3.3.0.0 makes none for a terminal.
#[test]
fn a_command_on_a_terminal_that_says_nothing_takes_its_first_line_and_the_size() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    for shakes_hands in [false, true] {
        agent.faults.shakes_hands.store(shakes_hands, Ordering::Relaxed);
        let script = "stty -echo; read -r x; echo got-$x; stty size";
        let id = agent.id();
        let words = ["exec", "-t", "--user", "operator", &id, "--", "sh", "-c", script];
        let mut command = Terminal::start(&lab.admin().towline(&words), 33, 99)?;
        eventually("the session runs", PATIENCE, || {
            let state = json!({ "State": "Active" });
            let listed = lab.admin().api("AmazonSSM.DescribeSessions", &state).ok()?;
            (listed["Sessions"][0]["Status"] == "Connected").then_some(())
        })?;
        command.line("word")?;
        command.expect("got-word")?;
        command.expect("33 99")?;
        ensure(command.finish(PATIENCE)?.success(), || "the command did not end well".into())?;
        eventually("the session is over", PATIENCE, || {
            let state = json!({ "State": "Active" });
            let listed = lab.admin().api("AmazonSSM.DescribeSessions", &state).ok()?;
            listed["Sessions"].as_array().is_some_and(Vec::is_empty).then_some(())
        })?;
    }
    Ok(())
}

#[test]
fn a_session_without_a_user_is_refused_in_words() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let out = lab.admin().run(&["exec", &agent.id(), "--", "true"])?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(!out.status.success() && said.contains("name the user"), || format!("{out:?}"))
}

#[test]
fn an_unknown_user_ends_the_session_in_the_agent_s_words() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    for words in [&["shell"][..], &["exec"]] {
        let id = agent.id();
        let mut all = words.to_vec();
        all.extend(["--user", NOBODY, &id]);
        if words == ["exec"] {
            all.extend(["--", "true"]);
        }
        let mut command = lab.admin().towline(&all);
        command.stdin(Stdio::null());
        let out = process::finish(command, PATIENCE)?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure(!out.status.success() && said.contains("user no-such-user does not exist"), || {
            format!("{out:?}")
        })?;
        ensure(!said.contains("waiting up to") && !said.contains("ERROR"), || said)?;
    }
    Ok(())
}

#[test]
fn a_device_replaces_its_key_and_the_old_one_counts_no_more() -> Outcome {
    let mut lab = Lab::start()?;
    let agent = VendorAgent::connected(&lab, MACOS)?;
    wait_online(&lab, &agent)?;
    let out = lab.admin().run(&["admin", "device", "rotate-key", &agent.id()])?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(said.contains("replaces its key when it next asks"), || format!("{out:?}"))?;
    // The answer may be lost, and the gateway restarted: the next one asks again.
    agent.renew()?;
    lab.gateway.kill()?;
    lab.gateway.start_again()?;
    agent.renew()?;
    let asked = || agent.seen().iter().filter(|line| *line == "asked for a new key").count();
    ensure(asked() == 2, || format!("asked {} times", asked()))?;
    let old = VendorAgent::new(&lab, KEYS[0], MACOS)?;
    let answer = agent.rotate(KEYS[1])?;
    ensure(answer.status == 200 && answer.body == "{}", || format!("{answer:?}"))?;
    // The keys that were issued before go on; the agent's own old key is nobody's.
    agent.report()?;
    ensure(agent.renew()?.status == 200, || "the new key is not taken".into())?;
    ensure(asked() == 2, || "it is asked again although it has a new key".into())?;
    old.is(&agent.id());
    let refused = old.renew()?;
    ensure(refused.body.contains("InvalidSignatureException"), || format!("{refused:?}"))
}

#[test]
fn the_keys_of_a_device_open_nothing_else() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let id = agent.id();
    // An operator's operation.
    let answer = agent.call("AmazonSSM.DescribeInstanceInformation", "ssm", &json!({}))?;
    ensure(answer.body.contains("UnrecognizedClientException"), || format!("{answer:?}"))?;
    // Another device's name.
    let other = id.replace(&id[3..5], if &id[3..5] == "00" { "11" } else { "00" });
    let health = json!({ "InstanceId": other, "AgentVersion": "9.9.9.9" });
    let answer = agent.call("AmazonSSM.UpdateInstanceInformation", "ssm", &health)?;
    ensure(answer.body.contains("AccessDeniedException"), || format!("{answer:?}"))?;
    let open = json!({ "MessageSchemaVersion": "1.0", "RequestId": "x" });
    let answer = agent.ask_channel(&format!("/v1/control-channel/{other}"), &open)?;
    ensure(answer.status == 403, || format!("{answer:?}"))?;
    // A signature for another service.
    let body = json!({ "InstanceId": id });
    let answer = agent.call("AmazonSSM.ListInstanceAssociations", "ssmmessages", &body)?;
    ensure(answer.body.contains("InvalidSignatureException"), || format!("{answer:?}"))?;
    // An operator's keys for an operation of devices.
    let answer = lab.admin().api_raw("AmazonSSM.ListInstanceAssociations", "{}")?;
    ensure(answer.0 == 400, || format!("{answer:?}"))
}

#[test]
fn a_device_that_waits_for_approval_says_what_it_is_and_nothing_else() -> Outcome {
    let lab = Lab::start()?;
    let agent = VendorAgent::new(&lab, KEYS[0], LINUX)?;
    let more = json!({ "TowlineRequireApproval": true });
    let answer = agent.register(&lab.activation_with(1, &more)?)?;
    ensure(answer.status == 200, || format!("{answer:?}"))?;
    ensure(agent.renew()?.status == 200, || "no keys".into())?;
    let id = agent.id();
    let health = json!({ "InstanceId": id, "AgentVersion": "3.3.0.0", "PlatformType": "Linux" });
    let answer = agent.call("AmazonSSM.UpdateInstanceInformation", "ssm", &health)?;
    ensure(answer.status == 200, || format!("{answer:?}"))?;
    let open = json!({ "MessageSchemaVersion": "1.0", "RequestId": "x" });
    let answer = agent.ask_channel(&format!("/v1/control-channel/{id}"), &open)?;
    ensure(answer.status == 503 && !answer.body.contains("AccessDenied"), || {
        format!("{answer:?}")
    })?;
    lab.admin().text(&["admin", "device", "approve", &id])?;
    agent.start()?;
    wait_online(&lab, &agent)?;
    lab.admin().text(&["admin", "device", "deregister", &id])?;
    let answer = agent.renew()?;
    ensure(answer.body.contains("AccessDeniedException"), || format!("{answer:?}"))
}

#[test]
fn two_processes_with_one_key_are_both_locked_out() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let copy = VendorAgent::new(&lab, KEYS[0], LINUX)?;
    copy.is(&agent.id());
    copy.start()?;
    eventually("the device is quarantined", PATIENCE, || {
        let listed = lab.admin().api("AmazonSSM.DescribeInstanceInformation", &json!({})).ok()?;
        (listed["InstanceInformationList"][0]["TowlineState"] == "quarantined").then_some(())
    })
}

#[test]
fn a_stranger_registers_nothing() -> Outcome {
    let lab = Lab::start()?;
    let agent = VendorAgent::new(&lab, KEYS[0], LINUX)?;
    let mut wrong = lab.activation(1)?;
    wrong.code.push('x');
    let answer = agent.register(&wrong)?;
    ensure(answer.status == 400 && answer.body.contains("InvalidActivation"), || {
        format!("{answer:?}")
    })?;
    let right = lab.activation(1)?;
    let body = json!({
        "ActivationCode": right.code, "ActivationId": right.id, "Fingerprint": "f",
        "PublicKey": "AAAA", "PublicKeyType": "Rsa",
    });
    let answer = agent.send_unsigned("AmazonSSM.RegisterManagedInstance", &body.to_string())?;
    ensure(answer.body.contains("2048 to 4096 bits"), || format!("{answer:?}"))
}

#[test]
fn a_second_key_from_a_known_machine_waits_for_approval() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let mut other = VendorAgent::new(&lab, KEYS[1], LINUX)?;
    std::sync::Arc::get_mut(&mut other)
        .ok_or_else(|| Trouble::new("shared"))?
        .fingerprint
        .clone_from(&agent.fingerprint);
    ensure(other.register(&lab.activation(1)?)?.status == 200, || "refused".into())?;
    ensure(other.id() != agent.id(), || "the same device".into())?;
    let listed = lab.admin().api("AmazonSSM.DescribeInstanceInformation", &json!({}))?;
    let all = listed["InstanceInformationList"].as_array().cloned().unwrap_or_default();
    let pending = all.iter().any(|device| {
        device["InstanceId"] == other.id().as_str() && device["TowlineState"] == "pending"
    });
    ensure(pending, || format!("{listed}"))
}

#[test]
fn a_session_that_is_terminated_ends_on_the_device() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let words = ["shell", "--user", "operator", &agent.id()];
    let mut shell = Terminal::start(&lab.admin().towline(&words), 24, 80)?;
    shell.line("echo sum-$((6 * 7))")?;
    shell.expect("sum-42")?;
    let listed = lab.admin().api("AmazonSSM.DescribeSessions", &json!({ "State": "Active" }))?;
    let session = listed["Sessions"][0]["SessionId"].as_str().unwrap_or_default().to_owned();
    ensure(listed["Sessions"][0]["Status"] == "Connected", || format!("{listed}"))?;
    lab.admin().api("AmazonSSM.TerminateSession", &json!({ "SessionId": session }))?;
    shell.expect("terminated by")?;
    eventually("the agent has ended it", PATIENCE, || {
        agent
            .seen()
            .iter()
            .any(|line| line.starts_with("session Standard_Stream over"))
            .then_some(())
    })
}

#[test]
fn output_is_whole_over_lost_and_doubled_messages_and_a_cut() -> Outcome {
    let lab = Lab::start()?;
    let relay = Relay::to(lab.gateway.address())?;
    let agent = VendorAgent::at(&lab, &relay.address().to_string(), KEYS[0], LINUX)?;
    agent.join(&lab)?;
    wait_online(&lab, &agent)?;
    agent.faults.lose.store(7, Ordering::Relaxed);
    agent.faults.double.store(5, Ordering::Relaxed);
    let script =
        "i=0; while [ $i -lt 6000 ]; do echo line-$i; i=$((i + 1)); done; echo e >&2; exit 9";
    let id = agent.id();
    let mut command =
        lab.admin().towline(&["exec", "--user", "operator", &id, "--", "sh", "-c", script]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn()?;
    eventually("the session runs", PATIENCE, || {
        agent.seen().iter().any(|line| line == "bytes flow").then_some(())
    })?;
    relay.cut();
    let out = process::finish_child(child, "towline exec", PATIENCE * 3)?;
    let lost = agent.seen().iter().any(|line| line.starts_with("data channel of"));
    ensure(lost, || "the data channel was not cut".into())?;
    let wanted: String = (0..6000).map(|i| format!("line-{i}\n")).collect();
    ensure(out.stdout == wanted.as_bytes() && out.status.code() == Some(9), || {
        format!(
            "{} bytes of {}, {}, {:?}\n{:?}",
            out.stdout.len(),
            wanted.len(),
            out.status,
            String::from_utf8_lossy(&out.stderr),
            agent.seen()
        )
    })
}

#[test]
fn a_port_is_forwarded_by_the_first_version_of_smux() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let server = echo_server()?;
    let route = format!("0:{}", server.port());
    let forward = Forward::on(&lab.admin(), &lab, &agent.id(), &route)?;
    let text: Vec<u8> = (0..200_000_u32).map(|n| u8::try_from(n % 251).unwrap_or(0)).collect();
    for round in 0..3 {
        let mut connection = forward.connect()?;
        let (mut writer, sent) = (connection.try_clone()?, text.clone());
        let writing = std::thread::spawn(move || writer.write_all(&sent));
        let mut back = vec![0; text.len()];
        connection.read_exact(&mut back)?;
        ensure(back == text, || format!("round {round}: other bytes came back"))?;
        let _ = writing.join();
    }
    Ok(())
}

#[test]
fn a_forward_says_that_the_device_could_not_connect() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let closed = towline_testkit::ports::free()?;
    let mut forward =
        Forward::on(&lab.admin(), &lab, &agent.id(), &format!("0:{}", closed.port()))?;
    let mut connection = forward.connect()?;
    let mut nothing = Vec::new();
    let _ = connection.read_to_end(&mut nothing); // closed, or reset
    ensure(nothing.is_empty(), || format!("{nothing:?}"))?;
    forward
        .running
        .wait_for("it says why", 0, PATIENCE, |text| {
            text.contains("the device could not connect to the port").then_some(())
        })
        .map(drop)
}

#[test]
fn a_command_of_run_command_is_run_once_and_has_its_outputs() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let id = agent.id();
    let command = send(&lab, &id, "echo out; echo err >&2; exit 3")?;
    let done = wait_for(&lab, &command, &id, "Failed").map_err(with_traces(&lab, &agent))?;
    ensure(done["ResponseCode"] == 3, || format!("{done}"))?;
    ensure(
        done["StandardOutputContent"] == "out\n" && done["StandardErrorContent"] == "err\n",
        || format!("{done}"),
    )?;
    eventually("the reply is acknowledged", PATIENCE, || {
        agent.seen().iter().any(|line| line.starts_with("reply of ")).then_some(())
    })?;
    let good = send(&lab, &id, "echo fine")?;
    wait_for(&lab, &good, &id, "Success").map(drop)
}

#[test]
fn a_command_that_is_cancelled_ends_on_the_device() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let id = agent.id();
    let command = send(&lab, &id, "sleep 1000")?;
    wait_for(&lab, &command, &id, "InProgress")?;
    lab.admin().api("AmazonSSM.CancelCommand", &json!({ "CommandId": command }))?;
    wait_for(&lab, &command, &id, "Cancelled")?;
    eventually("the agent has stopped it", PATIENCE, || {
        agent.seen().iter().any(|line| line.ends_with(" stopped")).then_some(())
    })
}

#[test]
fn a_command_that_runs_while_the_gateway_is_killed_runs_once_and_ends() -> Outcome {
    let mut lab = Lab::start()?;
    let agent = online(&lab)?;
    let id = agent.id();
    let mark = lab.directory().join("ran");
    let script = format!("echo x >>{}; sleep 2; echo end", mark.display());
    let command = send(&lab, &id, &script)?;
    wait_for(&lab, &command, &id, "InProgress")?;
    eventually("it runs", PATIENCE, || std::fs::read_to_string(&mark).ok())?;
    lab.gateway.kill()?;
    lab.gateway.start_again()?;
    eventually("the control channel is lost", PATIENCE, || {
        agent.seen().iter().any(|line| line == "control channel lost").then_some(())
    })?;
    agent.start()?;
    let done = wait_for(&lab, &command, &id, "Success").map_err(with_traces(&lab, &agent))?;
    ensure(done["StandardOutputContent"] == "end\n", || format!("{done}"))?;
    let ran = std::fs::read_to_string(&mark)?;
    ensure(ran == "x\n", || format!("it ran more than once: {ran:?}"))
}

/// Adds what the agent saw and the gateway logged.
fn with_traces<'t>(lab: &'t Lab, agent: &'t VendorAgent) -> impl Fn(Trouble) -> Trouble + 't {
    |trouble| Trouble::new(format!("{trouble}\n{:#?}\n{}", agent.seen(), lab.gateway.logged()))
}

/// Sends a script; the command's id.
fn send(lab: &Lab, device: &str, script: &str) -> Outcome<String> {
    let body = json!({
        "DocumentName": "AWS-RunShellScript", "InstanceIds": [device],
        "Parameters": { "commands": [script] },
    });
    let sent = lab.admin().api("AmazonSSM.SendCommand", &body)?;
    Ok(sent["Command"]["CommandId"].as_str().unwrap_or_default().to_owned())
}

/// Waits until a command has this status on a device.
fn wait_for(lab: &Lab, command: &str, device: &str, status: &str) -> Outcome<serde_json::Value> {
    let body = json!({ "CommandId": command, "InstanceId": device });
    let mut last = serde_json::Value::Null;
    let found = eventually(&format!("the command is {status}"), PATIENCE, || {
        last = lab.admin().api("AmazonSSM.GetCommandInvocation", &body).ok()?;
        (last["Status"] == status).then(|| last.clone())
    });
    found.map_err(|trouble| Trouble::new(format!("{trouble}: {last}")))
}

#[test]
fn a_document_for_several_systems_runs_the_branch_of_the_device() -> Outcome {
    let lab = Lab::start()?;
    let windows = VendorAgent::connected(&lab, WINDOWS)?;
    wait_online(&lab, &windows)?;
    let mac = VendorAgent::new(&lab, KEYS[1], MACOS)?;
    mac.join(&lab)?;
    wait_online(&lab, &mac)?;
    let step = |action: &str, platform: &str| {
        json!({ "action": action, "name": format!("on{platform}"),
            "precondition": { "StringEquals": ["platformType", platform] },
            "inputs": { "runCommand": [format!("echo {platform}")] } })
    };
    let content = json!({ "schemaVersion": "2.2", "mainSteps": [
        step("aws:runPowerShellScript", "Windows"), step("aws:runShellScript", "MacOS"),
    ] });
    let made = json!({ "Name": "Both", "Content": content.to_string(), "DocumentType": "Command" });
    let made = lab.admin().api("AmazonSSM.CreateDocument", &made)?;
    ensure(made["DocumentDescription"]["PlatformTypes"] == json!(["Windows", "MacOS"]), || {
        format!("{made}")
    })?;
    for (agent, platform, action) in
        [(&windows, "Windows", "aws:runPowerShellScript"), (&mac, "MacOS", "aws:runShellScript")]
    {
        let body = json!({ "DocumentName": "Both", "InstanceIds": [agent.id()] });
        let sent = lab.admin().api("AmazonSSM.SendCommand", &body)?;
        let command = sent["Command"]["CommandId"].as_str().unwrap_or_default().to_owned();
        let done = wait_for(&lab, &command, &agent.id(), "Success")?;
        ensure(done["StandardOutputContent"] == format!("{platform}\n"), || format!("{done}"))?;
        ensure(done["PluginName"] == format!("on{platform}"), || format!("{done}"))?;
        let seen = agent.seen();
        let steps: Vec<_> = seen.iter().filter(|line| line.starts_with("step ")).collect();
        ensure(steps.len() == 1 && steps[0].contains(action), || format!("{steps:?}"))?;
    }
    Ok(())
}

#[test]
fn windows_runs_powershell_and_refuses_a_shell_script() -> Outcome {
    let lab = Lab::start()?;
    let agent = VendorAgent::connected(&lab, WINDOWS)?;
    wait_online(&lab, &agent)?;
    let id = agent.id();
    let body = |document: &str, folder: &str| {
        json!({ "DocumentName": document, "InstanceIds": [id],
            "Parameters": { "commands": ["echo fine"], "workingDirectory": [folder] } })
    };
    let shell = body("AWS-RunShellScript", "");
    let refused = lab.admin().api_raw("AmazonSSM.SendCommand", &shell.to_string())?;
    ensure(refused.1.contains("UnsupportedPlatformType") && refused.1.contains(&id), || {
        format!("{refused:?}")
    })?;
    let powershell = body("AWS-RunPowerShellScript", r"C:\Users");
    let sent = lab.admin().api("AmazonSSM.SendCommand", &powershell)?;
    let command = sent["Command"]["CommandId"].as_str().unwrap_or_default().to_owned();
    let done = wait_for(&lab, &command, &id, "Success").map_err(with_traces(&lab, &agent))?;
    ensure(done["StandardOutputContent"] == "fine\n", || format!("{done}"))?;
    let seen = agent.seen();
    let step = r#"step aws:runPowerShellScript in String("C:\\Users")"#;
    ensure(seen.iter().any(|line| line == step), || format!("{seen:?}"))
}

#[test]
fn a_session_on_windows_is_of_ssm_user_where_policy_allows_that_name() -> Outcome {
    let lab = Lab::start()?;
    let agent = VendorAgent::connected(&lab, WINDOWS)?;
    wait_online(&lab, &agent)?;
    let id = agent.id();
    let exec = |operator: &towline_testkit::lab::Operator, user: &[&str]| {
        let mut words = vec!["exec"];
        words.extend(user);
        words.extend([&*id, "--", "echo", "hi"]);
        operator.run(&words)
    };
    let none = exec(&lab.admin(), &[])?;
    let said = String::from_utf8_lossy(&none.stderr).into_owned();
    ensure(!none.status.success() && said.contains("ssm-user"), || format!("{none:?}"))?;
    let other = exec(&lab.admin(), &["--user", "operator"])?;
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    ensure(!other.status.success() && said.contains("run as ssm-user"), || format!("{other:?}"))?;
    exec(&lab.admin(), &["--user", "ssm-user"])?;
    let seen = agent.seen();
    let own = "session NonInteractiveCommands as \"\" runAs false";
    ensure(seen.iter().any(|line| line == own), || format!("{seen:?}"))?;
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": "*", "Resource": "*" },
            { "Effect": "Deny", "Action": "ssm:StartSession", "Resource": "*",
              "Condition": { "StringEquals": { "towline:DocumentParameter/runAsUser": "ssm-user" } } },
        ],
    });
    let ann = lab.user("ann", Some(&policy.to_string()))?;
    let denied = exec(&ann, &["--user", "ssm-user"])?;
    ensure(denied.status.code() == Some(DENIED), || format!("{denied:?}"))
}

#[test]
fn a_policy_tells_devices_apart_by_their_agent() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": "*", "Resource": "*" },
            { "Effect": "Deny", "Action": "ssm:StartSession", "Resource": "*",
              "Condition": { "StringEquals": { "towline:AgentKind": "vendor" } } },
        ],
    });
    let ann = lab.user("ann", Some(&policy.to_string()))?;
    let out = ann.run(&["exec", "--user", "operator", &agent.id(), "--", "true"])?;
    ensure(out.status.code() == Some(DENIED), || format!("{out:?}"))
}
