//! Limits and signals that a service manager or a parent gives a process: they cost what they name,
//! and neither the process nor its sessions.

use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use towline_testkit::lab::{DeviceSetup, Lab, Operator};
use towline_testkit::process::hang_up;
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::{ensure, pause};
use towline_testkit::{Outcome, Trouble, eventually, files, machine};

/// A limit of a process that runs, as `prlimit` names it.
fn limit(pid: u32, limit: &str) -> Outcome {
    let out = Command::new("prlimit").args(["--pid", &pid.to_string(), limit]).output()?;
    ensure(out.status.success(), || format!("{out:?}"))
}

fn signal(pid: u32, name: &str) -> Outcome {
    let status = Command::new("kill").args([name, &pid.to_string()]).status()?;
    ensure(status.success(), || format!("kill {name}: {status}"))
}

fn is_there(shell: &mut Terminal, word: &str) -> Outcome {
    shell.line(&format!("echo {word}-$((40 + 2))"))?;
    shell.expect(&format!("{word}-42")).map(drop)
}

fn text(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

#[test]
fn an_agent_whose_files_may_not_grow_keeps_its_sessions_and_runs_commands() -> Outcome {
    let lab = Lab::start()?;
    let mut device = lab.device()?;
    let mut shell = lab.admin().shell(device.id())?;
    limit(device.pid()?, "--fsize=256")?;
    // Its log is longer already; the journal of commands becomes so.
    for _ in 0..6 {
        let out = lab.admin().run(&["run", "--target", device.id(), "--", "echo ran-$((40+2))"])?;
        ensure(out.status.success() && text(&out).contains("ran-42"), || format!("{out:?}"))?;
    }
    is_there(&mut shell, "still")?;
    ensure(device.process()?.is_running(), || "the agent ended".into())
}

/// What tells a program of a limit, a timer, power or news: 10 to 31 without those that a person or
/// the kernel means for it, and real-time signals.
const STRAY: [&str; 14] = [
    "-USR1", "-USR2", "-ALRM", "-STKFLT", "-XCPU", "-XFSZ", "-VTALRM", "-PROF", "-IO", "-PWR",
    "-34", "-35", "-50", "-64",
];

#[test]
fn a_signal_that_is_meant_for_another_program_ends_no_agent() -> Outcome {
    let lab = Lab::start()?;
    let mut device = lab.device()?;
    let mut shell = lab.admin().shell(device.id())?;
    for name in STRAY {
        signal(device.pid()?, name)?;
        is_there(&mut shell, "still").map_err(|error| Trouble::new(format!("{name}: {error}")))?;
    }
    ensure(device.process()?.is_running(), || "the agent ended".into())
}

#[test]
fn time_and_mask_of_a_parent_change_neither_the_agent_nor_its_sessions() -> Outcome {
    let lab = Lab::start()?;
    // A timer that goes on over an exec, as of `alarm`, a limit of time, and no mask at all.
    let code = "import os, signal, sys; os.umask(0); signal.alarm(2); \
                os.execvp(sys.argv[1], sys.argv[1:])";
    let python = machine::program().display().to_string();
    let behind = ["prlimit", "--cpu=1:unlimited", &python, "-c", code].map(str::to_owned).to_vec();
    let device = lab.device_with(&DeviceSetup { behind, ..DeviceSetup::default() })?;
    let (mut shell, pid) = (lab.admin().shell(device.id())?, device.pid()?);
    let pending = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let set = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"))?.trim().to_owned();
        let of_alarm = u64::from_str_radix(&set, 16).ok()? & 1 << (14 - 1);
        (of_alarm != 0).then_some(())
    };
    eventually("the timer's signal waits", PATIENCE, pending)?;
    is_there(&mut shell, "still")?;
    let asked = ["exec", device.id(), "--", "sh", "-c", "ulimit -t; umask"];
    let shown = lab.admin().text(&asked)?;
    ensure(shown == "unlimited\n0022\n", || shown.clone())
}

#[test]
fn a_limit_of_time_is_lifted_or_told_where_the_agent_may_not_lift_it() -> Outcome {
    let lab = Lab::start()?;
    let behind = ["prlimit", "--cpu=1000:1000"].map(str::to_owned).to_vec();
    let mut device = lab.device_with(&DeviceSetup { behind, ..DeviceSetup::default() })?;
    let shown = lab.admin().text(&["exec", device.id(), "--", "sh", "-c", "ulimit -t"])?;
    if shown == "unlimited\n" {
        return Ok(()); // this machine has CAP_SYS_RESOURCE
    }
    ensure(shown == "1000\n", || shown.clone())?;
    let told = "ends this agent and its sessions after 1000 seconds of processor time";
    device
        .process()?
        .wait_for("the log says so", 0, PATIENCE, |log| log.contains(told).then_some(()))
}

#[test]
fn a_session_has_the_dispositions_that_every_program_begins_with() -> Outcome {
    let lab = Lab::start()?;
    let behind =
        ["env", "--ignore-signal=XFSZ", "--ignore-signal=USR1"].map(str::to_owned).to_vec();
    let device = lab.device_with(&DeviceSetup { behind, ..DeviceSetup::default() })?;
    let asked = ["exec", device.id(), "--", "grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"];
    let shown = lab.admin().text(&asked)?;
    let masks: Vec<_> = shown.split_whitespace().filter(|word| word.len() == 16).collect();
    ensure(masks == ["0000000000000000"; 2], || shown.clone())?;
    let too_much = "ulimit -f 1; exec dd if=/dev/zero of=\"$0\" bs=4096 count=1 2>/dev/null";
    let place = lab.directory().join("grown").display().to_string();
    let out = lab.admin().run(&["exec", device.id(), "--", "sh", "-c", too_much, &place])?;
    ensure(out.status.code() == Some(128 + 25), || format!("{out:?}"))
}

#[test]
fn a_copy_beyond_the_limit_of_either_end_is_refused_in_words_and_leaves_nothing() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let (here, there) = (lab.directory().join("here"), lab.directory().join("there"));
    fs::create_dir_all(&there)?;
    files::write(&here, vec![7; 100_000])?;
    let (here, remote) =
        (here.display().to_string(), format!("{}:{here}", device.id(), here = here.display()));
    let into = there.join("copy").display().to_string();
    let told = |out: &Output| {
        ensure(matches!(out.status.code(), Some(249 | 250)), || format!("{out:?}"))?;
        ensure(text(out).contains("ulimit -f"), || text(out))?;
        ensure(fs::read_dir(&there)?.count() == 0, || "something was left".into())
    };
    let words = ["prlimit", "--fsize=4096"].map(str::to_owned);
    told(&behind(&lab.admin(), &words, &["cp", &remote, &into])?)?;
    let sessions =
        || Some(lab.admin().text(&["-o", "json", "sessions"]).ok()?.contains("SessionId"));
    eventually("the session has ended", PATIENCE, || sessions().filter(|open| !open))?;
    limit(device.pid()?, "--fsize=4096")?;
    told(&lab.admin().run(&["cp", &here, &format!("{}:{into}", device.id())])?)
}

/// Runs `towline` behind words that become it.
fn behind(operator: &Operator, words: &[String], arguments: &[&str]) -> Outcome<Output> {
    let plain = operator.towline(arguments);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).arg(plain.get_program()).args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Ok(command.output()?)
}

#[test]
fn a_gateway_whose_files_may_not_grow_refuses_writes_and_works_again() -> Outcome {
    let mut lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = lab.admin().shell(device.id())?;
    is_there(&mut shell, "before")?;
    let pid = lab.gateway.process().pid();
    limit(pid, "--fsize=2048:unlimited")?;
    eventually("a write that the limit refuses", PATIENCE, || lab.activation(1).err())?;
    is_there(&mut shell, "meanwhile")?;
    for name in STRAY.into_iter().filter(|name| name.parse::<i32>().is_err()) {
        signal(pid, name)?;
    }
    limit(pid, "--fsize=unlimited")?;
    eventually("writes again", PATIENCE, || lab.activation(1).ok())?;
    is_there(&mut shell, "afterwards")?;
    ensure(lab.gateway.process().is_running(), || "the gateway ended".into())
}

#[test]
fn an_agent_that_restarts_again_and_again_is_ended_by_no_request_for_it() -> Outcome {
    let lab = Lab::start()?;
    let mut device = lab.unenrolled(&DeviceSetup::default())?;
    device.start()?;
    device.process()?.wait_for("it waits", 0, PATIENCE, |printed| {
        printed.contains("not enrolled").then_some(())
    })?;
    let pid = device.pid()?;
    for _ in 0..500 {
        hang_up(pid)?; // whatever it is about to do
        pause(Duration::from_millis(1));
    }
    ensure(device.process()?.is_running(), || device.logged())?;
    device.enroll(&lab.activation(1)?)?;
    device.wait_online(&lab.admin())?;
    ensure(device.pid()? == pid, || "another process".into())
}

/// Becomes its arguments, without the means to start a thread: `clone3` is not there, and `clone`
/// has no room for one.
const WITHOUT_THREADS: &str = r#"import ctypes, os, struct, sys
clone, clone3 = {"x86_64": (56, 435), "aarch64": (220, 435)}[os.uname().machine]
steps = [
    (0x20, 0, 0, 0),
    (0x15, 0, 1, clone3),
    (0x06, 0, 0, 0x50000 | 38),
    (0x15, 0, 3, clone),
    (0x20, 0, 0, 16),
    (0x45, 0, 1, 0x10000),
    (0x06, 0, 0, 0x50000 | 11),
    (0x06, 0, 0, 0x7fff0000),
]
text = b"".join(struct.pack("HBBI", *step) for step in steps)
held = ctypes.create_string_buffer(text, len(text))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_void_p)]
program = Program(len(steps), ctypes.addressof(held))
if ctypes.CDLL(None).prctl(22, 2, ctypes.byref(program), 0, 0) != 0:
    sys.exit("no filter for system calls")
os.execvp(sys.argv[1], sys.argv[1:])
"#;

#[test]
fn an_agent_that_can_start_no_thread_does_without_the_name_and_goes_on() -> Outcome {
    let lab = Lab::start()?;
    let code = lab.file("without_threads.py", WITHOUT_THREADS)?.display().to_string();
    let mut device = lab.enrolled(&DeviceSetup::default())?;
    let port = lab.gateway.address().port();
    let here = lab.gateway.address();
    // The name first: its look-up needs a thread. The address needs none.
    device.configure(&format!("gateway.address = [\"localhost:{port}\", \"{here}\"]"))?;
    let agent = device.command(&["run"]);
    let mut command = Command::new(machine::program());
    command.arg(&code).arg(agent.get_program()).args(agent.get_args());
    device.start_as(command)?;
    device.process()?.wait_for("it says why", 0, PATIENCE, |printed| {
        printed.contains("cannot resolve localhost").then_some(())
    })?;
    device.wait_online(&lab.admin())?;
    let mut shell = lab.admin().shell(device.id())?;
    is_there(&mut shell, "up")
        .map_err(|error| Trouble::new(format!("{error}: {}", device.logged())))
}
