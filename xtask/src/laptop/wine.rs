//! The end-to-end suite with the Windows program as its client, under Wine: a real gateway and real
//! agents, as everywhere.
//!
//! Data flow: a folder that holds gateway and agent of this machine and a script `towline` that
//! starts the Windows program -> the tests of [`TESTS`].
//!
//! # Invariants
//! - The C library that Wine 8 lacks is compiled from `tests/e2e/wine` into that folder alone; no
//!   archive holds it.
//!
//! # Not here
//! - What only unix has: modes, owners, FIFOs and links of copied files, signals of another
//!   process, free space, terminals of unix. Wine draws the console by itself, so a screen is no
//!   evidence.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use towline_testkit::lab::programs::{target_directory, workspace};
use towline_testkit::{Outcome, Trouble, files};

use super::system::MINGW;
use crate::{console, programs, run, setup, suite};

/// Where Debian has the program that runs programs of 64 bits alone.
const WINE: &str = "/usr/lib/wine/wine64";
/// The package that brings it.
const PACKAGE: &str = "wine64";

/// The tests that run, by their full names.
const TESTS: &[&str] = &[
    "exec::a_command_that_does_not_exist_is_an_error_and_not_a_silence",
    "exec::a_limit_is_never_told_as_a_missing_right",
    "exec::a_program_that_cannot_be_started_has_the_exit_code_of_a_shell",
    "exec::a_signal_that_ends_the_command_is_reported",
    "exec::arguments_arrive_as_they_were_given",
    "exec::bytes_go_through_a_command_unchanged",
    "exec::stdout_and_stderr_are_apart_and_the_exit_code_comes_through",
    "tunnel::copy::a_copy_that_was_broken_off_is_gone_on_with",
    "tunnel::copy::a_copy_touches_nothing_but_the_place_that_was_granted",
    "tunnel::copy::a_folder_goes_there_and_back_and_what_is_no_file_is_left_out_with_a_word",
    "tunnel::copy::a_link_that_is_cut_in_the_middle_is_no_break",
    "tunnel::copy_places::a_policy_decides_whether_links_are_followed",
    "tunnel::copy_places::a_tilde_and_a_slash_are_the_home",
    "tunnel::copy_sessions::after_copies_that_failed_the_device_still_takes_a_session",
    "tunnel::faults::a_gateway_that_is_killed_in_the_middle_costs_no_byte",
    "tunnel::faults::a_link_that_is_cut_costs_no_byte",
    "tunnel::faults::a_port_that_refuses_and_a_name_that_nobody_knows_break_one_connection_with_a_word",
    "tunnel::faults::a_session_that_was_terminated_ends_the_forward_and_an_idle_one_comes_back",
    "tunnel::faults::each_document_is_a_right_of_its_own",
    "tunnel::faults::the_device_has_the_last_word_about_where_a_forward_leads",
    "tunnel::flow::a_connection_that_nobody_reads_slows_no_other",
    "tunnel::flow::a_unix_socket_or_another_address_may_be_listened_at",
    "tunnel::flow::a_web_server_behind_a_forward_answers_many_requests_at_once",
    "tunnel::flow::an_end_of_one_direction_is_passed_on_and_the_other_goes_on",
];

/// Runs the suite.
///
/// # Errors
/// A test failed, or a part could not be prepared.
pub(super) fn run_suite(program: &Path) -> Outcome {
    let Some(wine) = wine() else {
        console::line("not run: there is no Wine here (Debian: apt-get install wine64)");
        return Ok(());
    };
    setup::programs(setup::FOR_TESTS)?;
    let python = setup::python()?;
    programs::with_tests(&["--test".into(), "e2e".into()])?;
    let folder = prepare(program, &wine)?;
    greet(&folder.join("towline"))?;
    let mut tests = run::cargo();
    tests.args(["test", "--locked", "--workspace", "--test", "e2e"]);
    tests.args(["--", "--exact", "--test-threads", "4"]).args(TESTS);
    suite::equip(&mut tests, &python)?;
    tests.env(towline_testkit::lab::programs::FOLDER, &folder);
    run::checked(tests)
}

fn wine() -> Option<PathBuf> {
    let there =
        || Some(PathBuf::from(WINE)).filter(|path| path.is_file()).or_else(|| run::find("wine64"));
    there().or_else(|| {
        setup::install(&[PACKAGE]).ok()?;
        there()
    })
}

/// Makes the folder of the programs. Gives its path.
fn prepare(program: &Path, wine: &Path) -> Outcome<PathBuf> {
    let whole = target_directory().join("wine");
    let folder = whole.join("programs");
    std::fs::create_dir_all(&folder)?;
    for name in ["towline-agent", "towline-gateway"] {
        programs::put(&target_directory().join("debug").join(name), &folder.join(name))?;
    }
    std::fs::copy(program, whole.join("towline.exe"))?;
    let mut library = Command::new(MINGW.0);
    library.args(["-O2", "-shared", "-o"]).arg(whole.join("bcryptprimitives.dll"));
    library.arg(workspace().join("tests/e2e/wine/bcryptprimitives.c")).arg("-ladvapi32");
    run::checked(library)?;
    let script = folder.join("towline");
    files::write(&script, start(&whole, wine))?;
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let mut first = Command::new(wine);
    first.args(["wineboot", "--init"]).envs(quietly(&whole)).stderr(Stdio::null());
    run::checked(first)?;
    Ok(folder)
}

/// The script that stands for the program. A link of another name is the plugin.
fn start(whole: &Path, wine: &Path) -> String {
    let variables: Vec<String> =
        quietly(whole).iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect();
    format!(
        "#!/bin/sh\n{}case \"$0\" in */session-manager-plugin) set -- session-manager-plugin \"$@\" ;; esac\n\
         exec '{}' '{}' \"$@\"\n",
        variables.concat(),
        wine.display(),
        whole.join("towline.exe").display()
    )
}

fn quietly(whole: &Path) -> [(&'static str, String); 3] {
    [
        ("WINEPREFIX", whole.join("prefix").display().to_string()),
        ("WINEDEBUG", "-all".to_owned()),
        // No offer to download programs that nothing here needs.
        ("WINEDLLOVERRIDES", "mscoree,mshtml=".to_owned()),
    ]
}

/// Version, help and completions, before there is a gateway.
fn greet(script: &Path) -> Outcome {
    for (words, expected) in [
        (&["--version"][..], "towline "),
        (&["--help"], "Usage: towline.exe"),
        (&["completions", "powershell"], "Register-ArgumentCompleter"),
        (&["completions", "bash"], "_towline()"),
    ] {
        let out = Command::new(script).args(words).output()?;
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        if !out.status.success() || !said.contains(expected) {
            let trouble = String::from_utf8_lossy(&out.stderr).into_owned();
            return Err(Trouble::new(format!("{words:?}: {}: {said}{trouble}", out.status)));
        }
    }
    Ok(())
}
