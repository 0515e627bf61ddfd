//! What is built for which command. A cargo that fails shows the words that it was given.
#![allow(clippy::unwrap_used)] // a test that cannot start the program has failed

use std::process::Command;

fn words_for(command: &[&str]) -> String {
    let mut start = Command::new(env!("CARGO_BIN_EXE_xtask-start"));
    let out = start.args(command).env("CARGO", "false").output().unwrap();
    assert_eq!(out.status.code(), Some(1), "{out:?}");
    String::from_utf8(out.stderr).unwrap()
}

#[test]
fn a_demo_is_built_with_its_programs_and_any_other_command_with_the_tests() {
    for command in [&["demo"][..], &["demo", "--check"]] {
        let words = words_for(command);
        assert!(words.contains("--profile demo"), "{words}");
        assert!(words.contains("--package towline-gateway"), "{words}");
    }
    for command in [&[][..], &["test"], &["check", "demo"]] {
        let words = words_for(command);
        assert!(words.contains("--workspace --bin xtask --test words: exit status: 1"), "{words}");
    }
}
