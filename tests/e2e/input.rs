//! Input in a recording: there where preferences want it and the screen showed it, and nowhere
//! else; passwords never.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use towline_testkit::lab::programs::workspace;
use towline_testkit::lab::{Device, Lab};
use towline_testkit::machine::SCRIPT;
use towline_testkit::recall::newest_session;
use towline_testkit::terminal::Terminal;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, facts, process};

use crate::evidence::{on_disk, recordings, verify_folder};

const PATIENCE: Duration = Duration::from_secs(60);
/// What is typed as a password. Its parts are nowhere else, and no prompt begins with one.
const PASSWORD: &str = "zq7hunter2zq7";

/// Preferences of all sessions of this gateway.
fn prefer(lab: &Lab, inputs: &Value) -> Outcome {
    let content = json!({
        "schemaVersion": "1.0", "description": "preferences", "sessionType": "Standard_Stream", "inputs": inputs,
    });
    let body = json!({
        "Name": "SSM-SessionManagerRunShell", "DocumentType": "Session", "DocumentFormat": "JSON",
        "Content": content.to_string(),
    });
    lab.admin().api("AmazonSSM.CreateDocument", &body).map(drop)
}

/// A shell whose prompt is known. From here on it is waited for, as a person does.
fn shell(lab: &Lab, device: &Device) -> Outcome<Terminal> {
    let mut shell = lab.admin().shell(device.id())?;
    shell.line("PS1='dev''$ '; echo ready-$((40+2))")?;
    shell.expect("ready-42\r\n")?;
    shell.expect("dev$ ")?;
    Ok(shell)
}

/// The recording, once it is in the sink and all of that verifies; line by line.
fn recording(lab: &Lab) -> Outcome<(PathBuf, Vec<Value>)> {
    let records = lab.gateway.directory().join("evidence/records");
    let path = eventually("the recording", PATIENCE, || recordings(&records).pop())?;
    eventually("a sink that verifies", PATIENCE, || {
        verify_folder(lab, &records, &[]).ok().filter(|out| out.status.success())
    })?;
    let cast = lab.admin().text(&["export", &path.to_string_lossy()])?;
    let lines = cast
        .lines()
        .map(|line| serde_json::from_str(line).map_err(|e| Trouble::new(format!("{e}: {line}"))));
    Ok((path, lines.collect::<Outcome<_>>()?))
}

fn texts(lines: &[Value], code: &str) -> String {
    lines[1..]
        .iter()
        .filter(|event| event[1] == code)
        .filter_map(|event| event[2].as_str())
        .collect()
}

/// Every file below this folder, and what is in it when it is unpacked.
fn everything(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) -> Outcome {
    for entry in std::fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            everything(&path, found)?;
            continue;
        }
        let Ok(bytes) = std::fs::read(&path) else { continue }; // gone since
        let mut unpacked = Vec::new();
        if flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut unpacked).is_ok() {
            found.push((path.clone(), unpacked));
        }
        found.push((path, bytes));
    }
    Ok(())
}

/// The password stands in no file of the gateway: neither as it is nor unpacked.
fn password_is_nowhere(lab: &Lab) -> Outcome {
    let mut files = Vec::new();
    everything(lab.gateway.directory(), &mut files)?;
    ensure(files.iter().any(|(path, _)| path.extension().is_some_and(|end| end == "gz")), || {
        "no recording".into()
    })?;
    let holds =
        |bytes: &[u8]| bytes.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes());
    let where_it_is: Vec<_> =
        files.iter().filter(|(_, bytes)| holds(bytes)).map(|(path, _)| path).collect();
    ensure(where_it_is.is_empty(), || format!("the password is in {where_it_is:?}"))
}

#[test]
fn what_is_typed_and_shown_is_in_the_recording_where_preferences_want_it() -> Outcome {
    let lab = Lab::start()?;
    prefer(&lab, &json!({ "recordInput": true }))?;
    let device = lab.device()?;
    let mut shell = lab.admin().shell(device.id())?;
    shell.expect("input is recorded")?;
    shell.line("PS1='dev''$ '")?;
    shell.expect("dev$ ")?;
    shell.send("echo one-$((40+2))x")?; // corrected before Enter
    shell.expect("+2))x")?;
    shell.send("\u{7f}\r")?;
    shell.expect("one-42\r\n")?;
    shell.expect("dev$ ")?;
    shell.line("cat")?; // a terminal that echoes by itself
    shell.expect("cat\r\n")?;
    eventually("the terminal is cat's", PATIENCE, || device_terminal_is_in_line_mode(&device))?;
    shell.line("to the cat")?;
    shell.expect("to the cat\r\nto the cat\r\n")?;
    shell.send("\u{4}")?;
    shell.expect("dev$ ")?;
    let session = newest_session(&lab.admin(), &device)?;
    shell.line("exit 0")?;
    shell.finish(PATIENCE)?;

    let (path, lines) = recording(&lab)?;
    let input = texts(&lines, "i");
    for typed in ["echo one-$((40+2))x\u{7f}\r", "cat\r", "to the cat\r", "\u{4}", "exit 0\r"] {
        ensure(input.contains(typed), || format!("{typed:?} is not in {input:?}"))?;
    }
    ensure(lines[0]["towline"]["input"] == true, || lines[0].to_string())?;
    // Known as such in the list, left out of the transcript, and no obstacle to playing.
    let listed: Value = serde_json::from_str(&lab.admin().text(&["logs", "-o", "json"])?)?;
    ensure(listed["Sessions"][0]["TowlineInputRecorded"] == true, || listed.to_string())?;
    let text = lab.admin().text(&["export", &path.to_string_lossy(), "--format", "txt"])?;
    ensure(text.matches("exit 0").count() == 1, || text.clone())?;
    let played = lab.admin().text(&["play", &session, "--speed", "1000"])?;
    ensure(played.contains("one-42") && played.matches("exit 0").count() == 1, || played.clone())
}

/// True when the terminal of the device's only session gathers lines and echoes: `cat` has it, not
/// the shell.
fn device_terminal_is_in_line_mode(device: &Device) -> Option<()> {
    let shell = *facts::children(device.pid().ok()?).first()?;
    let terminal = std::fs::read_link(format!("/proc/{shell}/fd/0")).ok()?;
    let out = std::process::Command::new("stty").arg("-F").arg(terminal).arg("-a").output().ok()?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    (said.contains(" icanon") && said.contains(" echo ") && !said.contains("-icanon")).then_some(())
}

#[test]
fn a_password_is_nowhere_in_the_store_however_it_was_asked_for() -> Outcome {
    let lab = Lab::start()?;
    prefer(&lab, &json!({ "recordInput": true }))?;
    let device = lab.device()?;
    let mut shell = shell(&lab, &device)?;
    let silent = "stty -echo; printf 'secret''? '; read LINE; stty echo; echo got-$((40+2))";
    let bash = "read -s -p 'secret''? ' LINE; echo got-$((40+2))";
    let key_by_key = "read -s -n 13 -p 'secret''? ' LINE; echo got-$((40+2))";
    let raw =
        "stty raw -echo; printf 'secret''? '; head -c 14 >/dev/null; stty sane; echo got-$((40+2))";
    for question in [silent, bash, key_by_key, raw] {
        shell.line(question)?;
        shell.expect("secret? ")?;
        shell.line(PASSWORD)?;
        shell.expect("got-42")?;
        shell.expect("dev$ ")?;
    }
    // Typed ahead, in one go with the question.
    shell.send(format!("read -s LINE\n{PASSWORD}\n"))?;
    shell.expect("read -s LINE\r\n")?;
    shell.expect("dev$ ")?;
    shell.line("echo still-$((40+2))")?;
    shell.expect("still-42\r\n")?;
    shell.expect("dev$ ")?;
    shell.line("exit 0")?;
    shell.finish(PATIENCE)?;

    let (_, lines) = recording(&lab)?;
    let (input, markers) = (texts(&lines, "i"), texts(&lines, "m"));
    ensure(input.contains(bash) && input.contains("echo still-$((40+2))\r"), || {
        format!("{input:?}")
    })?;
    ensure(markers.contains("input: something was typed that the screen did not show"), || {
        markers.clone()
    })?;
    password_is_nowhere(&lab)
}

#[test]
fn what_comes_by_the_aws_data_channel_is_recorded_alike() -> Outcome {
    let lab = Lab::start()?;
    prefer(&lab, &json!({ "recordInput": "true" }))?;
    let device = lab.device()?;
    let mut client = lab.admin().python();
    client
        .arg(workspace().join("tests/e2e/python/aws_input.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    client.env("TOWLINE_DEVICE", device.id()).env("TOWLINE_PASSWORD", PASSWORD);
    let out = process::finish(client, SCRIPT)?;
    ensure(out.status.success(), || String::from_utf8_lossy(&out.stderr).into_owned())?;
    let (_, lines) = recording(&lab)?;
    let input = texts(&lines, "i");
    ensure(input.contains("echo channel-$((40+2))\r") && input.contains("exit\r"), || {
        format!("{input:?}")
    })?;
    password_is_nowhere(&lab)
}

#[test]
fn input_is_not_recorded_unless_somebody_wants_it() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = shell(&lab, &device)?;
    shell.line("echo two-$((40+2))")?;
    shell.expect("two-42")?;
    shell.line("exit 0")?;
    shell.finish(PATIENCE)?;
    let (_, lines) = recording(&lab)?;
    ensure(texts(&lines, "i").is_empty() && lines[0]["towline"].get("input").is_none(), || {
        lines[0].to_string()
    })?;
    let listed = lab.admin().text(&["logs", "-o", "json"])?;
    ensure(!listed.contains("TowlineInputRecorded"), || listed.clone())
}

#[test]
fn input_is_recorded_on_after_a_lost_link_and_a_killed_gateway() -> Outcome {
    let mut lab = Lab::start()?;
    prefer(&lab, &json!({ "recordInput": true }))?;
    let device = lab.device()?;
    let mut shell = shell(&lab, &device)?;
    shell.line("echo first-$((40+2))")?;
    shell.expect("first-42\r\n")?;
    shell.expect("dev$ ")?;
    device.relay.cut();
    shell.line("echo second-$((40+2))")?;
    shell.expect("second-42\r\n")?;
    shell.expect("dev$ ")?;
    on_disk(&lab, "cast", "\"i\",\"echo second")?;
    lab.gateway.kill()?;
    lab.gateway.start_again()?;
    shell.line("echo third-$((40+2))")?;
    shell.expect_within("third-42\r\n", PATIENCE)?;
    shell.expect("dev$ ")?;
    shell.line("exit 0")?;
    shell.finish(PATIENCE)?;
    let (_, lines) = recording(&lab)?;
    let input = texts(&lines, "i");
    for typed in
        ["echo first-$((40+2))\r", "echo second-$((40+2))\r", "echo third-$((40+2))\r", "exit 0\r"]
    {
        ensure(input.matches(typed).count() == 1, || format!("{typed:?} in {input:?}"))?;
    }
    Ok(())
}

#[test]
fn a_gateway_that_records_nothing_refuses_sessions_whose_input_is_wanted() -> Outcome {
    let mut lab = Lab::start()?;
    prefer(&lab, &json!({ "recordInput": true }))?;
    let device = lab.device()?;
    let file = lab.gateway.directory().join("gateway.toml");
    let text = std::fs::read_to_string(&file)? + "\n[evidence]\nrecording = \"off\"\n";
    std::fs::File::create(&file)
        .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))?;
    lab.gateway.kill()?;
    lab.gateway.start_again()?;
    device.wait_online(&lab.admin())?;
    let out = lab.admin().run(&["exec", device.id(), "--", "true"])?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(!out.status.success() && said.contains("this gateway records nothing"), || {
        format!("{out:?}")
    })
}
