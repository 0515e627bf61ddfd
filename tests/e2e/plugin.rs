//! The AWS CLI with `towline` in place of its plugin: `aws ssm start-session` as a person and as a
//! script uses it.

use std::path::Path;
use std::process::{Command, Output};

use towline_testkit::lab::operator::COMMAND;
use towline_testkit::lab::programs::Programs;
use towline_testkit::lab::{Device, Lab};
use towline_testkit::process::Running;
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, process};

/// `aws ssm start-session` to the device, finding our program under the plugin's name.
pub(crate) fn start_session(lab: &Lab, device: &Device, more: &[&str]) -> Outcome<Command> {
    start_session_on(lab, device.id(), more)
}

/// The same to the device of this id.
pub(crate) fn start_session_on(lab: &Lab, device: &str, more: &[&str]) -> Outcome<Command> {
    let folder = lab.directory().join("plugin");
    if !folder.exists() {
        std::fs::create_dir(&folder)?;
        std::os::unix::fs::symlink(Programs::find()?.cli, folder.join("session-manager-plugin"))?;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&path)))?;
    let mut command = lab.admin().python();
    // With the tool's own variable only: what the plugin knows of the gateway, it has from the
    // tool.
    command.env_remove("TOWLINE_ENDPOINT").env_remove("TOWLINE_CA").env("PATH", path);
    command.env("TOWLINE_CONFIG", "/dev/null"); // nothing of the person who runs the tests
    command.args(["-m", "awscli", "ssm", "start-session", "--target", device]).args(more);
    Ok(command)
}

/// The AWS CLI with a port made local, and that port, once its plugin listens. The CLI dies of a
/// signal and leaves its plugin alone with it: so both are one group.
pub(crate) fn start_port(command: Command, log: &Path) -> Outcome<(Running, u16)> {
    let mut running = Running::start_group("aws", command, log)?;
    let port = running.wait_for("the plugin listens", 0, PATIENCE, |text| {
        let number = text.split_once("Port ")?.1.split_once(" opened for sessionId ")?.0;
        text.contains("Waiting for connections...").then(|| number.parse::<u16>().ok())?
    })?;
    Ok((running, port))
}

fn run(command: Command) -> Outcome<Output> {
    process::finish(command, COMMAND)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_aws_cli_opens_a_shell_with_the_right_size_and_ends_well() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = Terminal::start(&start_session(&lab, &device, &[])?, 33, 99)?;
    shell.expect("Starting session with SessionId: ")?;
    shell.line("echo sum-$((6 * 7)); stty size; exit 7")?;
    shell.expect("sum-42")?;
    shell.expect("33 99")?;
    shell.expect("Exiting session with sessionId: ")?;
    let status = shell.finish(PATIENCE)?;
    ensure(status.success(), || format!("a shell that was left is a normal end: {status}"))
}

#[test]
fn keys_and_sizes_reach_the_shell_although_the_aws_cli_is_deaf_to_them() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = Terminal::start(&start_session(&lab, &device, &[])?, 24, 80)?;
    // One program that has said something, waits, and reads no key: a shell may lose Ctrl-C between
    // its last word and its last program, and a reader that dies of it may take the next line
    // along.
    shell.line("f=$(mktemp); echo begin-$((1 + 1)) >$f; tail -f $f")?;
    shell.expect("begin-2")?;
    shell.send("\u{3}")?;
    shell.line("echo status-$?; rm $f")?;
    shell.expect("status-130")?;
    shell.resize(40, 132)?;
    shell.line(
        "sh -c 'until [ \"$(stty size)\" = \"40 132\" ]; do sleep 0.02; done'; echo sum-$((6 * 7))",
    )?;
    shell.expect("sum-42")?;
    shell.send("\r~.")?;
    ensure(shell.finish(PATIENCE)?.success(), || "~. is a normal end".into())
}

#[test]
fn an_interactive_command_has_a_terminal() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let document = ["--document-name", "AWS-StartInteractiveCommand"];
    let asked =
        ["--parameters", r#"{"command":["read -r line; echo \"<$line> $(tty | cut -c1-9)\""]}"#];
    let mut shell =
        Terminal::start(&start_session(&lab, &device, &[document, asked].concat())?, 24, 80)?;
    shell.expect("Starting session")?;
    shell.line("a word")?;
    shell.expect("<a word> /dev/pts/")?;
    ensure(shell.finish(PATIENCE)?.success(), || "the command ended".into())
}

#[test]
fn a_command_without_a_terminal_gives_its_output_and_a_normal_end() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let document = ["--document-name", "AWS-StartNonInteractiveCommand"];
    let asked = [
        "--parameters",
        r#"{"command":["echo out-$((6 * 7)); echo err-$((6 * 7)) >&2; cat; exit 3"]}"#,
    ];
    let out = run(start_session(&lab, &device, &[document, asked].concat())?)?;
    let (said, complained) = (text(&out.stdout), text(&out.stderr));
    ensure(out.status.success() && complained.is_empty(), || format!("{out:?}"))?;
    ensure(said.contains("out-42\n") && said.contains("err-42\n"), || {
        format!("both outputs are one: {said}")
    })?;
    let apart = r#"{"command":["echo err-$((6 * 7)) >&2"],"separateOutputStream":["true"]}"#;
    let out = run(start_session(&lab, &device, &[document, ["--parameters", apart]].concat())?)?;
    ensure(text(&out.stderr).contains("err-42\n"), || format!("{out:?}"))?;
    let prefixed = r#"{"command":["echo o1; echo e1 >&2"],"separateOutputStream":["true"],
        "stdOutSeparatorPrefix":["OUT:"],"stdErrSeparatorPrefix":["ERR:"]}"#;
    let out = run(start_session(&lab, &device, &[document, ["--parameters", prefixed]].concat())?)?;
    let (said, complained) = (text(&out.stdout), text(&out.stderr));
    ensure(said.contains("OUT:o1\n") && complained.contains("ERR:e1\n"), || format!("{out:?}"))
}

#[test]
fn a_session_of_the_aws_cli_goes_on_after_the_gateway_was_killed() -> Outcome {
    let mut lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = Terminal::start(&start_session(&lab, &device, &[])?, 24, 80)?;
    shell.line("here=$((6 * 7)); echo before-$here")?;
    shell.expect("before-42")?;
    lab.gateway.kill()?;
    lab.gateway.start_again()?;
    shell.line("echo after-$here")?;
    shell.expect("after-42")?;
    shell.line("exit")?;
    ensure(shell.finish(PATIENCE)?.success(), || "the shell ended".into())
}

#[test]
fn a_stream_that_cannot_be_reached_is_an_error_and_not_a_silence() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let answer =
        lab.admin().api("AmazonSSM.StartSession", &serde_json::json!({ "Target": device.id() }))?;
    // The tool's environment, but nobody who vouches for the gateway.
    let mut command = lab.admin().equip(Command::new(Programs::find()?.cli));
    command.env_remove("AWS_CA_BUNDLE").env_remove("TOWLINE_CA").env_remove("SSL_CERT_FILE");
    command.args([
        "session-manager-plugin",
        &answer.to_string(),
        lab.gateway.region(),
        "StartSession",
        "",
        "{}",
    ]);
    let out = run(command)?;
    let said = text(&out.stderr);
    ensure(!out.status.success() && said.contains("private CA"), || format!("{out:?}"))?;
    let token = answer["TokenValue"].as_str().ok_or_else(|| Trouble::new("no token"))?;
    ensure(!said.contains(token), || "the token is a secret".into())
}
