//! The program as scripts see it, without a gateway: exit codes, what goes to which output, files it makes.
//!
//! With a gateway: `crates/e2e`.

// The functions below stand outside of `#[test]`, where clippy.toml's exception does not reach: a test fails by panicking.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

/// Exit codes as the manual has them.
const TRANSPORT: i32 = 255;
const USAGE: i32 = 252;
const REFUSED: i32 = 250;

fn towline(arguments: &[&str], variables: &[(&str, &str)], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_towline"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read it may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[track_caller]
fn check(output: &Output, code: i32, out: &str, err: &str) {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{stdout}{stderr}");
    assert!(stdout.contains(out), "{out:?} is not in {stdout}");
    assert!(stderr.contains(err), "{err:?} is not in {stderr}");
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "TOPSECRET")];

#[test]
fn help_and_version_are_answers_and_a_wrong_line_is_not() {
    check(&towline(&["--help"], &[], ""), 0, "253  the device is not connected", "");
    check(&towline(&["--version"], &[], ""), 0, "towline ", "");
    check(&towline(&["shel"], &[], ""), USAGE, "", "shell");
    check(&towline(&["exec", "pi"], &[], ""), USAGE, "", "COMMAND");
    check(&towline(&[], &[], ""), USAGE, "", "Usage");
}

#[test]
fn without_a_gateway_or_a_key_it_says_what_to_set() {
    check(&towline(&["devices"], &[], ""), USAGE, "", "TOWLINE_ENDPOINT");
    check(&towline(&["devices", "--endpoint", "https://localhost"], &[], ""), USAGE, "", "AWS_ACCESS_KEY_ID");
    check(&towline(&["devices", "--endpoint", "http://localhost"], &KEYS, ""), USAGE, "", "https://");
    let arguments = ["devices", "--endpoint", "https://localhost", "--ca", "/nonexistent"];
    check(&towline(&arguments, &KEYS, ""), USAGE, "", "/nonexistent");
    check(
        &towline(&["shell", "x", "--escape-char", "ab", "--endpoint", "https://localhost"], &KEYS, ""),
        USAGE,
        "",
        "none",
    );
}

#[test]
fn a_gateway_that_is_not_there_or_is_none_is_a_matter_of_transport() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap());
    let answer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"SSH-2.0-x\r\n").unwrap();
    });
    let output = towline(&["devices", "--endpoint", &endpoint], &KEYS, "");
    check(&output, TRANSPORT, "", "towline: ");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("TOPSECRET"));
    answer.join().unwrap();
    // Nobody listens there any more.
    check(&towline(&["devices", "--endpoint", &endpoint], &KEYS, ""), TRANSPORT, "", "refused");
}

#[test]
fn a_policy_is_checked_without_a_gateway() {
    let good = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ssm:*","Resource":"*"}}"#;
    check(&towline(&["policy", "check", "-"], &[], good), 0, "valid", "");
    check(&towline(&["-o", "json", "policy", "check", "-"], &[], good), 0, "\"Statements\": 1", "");
    let bad = good.replace("Allow", "Alow");
    check(&towline(&["policy", "check", "-"], &[], &bad), REFUSED, "", "$.Statement");
    check(&towline(&["policy", "check", "/nonexistent"], &[], ""), 249, "", "/nonexistent");
}

#[test]
fn the_manual_and_the_completions_know_the_commands() {
    check(&towline(&["man"], &[], ""), 0, "the device is not connected", "");
    for shell in ["bash", "zsh", "fish"] {
        check(&towline(&["completions", shell], &[], ""), 0, "terminate", "");
    }
}
