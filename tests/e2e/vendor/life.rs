//! The life of a device and of its sessions as lists, tags, limits and commands on many devices
//! show it.

use std::process::Stdio;
use std::sync::atomic::Ordering;

use serde_json::json;
use towline_testkit::lab::{GatewaySetup, Lab};
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually, process};

use super::{online, wait_for, wait_online};
use crate::codes::ENDED;
use crate::peers::vendor::{KEYS, LINUX, VendorAgent};

#[test]
fn a_session_ends_at_its_maximum_duration_on_the_device_as_well() -> Outcome {
    let config = "session_max_minutes = 0.1".into();
    let lab = Lab::with(&GatewaySetup { config, ..GatewaySetup::default() })?;
    let agent = online(&lab)?;
    let busy = "while :; do echo tick; sleep 0.1; done";
    let words = ["exec", "--user", "operator", &agent.id(), "--", "sh", "-c", busy];
    let mut command = lab.admin().towline(&words);
    command.stdin(Stdio::null());
    let out = process::finish(command, PATIENCE)?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(said.contains("it reached its maximum duration"), || said.clone())?;
    ensure(out.status.code() == Some(ENDED) && out.stdout.starts_with(b"tick\n"), || {
        format!("{out:?}")
    })?;
    eventually("the agent has ended it", PATIENCE, || {
        let seen = agent.seen();
        seen.iter()
            .any(|line| line.starts_with("session NonInteractiveCommands over"))
            .then_some(())
    })
}

#[test]
fn lists_say_what_a_session_is_while_it_runs_and_afterwards() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let id = agent.id();
    let words = ["shell", "--user", "operator", &id];
    let mut shell = Terminal::start(&lab.admin().towline(&words), 24, 80)?;
    shell.line("echo sum-$((6 * 7))")?;
    shell.expect("sum-42")?;
    let of = |state: &str| {
        let target = json!([{ "key": "Target", "value": id }]);
        let body = json!({ "State": state, "Filters": target });
        let listed = lab.admin().api("AmazonSSM.DescribeSessions", &body)?;
        Ok::<_, towline_testkit::Trouble>(listed["Sessions"][0].clone())
    };
    let runs = of("Active")?;
    for (name, value) in [
        ("Target", &*id),
        ("Status", "Connected"),
        ("DocumentName", "SSM-SessionManagerRunShell"),
        ("TowlineAgentKind", "vendor"),
    ] {
        ensure(runs[name] == value, || format!("{name}: {runs}"))?;
    }
    shell.line("exit")?;
    ensure(shell.finish(PATIENCE)?.success(), || "the shell did not end well".into())?;
    let over = eventually("the session is in the history", PATIENCE, || {
        of("History").ok().filter(|session| session["SessionId"] == runs["SessionId"])
    })?;
    ensure(over["Status"] == "Terminated" && over["EndDate"].is_number(), || format!("{over}"))?;
    agent.stop.store(true, Ordering::Relaxed);
    eventually("the device is not connected", PATIENCE, || {
        let body = json!({ "Target": id });
        let answer = lab.admin().api("AmazonSSM.GetConnectionStatus", &body).ok()?;
        (answer["Status"] == "notconnected").then_some(())
    })?;
    let listed = lab.admin().api("AmazonSSM.DescribeInstanceInformation", &json!({}))?;
    let device = &listed["InstanceInformationList"][0];
    ensure(device["PingStatus"] == "ConnectionLost" || device["PingStatus"] == "Inactive", || {
        format!("{device}")
    })
}

#[test]
fn tags_choose_the_devices_of_a_command_one_at_a_time() -> Outcome {
    let lab = Lab::start()?;
    let one = online(&lab)?;
    let two = VendorAgent::new(&lab, KEYS[1], LINUX)?;
    two.join(&lab)?;
    wait_online(&lab, &two)?;
    for agent in [&one, &two] {
        let body = json!({ "ResourceType": "ManagedInstance", "ResourceId": agent.id(),
            "Tags": [{ "Key": "Site", "Value": "shed" }] });
        lab.admin().api("AmazonSSM.AddTagsToResource", &body)?;
    }
    let listed = json!({ "Filters": [{ "Key": "tag:Site", "Values": ["shed"] }] });
    let listed = lab.admin().api("AmazonSSM.DescribeInstanceInformation", &listed)?;
    let found = listed["InstanceInformationList"].as_array().map(Vec::len);
    ensure(found == Some(2), || format!("{listed}"))?;
    // Two steps at a time would both find the mark absent.
    let mark = lab.directory().join("mark");
    let script = format!(
        "mkdir {mark} || exit 9; sleep 0.5; rmdir {mark}; echo alone",
        mark = mark.display()
    );
    let body = json!({
        "DocumentName": "AWS-RunShellScript", "MaxConcurrency": "1",
        "Targets": [{ "Key": "tag:Site", "Values": ["shed"] }],
        "Parameters": { "commands": [script] },
    });
    let sent = lab.admin().api("AmazonSSM.SendCommand", &body)?;
    let command = sent["Command"]["CommandId"].as_str().unwrap_or_default().to_owned();
    for agent in [&one, &two] {
        let done = wait_for(&lab, &command, &agent.id(), "Success")?;
        ensure(done["StandardOutputContent"] == "alone\n", || format!("{done}"))?;
    }
    Ok(())
}

#[test]
fn a_device_that_was_quarantined_and_approved_has_its_shell_again() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let id = agent.id();
    let copy = VendorAgent::new(&lab, KEYS[0], LINUX)?;
    copy.is(&id);
    copy.start()?;
    eventually("the device is quarantined", PATIENCE, || {
        let listed = lab.admin().api("AmazonSSM.DescribeInstanceInformation", &json!({})).ok()?;
        (listed["InstanceInformationList"][0]["TowlineState"] == "quarantined").then_some(())
    })?;
    let refused = lab.admin().run(&["exec", "--user", "operator", &id, "--", "true"])?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure(!refused.status.success() && said.contains("is quarantined"), || said)?;
    eventually("both were sent away", PATIENCE, || {
        let lost = |agent: &VendorAgent| agent.seen().iter().any(|l| l == "control channel lost");
        (lost(&agent) && lost(&copy)).then_some(())
    })?;
    lab.admin().text(&["admin", "device", "approve", &id])?;
    agent.start()?;
    wait_online(&lab, &agent)?;
    let mut command =
        lab.admin().towline(&["exec", "--user", "operator", &id, "--", "echo", "again"]);
    command.stdin(Stdio::null());
    let out = process::finish(command, PATIENCE)?;
    ensure(out.stdout == b"again\n", || format!("{out:?}"))
}

#[test]
fn what_the_agent_cannot_do_is_refused_with_what_to_do() -> Outcome {
    let lab = Lab::start()?;
    let agent = online(&lab)?;
    let place = format!("{}:/etc/hostname", agent.id());
    let to = lab.directory().join("copied").display().to_string();
    let copy = lab.admin().run(&["cp", "--user", "operator", &place, &to])?;
    let said = String::from_utf8_lossy(&copy.stderr).into_owned();
    ensure(!copy.status.success() && said.contains("use scp over `towline proxy`"), || said)?;
    let id = agent.id();
    let detached =
        lab.admin().run(&["exec", "--detach", "--user", "operator", &id, "--", "true"])?;
    let said = String::from_utf8_lossy(&detached.stderr).into_owned();
    ensure(!detached.status.success() && said.contains("detaches no program"), || said)
}

#[test]
fn who_may_tag_one_kind_of_device_tags_no_other() -> Outcome {
    let lab = Lab::start()?;
    let own = lab.device()?;
    let agent = online(&lab)?;
    let ann = lab.user(
        "ann",
        Some(
            r#"{"Version":"2012-10-17","Statement":[
            {"Effect":"Allow","Action":"ssm:AddTagsToResource","Resource":"*"},
            {"Effect":"Allow","Action":"ssm:RemoveTagsFromResource","Resource":"*",
             "Condition":{"StringEquals":{"towline:AgentKind":"towline"}}},
            {"Effect":"Deny","Action":"ssm:AddTagsToResource","Resource":"*",
             "Condition":{"StringEquals":{"towline:AgentKind":"vendor"}}}]}"#,
        ),
    )?;
    for (id, may) in [(own.id().to_owned(), true), (agent.id(), false)] {
        let body = json!({ "ResourceType": "ManagedInstance", "ResourceId": id,
            "Tags": [{ "Key": "Site", "Value": "shed" }] });
        let added = ann.api("AmazonSSM.AddTagsToResource", &body);
        ensure(added.is_ok() == may, || format!("{id}: {added:?}"))?;
        let body = json!({ "ResourceType": "ManagedInstance", "ResourceId": id,
            "TagKeys": ["Site"] });
        let removed = ann.api("AmazonSSM.RemoveTagsFromResource", &body);
        ensure(removed.is_ok() == may, || format!("{id}: {removed:?}"))?;
    }
    Ok(())
}
