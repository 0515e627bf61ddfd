//! A command on a device without a terminal: what a script expects of it.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use towline_testkit::lab::operator::COMMAND;
use towline_testkit::lab::{Device, Lab};
use towline_testkit::terminal::PATIENCE;
use towline_testkit::text::Text;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, process};

use crate::codes::{DENIED, NOT_CONNECTED, REFUSED};

fn exec(lab: &Lab, device: &Device, words: &[&str], input: &[u8]) -> Outcome<Output> {
    finish(lab.admin().towline(&["exec", device.id(), "--"]), words, input)
}

/// The same on a terminal of the device, and with none here.
fn exec_on_terminal(lab: &Lab, device: &Device, words: &[&str], input: &[u8]) -> Outcome<Output> {
    finish(lab.admin().towline(&["exec", "-t", device.id(), "--"]), words, input)
}

fn finish(mut command: Command, words: &[&str], input: &[u8]) -> Outcome<Output> {
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
    // A real-time signal, and one that leaves a core where it may.
    for signal in [15, 9, 11, 34, 40, 64] {
        let out = exec(&lab, &device, &["sh", "-c", &format!("kill -{signal} $$")], b"")?;
        ensure(out.status.code() == Some(128 + signal), || format!("{signal}: {out:?}"))?;
    }
    Ok(())
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

#[test]
fn a_program_that_cannot_be_started_has_the_exit_code_of_a_shell() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let cases =
        [("nosuchprog", 127), ("/no/such/program", 127), ("/etc/passwd", 126), ("/etc", 126)];
    for (program, code) in cases {
        let out = lab.admin().run(&["exec", device.id(), "--", program, "x"])?;
        ensure(out.status.code() == Some(code), || format!("{program}: {out:?}"))?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        // As it was given, and not as the last place in PATH where it is not.
        let named = said.contains(&format!("cannot run {program}: "));
        ensure(named, || format!("the program is not named: {said}"))?;
    }
    Ok(())
}

#[test]
fn a_limit_is_never_told_as_a_missing_right() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let long = "x".repeat(11_000);
    let out = lab.admin().run(&["exec", device.id(), "--", "printf", "%s", &long])?;
    ensure(out.status.success() && out.stdout.len() == long.len(), || {
        format!("an argument of 11,000 bytes: {:?} {:?}", out.status, out.stderr)
    })?;
    let longer = "x".repeat(13_000);
    let out = lab.admin().run(&["exec", device.id(), "--", "printf", "%s", &longer])?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(out.status.code() == Some(REFUSED), || format!("{:?}: {said}", out.status))?;
    ensure(said.contains("argv must have at most") && !said.contains("authorized"), || said.clone())
}

#[test]
fn one_program_gets_a_terminal_when_it_is_asked_for() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let script = "test -t 0 && test -t 2 && stty size; read -r x; echo got-$x; exit 7";
    let words = ["exec", "-t", device.id(), "--", "sh", "-c", script];
    let mut program = lab.admin().terminal(&words)?;
    program.expect("24 80")?;
    program.line("typed")?;
    program.expect("got-typed")?;
    let status = program.finish(PATIENCE)?;
    ensure(status.code() == Some(7), || format!("{status}"))?;
    let mut sleeps = lab.admin().terminal(&["exec", "-t", device.id(), "--", "sleep", "1000"])?;
    eventually("the session is there", PATIENCE, || {
        let list = lab.admin().text(&["sessions"]).ok()?;
        list.contains(device.id()).then_some(())
    })?;
    sleeps.send([3])?; // Ctrl-C is the program's
    let status = sleeps.finish(PATIENCE)?;
    ensure(status.code() == Some(130), || format!("{status}"))
}

#[test]
fn a_program_that_closes_its_terminal_before_it_ends_keeps_its_exit_code() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let closing = "echo first; exec 0<&- 1>&- 2>&-; sleep 0.3; exit 5";
    let opening_again = "exec 0<&- 1>&- 2>&-; sleep 0.3; echo last >/dev/tty; exit 6";
    for (script, shown, code) in [(closing, "first", 5), (opening_again, "last", 6)] {
        let words = ["exec", "-t", device.id(), "--", "sh", "-c", script];
        let mut program = lab.admin().terminal(&words)?;
        program.expect(shown)?;
        let status = program.finish(PATIENCE)?;
        ensure(status.code() == Some(code), || format!("{script}: {status}"))?;
    }
    // As cat of coreutils does right before its end: in some of ten runs it was hung up there.
    for round in 0..20 {
        let out = exec_on_terminal(&lab, &device, &["cat"], b"text")?;
        ensure(out.status.code() == Some(0), || format!("round {round}: {out:?}"))?;
    }
    Ok(())
}
