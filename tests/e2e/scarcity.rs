//! Devices that are short of something: descriptors, memory, calls of newer kernels.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use towline_testkit::lab::{DeviceSetup, Lab};
use towline_testkit::machine;
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually};

use crate::tunnel::{Forward, serve};

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn connections_through_a_tunnel_leave_descriptors_for_shells() -> Outcome {
    let lab = Lab::start()?;
    let behind = words(&["prlimit", "--nofile=128:128"]);
    let device = lab.device_with(&DeviceSetup { behind, ..DeviceSetup::default() })?;
    let server = serve(|mut stream| {
        let _ = stream.write_all(b"!");
        let _ = stream.read(&mut [0; 1]); // held open
    })?;
    let mut forward = Forward::start(&lab, &device, &format!("0:{}", server.port()))?;
    let mut held = Vec::new();
    // One after the other, as an operator's browser would; the first that leads nowhere is the
    // last.
    while held.len() < 120 {
        let mut stream = forward.connect()?;
        if stream.read_exact(&mut [0; 1]).is_err() {
            break;
        }
        held.push(stream);
    }
    ensure((8..120).contains(&held.len()), || format!("{} connections", held.len()))?;
    forward.running.wait_for("the forward says why", 0, PATIENCE, |text| {
        text.contains("the rest of its descriptors is kept for sessions").then_some(())
    })?;
    let mut shell = lab.admin().shell(device.id())?;
    shell.line("echo up-$((40 + 2))")?;
    shell.expect("up-42")?;
    let out = lab.admin().run(&["exec", "-n", device.id(), "--", "echo", "ran"])?;
    ensure(out.stdout == b"ran\n", || format!("{out:?}"))
}

/// Becomes its arguments, without the system call that Linux has since 3.17.
const WITHOUT_MEMFD: &str = r#"import ctypes, os, struct, sys
number = {"x86_64": 319, "aarch64": 279}[os.uname().machine]
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x50000 | 38), (0x06, 0, 0, 0x7fff0000)]
text = b"".join(struct.pack("HBBI", *step) for step in steps)
held = ctypes.create_string_buffer(text, len(text))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_void_p)]
program = Program(len(steps), ctypes.addressof(held))
if ctypes.CDLL(None).prctl(22, 2, ctypes.byref(program), 0, 0) != 0:
    sys.exit("no filter for system calls")
try:
    os.memfd_create("x")
    sys.exit("memfd_create is still there")
except OSError:
    os.execvp(sys.argv[1], sys.argv[1:])
"#;

#[test]
fn a_script_runs_on_a_kernel_without_memfd() -> Outcome {
    let lab = Lab::start()?;
    let code = lab.file("without_memfd.py", WITHOUT_MEMFD)?.display().to_string();
    let behind = words(&[&machine::program().to_string_lossy(), &code]);
    let config = "sessions.default_user = \"nobody\"\npolicy.allow_locked_accounts = true".into();
    let device = lab.device_with(&DeviceSetup { behind, config, ..DeviceSetup::default() })?;
    let script = "id -un; echo ran-$((40 + 2))";
    let out = lab.admin().run(&["run", "--target", device.id(), "--", script])?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    ensure(out.status.success() && text.contains("nobody") && text.contains("ran-42"), || {
        format!("{out:?}")
    })
}

/// Memory of a process without a file behind it, KiB.
fn anonymous(pid: u32) -> Outcome<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| Trouble::new("no figure"))
}

#[test]
fn what_many_sessions_used_goes_back_to_the_system() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let pid = device.pid()?;
    let before = anonymous(pid)?;
    // Bulk output, and many programs for the command log, at once and one after the other.
    let script =
        "head -c 6000000 /dev/zero; n=0; while [ $n -lt 60 ]; do /bin/true; n=$((n+1)); done";
    for _ in 0..8 {
        let many: Vec<_> = (0..4)
            .map(|_| {
                let mut command: Command =
                    lab.admin().towline(&["exec", "-n", device.id(), "--", "sh", "-c", script]);
                command.stdout(Stdio::null()).spawn()
            })
            .collect::<Result<_, _>>()?;
        for mut one in many {
            let status = one.wait()?;
            ensure(status.success(), || format!("{status}"))?;
        }
    }
    let mut last = 0;
    eventually("the memory is given back", PATIENCE, || {
        last = anonymous(pid).ok()?;
        (last < before + 1000).then_some(())
    })
    .map_err(|error| Trouble::new(format!("{error}: {before} KiB before, {last} KiB after")))
}

/// Type, process and name of the user of each record of a `utmp` of glibc.
fn records(file: &Path) -> Outcome<Vec<(u8, String, String)>> {
    let size = if cfg!(target_arch = "aarch64") { 400 } else { 384 };
    let text = |bytes: &[u8]| {
        String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default())
            .into_owned()
    };
    let bytes = std::fs::read(file)?;
    Ok(bytes.chunks(size).map(|r| (r[0], text(&r[8..40]), text(&r[44..76]))).collect())
}

#[test]
fn a_device_with_utmp_knows_who_is_on_a_terminal() -> Outcome {
    let lab = Lab::start()?;
    let utmp = lab.file("utmp", "")?;
    let script = format!(
        "set -e; mount -t tmpfs none /run; : >/run/utmp; mount --bind {} /run/utmp; exec \"$@\"",
        utmp.display()
    );
    let behind =
        words(&["unshare", "--mount", "--propagation", "private", "sh", "-c", &script, "utmp"]);
    let device = lab.device_with(&DeviceSetup { behind, ..DeviceSetup::default() })?;
    let mut shells = Vec::new();
    for number in 0..2 {
        let mut shell = lab.admin().shell(device.id())?;
        shell.line(&format!("tty; echo up-$((40 + {number}))"))?;
        let shown = shell.expect(&format!("up-{}", 40 + number))?;
        let (_, tty) = shown.split_once("/dev/pts/").ok_or_else(|| Trouble::new(shown.clone()))?;
        let tty: String = tty.chars().take_while(char::is_ascii_digit).collect();
        shells.push((shell, format!("pts/{tty}")));
    }
    let living = records(&utmp)?;
    for (_, line) in &shells {
        ensure(living.contains(&(7, line.clone(), "root".into())), || format!("{living:?}"))?;
    }
    let (mut shell, line) = shells.remove(0);
    shell.line("who | grep -c towline; exit")?;
    shell.expect("2")?;
    shell.finish(PATIENCE)?;
    eventually("the entry is dead", PATIENCE, || {
        records(&utmp).ok()?.contains(&(8, line.clone(), String::new())).then_some(())
    })?;
    // No terminal has two entries, whichever the next session gets.
    let mut shell = lab.admin().shell(device.id())?;
    shell.line("echo up-$((40 + 2))")?;
    shell.expect("up-42")?;
    let all = records(&utmp)?;
    let mut lines: Vec<&String> = all.iter().map(|(_, line, _)| line).collect();
    lines.sort();
    lines.dedup();
    let living = all.iter().filter(|(kind, ..)| *kind == 7).count();
    ensure(living == 2 && lines.len() == all.len(), || format!("{all:?}"))
}

#[test]
fn a_terminal_type_that_the_device_does_not_know_becomes_one_that_it_knows() -> Outcome {
    let known = |name: &str| {
        ["/lib/terminfo", "/usr/share/terminfo", "/etc/terminfo"]
            .iter()
            .any(|folder| std::path::Path::new(folder).join("x").join(name).exists())
    };
    ensure(known("xterm-256color"), || "this test wants the terminfo of xterm-256color".into())?;
    let lab = Lab::start()?;
    let device = lab.device()?;
    for (asked, expected) in [("xterm-of-tomorrow", "xterm-256color"), ("xterm", "xterm")] {
        if asked == "xterm" && !known(asked) {
            continue;
        }
        let mut command = lab.admin().towline(&["shell", device.id()]);
        command.env("TERM", asked);
        let mut shell = Terminal::start(&command, 24, 80)?;
        shell.line("echo it-is-$TERM.")?;
        shell.expect(&format!("it-is-{expected}."))?;
        shell.line("exit")?;
        shell.finish(Duration::from_secs(60))?;
    }
    Ok(())
}

#[test]
fn a_log_that_nobody_reads_holds_up_neither_the_device_nor_its_shells() -> Outcome {
    let lab = Lab::start()?;
    let fifo = lab.directory().join("log.fifo");
    ensure(Command::new("mkfifo").arg(&fifo).status()?.success(), || "no FIFO".into())?;
    // Both ends, so that the pipe is neither without a reader nor broken; and it never waits.
    let nonblock = 0o4000; // O_NONBLOCK of Linux
    let mut log = OpenOptions::new().read(true).write(true).custom_flags(nonblock).open(&fifo)?;
    for size in [4096, 1] {
        while log.write(&vec![b'x'; size]).is_ok() {}
    }
    let into_fifo = "log=\"$0\"; [ \"$2\" != run ] || exec 2>\"$log\"; exec \"$@\"";
    let behind = ["sh", "-c", into_fifo, &fifo.display().to_string()].map(str::to_owned).to_vec();
    let device = lab.device_with(&DeviceSetup { behind, ..DeviceSetup::default() })?;
    for _ in 0..3 {
        let out = lab.admin().text(&["exec", device.id(), "--", "echo", "in"])?;
        ensure(out == "in\n", || out.clone())?;
    }
    let mut said = vec![0; 1 << 20];
    while log.read(&mut said).is_ok() {}
    eventually("the log says what is missing", PATIENCE, || {
        lab.admin().text(&["exec", device.id(), "--", "true"]).ok()?;
        let mut text = Vec::new();
        while let Ok(n) = log.read(&mut said) {
            text.extend_from_slice(&said[..n]);
        }
        String::from_utf8_lossy(&text).contains("lines are missing here").then_some(())
    })
}
