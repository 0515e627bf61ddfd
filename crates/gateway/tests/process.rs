//! The program itself: what it prints, what it leaves, how it ends.
// also outside of the test functions: all of this is a test
#![allow(clippy::unwrap_used, clippy::expect_used)]

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
    let line = timeout(Duration::from_secs(120), lines.next_line())
        .await
        .expect("it says where it listens");
    (child, line.unwrap().unwrap())
}

async fn end(mut child: Child, signal: Signal) -> std::process::ExitStatus {
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    kill(Pid::from_raw(pid), signal).unwrap();
    timeout(Duration::from_secs(120), child.wait()).await.expect("it ends").unwrap()
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
    assert!(String::from_utf8_lossy(&second.stderr).contains("exists already"));
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

#[tokio::test]
async fn one_directory_has_one_gateway() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path(), &[]).await;
    let (first, _) = serve(dir.path()).await;
    let second = Command::new(GATEWAY)
        .args(["serve", "--listen", "[::]:0", "--dir"])
        .arg(dir.path())
        .output()
        .await
        .unwrap();
    assert!(!second.status.success() && second.stdout.is_empty());
    assert!(String::from_utf8_lossy(&second.stderr).contains("another towline-gateway works in"));
    assert!(!end(first, Signal::SIGKILL).await.success());
    let (again, _) = serve(dir.path()).await; // a killed one leaves no lock behind
    assert!(end(again, Signal::SIGTERM).await.success());
}

#[tokio::test]
async fn a_log_that_nobody_reads_any_more_decides_about_no_request() {
    let dir = tempfile::tempdir().unwrap();
    let made: Value = serde_json::from_slice(&init(dir.path(), &["--json"]).await.stdout).unwrap();
    let mut child = Command::new(GATEWAY)
        .args(["serve", "--listen", "[::]:0", "--dir"])
        .arg(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    drop(child.stderr.take()); // the other end of the pipe is closed
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(Duration::from_secs(120), lines.next_line()).await.unwrap();
    let line = line.unwrap().unwrap();
    let ask = "print(len(ssm.describe_activations()['ActivationList']))";
    for _ in 0..2 {
        assert_eq!(boto3(&made, &line, ask).await, "0");
    }
    assert!(end(child, Signal::SIGTERM).await.success());
}

/// Runs `admin-key` into a new file; the key.
async fn admin_key(dir: &Path, out: &Path) -> Value {
    let run = || {
        let mut command = Command::new(GATEWAY);
        command.arg("admin-key").arg("--dir").arg(dir).arg("--out").arg(out);
        command
    };
    let output = run().output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mode = std::os::unix::fs::PermissionsExt::mode(&out.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let again = run().output().await.unwrap();
    assert!(!again.status.success(), "an existing file is not replaced");
    serde_json::from_slice(&std::fs::read(out).unwrap()).unwrap()
}

#[tokio::test]
async fn root_on_the_server_gets_a_key_beside_a_running_and_a_stopped_gateway() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("gw");
    let made: Value = serde_json::from_slice(&init(&home, &["--json"]).await.stdout).unwrap();
    let with = |key: &Value| {
        let mut with = made.clone();
        for name in ["AccessKeyId", "SecretAccessKey"] {
            with[name] = key[name].clone();
        }
        with
    };
    let ask = "print(len(ssm.describe_activations()['ActivationList']))";

    let stopped = admin_key(&home, &dir.path().join("stopped.json")).await;
    let (child, line) = serve(&home).await;
    let running = admin_key(&home, &dir.path().join("running.json")).await;
    for keys in [&made, &with(&stopped), &with(&running)] {
        assert_eq!(boto3(keys, &line, ask).await, "0", "each key counts, the old one too");
    }
    let shown = Command::new(GATEWAY).arg("admin-key").arg("--dir").arg(&home).output().await;
    let shown = shown.unwrap();
    assert!(!shown.status.success() && shown.stdout.is_empty(), "no secret into a pipe");
    assert!(end(child, Signal::SIGTERM).await.success());

    let store = towline_store::Store::open(&home.join("towline.db")).await.unwrap();
    let trail = store.audit().list(0, 1000).await.unwrap();
    let rescued = trail.iter().filter(|(_, line)| line.contains("\"RescueKey\"")).count();
    assert_eq!(rescued, 2);
    let secret = running["SecretAccessKey"].as_str().unwrap();
    assert!(trail.iter().all(|(_, line)| !line.contains(secret)));
}

#[tokio::test]
async fn a_store_that_was_copied_without_its_log_starts_no_gateway() {
    let dir = tempfile::tempdir().unwrap();
    let (home, copy) = (dir.path().join("gw"), dir.path().join("copy"));
    let made: Value = serde_json::from_slice(&init(&home, &["--json"]).await.stdout).unwrap();
    let (child, line) = serve(&home).await;
    boto3(&made, &line, "ssm.create_activation(IamRole='kept')").await;
    std::fs::create_dir(&copy).unwrap();
    for file in std::fs::read_dir(&home).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() && !file.path().ends_with("towline.db-wal") {
            std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
        }
    }
    let refused = Command::new(GATEWAY)
        .args(["serve", "--listen", "[::]:0", "--dir"])
        .arg(&copy)
        .output()
        .await
        .unwrap();
    assert!(!refused.status.success() && refused.stdout.is_empty());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("towline.db is not whole") && said.contains("--accept-store"), "{said}");
    assert!(end(child, Signal::SIGTERM).await.success());
}

#[tokio::test]
async fn a_new_certificate_is_served_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (home, other) = (dir.path().join("gw"), dir.path().join("other"));
    let made: Value = serde_json::from_slice(&init(&home, &["--json"]).await.stdout).unwrap();
    let fresh: Value = serde_json::from_slice(&init(&other, &["--json"]).await.stdout).unwrap();
    let (child, line) = serve(&home).await;
    let ask = "print(len(ssm.describe_activations()['ActivationList']))";
    assert_eq!(boto3(&made, &line, ask).await, "0");
    for name in ["server.key.pem", "server.pem"] {
        std::fs::copy(other.join(name), home.join(name)).unwrap();
    }
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGHUP).unwrap();
    let mut trusting = made.clone();
    trusting["CaFile"] = fresh["CaFile"].clone();
    // The signal is under way while the first handshake may already be; botocore tries again.
    assert_eq!(boto3(&trusting, &line, ask).await, "0");
    assert!(end(child, Signal::SIGTERM).await.success());
}

/// Days that the certificate holds which a client of HTTP gets.
async fn days_of_certificate(line: &str, ca: &str) -> String {
    let port = line.rsplit_once(':').unwrap().1;
    let program = format!(
        "import socket, ssl\n\
         context = ssl.create_default_context(cafile='{ca}')\n\
         link = context.wrap_socket(socket.create_connection(('localhost', {port})), \
         server_hostname='localhost')\n\
         shown = link.getpeercert()\n\
         at = [ssl.cert_time_to_seconds(shown[key]) for key in ('notBefore', 'notAfter')]\n\
         print((at[1] - at[0]) // 86400)"
    );
    let output = Command::from(machine::python()).args(["-c", &program]).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn clients_of_http_get_a_certificate_of_397_days_where_the_authoritys_key_is_at_hand() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("gw");
    let made: Value = serde_json::from_slice(&init(&home, &["--json"]).await.stdout).unwrap();
    let ca = made["CaFile"].as_str().unwrap();
    let (child, line) = serve(&home).await;
    assert_eq!(days_of_certificate(&line, ca).await, "397");
    assert!(end(child, Signal::SIGTERM).await.success());
    std::fs::rename(home.join("ca.key.pem"), dir.path().join("ca.key.pem")).unwrap();
    let (child, line) = serve(&home).await;
    assert_eq!(days_of_certificate(&line, ca).await, "9496");
    assert!(end(child, Signal::SIGTERM).await.success());
}

#[tokio::test]
async fn the_check_of_a_configuration_names_what_is_wrong_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("gw");
    init(&home, &["--hostname", "gw.example"]).await;
    let check = || async {
        let mut command = Command::new(GATEWAY);
        let output = command.args(["config", "check", "--dir"]).arg(&home).output().await.unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (child, _) = serve(&home).await;
    let (fine, said) = check().await;
    assert!(fine && said.contains("would start") && !said.contains("warning"), "{said}");
    assert!(end(child, Signal::SIGTERM).await.success());

    let file = home.join("gateway.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let renamed = text.replace("gw.example", "elsewhere.example");
    towline_testkit::files::write(&file, renamed).unwrap();
    let (fine, said) = check().await;
    assert!(fine && said.contains("no name elsewhere.example"), "{said}");
    towline_testkit::files::write(&file, text.replace("https://gw", "http://gw")).unwrap();
    let (fine, said) = check().await;
    assert!(!fine && said.contains("expected https://HOST"), "{said}");
    let ca_key = text.replace("server.key.pem", "ca.key.pem");
    towline_testkit::files::write(&file, ca_key).unwrap();
    let (fine, said) = check().await;
    assert!(!fine && said.contains("do not belong together"), "{said}");
    let more_cas = format!("{text}\n[outbound]\nca = 'corp.pem'\n");
    towline_testkit::files::write(&file, more_cas).unwrap();
    let (fine, said) = check().await;
    assert!(!fine && said.contains("corp.pem"), "{said}");
    towline_testkit::files::write(&file, format!("{text}\nlissten = 1\n")).unwrap();
    std::fs::remove_file(home.join("store.key")).unwrap();
    let (fine, said) = check().await;
    assert!(!fine && said.contains("lissten"), "{said}");
    towline_testkit::files::write(&file, text).unwrap();
    let (fine, said) = check().await;
    assert!(!fine && said.contains("put it back from where you keep it"), "{said}");
}

#[tokio::test]
async fn the_check_names_secrets_that_other_users_can_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("gw");
    init(&home, &[]).await;
    let open = |name: &str, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(home.join(name), mode).unwrap();
    };
    open("authority.key", 0o644);
    open("server.key.pem", 0o640); // shared with a group
    open("", 0o755);
    let mut command = Command::new(GATEWAY);
    let output = command.args(["config", "check", "--dir"]).arg(&home).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let warned: Vec<&str> = said.lines().filter(|line| line.contains("other users")).collect();
    assert_eq!(warned.len(), 2, "{said}");
    assert!(warned[0].ends_with(&format!("chmod 700 {}", home.display())), "{said}");
    assert!(warned[1].contains("authority.key (mode 644): chmod 600"), "{said}");
}

#[tokio::test]
async fn an_address_that_is_taken_is_told_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("gw");
    init(&home, &[]).await;
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let mut command = Command::new(GATEWAY);
    let serve = command.args(["serve", "--listen", &taken, "--dir"]).arg(&home).output();
    let output = serve.await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("stop the program that listens"), "{said}");
}

#[tokio::test]
async fn init_writes_its_object_to_a_private_file_and_the_process_leaves_no_core() {
    let dir = tempfile::tempdir().unwrap();
    let (home, out) = (dir.path().join("gw"), dir.path().join("made.json"));
    let made = init(&home, &["--json", "--out", out.to_str().unwrap()]).await;
    assert!(made.status.success() && made.stdout.is_empty());
    let mode = std::os::unix::fs::PermissionsExt::mode(&out.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let told: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    assert!(told["SecretAccessKey"].is_string());

    let (child, _) = serve(&home).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id().unwrap())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    assert!(end(child, Signal::SIGTERM).await.success());
}

/// From there it would take its gateway for one that works alone, and the sessions of all with it.
#[tokio::test]
async fn no_command_opens_a_store_that_several_gateways_share_while_its_gateway_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let (home, out) = (dir.path().join("gw"), dir.path().join("key.json"));
    init(&home, &["--json"]).await;
    let config = home.join("gateway.toml");
    let alone = std::fs::read_to_string(&config).unwrap();
    // A command that opened it would say that there is no such server.
    let shared = "store = \"postgres://towline@127.0.0.1:1/towline\"\n";
    let cluster = "\n[evidence]\nnode = \"a\"\n[cluster]\naddress = \"127.0.0.1:0\"\n";
    towline_testkit::files::write(&config, format!("{shared}{alone}{cluster}")).unwrap();
    let words = [
        vec!["admin-key".as_ref(), "--out".as_ref(), out.as_os_str()],
        vec!["pin".as_ref(), "list".as_ref()],
    ];
    for words in words {
        let mut command = Command::new(GATEWAY);
        let refused = command.args(&words).arg("--dir").arg(&home).output().await.unwrap();
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success(), "{words:?}");
        assert!(said.contains("several gateways share the store"), "{words:?}: {said}");
    }
    assert!(!out.exists());
}
