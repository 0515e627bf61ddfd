//! `cargo xtask demo`: gateway, agent and command line on one machine, as separate processes in a
//! scratch directory.
//!
//! Data flow: build (profile `demo`: no optimisation) -> gateway with its embedded store ->
//! activation -> agent enrolled and running -> a shell through both; the console by a link that
//! signs in once.
//!
//! # Invariants
//! - Nothing outlives it: processes and directory end with their values, on success, error, Ctrl-C
//!   and SIGTERM.
//! - It listens on loopback only.
//! - `--check` opens the console in Chromium, if there is one.
//! - `--check` takes the programs that the test run has built, if it has.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use towline_testkit::browser::{browser, perform, serve_console_at};
use towline_testkit::lab::programs::workspace;
use towline_testkit::lab::{Device, DeviceSetup, Lab, Operator};
use towline_testkit::terminal::Terminal;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, files, machine, process};

use crate::{console, programs, setup};

/// Longest that a demo stays open: a forgotten one ends after a day.
const A_DAY: Duration = Duration::from_secs(24 * 3600);
/// How long a scripted step may take.
const STEP: Duration = Duration::from_secs(30);
/// How long a line of the second terminal may take: AWS's tools need seconds to start on a slow
/// machine.
const LINE: Duration = Duration::from_secs(120);

/// Starts the demo and gives a shell on the device; ends with that shell.
///
/// # Errors
/// A part does not start; with its log.
pub(crate) fn by_hand() -> Outcome {
    let progress = Progress::new();
    progress.step(
        1,
        "Building the gateway, the agent and the command line without optimisation. The first time \
         this takes about three minutes on two cores, afterwards seconds.",
    );
    programs::demo()?;
    let (lab, device) = start(&progress)?;
    let admin = lab.admin();
    progress.step(4, &format!("Opening a shell on {} through the gateway.", device.id()));
    console::line(&manual(&lab, &device, &admin)?);
    let shell = admin.towline(&["shell", device.id()]).spawn()?;
    wait(shell)?;
    let directory = lab.directory().display().to_string();
    drop((device, lab));
    console::step(&format!("Agent and gateway are stopped, {directory} is removed."));
    Ok(())
}

/// The same without a person: a scripted terminal types, and checks what it sees.
///
/// # Errors
/// The step that went wrong.
pub(crate) fn unattended() -> Outcome {
    programs::demo()?;
    check()
}

/// Checks a demo with the programs that are built already.
///
/// # Errors
/// The step that went wrong.
pub(crate) fn check() -> Outcome {
    let python = setup::python()?;
    let (mut lab, device) = start(&Progress::new())?;
    let admin = lab.admin();
    let directory = lab.directory().to_owned();
    let processes = [device.pid()?, lab.gateway.process().pid()];
    manual(&lab, &device, &admin)?;
    console::step("a shell on the device, typed by a script");
    // Neither end has this size as its default.
    let mut shell = Terminal::start(&admin.towline(&["shell", device.id()]), 33, 99)?;
    shell.line("stty size; echo sum-$((6 * 7))")?;
    ensure(shell.expect("sum-42")?.contains("33 99"), || "the terminal has the wrong size".into())?;
    shell.line("exit 7")?;
    let status = shell.finish(STEP)?;
    ensure(status.code() == Some(7), || format!("the shell ended with {status}, not with 7"))?;
    console::step("a command without a terminal");
    let out =
        admin.run(&["exec", device.id(), "--", "sh", "-c", "echo out; echo err >&2; exit 3"])?;
    ensure(out.stdout == b"out\n" && out.status.code() == Some(3), || format!("exec: {out:?}"))?;
    console::step("what the second terminal is told to type");
    for line in second_terminal(device.id()) {
        typed(&lab, &line, &python)?;
    }
    in_browser(&lab, &device)?;
    drop((device, lab));
    ensure(!directory.exists(), || format!("{} is left over", directory.display()))?;
    for pid in processes {
        let gone = || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(());
        eventually("the agent and the gateway are gone", STEP, gone)?;
    }
    console::line("demo: ok");
    Ok(())
}

/// Types one line of the manual, as it stands there, into a shell that has read the file with the
/// keys and knows nothing else.
fn typed(lab: &Lab, line: &Line, python: &Path) -> Outcome {
    let mut shell = Command::new("sh");
    machine::forget(&mut shell);
    machine::settle(&mut shell);
    // `python3` and `aws` are those that have what the lines need.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        python.parent().map(Path::to_owned).into_iter().chain(std::env::split_paths(&path));
    shell.env("PATH", std::env::join_paths(folders)?);
    shell.args(["-ec", &format!(". '{}'; {}", keys(lab).display(), line.text)]);
    let out = process::finish(shell, LINE)?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    ensure(out.status.success() && said.contains(&line.says), || {
        format!(
            "`{}` ({}) did not say {:?}: {said}{}",
            line.text,
            out.status,
            line.says,
            String::from_utf8_lossy(&out.stderr)
        )
    })
}

/// Opens the console by its link, types into a shell there, and reads the answer.
fn in_browser(lab: &Lab, device: &Device) -> Outcome {
    if process::find("chromium").is_none() || process::find("certutil").is_none() {
        console::step("the console is not opened: Chromium or certutil is not installed");
        return Ok(());
    }
    console::step("the console in Chromium, by its link");
    let mut story = browser(lab, &setup::node_modules()?)?;
    story.arg(workspace().join("tests/e2e/console/story_demo.js"));
    story.env("TOWLINE_LINK", lab.gateway.sign_in_link()?).env("TOWLINE_DEVICE", device.id());
    perform(story, |what| Err(Trouble::new(format!("the browser asks for {what}"))))
}

/// Tells how far the demo is.
struct Progress(Instant);

impl Progress {
    /// Parts that a person sees.
    const STEPS: u32 = 4;

    fn new() -> Self {
        Self(Instant::now())
    }

    fn step(&self, number: u32, text: &str) {
        let seconds = self.0.elapsed().as_secs();
        console::step(&format!("[{number}/{}, after {seconds} s] {text}", Self::STEPS));
    }
}

fn start(progress: &Progress) -> Outcome<(Lab, Device)> {
    progress.step(
        2,
        "Starting a gateway on 127.0.0.1 with its own certificate authority and store, in a \
         temporary directory.",
    );
    let mut lab = Lab::start()?;
    let origin = format!("https://{}", lab.gateway.address());
    serve_console_at(&mut lab, &origin)?;
    progress.step(
        3,
        &format!(
            "Enrolling a device. Its agent connects to {} and opens no port itself.",
            lab.gateway.endpoint()
        ),
    );
    let setup = DeviceSetup {
        name: Some("demo".into()),
        tags: vec![("environment".into(), "dev".into())],
        direct: Some(lab.gateway.address().to_string()),
        ..DeviceSetup::default()
    };
    let device = lab.device_with(&setup)?;
    Ok((lab, device))
}

/// A line to type, and a word of its answer.
struct Line {
    text: String,
    says: String,
}

/// What to type in a second terminal, once it has read the keys: our own commands, then AWS's
/// tools.
fn second_terminal(id: &str) -> [Line; 6] {
    [
        ("towline devices".to_owned(), id),
        (format!("towline shell {id}"), ""),
        (format!("towline exec {id} -- uname -a"), "Linux"),
        ("python3 -c 'import boto3; print(boto3.client(\"ssm\").describe_instance_information())'".to_owned(), id),
        ("aws ssm describe-instance-information".to_owned(), id),
        (format!("aws ssm get-connection-status --target {id}"), "connected"),
    ]
    .map(|(text, says)| Line { text, says: says.to_owned() })
}

/// The file with the keys, which only its owner can read.
fn keys(lab: &Lab) -> PathBuf {
    lab.directory().join("env.sh")
}

/// What to type in a second terminal, for a person. The keys stand in a file.
fn manual(lab: &Lab, device: &Device, admin: &Operator) -> Outcome<String> {
    let mut exports = String::new();
    for (name, value) in admin.environment() {
        writeln!(exports, "export {name}='{value}'")?;
    }
    let folder = lab.programs.cli.parent().map(|p| p.display().to_string()).unwrap_or_default();
    writeln!(exports, "export PATH=\"{folder}:$PATH\"")?;
    files::write(&keys(lab), exports)?;
    let [devices, shell, exec, boto3, aws_list, aws_status] =
        second_terminal(device.id()).map(|line| line.text);
    Ok(format!(
        "
The gateway is {endpoint}, the device is {id}. From a second terminal:

    . {file}
    {devices}
    {shell}
    {exec}

The same API with AWS tools (AWS_ENDPOINT_URL needs boto3 1.28, AWS CLI 2.13 or 1.29 at least):

    {boto3}
    {aws_list}
    {aws_status}

The web console is {endpoint}/console/. This link signs in as admin once, within five minutes:

    {link}

A browser warns of the demo's certificate unless it trusts {ca}.

This shell runs on the device. Leave it (exit) and everything is stopped and removed.
",
        endpoint = lab.gateway.endpoint(),
        id = device.id(),
        link = lab.gateway.sign_in_link()?,
        ca = lab.gateway.ca().display(),
        file = keys(lab).display(),
    ))
}

/// Waits for the shell's end; a signal to us ends it too.
fn wait(mut shell: Child) -> Outcome {
    let ended = eventually("the shell ends", A_DAY, || shell.try_wait().ok().flatten());
    if ended.is_err() {
        // SIGTERM, so that it can restore the terminal; it may have ended in this instant.
        let _ = towline_testkit::process::send(shell.id(), rustix::process::Signal::TERM);
        shell.wait().map_err(|e| Trouble::new(format!("the shell: {e}")))?;
    }
    ended.map(drop)
}
