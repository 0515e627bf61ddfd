//! A second factor that a policy wants: the refusal names it, and `towline` asks for it at a
//! terminal and makes the same request again.

use std::io::Read as _;
use std::process::Command;

use serde_json::json;
use towline_testkit::lab::{Device, DeviceSetup, Lab, Operator};
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually};

use crate::codes::DENIED;
use crate::tunnel::ssh::Ssh;
use crate::tunnel::{Forward, connect, serve};

/// Everything about her own codes, and shells with a second factor that was proved within ten
/// minutes.
const STRICT: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":["towline:CreateSecondFactor","towline:EnableSecondFactor",
     "towline:DeleteSecondFactor"],"Resource":"*"},
    {"Effect":"Allow","Action":["ssm:StartSession","ssm:DescribeSessions","ssm:SendCommand",
     "ssm:ListCommands","ssm:ListCommandInvocations","ssm:GetCommandInvocation",
     "ssm:DescribeInstanceInformation"],"Resource":"*",
     "Condition":{"NumericLessThan":{"aws:MultiFactorAuthAge":"600"}}},
    {"Effect":"Allow","Action":["ssm:ResumeSession","ssm:TerminateSession"],"Resource":"*"}]}"#;

/// The same without a second factor.
const LAX: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":["ssm:StartSession","ssm:ResumeSession","ssm:TerminateSession",
     "ssm:DescribeSessions","ssm:DescribeInstanceInformation"],"Resource":"*"}]}"#;

/// The code of a secret; `steps` of 30 s from now.
fn code_of(lab: &Lab, secret: &str, steps: i8) -> Outcome<String> {
    let script = "import base64,hmac,struct,sys,time\n\
        mac = hmac.new(base64.b32decode(sys.argv[1]), struct.pack('>Q', int(time.time()) // 30 + \
        int(sys.argv[2])), 'sha1').digest()\n\
        at = mac[-1] & 15\n\
        print(f\"{(struct.unpack('>I', mac[at:at + 4])[0] & 0x7fffffff) % 1000000:06d}\", end='')";
    let mut python = lab.admin().python();
    let out = python.args(["-c", script, secret, &steps.to_string()]).output()?;
    ensure(out.status.success(), || format!("{out:?}"))?;
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Runs `towline WORDS…` with this line as standard input.
fn with_line(user: &Operator, words: &[&str], line: &str) -> Outcome {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut command = user.towline(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().ok_or_else(|| Trouble::new("no standard input"))?;
    stdin.write_all(line.as_bytes())?;
    drop(stdin);
    let out = child.wait_with_output()?;
    ensure(out.status.success(), || format!("towline {words:?}: {out:?}"))
}

/// A user under [`STRICT`] with one-time codes, and their secret. Each of two further codes can be
/// used: those of this and of the next step.
fn with_codes(lab: &Lab, name: &str) -> Outcome<(Operator, String)> {
    let user = lab.user(name, Some(STRICT))?;
    let made = user.api("Towline.CreateSecondFactor", &json!({ "PrincipalName": name }))?;
    let secret = made["Secret"].as_str().unwrap_or_default().to_owned();
    with_line(&user, &["mfa", "enable"], &format!("{}\n", code_of(lab, &secret, -1)?))?;
    Ok((user, secret))
}

/// A line of a shell, on a terminal; `"$0" "$@"` in it is `towline WORDS…`.
fn scripted(user: &Operator, script: &str, words: &[&str]) -> Outcome<Terminal> {
    let towline = user.towline(words);
    let mut command = user.equip(Command::new("sh"));
    command.args(["-c", script]).arg(towline.get_program()).args(words);
    Terminal::start(&command, 24, 200)
}

/// Answers the question for a code.
fn proves(lab: &Lab, terminal: &mut Terminal, secret: &str, steps: i8) -> Outcome {
    terminal.expect("code of your authenticator: ")?;
    terminal.line(&code_of(lab, secret, steps)?)
}

fn ends_well(mut terminal: Terminal, what: &str) -> Outcome {
    let status = terminal.finish(PATIENCE)?;
    ensure(status.success(), || format!("{what}: {status}; {}", terminal.unread()))
}

fn named_device(lab: &Lab) -> Outcome<Device> {
    lab.device_with(&DeviceSetup { name: Some("Pump-7".into()), ..DeviceSetup::default() })
}

#[test]
fn copies_and_commands_ask_at_the_terminal_although_their_standard_input_is_data() -> Outcome {
    let lab = Lab::start()?;
    let device = named_device(&lab)?;
    let (ann, secret) = with_codes(&lab, "ann")?;
    let words = ["exec", device.id(), "--", "cat"];
    let mut exec = scripted(&ann, "printf 'sum-%s' 42 | \"$0\" \"$@\"", &words)?;
    proves(&lab, &mut exec, &secret, 0)?;
    exec.expect("sum-42")?;
    ends_well(exec, "exec")?;
    let there = lab.directory().join("copied");
    let place = format!("{}:{}", device.id(), there.display());
    let words = ["cp", "-q", "/dev/stdin", &place];
    let mut copy = scripted(&ann, "printf 'sum-%s' 42 | \"$0\" \"$@\"", &words)?;
    proves(&lab, &mut copy, &secret, 1)?;
    ends_well(copy, "cp")?;
    ensure(std::fs::read(&there)? == b"sum-42", || "another file was copied".into())?;

    // The name of a device is looked up by a request that wants the second factor, too: one code is
    // enough for both.
    let (bob, secret) = with_codes(&lab, "bob")?;
    let here = lab.directory().join("back").display().to_string();
    let words = ["cp", "-q", &format!("Pump-7:{}", there.display()), &here];
    let mut copy = bob.terminal(&words)?;
    proves(&lab, &mut copy, &secret, 0)?;
    ends_well(copy, "cp of a device with a name")?;
    ensure(std::fs::read(&here)? == b"sum-42", || "another file came back".into())?;
    let mut run = bob.terminal(&["run", "--target", device.id(), "--", "echo", "done-42"])?;
    proves(&lab, &mut run, &secret, 1)?;
    run.expect("done-42")?;
    ends_well(run, "run")
}

#[test]
fn forwards_and_ssh_ask_at_the_terminal() -> Outcome {
    let lab = Lab::start()?;
    let device = named_device(&lab)?;
    let (ann, secret) = with_codes(&lab, "ann")?;
    let server = serve(|mut stream| {
        use std::io::Write as _;
        let _ = stream.write_all(b"pong-42"); // the test reads it, or fails
    })?;
    let route = format!("0:{}", server.port());
    let mut forward = ann.terminal(&["forward", device.id(), &route])?;
    proves(&lab, &mut forward, &secret, 0)?;
    forward.expect("forwarding 127.0.0.1:")?;
    let port = forward.expect(" to ")?.trim().parse().map_err(|_| Trouble::new("no port"))?;
    let mut answer = String::new();
    connect(port)?.read_to_string(&mut answer)?;
    ensure(answer == "pong-42", || answer.clone())?;
    forward.send([3])?;
    let status = forward.finish(PATIENCE)?;
    ensure(status.code() == Some(130), || format!("{status}"))?;

    let ssh = Ssh::start(&lab, &lab.admin().text(&["ssh-config"])?)?;
    let mut terminal =
        Terminal::start(ssh.of(&ann, "ssh").args([device.id(), "echo over-$((40+2))"]), 24, 200)?;
    proves(&lab, &mut terminal, &secret, 1)?;
    terminal.expect("over-42")?;
    ends_well(terminal, "ssh")?;

    // Without a terminal `ssh` shows what to do.
    let out = ssh.of(&ann, "ssh").args([device.id(), "true"]).output()?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(!out.status.success() && said.contains("towline mfa session"), || said.clone())
}

/// Has the session of a forward end without anybody's will: the device comes back as a new process.
fn starts_anew(lab: &Lab, device: &mut Device) -> Outcome {
    device.process()?.stop()?;
    device.start()?;
    device.wait_online(&lab.admin())
}

#[test]
fn a_further_session_of_a_forward_asks_at_the_terminal_or_says_what_to_run() -> Outcome {
    const STARTED_ANEW: &str = "the next connection starts a new session";
    let lab = Lab::start()?;
    let mut device = named_device(&lab)?;
    let (ann, secret) = with_codes(&lab, "ann")?;
    let puts = |policy: &str| {
        let body =
            json!({ "PrincipalName": "ann", "PolicyName": "test", "PolicyDocument": policy });
        lab.admin().api("Towline.PutPrincipalPolicy", &body).map(drop)
    };
    let server = serve(|mut stream| {
        use std::io::Write as _;
        let _ = stream.write_all(b"pong-42"); // the test reads it, or fails
    })?;
    let pong = |port: u16| -> Outcome {
        let mut answer = String::new();
        connect(port)?.read_to_string(&mut answer)?;
        ensure(answer == "pong-42", || answer.clone())
    };
    let route = format!("0:{}", server.port());
    let words = ["forward", device.id(), &route].map(str::to_owned);
    let words = words.each_ref().map(String::as_str);

    // The policy becomes strict while the forward runs.
    puts(LAX)?;
    let mut forward = ann.terminal(&words)?;
    forward.expect("forwarding 127.0.0.1:")?;
    let port: u16 = forward.expect(" to ")?.trim().parse().map_err(|_| Trouble::new("no port"))?;
    pong(port)?;
    puts(STRICT)?;
    starts_anew(&lab, &mut device)?;
    forward.expect(STARTED_ANEW)?;
    std::thread::scope(|scope| -> Outcome {
        let waiting = scope.spawn(|| pong(port));
        forward.expect("code of your authenticator: ")?;
        forward.line("000000")?;
        forward.expect("MultiFactorAuthentication failed")?;
        ensure(waiting.join().is_ok_and(|done| done.is_err()), || "a wrong code helped".into())?;
        let waiting = scope.spawn(|| pong(port));
        proves(&lab, &mut forward, &secret, 0)?;
        waiting.join().map_err(|_| Trouble::new("no connection"))?
    })?;
    pong(port)?; // the session goes on, nobody is asked again
    starts_anew(&lab, &mut device)?;
    forward.expect(STARTED_ANEW)?;
    let _unanswered = connect(port)?; // it waits for a new session, which needs no new proof yet
    forward.send([3])?;
    let status = forward.finish(PATIENCE)?;
    ensure(status.code() == Some(130), || format!("{status}"))?;

    // Without a terminal nobody can be asked, and no other program can help this one.
    puts(LAX)?;
    let mut forward = Forward::of(&ann, &lab, &device, &route)?;
    pong(forward.port)?;
    puts(STRICT)?;
    starts_anew(&lab, &mut device)?;
    let printed = |text: &str| text.contains(STARTED_ANEW).then_some(());
    forward.running.wait_for("the session is over", 0, PATIENCE, printed)?;
    ensure(pong(forward.port).is_err(), || "a session began without a proof".into())?;
    forward.running.wait_for("what to run", 0, PATIENCE, |text| {
        text.contains("towline mfa session").then_some(())
    })?;
    eventually("the forward ends", PATIENCE, || (!forward.running.is_running()).then_some(()))
}

#[test]
fn a_question_for_a_code_is_left_by_ctrl_c_and_not_asked_in_the_background() -> Outcome {
    let lab = Lab::start()?;
    let device = named_device(&lab)?;
    let (ann, _) = with_codes(&lab, "ann")?;
    let shell = ["shell", device.id()];
    let forward = ["forward", device.id(), "0:1"];
    let exec = ["exec", device.id(), "--", "true"];
    for words in [&shell[..], &forward, &exec, &["sessions"]] {
        let mut terminal = ann.terminal(words)?;
        terminal.expect("code of your authenticator: ")?;
        terminal.send([3])?;
        let status = terminal.finish(PATIENCE)?;
        let interrupted = status.code() == Some(130);
        ensure(interrupted, || format!("{words:?}: {status}; {}", terminal.unread()))?;
    }
    let script = "set -m; \"$0\" \"$@\" </dev/null & wait $!; echo \"code $?\"";
    let mut background = scripted(&ann, script, &exec)?;
    let said = background.expect(&format!("code {DENIED}"))?;
    ensure(said.contains("towline mfa session"), || said.clone())
}

#[test]
fn a_policy_that_wants_a_fresh_second_factor_has_towline_ask_for_a_code() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let (ann, secret) = with_codes(&lab, "ann")?;
    let out = ann.run(&["exec", device.id(), "--", "true"])?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(out.status.code() == Some(DENIED), || said.clone())?;
    ensure(said.contains("a second factor that was proved just now"), || said.clone())?;
    ensure(said.contains("towline mfa session"), || said)?;

    let mut shell = ann.shell(device.id())?;
    shell.expect("code of your authenticator: ")?;
    shell.line(&code_of(&lab, &secret, 0)?)?;
    shell.line("echo proved-$((40+2))")?;
    shell.expect("proved-42")?;
    shell.line("exit")?;
    ensure(shell.finish(PATIENCE)?.success(), || "the shell did not end well".into())?;

    let mut list = ann.terminal(&["sessions"])?;
    list.expect("code of your authenticator: ")?;
    list.line(&code_of(&lab, &secret, 1)?)?;
    ensure(list.finish(PATIENCE)?.success(), || "the list was refused".into())?;

    let mut wrong = ann.terminal(&["sessions"])?;
    wrong.expect("code of your authenticator: ")?;
    wrong.line("000000")?;
    wrong.expect("MultiFactorAuthentication failed")?;
    ensure(!wrong.finish(PATIENCE)?.success(), || "a wrong code was taken".into())?;

    // A second factor that would not help is not named.
    let bob = lab.user("bob", None)?;
    let out = bob.run(&["exec", device.id(), "--", "true"])?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(!said.contains("second factor"), || said)
}
