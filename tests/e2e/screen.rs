//! What the command line does with the terminal that it was started in: it is put back on every way
//! out, escapes are heard, and news of the connection take one line.

use std::io::Write;
use std::process::{Command, Stdio};

use towline_testkit::lab::operator::COMMAND;
use towline_testkit::lab::{Device, Lab, Operator};
use towline_testkit::process::Signal;
use towline_testkit::relay::Relay;
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, facts, process};

/// `towline shell` as a person starts it: from a shell, which says before and after how its
/// terminal is set.
struct Desk {
    terminal: Terminal,
    before: String,
    /// The process id of the command line.
    towline: u32,
}

impl Desk {
    fn start(operator: &Operator, words: &[&str]) -> Outcome<Self> {
        let towline = operator.towline(&[]);
        let mut outer = operator.equip(Command::new("sh"));
        // Not the settings that a new terminal has, so that those are put back and not just any.
        let script = "stty -ixon intr ^B; echo \"before $(stty -g)!\"; \"$0\" \"$@\"; echo \"left \
                      $? after $(stty -g)!\"";
        outer.args(["-c", script]).arg(towline.get_program()).args(words);
        let mut terminal = Terminal::start(&outer, 24, 80)?;
        terminal.expect("before ")?;
        let before = terminal.expect("!\r\n")?;
        let child =
            || facts::children(terminal.pid()).into_iter().find(|pid| is_called(*pid, "towline"));
        let towline = eventually("the command line runs", PATIENCE, child)?;
        Ok(Self { terminal, before, towline })
    }

    fn shell(operator: &Operator, device: &Device) -> Outcome<Self> {
        let mut desk = Self::start(operator, &["shell", device.id()])?;
        desk.terminal.line("echo sum-$((6 * 7))")?;
        desk.terminal.expect("sum-42")?;
        ensure(desk.terminal.is_raw()?, || "the terminal is not raw while the shell runs".into())?;
        Ok(desk)
    }

    /// The command line has ended: with this code, and the terminal is as it was.
    fn left(&mut self, code: u8) -> Outcome {
        self.terminal.expect(&format!("left {code} after "))?;
        let after = self.terminal.expect("!\r\n")?;
        ensure(after == self.before, || {
            format!("the terminal was {}, and is {after}", self.before)
        })?;
        ensure(!self.terminal.is_raw()?, || "the terminal is raw still".into())
    }
}

fn is_called(pid: u32, name: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name)
}

#[test]
fn the_terminal_is_put_back_whatever_signal_ends_the_command_line() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    for signal in [Signal::TERM, Signal::HUP, Signal::INT, Signal::QUIT] {
        let mut desk = Desk::shell(&lab.admin(), &device)?;
        process::send(desk.towline, signal)?;
        desk.left(128 + u8::try_from(signal.as_raw())?)?;
    }
    // Each of them told the gateway: nothing goes on unseen.
    eventually("no session is left", PATIENCE, || {
        let active = lab
            .admin()
            .api("AmazonSSM.DescribeSessions", &serde_json::json!({ "State": "Active" }))
            .ok()?;
        active["Sessions"].as_array().is_some_and(Vec::is_empty).then_some(())
    })
}

#[test]
fn the_terminal_is_put_back_after_an_exit_an_escape_and_a_termination() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut desk = Desk::shell(&lab.admin(), &device)?;
    desk.terminal.line("exit 7")?;
    desk.left(7)?;
    let mut desk = Desk::shell(&lab.admin(), &device)?;
    desk.terminal.send("\r~.")?;
    desk.left(251)?;
    let mut desk = Desk::shell(&lab.admin(), &device)?;
    let active =
        lab.admin().api("AmazonSSM.DescribeSessions", &serde_json::json!({ "State": "Active" }))?;
    let id = active["Sessions"][0]["SessionId"].as_str().unwrap_or_default().to_owned();
    lab.admin().text(&["terminate", &id])?;
    desk.left(251)
}

#[test]
fn a_suspended_command_line_gives_the_terminal_back_and_takes_it_again() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut desk = Desk::shell(&lab.admin(), &device)?;
    desk.terminal.send("\r~\u{1a}")?;
    eventually("the terminal is given back", PATIENCE, || {
        (!desk.terminal.is_raw().ok()?).then_some(())
    })?;
    process::send(desk.towline, Signal::CONT)?;
    eventually("the terminal is taken again", PATIENCE, || {
        desk.terminal.is_raw().ok()?.then_some(())
    })?;
    desk.terminal.line("echo sum-$((50 - 8))")?;
    desk.terminal.expect("sum-42")?;
    desk.terminal.line("exit")?;
    desk.left(0)
}

#[test]
fn escapes_are_explained_and_can_be_typed_or_switched_off() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = lab.admin().shell(device.id())?;
    shell.line("echo sum-$((6 * 7))")?;
    shell.expect("sum-42")?;
    shell.send("\r~?")?;
    for line in
        ["~.   end the session", "~^Z  suspend towline", "~~   send ~", "~?   show this help"]
    {
        shell.expect(line)?;
    }
    // Two of them are one, and neither is heard in the middle of a line.
    shell.line("~~. 2>/dev/null; echo \"<~.$((40 + 2))>\"")?;
    shell.expect("<~.42>")?;
    shell.send("\r~.")?;
    shell.finish(PATIENCE)?;
    let mut deaf = lab.admin().terminal(&["shell", device.id(), "--escape-char", "none"])?;
    deaf.line("stty -echo; echo begin-$((1 + 1)); read -r line; echo \"<$line>\"; exit 3")?;
    deaf.expect("begin-2")?;
    deaf.line("~.")?;
    deaf.expect("<~.>")?;
    let status = deaf.finish(PATIENCE)?;
    ensure(status.code() == Some(3), || format!("{status}"))
}

/// How often `needle` stands in `text`.
fn count(text: &str, needle: &str) -> usize {
    text.matches(needle).count()
}

#[test]
fn a_lost_connection_is_news_on_one_line_that_goes_away() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let relay = Relay::to(lab.gateway.address())?;
    let operator = lab.admin().at(format!("https://{}", relay.address()));
    let mut desk = Desk::shell(&operator, &device)?;
    relay.close(true);
    relay.cut();
    let mut drawn = desk.terminal.expect("connection to the gateway lost")?;
    drawn += &desk.terminal.expect("retrying")?;
    relay.close(false);
    desk.terminal.line("echo sum-$((50 - 8))")?;
    drawn += &desk.terminal.expect("sum-42")?;
    // Room for one line is made once; after that the line is drawn over, and taken away at last.
    ensure(count(&drawn, "\n\u{1b}[A") == 1, || format!("room was not made once: {drawn:?}"))?;
    ensure(drawn.contains("\u{1b}7\r\n\u{1b}[K\u{1b}8"), || {
        format!("the line is not taken away: {drawn:?}")
    })?;
    desk.terminal.line("exit")?;
    desk.left(0)
}

#[test]
fn where_there_is_no_terminal_a_lost_connection_is_a_line_and_its_return_another() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let relay = Relay::to(lab.gateway.address())?;
    let operator = lab.admin().at(format!("https://{}", relay.address()));
    let mark = lab.directory().join("mark");
    let script = format!("read x; echo $x > '{}'; read y; echo got-$x-$y", mark.display());
    let mut command = operator.towline(&["exec", device.id(), "--", "sh", "-c", &script]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().ok_or_else(|| Trouble::new("no stdin"))?;
    let exec = std::thread::spawn(move || process::finish_child(child, "towline exec", COMMAND));
    stdin.write_all(b"one\n")?;
    let heard = || std::fs::read(&mark).is_ok_and(|text| text == b"one\n").then_some(());
    eventually("the command has heard the first line", PATIENCE, heard)?;
    let before = relay.count().connections;
    ensure(relay.cut() > 0, || "there was nothing to cut".into())?;
    relay.wait_for_newcomer(before, PATIENCE)?;
    stdin.write_all(b"two\n")?;
    drop(stdin);
    let out = exec.join().map_err(|_| Trouble::new("the waiting thread failed"))??;
    ensure(out.stdout == b"got-one-two\n" && out.status.success(), || format!("{out:?}"))?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    let lines: Vec<&str> = said.lines().collect();
    ensure(lines.len() == 2, || format!("not two lines: {said:?}"))?;
    ensure(lines[0].starts_with("towline: connection to the gateway lost"), || said.clone())?;
    ensure(lines[1] == "towline: reconnected", || said.clone())
}

#[test]
fn a_device_that_is_away_is_news_too() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut desk = Desk::shell(&lab.admin(), &device)?;
    device.relay.close(true);
    device.relay.cut();
    desk.terminal.expect("[the device is not connected: waiting up to")?;
    desk.terminal.expect("[a Towline agent waits at most 10 s between two dials; ^C leaves]")?;
    desk.terminal.expect("[the device is not connected: waiting up to")?;
    device.relay.close(false);
    desk.terminal.expect("\u{1b}7\r\n\u{1b}[K\u{1b}8")?;
    desk.terminal.line("echo sum-$((50 - 8)); exit")?;
    desk.terminal.expect("sum-42")?;
    desk.left(0)
}

#[test]
fn the_operator_can_leave_before_the_gateway_has_answered() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let relay = Relay::to(lab.gateway.address())?;
    let operator = lab.admin().at(format!("https://{}", relay.address()));
    relay.hold(true);
    for (typed, code) in [("~?~.", 251), ("\u{3}", 130)] {
        let mut desk = Desk::start(&operator, &["shell", device.id()])?;
        desk.terminal.expect("waiting for the gateway; ^C leaves")?;
        desk.terminal.send(typed)?;
        if code == 251 {
            desk.terminal.expect("~.   end the session")?;
        }
        desk.left(code)?;
    }
    for signal in [Signal::TERM, Signal::INT] {
        let words = ["forward", device.id(), "0:22"];
        let mut command = operator.towline(&words);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let pid = child.id();
        eventually("it has asked the gateway", PATIENCE, || (relay.live() > 0).then_some(()))?;
        process::send(pid, signal)?;
        let out = process::finish_child(child, "towline forward", COMMAND)?;
        ensure(!out.status.success(), || format!("{out:?}"))?;
    }
    Ok(())
}

#[test]
fn the_operators_controls_work_while_the_device_is_away() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let away = |desk: &mut Desk| -> Outcome {
        device.relay.close(true);
        device.relay.cut();
        desk.terminal.expect("the device is not connected: waiting up to")?;
        Ok(())
    };
    let mut desk = Desk::shell(&lab.admin(), &device)?;
    away(&mut desk)?;
    desk.terminal.send("echo kept-$((40 + 2))\r")?;
    desk.terminal.expect("22 bytes kept")?;
    desk.terminal.send("~?")?;
    desk.terminal.expect("~.   end the session")?;
    desk.terminal.resize(31, 91)?;
    device.relay.close(false);
    desk.terminal.expect("kept-42")?;
    desk.terminal.line("stty size")?;
    desk.terminal.expect("31 91")?;
    // The program on the device goes on, and the operator is told how to come back to it.
    away(&mut desk)?;
    desk.terminal.send("\u{3}")?;
    desk.terminal.expect("reattach with: towline attach ")?;
    desk.left(130)?;
    device.relay.close(false);
    device.wait_online(&lab.admin())?;
    let mut desk = Desk::shell(&lab.admin(), &device)?;
    away(&mut desk)?;
    desk.terminal.send("\r~.")?;
    desk.left(251)
}

#[test]
fn the_operators_controls_work_while_the_gateway_is_away() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let relay = Relay::to(lab.gateway.address())?;
    let operator = lab.admin().at(format!("https://{}", relay.address()));
    for (typed, code) in [("\r~.", 251), ("\u{3}", 130)] {
        let mut desk = Desk::shell(&operator, &device)?;
        relay.close(true);
        relay.cut();
        desk.terminal.expect("connection to the gateway lost")?;
        desk.terminal.send(typed)?;
        desk.left(code)?;
        relay.close(false);
    }
    Ok(())
}

#[test]
fn the_escape_works_behind_more_input_than_the_device_takes() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut desk = Desk::shell(&lab.admin(), &device)?;
    desk.terminal.line("stty -echo; echo deaf-$((40 + 2)); exec sleep 1000")?;
    desk.terminal.expect("deaf-42")?;
    let line = "x".repeat(100) + "\n";
    for _ in 0..100 {
        desk.terminal.send(line.repeat(50))?;
    }
    desk.terminal.expect("what is typed from here on is discarded")?;
    desk.terminal.send("\r~.")?;
    desk.left(251)
}

#[test]
fn what_the_session_switched_on_in_the_terminal_is_switched_off_at_its_end() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let on = "printf '\\033[?1049h\\033[?1h\\033=\\033[?25l\\033[?1002;1006h\\033[>1u\\033(0'; \
              echo on-$((40 + 2)); exec sleep 1000";
    let off =
        ["\u{1b}[?25h", "\u{1b}[?1002l", "\u{1b}[?1006l", "\u{1b}[?1049l", "\u{1b}>", "\u{1b}(B"];
    for way in ["escape", "terminate", "signal", "gateway lost"] {
        let relay = Relay::to(lab.gateway.address())?;
        let operator = lab.admin().at(format!("https://{}", relay.address()));
        let mut desk = Desk::shell(&operator, &device)?;
        desk.terminal.line(on)?;
        desk.terminal.expect("on-42")?;
        match way {
            "escape" => desk.terminal.send("\r~.")?,
            "signal" => process::send(desk.towline, Signal::TERM)?,
            "terminate" => {
                let body = serde_json::json!({ "State": "Active" });
                let active = lab.admin().api("AmazonSSM.DescribeSessions", &body)?;
                let id = active["Sessions"][0]["SessionId"].as_str().unwrap_or_default();
                lab.admin().text(&["terminate", id])?;
            }
            _ => {
                relay.close(true);
                relay.cut();
                desk.terminal.expect("connection to the gateway lost")?;
                desk.terminal.send("\u{3}")?;
            }
        }
        let drawn = desk.terminal.expect("left ")?;
        for wanted in off {
            ensure(drawn.contains(wanted), || format!("{way}: no {wanted:?} in {drawn:?}"))?;
        }
        ensure(!desk.terminal.is_raw()?, || "the terminal is raw still".into())?;
    }
    Ok(())
}
