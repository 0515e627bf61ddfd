//! A command on a device without a terminal: what a script expects of it.

use std::io::Write;
use std::process::{Output, Stdio};

use towline_testkit::lab::operator::COMMAND;
use towline_testkit::lab::{Device, Lab};
use towline_testkit::terminal::PATIENCE;
use towline_testkit::text::Text;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, process};

use crate::codes::{DENIED, NOT_CONNECTED};

fn exec(lab: &Lab, device: &Device, words: &[&str], input: &[u8]) -> Outcome<Output> {
    let mut command = lab.admin().towline(&["exec", device.id(), "--"]);
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().ok_or_else(|| Trouble::new("no stdin"))?;
    let input = input.to_vec();
    // A command that does not read its input closes it: that is its right.
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let out = process::finish_child(child, "towline exec", COMMAND)?;
    let _ = writer.join();
    Ok(out)
}

#[test]
fn stdout_and_stderr_are_apart_and_the_exit_code_comes_through() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let out = exec(&lab, &device, &["sh", "-c", "echo out; echo err >&2; exit 3"], b"")?;
    ensure(out.stdout == b"out\n" && out.stderr == b"err\n" && out.status.code() == Some(3), || {
        format!("{out:?}")
    })
}

#[test]
fn arguments_arrive_as_they_were_given() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let out =
        exec(&lab, &device, &["printf", "<%s>", "a b", "", "$HOME", "*", "--help", "ü'\""], b"")?;
    ensure(out.stdout == "<a b><><$HOME><*><--help><ü'\">".as_bytes(), || format!("{out:?}"))
}

#[test]
fn bytes_go_through_a_command_unchanged() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut input: Vec<u8> = (0..=255).collect();
    input.extend(Text::new(3).take_bytes(5_000_000));
    let out = exec(&lab, &device, &["cat"], &input)?;
    ensure(out.status.success() && out.stdout == input, || {
        format!("{} of {} bytes came back, {}", out.stdout.len(), input.len(), out.status)
    })
}

#[test]
fn a_signal_that_ends_the_command_is_reported() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let out = exec(&lab, &device, &["sh", "-c", "kill -TERM $$"], b"")?;
    ensure(out.status.code() == Some(128 + 15), || format!("{out:?}"))
}

#[test]
fn a_command_that_does_not_exist_is_an_error_and_not_a_silence() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let out = exec(&lab, &device, &["/no/such/program"], b"")?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure(!out.status.success() && said.contains("/no/such/program"), || format!("{out:?}"))
}

#[test]
fn a_device_that_is_not_connected_is_told_apart_from_a_refusal() -> Outcome {
    let lab = Lab::start()?;
    let mut device = lab.device()?;
    device.process()?.kill()?;
    eventually("the device is seen to be away", PATIENCE, || {
        let out = lab.admin().run(&["exec", device.id(), "--", "true"]).ok()?;
        (out.status.code() == Some(NOT_CONNECTED)).then_some(())
    })?;
    let stranger = lab.user("stranger", None)?;
    let denied = stranger.run(&["exec", device.id(), "--", "true"])?;
    ensure(denied.status.code() == Some(DENIED), || format!("{denied:?}"))?;
    let said = String::from_utf8_lossy(&denied.stderr);
    ensure(said.contains("ssm:StartSession"), || {
        format!("the refusal does not name the action: {said}")
    })
}
