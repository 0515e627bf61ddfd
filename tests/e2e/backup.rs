//! A gateway that was lost, made again from its backup, with real devices and a running gateway.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use towline_testkit::lab::{Device, Lab};
use towline_testkit::recall::newest_session;
use towline_testkit::terminal::PATIENCE;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually, files, process};

use crate::evidence::verify_folder;
use crate::run_command::{begun, ended, is, lines, look, mark, send};

fn tool(lab: &Lab, words: &[&str], paths: &[(&str, &Path)]) -> Outcome<Output> {
    let mut command = Command::new(&lab.programs.gateway);
    command.args(words);
    for (flag, path) in paths {
        command.arg(flag).arg(path);
    }
    process::finish(command, PATIENCE)
}

fn backup(lab: &Lab, out: &Path, more: &[&str]) -> Outcome {
    let words = [&["backup"], more].concat();
    let made = tool(lab, &words, &[("--dir", lab.gateway.directory()), ("--out", out)])?;
    ensure(made.status.success(), || format!("{made:?}"))
}

fn restore(lab: &Lab, from: &Path, dir: &Path, keys: Option<&Path>) -> Outcome<Output> {
    let mut paths = vec![("--dir", dir), ("--from", from)];
    paths.extend(keys.map(|keys| ("--keys", keys)));
    tool(lab, &["restore"], &paths)
}

/// The gateway's directory, under another name: the server is lost, its keys were kept.
fn lose(lab: &mut Lab) -> Outcome<PathBuf> {
    lab.gateway.kill()?;
    let kept = lab.gateway.directory().with_extension("kept");
    std::fs::rename(lab.gateway.directory(), &kept)?;
    Ok(kept)
}

/// A lab whose recordings go to a folder elsewhere, and that folder.
fn with_sink() -> Outcome<(Lab, PathBuf)> {
    let mut lab = Lab::start()?;
    lab.gateway.process().stop()?;
    let sink = lab.directory().join("sink");
    let config = lab.gateway.directory().join("gateway.toml");
    let text = std::fs::read_to_string(&config)?;
    // A file that the configuration names belongs to the backup.
    std::fs::copy(config.with_file_name("ca.pem"), config.with_file_name("corp.pem"))?;
    let section = format!(
        "[evidence]\ndirectory = '{}'\ncheckpoint_seconds = 1\n[outbound]\nca = 'corp.pem'",
        sink.display()
    );
    files::write(&config, format!("{text}\n{section}\n"))?;
    lab.gateway.start_again()?;
    Ok((lab, sink))
}

/// What boto3 prints for these lines, with temporary credentials where they are given.
fn boto3(lab: &Lab, credentials: Option<&Value>, lines: &str) -> Outcome<Output> {
    let mut command = lab.admin().python();
    command.args(["-c", &format!("import boto3, json\n{lines}")]);
    if let Some(credentials) = credentials {
        for (name, key) in [
            ("AWS_ACCESS_KEY_ID", "AccessKeyId"),
            ("AWS_SECRET_ACCESS_KEY", "SecretAccessKey"),
            ("AWS_SESSION_TOKEN", "SessionToken"),
        ] {
            command.env(name, credentials[key].as_str().unwrap_or_default());
        }
    }
    process::finish(command, PATIENCE)
}

const TOKEN: &str = "c = boto3.client('sts').get_session_token()['Credentials']\n\
                     print(json.dumps({k: str(v) for k, v in c.items()}))";
const WHO: &str = "print(boto3.client('sts').get_caller_identity()['Arn'])";

/// Segments of the old chain, in order.
fn segments(sink: &Path) -> Outcome<Vec<PathBuf>> {
    let seals = sink.join("towline-seals/gateway");
    let mut segments: Vec<PathBuf> =
        std::fs::read_dir(&seals)?.flatten().map(|entry| entry.path()).collect();
    segments.sort();
    Ok(segments)
}

/// A session whose recording is in the sink, and signed there. What is under way to the sink when a
/// gateway is lost may be lost with it.
fn a_late_session(lab: &Lab, device: &Device, sink: &Path) -> Outcome<String> {
    // Longer than the time between two checkpoints.
    let script = ["exec", device.id(), "--", "sh", "-c", "sleep 2; echo late"];
    ensure(lab.admin().text(&script)?.contains("late"), || "no session".into())?;
    let session = newest_session(&lab.admin(), device)?;
    eventually("all of that is signed in the sink", PATIENCE, || {
        let out = verify_folder(lab, sink, &[]).ok().filter(|out| out.status.success());
        out.filter(|_| signed(sink, &session).is_ok_and(|late| !late.is_empty()))
    })?;
    Ok(session)
}

/// The segments from the one on that signs the recording of a session.
fn signed(sink: &Path, session: &str) -> Outcome<Vec<PathBuf>> {
    let object = format!("{session}.cast.gz");
    let names = |path: &PathBuf| std::fs::read_to_string(path).is_ok_and(|t| t.contains(&object));
    Ok(segments(sink)?.into_iter().skip_while(|path| !names(path)).collect())
}

/// A recording that came to the sink, and whose signature was lost with the gateway: a gap.
fn a_recording_without_its_signature_is_a_gap(lab: &Lab, sink: &Path, session: &str) -> Outcome {
    let aside = lab.directory().join("aside");
    std::fs::create_dir_all(&aside)?;
    let late = signed(sink, session)?;
    let place = |path: &Path| aside.join(path.file_name().unwrap_or_default());
    for path in &late {
        std::fs::rename(path, place(path))?;
    }
    let told = verify_folder(lab, sink, &[])?;
    for path in &late {
        std::fs::rename(place(path), path)?;
    }
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    let is_told = text.contains("is here without a signature") && text.contains(session);
    ensure(told.status.success() && is_told, || format!("{told:?}"))
}

/// The signed record names a checkpoint of the old chain.
fn a_cut_of_the_old_chain_is_seen(lab: &Lab, sink: &Path) -> Outcome {
    for segment in segments(sink)?.iter().skip(1) {
        std::fs::remove_file(segment)?;
    }
    let cut = verify_folder(lab, sink, &[])?;
    ensure(!cut.status.success(), || "a chain that was cut verifies".into())
}

#[test]
fn a_gateway_restored_from_its_backup_goes_on_and_uses_nothing_of_the_past_twice() -> Outcome {
    let (mut lab, sink) = with_sink()?;
    let device = lab.device()?;
    let activation = lab.activation(1)?;
    let token: Value = serde_json::from_slice(&boto3(&lab, None, TOKEN)?.stdout)?;
    ensure(boto3(&lab, Some(&token), WHO)?.status.success(), || "the token is good".into())?;
    let (done, open) = (mark(&lab, "done"), mark(&lab, "open"));
    let ran = send(&lab, &device, &format!("echo x >> {}", done.display()), 60)?;
    is(&ended(&lab, &device, &ran)?, "Success")?;
    let running = send(&lab, &device, &format!("echo x >> {}; sleep 300", open.display()), 600)?;
    begun(&open)?;

    let file = lab.directory().join("gateway.backup");
    backup(&lab, &file, &[])?;
    let left = std::fs::read_dir(lab.gateway.directory())?
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("backup-"));
    ensure(!left, || "a snapshot is left in the directory".into())?;

    // What happens after the backup is not in it: a user, a session, a command.
    let bob = lab.user("bob", None)?;
    ensure(bob.text(&["whoami"]).is_ok(), || "bob is there".into())?;
    let late = send(&lab, &device, "true", 60)?;
    is(&ended(&lab, &device, &late)?, "Success")?;
    let session = a_late_session(&lab, &device, &sink)?;

    let kept = lose(&mut lab)?;
    let restored = restore(&lab, &file, lab.gateway.directory(), Some(&kept))?;
    let said = String::from_utf8_lossy(&restored.stdout).into_owned();
    ensure(restored.status.success() && said.contains(device.id()), || format!("{restored:?}"))?;
    ensure(said.contains("1 activations") && said.contains("1 commands on devices"), || said)?;
    lab.gateway.start_again()?;

    device.wait_online(&lab.admin())?;
    let text = lab.admin().text(&["exec", device.id(), "--", "echo", "again"])?;
    ensure(text.contains("again"), || text.clone())?;
    ensure(bob.text(&["whoami"]).is_err(), || "bob was made after the backup".into())?;
    ensure(!boto3(&lab, Some(&token), WHO)?.status.success(), || "an old token is good".into())?;
    let refused = lab.unenrolled(&Default::default())?.try_enroll(&activation, &[])?;
    ensure(!refused.status.success(), || "an old activation lets a device in".into())?;
    is(&look(&lab, &device, &ran)?, "Success")?;
    let unknown = look(&lab, &device, &running)?;
    is(&unknown, "TimedOut")?;
    ensure(unknown.to_string().contains("is not known"), || unknown.to_string())?;
    ensure(lines(&open) == 1 && lines(&done) == 1, || "a command was started twice".into())?;
    let trail = lab.admin().text(&["-o", "json", "audit", "--limit", "200"])?;
    ensure(trail.contains("GatewayRestored"), || trail.clone())?;

    let told = eventually("both parts of the chain verify", PATIENCE, || {
        let out = verify_folder(&lab, &sink, &[]).ok()?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        (out.status.success() && text.contains("checkpoint of gateway-2")).then_some(text)
    })?;
    ensure(told.contains("gateway-2 goes on from gateway after a restore"), || told.clone())?;
    a_recording_without_its_signature_is_a_gap(&lab, &sink, &session)?;
    a_cut_of_the_old_chain_is_seen(&lab, &sink)
}

#[test]
fn a_backup_that_was_altered_and_a_directory_that_is_not_empty_are_refused_whole() -> Outcome {
    let mut lab = Lab::start()?;
    let file = lab.directory().join("whole");
    backup(&lab, &file, &[])?;
    let again = tool(&lab, &["backup"], &[("--dir", lab.gateway.directory()), ("--out", &file)])?;
    ensure(!again.status.success(), || "a backup was written over another".into())?;
    let kept = lose(&mut lab)?;
    let bytes = std::fs::read(&file)?;
    let dir = lab.directory().join("restored");
    let mut altered = bytes.clone();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    for (name, bytes) in [("cut", &bytes[..bytes.len() - 9]), ("altered", &altered[..])] {
        let damaged = lab.directory().join(name);
        files::write(&damaged, bytes)?;
        let refused = restore(&lab, &damaged, &dir, Some(&kept))?;
        let words = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure(!refused.status.success() && words.contains("cut or altered"), || words)?;
        ensure(!dir.exists(), || format!("something was restored from what was {name}"))?;
    }
    let refused = restore(&lab, &file, &dir, None)?;
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure(words.contains("--keys FOLDER") && !dir.exists(), || words)?;
    let refused = restore(&lab, &file, &kept, Some(&kept))?;
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure(!refused.status.success() && words.contains("is not empty"), || words)?;
    ensure(kept.join("towline.db").exists(), || "the directory was touched".into())
}

#[test]
fn a_backup_of_a_stopped_gateway_with_its_keys_needs_nothing_else() -> Outcome {
    let mut lab = Lab::start()?;
    let device = lab.device()?;
    lab.gateway.process().stop()?;
    let (file, key) = (lab.directory().join("with-keys"), lab.directory().join("key"));
    files::write(&key, "0123456789abcdef0123456789abcdef")?;
    let key_word = key.display().to_string();
    backup(&lab, &file, &["--with-keys", "--encrypt-to", &key_word])?;
    let bytes = std::fs::read(&file)?;
    ensure(!bytes.windows(9).any(|part| part == b"account_i"), || "it is not encrypted".into())?;
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file)?.permissions());
    ensure(mode & 0o777 == 0o600, || format!("mode {mode:o}"))?;
    let _gone = lose(&mut lab)?;
    std::fs::create_dir(lab.gateway.directory())?;
    let refused = restore(&lab, &file, lab.gateway.directory(), None)?;
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure(!refused.status.success() && words.contains("--decrypt-with"), || words)?;
    let restored = tool(
        &lab,
        &["restore", "--decrypt-with", &key_word],
        &[("--dir", lab.gateway.directory()), ("--from", &file)],
    )?;
    ensure(restored.status.success(), || format!("{restored:?}"))?;
    lab.gateway.start_again()?;
    device.wait_online(&lab.admin())?;
    let text = lab.admin().text(&["exec", device.id(), "--", "echo", "again"])?;
    ensure(text.contains("again"), || text.clone())?;
    // Recordings are not in a backup: the old chain is a gap that the new one names.
    let records = lab.gateway.directory().join("evidence/records");
    eventually("what is there verifies", PATIENCE, || {
        let out = verify_folder(&lab, &records, &[]).ok()?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        (out.status.success() && text.contains("gateway-2 goes on")).then_some(())
    })
}
