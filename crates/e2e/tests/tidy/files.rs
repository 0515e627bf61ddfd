//! What a source file must look like: header, length, name, no unsafe code, nothing left to do.
//!
//! Data flow: every `.rs` file of the tree -> one rule a test -> offences.
//!
//! # Not here
//! - Function lengths and banned calls: `clippy.toml`.

use towline_testkit::lab::programs::workspace as root;

use super::{check_files, report};

/// Longest source file, lines. Talk about it before it gets there.
const LONGEST_FILE: usize = 600;
/// Files that may be longer, each with its reason.
const LONGER_FOR_A_REASON: &[(&str, &str)] = &[];
/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "misc"];
/// The files that open the one beside them, `calls.rs`, for `unsafe`: system calls of the agent
/// around fork and exec, and of the command line to the console of Windows.
const UNSAFE_OPENERS: &[&str] = &["src/sys/mod.rs", "crates/cli/src/platform/windows/mod.rs"];
/// The root of a crate that opens one for Windows alone.
const FORBIDS_ELSEWHERE: &str = "crates/cli/src/main.rs";
/// Where the command line's code of one system is.
const PLATFORM: &str = "crates/cli/src/platform/";
/// What such code names.
const OF_ONE_SYSTEM: &[&str] = &[
    "nix::",
    "rustix::",
    "libc::",
    "std::os::",
    "signal::unix",
    "signal::windows",
    "windows_sys",
    "UnixStream",
    "UnixListener",
    "cfg(unix)",
    "cfg(windows)",
    "target_os",
];

#[test]
fn every_source_file_opens_with_a_header() {
    check_files(|name, text| {
        (!text.starts_with("//! ")).then(|| format!("{name}: the first line is not a `//!` header"))
    });
}

#[test]
fn no_source_file_is_too_long() {
    check_files(|name, text| {
        let lines = text.lines().count();
        let excused = LONGER_FOR_A_REASON.iter().any(|(file, _)| *file == name);
        (lines > LONGEST_FILE && !excused)
            .then(|| format!("{name}: {lines} lines, at most {LONGEST_FILE}"))
    });
}

#[test]
fn every_excuse_is_still_needed() {
    let gone = LONGER_FOR_A_REASON.iter().filter(|(file, _)| {
        std::fs::read_to_string(root().join(file)).map_or(0, |t| t.lines().count()) <= LONGEST_FILE
    });
    report(
        &gone
            .map(|(file, _)| format!("{file}: no longer too long, drop its excuse"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn no_file_or_folder_has_an_empty_name() {
    check_files(|name, _| {
        let parts = name.trim_end_matches(".rs").split('/');
        let empty = parts.filter(|part| EMPTY_NAMES.contains(part)).collect::<Vec<_>>();
        (!empty.is_empty()).then(|| {
            format!("{name}: `{}` says nothing, name it after its idea", empty.join("`, `"))
        })
    });
}

#[test]
fn unsafe_stands_in_one_file_of_a_program() {
    let forbid = ["#![forbid(", "unsafe_code)]"].concat();
    let elsewhere = ["#![cfg_attr(not(windows), forbid(", "unsafe_code))]"].concat();
    check_files(|name, text| {
        let is_root =
            name.ends_with("src/lib.rs") || (name.ends_with("src/main.rs") && !sibling_lib(name));
        if let Some(line) = unlocked(name, text) {
            return Some(format!(
                "{name}:{line}: unsafe code belongs beside {}",
                UNSAFE_OPENERS.join(", ")
            ));
        }
        let must_forbid = is_root && !name.starts_with("src/");
        let forbid = if name == FORBIDS_ELSEWHERE { &elsewhere } else { &forbid };
        (must_forbid && !text.contains(forbid))
            .then(|| format!("{name}: a crate's root says {forbid}"))
    });
}

/// The first line that lets unsafe code in, other than one of [`UNSAFE_OPENERS`].
fn unlocked(name: &str, text: &str) -> Option<usize> {
    let locks = ["allow(", "expect(", "warn("].map(|level| [level, "unsafe_code"].concat());
    let mut lines = text.lines().zip(text.lines().skip(1).chain([""])).enumerate();
    let offence = lines.find(|(_, (line, next))| {
        let opens = locks.iter().any(|lock| line.contains(lock.as_str()));
        opens && !(UNSAFE_OPENERS.contains(&name) && *next == "pub(crate) mod calls;")
    });
    offence.map(|(at, _)| at + 1)
}

#[test]
fn an_unlocked_file_is_found_wherever_it_is() {
    // Put together here, so that this file does not offend.
    let [allow, expect] = ["allow", "expect"].map(|level| [level, "(unsafe_code)"].concat());
    let sys = format!("mod a;\n#[{allow}] // why\npub(crate) mod calls;\n");
    assert_eq!(unlocked(UNSAFE_OPENERS[0], &sys), None);
    assert_eq!(unlocked(UNSAFE_OPENERS[1], &sys.replace("calls", "spawn")), Some(2));
    assert_eq!(unlocked("src/process/spawn.rs", &sys), Some(2));
    assert_eq!(unlocked("src/process/spawn.rs", &format!("#![{expect}]\n")), Some(1));
}

#[test]
fn the_command_line_names_a_system_below_platform_alone() {
    check_files(|name, text| {
        let is_common = name.starts_with("crates/cli/src/") && !name.starts_with(PLATFORM);
        let line = if is_common { names_a_system(text)? } else { return None };
        Some(format!("{name}:{line}: code of one system belongs below {PLATFORM}"))
    });
}

/// The first line that names something that not every system has.
fn names_a_system(text: &str) -> Option<usize> {
    text.lines()
        .position(|line| OF_ONE_SYSTEM.iter().any(|word| line.contains(word)))
        .map(|at| at + 1)
}

#[test]
fn code_of_one_system_is_found() {
    assert_eq!(names_a_system("use std::io;\nuse std::os::fd::AsFd;\n"), Some(2));
    assert_eq!(names_a_system("let size = rustix::termios::tcgetwinsize(fd);"), Some(1));
    assert_eq!(names_a_system("let at = OffsetDateTime::from_unix_timestamp(0);"), None);
}

#[test]
fn no_test_is_switched_off_and_nothing_is_left_to_do() {
    let marks =
        [["#[", "ignore"].concat(), ["todo", "!("].concat(), ["unimplemented", "!("].concat()];
    check_files(|name, text| {
        let found = marks.iter().find(|mark| text.contains(mark.as_str()))?;
        Some(format!("{name}: holds `{found}`"))
    });
}

#[test]
fn nothing_names_a_folder_of_the_machine_it_was_written_on() {
    // Put together here, so that this file does not offend.
    let folders =
        [["/wo", "rk/"].concat(), ["/tmp/br", "ief"].concat(), ["/root/.py", "env"].concat()];
    check_files(|name, text| {
        let line = text
            .lines()
            .position(|line| folders.iter().any(|folder| line.contains(folder.as_str())))?;
        Some(format!("{name}:{}: holds a path of somebody's machine", line + 1))
    });
}

fn sibling_lib(name: &str) -> bool {
    root().join(name).with_file_name("lib.rs").exists()
}
