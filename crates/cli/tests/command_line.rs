//! The program as scripts see it, without a gateway: exit codes, what goes to which output, files
//! it makes.
//!
//! With a gateway: `crates/e2e`.

// The functions below stand outside of `#[test]`, where clippy.toml's exception does not reach: a
// test fails by panicking.
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
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{stdout}{stderr}");
    assert!(stdout.contains(out), "{out:?} is not in {stdout}");
    assert!(stderr.contains(err), "{err:?} is not in {stderr}");
}

const KEYS: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "TOPSECRET")];

#[test]
fn help_and_version_are_answers_and_a_wrong_line_is_not() {
    check(&towline(&["--help"], &[], ""), 0, "253  the device is not connected", "");
    check(&towline(&["--version"], &[], ""), 0, "towline ", "");
    check(&towline(&["shel"], &[], ""), USAGE, "", "shell");
    check(&towline(&["exec", "pi"], &[], ""), USAGE, "", "COMMAND");
    check(&towline(&[], &[], ""), USAGE, "", "Usage");
    let nothing_to_run = towline(&["run", "--target", "all"], &[], "");
    check(&nothing_to_run, USAGE, "", "<--document <NAME>|COMMAND>");
    let both = ["run", "--target", "all", "--document", "D", "--", "true"];
    check(&towline(&both, &[], ""), USAGE, "", "cannot be used with");
    for list in [["logs", "--limit", "0"], ["audit", "--limit", "0"]] {
        check(&towline(&list, &[], ""), USAGE, "", "0 is not in 1..");
    }
    check(&towline(&["verify", "gone.cast"], &[], ""), USAGE, "", "is no session id");
}

#[test]
fn without_a_gateway_or_a_key_it_says_what_to_set() {
    check(&towline(&["devices"], &[], ""), USAGE, "", "TOWLINE_ENDPOINT");
    check(
        &towline(&["devices", "--endpoint", "https://localhost"], &[], ""),
        USAGE,
        "",
        "AWS_ACCESS_KEY_ID",
    );
    check(
        &towline(&["devices", "--endpoint", "http://localhost"], &KEYS, ""),
        USAGE,
        "",
        "https://",
    );
    let arguments = ["devices", "--endpoint", "https://localhost", "--ca", "/nonexistent"];
    check(&towline(&arguments, &KEYS, ""), USAGE, "", "/nonexistent");
    check(
        &towline(
            &["shell", "x", "--escape-char", "ab", "--endpoint", "https://localhost"],
            &KEYS,
            "",
        ),
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

const READER: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ssm:StartSession","Resource":"*",
    "Condition":{"StringEquals":{"ssm:resourceTag/site":"berlin"}}}}"#;
const DENIED: i32 = 254;

fn line(action: &str, context: &str) -> String {
    let policy = READER.replace('\n', " ");
    format!(
        r#"{{"policies":[{policy}],"boundary":null,"request":{{"principal":"arn:aws:iam::000000000001:user/ada","action":"{action}","resource":"*","context":{{{context}}}}}}}"#
    )
}

#[test]
fn a_batch_is_answered_by_a_word_a_line() {
    let berlin = line("ssm:StartSession", r#""ssm:resourceTag/site":"berlin""#);
    let paris = line("ssm:StartSession", r#""ssm:resourceTag/site":["paris"]"#);
    let denied = berlin.replacen("Allow", "Deny", 1);
    let input = format!("{berlin}\n{paris}\n\n{denied}");
    let output = towline(&["policy", "test", "--batch", "-"], &[], &input);
    check(&output, 0, "", "");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "Allowed\nImplicitlyDenied\nExplicitlyDenied\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cases.jsonl");
    std::fs::File::create(&path).unwrap().write_all(input.as_bytes()).unwrap();
    assert_eq!(
        towline(&["policy", "test", "--batch", path.to_str().unwrap()], &[], "").stdout,
        output.stdout
    );
}

#[test]
fn a_line_that_is_not_understood_has_no_word_of_the_language_and_fails_the_batch() {
    let good = line("ssm:StartSession", r#""ssm:resourceTag/site":"berlin""#);
    let output = towline(&["policy", "test", "--batch", "-"], &[], &format!("{{\n{good}\n"));
    check(&output, REFUSED, "", "line 1: ");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Invalid\nAllowed\n");
}

#[test]
fn a_batch_that_stays_open_is_answered_line_by_line() {
    use std::io::{BufRead, BufReader};
    let mut child = Command::new(env!("CARGO_BIN_EXE_towline"))
        .args(["policy", "test", "--batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, mut answers) =
        (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    for (action, word) in
        [("ssm:StartSession", "Allowed\n"), ("ssm:TerminateSession", "ImplicitlyDenied\n")]
    {
        let asked = line(action, r#""ssm:resourceTag/site":"berlin""#);
        input.write_all(format!("{asked}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        answers.read_line(&mut answer).unwrap();
        assert_eq!(answer, word);
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_request_is_explained_and_its_exit_code_is_the_decision() {
    let test = |context: &str| {
        let common =
            ["--principal", "arn:aws:iam::000000000001:user/ada", "--action", "ssm:StartSession"];
        let mut words =
            vec!["policy", "test", "--resource", "*", "--policy", "-", "--context", context];
        words.extend(common);
        towline(&words, &[], READER)
    };
    check(&test("ssm:resourceTag/site=berlin"), 0, "Allowed", "");
    check(&test("ssm:resourceTag/site=paris"), DENIED, "the request has [\"paris\"]", "");
    check(&towline(&["policy", "test", "--action", "x"], &[], ""), USAGE, "", "--principal");
    check(
        &towline(&["policy", "test", "--batch", "-", "--action", "x"], &[], ""),
        USAGE,
        "",
        "--action",
    );
}

#[test]
fn a_profile_for_aws_tools_is_printed_or_added_once() {
    let folder = tempfile::tempdir().unwrap();
    let (home, ca) = (folder.path().to_str().unwrap(), folder.path().join("ca.pem"));
    std::fs::File::create(&ca).unwrap();
    let variables =
        [("HOME", home), ("TOWLINE_ENDPOINT", "https://g.example:8443"), ("AWS_REGION", "xx-1")];
    let run = |more: &[&str]| {
        let all = ["aws-config", "--ca", ca.to_str().unwrap()];
        towline(&[&all, more].concat(), &variables, "")
    };
    let printed = run(&[]);
    let full = std::fs::canonicalize(&ca).unwrap();
    let wanted = format!(
        "[profile towline]\nregion = xx-1\nservices = towline\nca_bundle = {}\n\n[services \
         towline]\nssm =\n  endpoint_url = https://g.example:8443\n",
        full.display()
    );
    check(&printed, 0, &wanted, "");
    let config = folder.path().join(".aws/config");
    assert!(!config.exists(), "only printed");

    check(&run(&["--write"]), 0, "profile towline written to", "");
    assert_eq!(std::fs::read(&config).unwrap(), printed.stdout);
    check(&run(&["--write"]), 0, "already", "");
    check(&run(&["--write", "--region", "yy-1"]), USAGE, "", "[profile towline]");
    check(
        &run(&["--write", "--region", "yy-1", "--profile", "other"]),
        0,
        "profile other written to",
        "",
    );
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(
        text.starts_with(&wanted) && text.contains("\n\n[profile other]\nregion = yy-1\n"),
        "{text}"
    );
    check(&run(&["--profile", "a]b"]), USAGE, "", "--profile");
    // Our own reading of it agrees: the keys alone are missing.
    let output = towline(&["devices", "--profile", "other"], &[("HOME", home)], "");
    check(&output, USAGE, "", "no access key is configured for profile `other`");
}

#[test]
fn as_the_plugin_of_aws_tools_it_says_a_version_and_what_it_cannot_do() {
    let plugin = |more: &[&str]| towline(&[&["session-manager-plugin"], more].concat(), &KEYS, "");
    check(&plugin(&[]), 0, "aws ssm start-session", "");
    let version = plugin(&["--version"]);
    check(&version, 0, "", "");
    assert_eq!(String::from_utf8_lossy(&version.stdout).trim().split('.').count(), 4);
    check(&plugin(&["x"]), USAGE, "", "at least 3 arguments");
    let answer = r#"{"SessionId":"s","TokenValue":"TOPSECRET","StreamUrl":"wss://127.0.0.1:1/v1/data-channel/s"}"#;
    check(&plugin(&[answer, "xx-1", "SendCommand"]), USAGE, "", "SendCommand");
    let ports = r#"{"DocumentName":"AWS-StartPortForwardingSession","Parameters":{"localPortNumber":["70000"]}}"#;
    check(
        &plugin(&[answer, "xx-1", "StartSession", "", ports]),
        USAGE,
        "",
        "localPortNumber cannot be `70000`",
    );
    let nobody = plugin(&[answer, "xx-1", "StartSession", "", "{}", "https://127.0.0.1:1"]);
    check(
        &nobody,
        TRANSPORT,
        "Starting session with SessionId: s",
        "cannot connect to 127.0.0.1:1",
    );
    assert!(!String::from_utf8_lossy(&nobody.stderr).contains("TOPSECRET"));
}

#[test]
fn the_manual_and_the_completions_know_the_commands() {
    check(&towline(&["man"], &[], ""), 0, "the device is not connected", "");
    for shell in ["bash", "zsh", "fish"] {
        check(&towline(&["completions", shell], &[], ""), 0, "terminate", "");
    }
}
