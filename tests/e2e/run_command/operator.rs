//! `towline run`: what it prints, how it ends, and what Ctrl-C offers.

use serde_json::{Value, json};
use towline_testkit::lab::{Device, Lab};
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually};

use super::{begun, ended, is, look, mark, send, setup};

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
        good.status.code() == Some(0)
            && text.contains("== 2 × Success, exit 0")
            && text.contains("   same\n"),
        || format!("{good:?}"),
    )?;
    let bad =
        admin.run(&[&dev[..], &["--max-errors", "5", "--", "sh", "-c", "exit 7"]].concat())?;
    let said = String::from_utf8_lossy(&bad.stderr).into_owned();
    ensure(bad.status.code() == Some(1) && said.matches(": Failed").count() == 2, || {
        format!("{bad:?}")
    })?;
    let json = admin.run(&[&dev[..], &["-o", "json", "--", "true"]].concat())?;
    let whole: Value = serde_json::from_slice(&json.stdout)?;
    ensure(
        whole["Command"]["Status"] == "Success"
            && whole["CommandInvocations"].as_array().is_some_and(|all| all.len() == 2),
        || format!("{whole}"),
    )?;
    let one = admin.run(&[
        "run",
        "--target",
        first.id(),
        "--watch",
        first.id(),
        "--",
        "echo seen; exit 9",
    ])?;
    ensure(
        one.status.code() == Some(9) && String::from_utf8_lossy(&one.stderr).contains("seen\n"),
        || format!("{one:?}"),
    )?;
    let none = admin.run(&["run", "--target", "tag:Environment=none", "--", "true"])?;
    ensure(none.status.code() == Some(250), || format!("{none:?}"))
}

#[test]
fn towline_run_takes_a_document_with_its_parameters_and_says_what_is_wrong_with_others() -> Outcome
{
    let lab = Lab::start()?;
    let device = lab.device()?;
    let content = json!({
        "schemaVersion": "2.2",
        "parameters": { "word": { "type": "String", "allowedPattern": "[a-z]{1,8}" } },
        "mainSteps": [{ "action": "aws:runShellScript", "name": "say-it", "inputs": { "runCommand": ["echo said {{ word }}"] } }],
    });
    let made =
        json!({ "Name": "Say-Word", "DocumentType": "Command", "Content": content.to_string() });
    lab.admin().api("AmazonSSM.CreateDocument", &made)?;
    let run =
        |words: &[&str]| lab.admin().run(&[&["run", "--target", device.id()], words].concat());
    let good = run(&["--document", "Say-Word", "--param", "word=hello"])?;
    ensure(
        good.status.success() && String::from_utf8_lossy(&good.stdout).contains("said hello"),
        || format!("{good:?}"),
    )?;
    let too_long = "x".repeat(65_537);
    for (words, said) in [
        (&["--document", "Say-Word", "--param", "word=NO!"][..], "word"),
        (&["--document", "Say-Word", "--param", "ward=hello"], "ward"),
        (&["--document", "Say-Word"], "word"),
        (&["--document", "No-Such-Document"], "no document of this name"),
        (&["--document", "AWS-StartSSHSession"], "not one of commands"),
        (&["--max-errors", "many", "--", "true"], "MaxErrors"),
        (&["--", &too_long], "65536 bytes"),
    ] {
        let out = run(words)?;
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure(out.status.code() == Some(250) && text.contains(said), || {
            format!("{words:.40?}: {out:?}")
        })?;
    }
    let sent = lab.admin().api("AmazonSSM.ListCommands", &json!({ "InstanceId": device.id() }))?;
    ensure(sent["Commands"].as_array().is_some_and(|all| all.len() == 1), || {
        format!("something was sent: {sent}")
    })
}

#[test]
fn what_a_command_executed_stands_in_the_command_log_like_that_of_a_session() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let id = send(&lab, &device, "uname -s; env true; sh -c 'exit 3'", 60)?;
    is(&ended(&lab, &device, &id)?, "Failed")?;
    let mut seen = Value::Null;
    let complete = eventually("the log is whole", PATIENCE, || {
        seen =
            serde_json::from_str(&lab.admin().text(&["-o", "json", "commands", &id]).ok()?).ok()?;
        let kind = |kind: &str| {
            seen["Commands"].as_array().is_some_and(|all| all.iter().any(|one| one["Kind"] == kind))
        };
        (kind("Begin") && kind("End")).then_some(())
    });
    complete.map_err(|error| {
        Trouble::new(format!("{error}: {seen}; the device says {}", device.logged()))
    })?;
    let commands = seen["Commands"].as_array().cloned().unwrap_or_default();
    let with =
        |words: &[&str]| commands.iter().find(|one| one["Arguments"] == json!(words)).cloned();
    let exit = with(&["sh", "-c", "exit 3"]).unwrap_or_default();
    ensure(with(&["uname", "-s"]).is_some() && exit["ExitCode"] == 3, || format!("{seen}"))?;
    let text = lab.admin().text(&["commands", &id, "--device", device.id()])?;
    ensure(text.contains("uname -s"), || text.clone())
}

/// `towline run` of something that does not end by itself, once it has begun; the command's id.
fn endless(lab: &Lab, device: &Device, name: &str) -> Outcome<(Terminal, String)> {
    let starts = mark(lab, name);
    let script = format!("echo x >> {}; sleep 600", starts.display());
    let mut run = lab.admin().terminal(&["run", "--target", device.id(), "--", &script])?;
    run.expect("1 running")?;
    begun(&starts)?;
    let listed =
        lab.admin().api("AmazonSSM.ListCommands", &json!({ "InstanceId": device.id() }))?;
    let id = listed["Commands"][0]["CommandId"].as_str().map(str::to_owned);
    Ok((run, id.ok_or_else(|| Trouble::new(format!("no command: {listed}")))?))
}

#[test]
fn ctrl_c_offers_to_cancel_and_who_says_yes_sees_the_command_end() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let (mut run, id) = endless(&lab, &device, "starts")?;
    run.send("\x03")?;
    run.expect("cancel the command on all devices?")?;
    run.line("n")?;
    run.expect("1 running")?;
    is(&look(&lab, &device, &id)?, "InProgress")?;
    run.send("\x03")?;
    run.expect("cancel the command on all devices?")?;
    run.line("y")?;
    run.expect("Cancelled")?;
    let status = run.finish(PATIENCE)?;
    ensure(status.code().is_some_and(|code| code != 0), || format!("{status}"))?;
    is(&ended(&lab, &device, &id)?, "Cancelled")
}

#[test]
fn ctrl_c_twice_leaves_the_command_running_and_says_so() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let (mut run, id) = endless(&lab, &device, "starts")?;
    run.send("\x03")?;
    run.expect("cancel the command on all devices?")?;
    run.send("\x03")?;
    run.expect(&format!("command {id} continues"))?;
    let status = run.finish(PATIENCE)?;
    ensure(status.code() == Some(130), || format!("{status}"))?;
    is(&look(&lab, &device, &id)?, "InProgress")?;
    lab.admin().api("AmazonSSM.CancelCommand", &json!({ "CommandId": id }))?;
    is(&ended(&lab, &device, &id)?, "Cancelled")
}
