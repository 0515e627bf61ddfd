//! A login shell on a device: what a person at a terminal expects of it.

use std::time::{Duration, Instant};

use towline_testkit::lab::{DeviceSetup, GatewaySetup, Lab};
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually, facts};

use crate::codes::{ENDED, REFUSED};

#[test]
fn a_shell_runs_on_a_device_that_listens_on_nothing() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = lab.admin().shell(device.id())?;
    shell.line("echo sum-$((6 * 7))")?;
    shell.expect("sum-42")?;
    let sockets = facts::listening_sockets(device.pid()?)?;
    ensure(sockets.is_empty(), || format!("the agent listens: {sockets:?}"))?;
    shell.line("exit")?;
    ensure(shell.finish(PATIENCE)?.success(), || "the shell did not end well".into())
}

#[test]
fn the_exit_code_of_the_shell_is_the_exit_code_of_the_command() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    for (line, wanted) in [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 128 + 9)]
    {
        let mut shell = lab.admin().shell(device.id())?;
        shell.line("echo sum-$((6 * 7))")?;
        shell.expect("sum-42")?;
        shell.line(line)?;
        let status = shell.finish(PATIENCE)?;
        ensure(status.code() == Some(wanted), || format!("{line}: {status}"))?;
    }
    Ok(())
}

#[test]
fn the_shell_is_a_login_shell_of_the_user_with_its_environment() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    // Another kind of terminal than either end takes by default.
    let mut towline = lab.admin().towline(&["shell", device.id()]);
    towline.env("TERM", "screen-256color");
    let mut shell = Terminal::start(&towline, 24, 80)?;
    shell.line("echo \"<$0 $TERM $HOME $USER $LOGNAME $(tty | cut -c1-9) $(pwd)>\"")?;
    // The typed line is echoed with `$` in it; the answer has none.
    shell.expect("<-")?;
    let answer = shell.expect(">")?;
    let fields: Vec<&str> = answer.split(' ').collect();
    ensure(fields.len() == 7, || format!("{answer:?}"))?;
    ensure(
        fields[1] == "screen-256color" && fields[3] == fields[4] && fields[5] == "/dev/pts/",
        || answer.clone(),
    )?;
    ensure(fields[2] == fields[6], || format!("the shell does not begin at home: {answer:?}"))
}

#[test]
fn the_shell_follows_the_size_of_the_terminal() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    // Not the size that either end takes by default.
    let mut shell = Terminal::start(&lab.admin().towline(&["shell", device.id()]), 33, 99)?;
    shell.line("stty size; sh -c 'trap \"stty size\" WINCH; echo wait-$((1 + 1)); while :; do sleep 0.05; done'")?;
    shell.expect("33 99\r\n")?;
    shell.expect("wait-2")?;
    for (rows, cols) in [(40, 132), (1, 1), (500, 1000), (24, 80)] {
        shell.resize(rows, cols)?;
        shell.expect(&format!("{rows} {cols}\r\n"))?;
    }
    shell.send("\u{3}")
}

#[test]
fn a_terminal_of_absurd_size_has_a_shell_of_the_greatest_size_there_is() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let shell = lab.admin().towline(&["shell", device.id()]);
    let mut shell = Terminal::start(&shell, u16::MAX, u16::MAX)?;
    shell.line("stty size")?;
    shell.expect("10000 10000\r\n")?;
    shell.resize(1, u16::MAX)?;
    shell.line("stty size")?;
    shell.expect("1 10000\r\n")?;
    shell.line("exit")
}

#[test]
fn text_beyond_ascii_comes_through_in_both_directions() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = lab.admin().shell(device.id())?;
    shell.line("printf '\\346\\274\\242\\345\\255\\227-\\360\\237\\232\\200\\n'")?;
    shell.expect("漢字-🚀")?;
    shell.line("stty -echo; echo begin-$((1 + 1)); read -r line; echo \"<$line>\"; printf %s \"$line\" | wc -c")?;
    shell.expect("begin-2")?;
    shell.line("žluťoučký kůň 漢字 🚀")?;
    shell.expect("<žluťoučký kůň 漢字 🚀>")?;
    shell.expect(&"žluťoučký kůň 漢字 🚀".len().to_string()).map(drop)
}

#[test]
fn a_full_screen_editor_has_the_size_of_the_terminal() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = lab.admin().shell(device.id())?;
    shell.resize(37, 101)?;
    shell.line(
        "sh -c 'until [ \"$(stty size)\" = \"37 101\" ]; do sleep 0.02; done'; echo sum-$((6 * 7))",
    )?;
    shell.expect("sum-42")?;
    shell.line("vim -u NONE -i NONE -n")?;
    // Switches to the other screen.
    shell.expect("\u{1b}[?1049h")?;
    shell.send(":echo 'size=' . &lines . 'x' . &columns\r")?;
    shell.expect("size=37x101")?;
    shell.send("ihello from afar\u{1b}:w! /dev/null\r")?;
    shell.expect("hello from afar")?;
    shell.send(":q!\r")?;
    shell.expect("\u{1b}[?1049l")?;
    shell.line("echo sum-$((6 * 7))")?;
    shell.expect("sum-42").map(drop)
}

#[test]
fn control_c_and_job_control_reach_the_right_process() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = lab.admin().shell(device.id())?;
    // One program that has said something, waits, and reads no key: a shell may lose Ctrl-C between
    // its last word and its last program, and a reader that dies of it may take the next line
    // along.
    shell.line("f=$(mktemp); echo begin-$((1 + 1)) >$f; tail -f $f")?;
    shell.expect("begin-2")?;
    shell.send("\u{3}")?;
    shell.expect("^C")?;
    shell.line("echo status-$?; rm $f")?;
    shell.expect("status-130")?;
    shell.line("sh -c 'echo begin-$((1 + 1)); exec sleep 1000'")?;
    shell.expect("begin-2")?;
    shell.send("\u{1a}")?;
    shell.expect("Stopped")?;
    shell.line("kill %1; wait; echo sum-$((6 * 7))")?;
    shell.expect("sum-42").map(drop)
}

#[test]
fn nothing_that_a_shell_started_outlives_it() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mark = format!("TOWLINE_TEST_MARK={}", device.id());
    let mut shell = lab.admin().shell(device.id())?;
    shell.line(&format!(
        "export {mark}; (setsid sh -c 'sleep 1000 & sleep 1000' &) ; nohup sleep 1000 & echo \
         sum-$((6 * 7))"
    ))?;
    shell.expect("sum-42")?;
    eventually("the background processes run", PATIENCE, || {
        (facts::with_environment(&mark).len() >= 3).then_some(())
    })?;
    shell.send("\r~.")?;
    shell.finish(PATIENCE)?;
    eventually("they are gone", PATIENCE, || {
        facts::with_environment(&mark).is_empty().then_some(())
    })?;
    eventually("the agent has no child left", PATIENCE, || {
        facts::children(device.pid().unwrap_or(0)).is_empty().then_some(())
    })
}

#[test]
fn eight_sessions_run_at_once_and_a_ninth_is_refused_unless_it_is_for_a_repair() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut shells = Vec::new();
    for number in 0..8 {
        let mut shell = lab.admin().shell(device.id())?;
        shell.line(&format!("mine={number}; echo sum-$((6 * 7))"))?;
        shell.expect("sum-42")?;
        shells.push(shell);
    }
    let ninth = lab.admin().run(&["exec", "-n", device.id(), "--", "true"])?;
    let said = String::from_utf8_lossy(&ninth.stderr).into_owned();
    ensure(ninth.status.code() == Some(REFUSED), || {
        format!("a ninth session: {}: {said}", ninth.status)
    })?;
    ensure(said.contains("sessions.max"), || format!("the refusal does not say why: {said}"))?;
    // The administrator's terminal has a place of its own.
    let mut repair = lab.admin().shell(device.id())?;
    repair.line("echo sum-$((6 * 7)); exit")?;
    repair.expect("sum-42")?;
    repair.finish(PATIENCE)?;
    for (number, shell) in shells.iter_mut().enumerate() {
        shell.line("echo <$mine>")?;
        shell.line("echo is-$mine-mine")?;
        shell.expect(&format!("is-{number}-mine"))?;
    }
    // One principal has half of the places: five of eight have to go before a command has one.
    for shell in shells.iter_mut().take(5) {
        shell.line("exit")?;
        shell.finish(PATIENCE)?;
    }
    eventually("a place is free", PATIENCE, || {
        let out = lab.admin().run(&["exec", device.id(), "--", "true"]).ok()?;
        out.status.success().then_some(())
    })
}

#[test]
fn a_device_may_have_fewer_sessions_and_other_rules_of_its_own() -> Outcome {
    let lab = Lab::start()?;
    let config = "sessions.max = 1\npolicy.allow_root = false\npolicy.allowed_users = \
                  [\"nobody\"]\n\
         policy.allow_locked_accounts = true";
    let device =
        lab.device_with(&DeviceSetup { config: config.into(), ..DeviceSetup::default() })?;
    let as_root = lab.admin().run(&["exec", "--user", "root", device.id(), "--", "id", "-un"])?;
    let said = String::from_utf8_lossy(&as_root.stderr).into_owned();
    ensure(as_root.status.code() == Some(REFUSED), || {
        format!("root, against the device's own rule: {as_root:?}")
    })?;
    ensure(said.contains("policy."), || format!("the refusal does not name the rule: {said}"))?;
    let as_nobody =
        lab.admin().run(&["exec", "--user", "nobody", device.id(), "--", "id", "-un"])?;
    ensure(as_nobody.stdout == b"nobody\n", || format!("{as_nobody:?}"))?;
    let words =
        ["exec", "--user", "nobody", device.id(), "--", "sh", "-c", "echo one-$((6 * 7)); read x"];
    let mut first = lab.admin().terminal(&words)?;
    first.expect("one-42")?;
    let second = lab.admin().run(&["exec", "--user", "nobody", device.id(), "--", "true"])?;
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    ensure(second.status.code() == Some(REFUSED), || format!("a second session: {second:?}"))?;
    ensure(said.contains("sessions"), || format!("the refusal does not say why: {said}"))?;
    first.line("")?;
    let status = first.finish(PATIENCE)?;
    ensure(status.success(), || format!("the first one was hurt: {status}"))
}

fn with_setting(line: &str) -> Outcome<Lab> {
    Lab::with(&GatewaySetup { config: line.into(), ..GatewaySetup::default() })
}

#[test]
fn an_idle_session_ends_and_its_operator_is_told_why() -> Outcome {
    let lab = with_setting("session_idle_minutes = 0.05")?;
    let device = lab.device()?;
    // Nothing is typed, and what the login shell prints at its start is all that comes.
    let mut idle = lab.admin().shell(device.id())?;
    idle.expect_within("idle for too long", Duration::from_secs(60))?;
    let status = idle.finish(PATIENCE)?;
    ensure(status.code() == Some(ENDED), || format!("{status}"))
}

#[test]
fn a_session_ends_at_its_maximum_duration_however_busy_it_is() -> Outcome {
    let lab = with_setting("session_max_minutes = 0.1")?;
    let device = lab.device()?;
    let begin = Instant::now();
    // A command, not a login shell: that may take longer to start on a busy machine than the
    // session may last.
    let busy = "while :; do echo tick; sleep 0.1; done";
    let out = lab.admin().run(&["exec", device.id(), "--", "sh", "-c", busy])?;
    ensure(begin.elapsed() >= Duration::from_secs(6), || {
        format!("it ended after {:?}: {out:?}", begin.elapsed())
    })?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(said.contains("it reached its maximum duration"), || said.clone())?;
    ensure(out.status.code() == Some(ENDED) && out.stdout.starts_with(b"tick\n"), || {
        format!("{out:?}")
    })
}
