//! What stays behind a session: a recording that verifies, plays and names its holes; an audit
//! trail in files.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use towline_testkit::lab::{GatewaySetup, Lab};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble};

const PATIENCE: Duration = Duration::from_secs(60);

fn records(lab: &Lab) -> PathBuf {
    lab.gateway.directory().join("evidence/records")
}

/// Waits for something that can be seen.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Outcome<T> {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return Ok(seen);
        }
        if start.elapsed() > PATIENCE {
            return Err(Trouble::new(format!("waited in vain for {what}")));
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Names of all recordings in the sink.
pub(crate) fn recordings(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with(".cast.gz"))
        .collect()
}

/// Waits until the recording of the one session that goes on has this in its file, in this format:
/// what is older than a second.
pub(crate) fn on_disk(lab: &Lab, format: &str, wanted: &str) -> Outcome {
    let staging = lab.gateway.directory().join("evidence/staging");
    until("a block on the disk", || {
        let name =
            std::fs::read_dir(&staging).ok()?.flatten().next()?.file_name().into_string().ok()?;
        let text =
            lab.admin().text(&["export", name.strip_suffix(".part")?, "--format", format]).ok()?;
        text.contains(wanted).then_some(())
    })
}

fn verify(lab: &Lab, path: &Path) -> Outcome<Output> {
    verify_folder(lab, path, &[])
}

/// `towline verify` with the gateway's public key; it asks no gateway.
pub(crate) fn verify_folder(lab: &Lab, path: &Path, words: &[&str]) -> Outcome<Output> {
    let key = lab.gateway.directory().join("evidence.pub");
    lab.admin().run(
        &[&["verify", &path.to_string_lossy(), "--key", &key.to_string_lossy()], words].concat(),
    )
}

fn session_of(recording: &Path) -> String {
    recording
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .trim_end_matches(".cast.gz")
        .to_owned()
}

#[test]
fn a_shell_leaves_a_recording_that_verifies_and_plays() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = lab.admin().shell(device.id())?;
    shell.line("echo here$((40+2))")?;
    shell.expect("here42")?;
    shell.line("exit 0")?;
    shell.finish(PATIENCE)?;
    let recording = until("the recording", || recordings(&records(&lab)).pop())?;
    let session = session_of(&recording);
    let text = lab.admin().text(&["export", &session, "--format", "txt"])?;
    ensure(text.contains("here42"), || text.clone())?;
    let played = lab.admin().text(&["play", &session, "--speed", "1000"])?;
    ensure(played.contains("here42"), || played.clone())?;
    // The last segment of the chain comes a moment after the recording that it names.
    until("a sink that verifies", || {
        verify(&lab, &records(&lab)).ok().filter(|out| out.status.success())
    })?;
    Ok(())
}

#[test]
fn a_recording_that_was_touched_is_named_with_its_record() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    lab.admin().text(&[
        "exec",
        device.id(),
        "--",
        "sh",
        "-c",
        "for n in 1 2 3; do echo line $n; done",
    ])?;
    let recording = until("the recording", || recordings(&records(&lab)).pop())?;
    until("a sink that verifies", || {
        verify(&lab, &records(&lab)).ok().filter(|out| out.status.success())
    })?;
    let plain = lab.admin().text(&["export", &recording.to_string_lossy()])?;
    let forged = lab.file("forged.cast", &plain.replacen("line 1", "line 9", 1))?;
    let out = verify(&lab, &forged)?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    ensure(!out.status.success() && said.contains("was altered"), || format!("{out:?}"))?;
    std::fs::remove_file(&recording)?;
    let out = verify(&lab, &records(&lab))?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    ensure(!out.status.success() && said.contains("missing"), || format!("{out:?}"))
}

#[test]
fn a_gateway_that_is_killed_goes_on_with_the_recording() -> Outcome {
    let mut lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = lab.admin().shell(device.id())?;
    shell.line("echo before$((40+2))")?;
    shell.expect("before42")?;
    on_disk(&lab, "txt", "before42")?;
    // Shown, and killed before it is on the disk.
    shell.line("echo shown$((40+2))")?;
    shell.expect("shown42")?;
    lab.gateway.kill()?;
    lab.gateway.start_again()?;
    shell.line("echo after$((40+2))")?;
    shell.expect_within("after42", PATIENCE)?;
    shell.line("exit 0")?;
    shell.finish(PATIENCE)?;
    let recording = until("the recording", || recordings(&records(&lab)).pop())?;
    let text = lab.admin().text(&["export", &recording.to_string_lossy(), "--format", "txt"])?;
    ensure(text.contains("before42") && text.contains("after42"), || text.clone())?;
    let reason = "the gateway ended before it had written it to its disk]";
    let told = text.contains("shown42") || text.contains(reason);
    ensure(told && !text.contains("did not pass"), || text.clone())?;
    until("a sink that verifies", || {
        verify(&lab, &records(&lab)).ok().filter(|out| out.status.success())
    })?;
    Ok(())
}

#[test]
fn what_was_done_is_on_record_in_files_as_cloudtrail_lays_them_out() -> Outcome {
    let mut lab = Lab::start()?;
    let device = lab.device()?;
    lab.admin().text(&["exec", device.id(), "--", "true"])?;
    until("the recording", || recordings(&records(&lab)).pop())?;
    let logs = lab.admin().text(&["logs"])?;
    ensure(logs.contains(".cast.gz") && logs.contains(device.id()), || logs.clone())?;
    let audit = lab.admin().text(&["audit", "--device", device.id()])?;
    ensure(audit.contains("StartSession") && audit.contains("admin"), || audit.clone())?;
    // A gateway that is told to stop writes the file of what was not yet in one; the next start
    // sends it.
    lab.gateway.process().stop()?;
    lab.gateway.start_again()?;
    let folder = records(&lab).join("AWSLogs/000000000000/CloudTrail");
    let file = until("a file of the audit trail", || first_file(&folder))?;
    ensure(file.to_string_lossy().ends_with(".json.gz"), || file.display().to_string())?;
    until("a sink that verifies", || {
        verify(&lab, &records(&lab)).ok().filter(|out| out.status.success())
    })?;
    Ok(())
}

/// Asks boto3 for the only session of this state, which it must be able to read whatever we added.
const ASK_BOTO3: &str = "import boto3, os, json
ssm = boto3.client('ssm', endpoint_url=os.environ['AWS_ENDPOINT_URL'])
[found] = ssm.describe_sessions(State=os.environ['TOWLINE_STATE'])['Sessions']
print(found['SessionId'], found['Status'])";

#[test]
fn logs_tell_how_many_commands_a_session_ran_and_how_large_its_recording_is() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = lab.admin().shell(device.id())?;
    shell.line("/bin/true; echo here$((40+2))")?;
    shell.expect("here42")?;
    let logs = || -> Option<serde_json::Value> {
        let said = lab.admin().text(&["logs", "--device", device.id(), "-o", "json"]).ok()?;
        serde_json::from_str::<serde_json::Value>(&said).ok()?["Sessions"].get(0).cloned()
    };
    let going_on = until("what is known so far", || {
        let session = logs()?;
        (session["TowlineCommands"].as_i64()? >= 2
            && session["TowlineRecordingBytes"].as_i64()? > 0)
            .then_some(session)
    })?;
    ensure(going_on["EndDate"].is_null(), || going_on.to_string())?;
    shell.line("exit 0")?;
    shell.finish(PATIENCE)?;
    let recording = until("the recording", || recordings(&records(&lab)).pop())?;
    let bytes = i64::try_from(std::fs::metadata(&recording)?.len()).unwrap_or(0);
    let session = session_of(&recording);
    let listed = || towline_testkit::recall::commands(&lab.admin(), &session).ok();
    until("the end of the session is on record", || {
        listed()?.iter().any(|row| row["Kind"] == "End").then_some(())
    })?;
    let programs =
        listed().unwrap_or_default().iter().filter(|row| row["Kind"] == "Command").count() as i64;
    let over = until("the session and its size", || {
        logs().filter(|one| !one["TowlineRecordingBytes"].is_null())
    })?;
    let known = (over["TowlineRecordingBytes"].as_i64(), over["TowlineCommands"].as_i64());
    ensure(known == (Some(bytes), Some(programs)) && !over["EndDate"].is_null(), || {
        format!("{over}, {bytes}, {programs}")
    })?;
    let table = lab.admin().text(&["logs"])?;
    let with_unit = [" B ", "KiB "].iter().any(|unit| table.contains(unit));
    ensure(table.contains("COMMANDS") && table.contains("SIZE") && with_unit, || table.clone())?;
    let mut boto3 = lab.admin().python();
    boto3.args(["-c", ASK_BOTO3]).env("TOWLINE_STATE", "History");
    let out = towline_testkit::process::finish(boto3, PATIENCE)?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    ensure(said.trim() == format!("{session} Terminated"), || format!("{out:?}"))
}

fn first_file(folder: &Path) -> Option<PathBuf> {
    let path = std::fs::read_dir(folder).ok()?.flatten().next()?.path();
    if path.is_dir() { first_file(&path) } else { Some(path) }
}

#[test]
fn where_a_recording_is_demanded_and_impossible_no_session_begins() -> Outcome {
    let mut lab = Lab::with(&GatewaySetup::default())?;
    let device = lab.device()?;
    let file = lab.gateway.directory().join("gateway.toml");
    let mut text = std::fs::read_to_string(&file)?;
    text.push_str("\n[evidence]\nrecording = \"demanded\"\nfree_space_floor_mib = 1000000000\n");
    std::fs::File::create(&file)
        .and_then(|mut f| std::io::Write::write_all(&mut f, text.as_bytes()))?;
    lab.gateway.kill()?;
    lab.gateway.start_again()?;
    device.wait_online(&lab.admin())?;
    let out = lab.admin().run(&["exec", device.id(), "--", "true"])?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(!out.status.success() && said.contains("recording is required"), || format!("{out:?}"))
}

#[test]
fn megabytes_of_noise_leave_a_readable_recording() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let out =
        lab.admin().run(&["exec", device.id(), "--", "head", "-c", "20000000", "/dev/urandom"])?;
    ensure(out.stdout.len() == 20_000_000, || format!("{} bytes", out.stdout.len()))?;
    until("the recording", || recordings(&records(&lab)).pop())?;
    until("a sink that verifies", || {
        verify(&lab, &records(&lab)).ok().filter(|out| out.status.success())
    })?;
    Ok(())
}
