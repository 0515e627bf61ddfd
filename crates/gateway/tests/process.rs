//! The program itself: what it prints, what it leaves, how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used)] // also outside of the test functions: all of this is a test

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use towline_testkit::machine;

const GATEWAY: &str = env!("CARGO_BIN_EXE_towline-gateway");

async fn init(dir: &Path, more: &[&str]) -> Output {
    Command::new(GATEWAY).arg("init").arg("--dir").arg(dir).args(more).output().await.unwrap()
}

/// A gateway on a free port, and its first line.
async fn serve(dir: &Path) -> (Child, String) {
    let mut child = Command::new(GATEWAY)
        .args(["serve", "--listen", "[::]:0", "--dir"])
        .arg(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(Duration::from_secs(30), lines.next_line())
        .await
        .expect("it says where it listens");
    (child, line.unwrap().unwrap())
}

async fn end(mut child: Child, signal: Signal) -> std::process::ExitStatus {
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    kill(Pid::from_raw(pid), signal).unwrap();
    timeout(Duration::from_secs(30), child.wait()).await.expect("it ends").unwrap()
}

/// Runs a few lines of boto3 as the administrator; what they print.
async fn boto3(made: &Value, line: &str, lines: &str) -> String {
    let port = line.rsplit_once(':').unwrap().1;
    let program = format!(
        "import boto3\nssm = boto3.client('ssm', endpoint_url='https://localhost:{port}')\n{lines}"
    );
    let text = |key: &str| made[key].as_str().unwrap().to_owned();
    let mut command = Command::from(machine::python());
    command
        .args(["-c", &program])
        .env("AWS_ACCESS_KEY_ID", text("AccessKeyId"))
        .env("AWS_SECRET_ACCESS_KEY", text("SecretAccessKey"))
        .env("AWS_REGION", text("Region"))
        .env("AWS_DEFAULT_REGION", text("Region"))
        .env("AWS_CA_BUNDLE", text("CaFile"))
        .kill_on_drop(true);
    let output = timeout(machine::SCRIPT, command.output()).await.expect("the script ends");
    let output = output.expect("python3 with boto3 is needed for this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn init_prints_one_object_and_a_second_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let first = init(dir.path(), &["--hostname", "gw.example", "--json"]).await;
    let made: Value = serde_json::from_slice(&first.stdout).unwrap();
    for key in ["AccessKeyId", "SecretAccessKey", "CaFile", "Region", "AccountId", "Endpoint"] {
        assert!(made[key].is_string(), "{key} in {made}");
    }
    let second = init(dir.path(), &["--json"]).await;
    assert!(!second.status.success() && second.stdout.is_empty());
    assert!(String::from_utf8_lossy(&second.stderr).contains("is there already"));
}

#[tokio::test]
async fn serve_without_a_directory_of_init_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let output =
        Command::new(GATEWAY).args(["serve", "--dir"]).arg(dir.path()).output().await.unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("towline-gateway init"));
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_kill_and_a_stop_is_clean() {
    let dir = tempfile::tempdir().unwrap();
    let made: Value = serde_json::from_slice(&init(dir.path(), &["--json"]).await.stdout).unwrap();

    let (child, line) = serve(dir.path()).await;
    assert!(line.starts_with("listening on [::]:") && !line.ends_with(":0"), "{line}");
    let make = "print(ssm.create_activation(IamRole='kept')['ActivationId'])";
    let activation = boto3(&made, &line, make).await;
    assert!(!end(child, Signal::SIGKILL).await.success());

    let (child, line) = serve(dir.path()).await;
    let list = "print(*[a['ActivationId'] for a in ssm.describe_activations()['ActivationList']])";
    assert_eq!(boto3(&made, &line, list).await, activation);
    assert!(end(child, Signal::SIGTERM).await.success(), "a stop that was asked for is no failure");
}
