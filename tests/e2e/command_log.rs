//! The command log from the kernel to the gateway: what a session executed, each program once, with
//! how it ended.

use serde_json::Value;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use towline_testkit::lab::{DeviceSetup, Lab};
use towline_testkit::recall::{Workload, commands, measure, newest_session};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually};

const PATIENCE: Duration = Duration::from_secs(60);

/// The records of the session that was opened last, once its end is among them.
fn whole_log(lab: &Lab, device: &towline_testkit::lab::Device) -> Outcome<Vec<Value>> {
    let session = newest_session(&lab.admin(), device)?;
    eventually("the end of the session is on record", PATIENCE, || {
        let records = commands(&lab.admin(), &session).ok()?;
        records.iter().any(|record| record["Kind"] == "End").then_some(records)
    })
}

fn of_program<'r>(records: &'r [Value], program: &str) -> Option<&'r Value> {
    records.iter().find(|record| record["Arguments"][0].as_str() == Some(program))
}

/// Tries of what a program that is over at once may spoil by leaving no arguments to be read, which
/// then is on record.
const TRIES: usize = 5;

#[test]
fn what_a_session_executed_is_listed_with_arguments_directory_and_exit_code() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut last = Ok(());
    for _ in 0..TRIES {
        last = listed(&lab, &device);
        let session = newest_session(&lab.admin(), &device)?;
        let owned_up =
            commands(&lab.admin(), &session)?.iter().any(|record| record["Kind"] == "Gap");
        if last.is_ok() || !owned_up {
            break;
        }
    }
    last
}

fn listed(lab: &Lab, device: &towline_testkit::lab::Device) -> Outcome {
    let script = "cd /usr && /bin/ls -d lib; /bin/sh -c 'kill -9 $$'; /bin/false; exit 7";
    let out = lab.admin().run(&["exec", device.id(), "--", "/bin/sh", "-c", script])?;
    ensure(out.status.code() == Some(7), || format!("{out:?}"))?;
    let records = whole_log(lab, device)?;
    let text = || format!("{records:#?}");
    let missing = || towline_testkit::Trouble::new(text());
    ensure(records[0]["Kind"] == "Begin", text)?;
    if records[0]["Detail"] != "kernel events" {
        return Err(towline_testkit::Trouble::new(format!(
            "no process events here: {}",
            records[0]["Detail"]
        )));
    }
    let shell = of_program(&records, "/bin/sh").ok_or_else(missing)?;
    ensure(
        shell["ExitCode"] == 7 && shell["Arguments"][2] == script && shell["UserId"] == 0,
        text,
    )?;
    let ls = of_program(&records, "/bin/ls").ok_or_else(missing)?;
    ensure(
        ls["ExitCode"] == 0 && ls["Directory"] == "/usr" && ls["ParentPid"] == shell["Pid"],
        text,
    )?;
    ensure(of_program(&records, "/bin/false").ok_or_else(missing)?["ExitCode"] == 1, text)?;
    ensure(records.iter().any(|record| record["Signal"] == 9), text)?;
    let table = lab.admin().text(&["commands", &newest_session(&lab.admin(), device)?])?;
    ensure(table.contains("/bin/ls -d lib") && table.contains("signal 9"), || table.clone())
}

/// Runs a program under other names: as `true`, from a file without a name, and from memory.
const DISGUISED: &str = r#"import os, shutil, sys
def run(path, *words):
    if os.fork() == 0:
        os.execv(path, words)
    os.wait()
run("/usr/bin/id", "true", "disguised")
shutil.copy("/usr/bin/id", sys.argv[1])
gone = os.open(sys.argv[1], os.O_RDONLY)
os.unlink(sys.argv[1])
run(f"/proc/self/fd/{gone}", "id", "--version", "gone")
memory = os.memfd_create("anything", 0)
with open("/usr/bin/id", "rb") as program:
    os.write(memory, program.read())
run(f"/proc/self/fd/{memory}", "ls", "in-memory")
"#;

#[test]
fn a_program_under_another_name_is_on_record_with_its_file() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let script = lab.file("disguised.py", DISGUISED)?.display().to_string();
    let python = towline_testkit::machine::program();
    let gone = lab.directory().join("gone").display().to_string();
    let words = ["exec", "-n", device.id(), "--", &python.to_string_lossy(), &script, &gone];
    let mut found = Err(towline_testkit::Trouble::new("it did not run"));
    for _ in 0..TRIES {
        lab.admin().run(&words)?;
        found = disguises(&lab, &device, &gone);
        if found.is_ok() {
            break;
        }
    }
    found
}

fn disguises(lab: &Lab, device: &towline_testkit::lab::Device, gone: &str) -> Outcome {
    use std::os::unix::fs::MetadataExt as _;
    let records = whole_log(lab, device)?;
    let with = |word: &str| {
        let found = records
            .iter()
            .find(|r| r["Arguments"].as_array().is_some_and(|a| a.iter().any(|a| a == word)));
        found.ok_or_else(|| towline_testkit::Trouble::new(format!("no {word}: {records:#?}")))
    };
    let file = &with("disguised")?["Executable"];
    let id = std::fs::metadata("/usr/bin/id")?;
    let resolved = std::fs::canonicalize("/usr/bin/id")?.display().to_string();
    ensure(
        file["Path"] == resolved && file["Inode"] == id.ino() && file["Differs"] == true,
        || format!("{file}"),
    )?;
    let file = &with("gone")?["Executable"];
    ensure(file["Path"] == gone && file["Origin"] == "Deleted", || format!("{file}"))?;
    let file = &with("in-memory")?["Executable"];
    ensure(file["Path"] == "/memfd:anything" && file["Origin"] == "Memory", || format!("{file}"))?;
    let table = lab.admin().text(&["commands", &newest_session(&lab.admin(), device)?])?;
    for shown in [
        format!("true disguised [{resolved}]"),
        format!("id --version gone [deleted: {gone}]"),
        "ls in-memory [in memory: /memfd:anything]".to_owned(),
    ] {
        ensure(table.contains(&shown), || format!("no {shown:?} in\n{table}"))?;
    }
    Ok(())
}

#[test]
fn thousands_of_programs_are_all_on_record_and_nobody_elses() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let tally = measure(&lab.admin(), &device, &Workload::TENTH)?;
    ensure(tally.kernel && tally.is_sound(), || format!("{tally:?}"))
}

/// Cuts of one command: a slow machine needs more than the moment between two for its end.
const MOST_CUTS: usize = 12;

#[test]
fn a_link_that_is_cut_again_and_again_neither_loses_nor_doubles_a_record() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let begun = lab.directory().join("begun");
    let script = format!(
        "n=0; : > {}; while [ $n -lt 300 ]; do /bin/true x$n; n=$((n+1)); sleep 0.01; done",
        begun.display()
    );
    let over = AtomicBool::new(false);
    let (ran, cuts) = std::thread::scope(|scope| {
        let (relay, over) = (&device.relay, &over);
        let cutting = scope.spawn(move || {
            let (mut cuts, mut seen) = (0, 0);
            while !over.load(Ordering::Relaxed) && cuts < MOST_CUTS {
                // The session is opened first: what is tested is what happens in it. Then each new
                // link has its moment, and the last one time for the end.
                if begun.exists() && relay.count().connections > seen {
                    std::thread::park_timeout(Duration::from_millis(300));
                    seen = relay.count().connections;
                    cuts += relay.cut();
                }
                std::thread::park_timeout(Duration::from_millis(10));
            }
            cuts
        });
        let ran = lab.admin().run(&["exec", "-n", device.id(), "--", "sh", "-c", &script]);
        over.store(true, Ordering::Relaxed);
        (ran, cutting.join())
    });
    let (ran, cuts) = (ran?, cuts.map_err(|_| towline_testkit::Trouble::new("the cutter failed"))?);
    ensure(cuts > 0, || "no link was cut".into())?;
    ensure(ran.status.success(), || format!("{ran:?}"))?;
    let records = whole_log(&lab, &device)?;
    let numbers: Vec<u64> = records.iter().filter_map(|record| record["Number"].as_u64()).collect();
    ensure(numbers.is_sorted_by(|a, b| a < b), || format!("{numbers:?}"))?;
    let mut found: Vec<&str> = records
        .iter()
        .filter(|r| r["Arguments"][0] == "/bin/true")
        .filter_map(|r| r["Arguments"][1].as_str())
        .collect();
    let unread = records
        .iter()
        .filter(|r| r["Kind"] == "Command" && r["Arguments"].as_array().is_none_or(Vec::is_empty));
    let (all, unread) = (found.len(), unread.count());
    found.sort_unstable();
    found.dedup();
    let whole = found.len() == all && (300..=300 + unread).contains(&(all + unread));
    ensure(whole, || {
        format!("{all} programs, {} of them once, {unread} without arguments", found.len())
    })
}

#[test]
fn a_killed_agent_leaves_a_gap_behind_what_it_had_sent() -> Outcome {
    let lab = Lab::start()?;
    let mut device = lab.device()?;
    let mut shell = lab.admin().shell(device.id())?;
    shell.line("echo sum-$((40+2))")?;
    shell.expect("sum-42")?;
    let session = newest_session(&lab.admin(), &device)?;
    eventually("the session's first program is on record", PATIENCE, || {
        let records = commands(&lab.admin(), &session).ok()?;
        records.iter().any(|record| record["Kind"] == "Begin").then_some(())
    })?;
    device.process()?.kill()?;
    device.start()?;
    device.wait_online(&lab.admin())?;
    let gap = eventually("the gap is on record", PATIENCE, || {
        let records = commands(&lab.admin(), &session).ok()?;
        records.iter().find(|record| record["Kind"] == "Gap").map(|gap| gap["Detail"].to_string())
    })?;
    drop(shell);
    ensure(gap.contains("without a word"), || gap.clone())
}

#[test]
fn a_device_that_logs_no_commands_says_so_on_record_and_in_its_status() -> Outcome {
    let lab = Lab::start()?;
    let setup =
        DeviceSetup { config: "audit.command_log = false".to_owned(), ..DeviceSetup::default() };
    let device = lab.device_with(&setup)?;
    lab.admin().text(&["exec", device.id(), "--", "/bin/true"])?;
    let session = newest_session(&lab.admin(), &device)?;
    let detail = eventually("the session's first record", PATIENCE, || {
        let records = commands(&lab.admin(), &session).ok()?;
        Some(records.first()?["Detail"].to_string())
    })?;
    ensure(detail.contains("off (disabled on the device"), || detail.clone())?;
    let status = device.command(&["status", "--json"]).output()?;
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    ensure(status.contains("\"commandLog\":\"off: disabled"), || status.clone())
}

#[test]
fn whatever_is_killed_each_record_is_stored_once_or_a_gap_covers_it() -> Outcome {
    let mut lab = Lab::start()?;
    let mut device = lab.device()?;
    let python = std::env::var("TOWLINE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let balance = towline_testkit::endure::run(&mut lab, &mut device, 12, Path::new(&python), 7)?;
    ensure(balance.nowhere + balance.doubled + balance.holes == 0, || format!("{balance:?}"))?;
    ensure(balance.rows > 0 && balance.programs > 0 && balance.on_record > 0, || {
        format!("{balance:?}")
    })
}

#[test]
fn a_session_without_a_link_is_spooled_and_comes_with_the_next_start_of_the_agent() -> Outcome {
    let lab = Lab::start()?;
    let mut device = lab.device()?;
    let mut shell = lab.admin().shell(device.id())?;
    shell.line("echo sum-$((40+2))")?;
    shell.expect("sum-42")?;
    let session = newest_session(&lab.admin(), &device)?;
    let spool = device.state().join("audit");
    // Typed while there is a link, executed when there is none: only the device can tell.
    shell.line("sleep 3; /bin/true while-away")?;
    shell.expect("sleep 3")?;
    device.relay.close(true);
    device.relay.cut();
    // A record of `sleep` may be there before.
    let word = b"while-away";
    let names_it = |bytes: Vec<u8>| bytes.windows(word.len()).any(|part| part == word);
    eventually("the record in a file of the spool", PATIENCE, || {
        let mut files = std::fs::read_dir(&spool).ok()?.flatten();
        files.any(|file| std::fs::read(file.path()).is_ok_and(names_it)).then_some(())
    })?;
    device.process()?.kill()?;
    device.relay.close(false);
    device.start()?;
    device.wait_online(&lab.admin())?;
    eventually("what was executed without a link", PATIENCE, || {
        let records = commands(&lab.admin(), &session).ok()?;
        records.iter().any(|record| record["Arguments"][1] == "while-away").then_some(())
    })?;
    eventually("an empty spool", PATIENCE, || {
        std::fs::read_dir(&spool).ok()?.next().is_none().then_some(())
    })?;
    drop(shell);
    Ok(())
}

#[test]
fn a_typed_line_is_on_record_and_what_is_not_echoed_is_not() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = lab.admin().shell(device.id())?;
    shell.line("PS1='dev''$ '")?;
    shell.expect("dev$ ")?;
    shell.line("cd /tmp && echo in-$((40+2))")?;
    shell.expect("in-42")?;
    shell.line("stty -echo; echo ready-$((40+2)); read SECRET; stty echo; echo got-$((40+2))")?;
    shell.expect("ready-42")?;
    shell.line("hunter2")?;
    shell.expect("got-42")?;
    // What follows a password on its row is a program's output.
    // The prompt is not among the words of its command: what is typed before bash is done with the
    // line has no line's end for `read`.
    shell.line("read -s -p 'Secret'': ' SECRET; echo row-$((40+2)); echo")?;
    shell.expect("Secret: ")?;
    shell.line("hunter3")?;
    shell.expect("row-42")?;
    shell.line("exit 0")?;
    shell.finish(PATIENCE)?;
    let records = whole_log(&lab, &device)?;
    let lines: Vec<&str> = records
        .iter()
        .filter(|r| r["Kind"] == "Line")
        .filter_map(|r| r["Detail"].as_str())
        .collect();
    ensure(lines.contains(&"cd /tmp && echo in-$((40+2))"), || format!("{lines:?}"))?;
    ensure(!lines.iter().any(|line| line.starts_with("row-")), || format!("{lines:?}"))?;
    ensure(!format!("{records:?}").contains("hunter"), || format!("{records:?}"))
}
