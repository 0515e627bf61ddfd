//! The sessions of copies: whatever ends a copy ends its session, and a device stays usable.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use towline_testkit::lab::{Device, Lab};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually, files};

use super::{PATIENCE, pattern};

/// More copies than a device takes sessions by default.
const MANY: usize = 9;

/// How long a session may stay that nobody uses: far less than the grace time of 600 s.
const PROMPT: Duration = Duration::from_secs(20);

/// Sessions that the gateway holds open.
fn open_sessions(lab: &Lab) -> Outcome<usize> {
    let text = lab.admin().text(&["-o", "json", "sessions"])?;
    Ok(text.matches("\"SessionId\"").count())
}

/// The gateway writes the end a moment after it has told the client.
fn are_over(lab: &Lab) -> Outcome {
    eventually("the session has ended", PROMPT, || (open_sessions(lab).ok()? == 0).then_some(()))
}

fn takes_a_command(lab: &Lab, device: &Device) -> Outcome {
    let out = lab.admin().run(&["exec", device.id(), "--", "true"])?;
    ensure(out.status.success(), || format!("the device takes no session: {out:?}"))
}

#[test]
fn after_copies_that_failed_the_device_still_takes_a_session() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let here = lab.directory().join("here");
    files::write(&here, "content")?;
    let here = here.display().to_string();
    for n in 0..MANY {
        let missing = format!("{}:/no/such/file", device.id());
        let folder = format!("{}:/no/such/folder/x", device.id());
        let words = if n % 2 == 0 { ["cp", &missing, "x"] } else { ["cp", &here, &folder] };
        let out = lab.admin().run(&words)?;
        ensure(out.status.code() == Some(250), || format!("{words:?}: {out:?}"))?;
        are_over(&lab)?;
    }
    takes_a_command(&lab, &device)
}

#[test]
fn a_copy_that_is_interrupted_ends_its_session() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let here = lab.directory().join("here");
    files::write(&here, pattern(21, 30_000_000))?;
    let here = here.display().to_string();
    device.relay.delay(Duration::from_millis(50));
    for (n, (signal, number)) in
        [("INT", 2), ("TERM", 15), ("HUP", 1)].into_iter().cycle().take(MANY).enumerate()
    {
        let there = format!("{}:{}/there-{n}", device.id(), lab.directory().display());
        let words = ["cp", &here, &there];
        let mut copy = lab.admin().towline(&words).stdin(Stdio::null()).spawn()?;
        eventually("the copy has a session", PATIENCE, || {
            (open_sessions(&lab).ok()? == 1).then_some(())
        })?;
        interrupt(&copy, signal)?;
        let status = copy.wait()?;
        ensure(status.code() == Some(128 + number), || format!("{signal}: {status:?}"))?;
        are_over(&lab)?;
    }
    device.relay.delay(Duration::ZERO);
    takes_a_command(&lab, &device)
}

#[test]
fn an_interrupted_copy_names_what_it_leaves() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let here = lab.directory().join("from");
    files::write(&here, pattern(22, 30_000_000))?;
    let (here, there) = (here.display().to_string(), lab.directory().display().to_string());
    device.relay.delay(Duration::from_millis(50));
    for (from, to, word) in [
        (here.clone(), format!("{}:{there}/put", device.id()), "is kept on the device as "),
        (format!("{}:{here}", device.id()), format!("{there}/get"), "the partial file "),
    ] {
        let copy = lab
            .admin()
            .towline(&["cp", &from, &to])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let name = if word.contains("device") { ".put." } else { ".get." };
        let partial = eventually("content has arrived", PATIENCE, || {
            let all = std::fs::read_dir(&there).ok()?.flatten();
            let mut found =
                all.filter(|entry| entry.file_name().to_string_lossy().starts_with(name));
            found.find(|entry| entry.metadata().is_ok_and(|meta| meta.len() > 0))
        })?;
        interrupt(&copy, "INT")?;
        let out = copy.wait_with_output()?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        let path = partial.path();
        ensure(said.contains(&format!("{word}{}", path.display())) && path.exists(), || {
            said.clone()
        })?;
    }
    Ok(())
}

fn interrupt(copy: &Child, signal: &str) -> Outcome {
    let sent =
        Command::new("kill").args([&format!("-{signal}"), &copy.id().to_string()]).status()?;
    ensure(sent.success(), || "no signal was sent".into())
}
