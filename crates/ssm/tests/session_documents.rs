//! What session each built-in document means, and which parameters it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use towline_ssm::ErrorCode::{self, InvalidDocument, InvalidParameters};
use towline_ssm::api::session::Parameters;
use towline_ssm::documents::*;

fn parameters(pairs: &[(&str, &[&str])]) -> Parameters {
    pairs
        .iter()
        .map(|(name, values)| {
            ((*name).to_owned(), values.iter().map(|v| (*v).to_owned()).collect())
        })
        .collect()
}

#[track_caller]
fn means(document: Option<&str>, pairs: &[(&str, &[&str])], plan: SessionPlan) {
    assert_eq!(resolve(document, &parameters(pairs)), Ok(plan));
}

#[track_caller]
fn refused(document: &str, pairs: &[(&str, &[&str])], code: ErrorCode) {
    assert_eq!(resolve(Some(document), &parameters(pairs)).expect_err(document).code, code);
}

#[test]
fn no_document_means_a_login_shell() {
    means(None, &[], SessionPlan::Shell { run_as: None });
    means(
        Some(RUN_SHELL),
        &[("runAsUser", &["ops"])],
        SessionPlan::Shell { run_as: Some("ops".into()) },
    );
}

#[test]
fn a_command_goes_through_as_it_is() {
    let command = "ls -l \"$HOME\" | head".to_owned();
    means(
        Some(INTERACTIVE_COMMAND),
        &[("command", &[&command])],
        SessionPlan::InteractiveCommand { command: command.clone() },
    );
    let plan = SessionPlan::NonInteractiveCommand {
        command: command.clone(),
        separate_output: true,
        stdout_prefix: "OUT: ".trim().into(),
        stderr_prefix: String::new(),
    };
    let pairs: &[(&str, &[&str])] = &[
        ("command", &[&command]),
        ("separateOutputStream", &["True"]),
        ("stdOutSeparatorPrefix", &["OUT:"]),
    ];
    means(Some(NON_INTERACTIVE_COMMAND), pairs, plan);
}

#[test]
fn arguments_stay_apart_even_when_empty() {
    let argv = ["printf", "%s|", "", "a b"];
    let plan = SessionPlan::Exec {
        argv: argv.map(str::to_owned).to_vec(),
        run_as: None,
        terminal: false,
        detach: false,
    };
    means(Some(TOWLINE_EXEC), &[("argv", &argv)], plan);
    let plan = SessionPlan::Exec {
        argv: argv.map(str::to_owned).to_vec(),
        run_as: None,
        terminal: true,
        detach: false,
    };
    means(Some(TOWLINE_EXEC), &[("argv", &argv), ("terminal", &["true"])], plan);
}

#[test]
fn ports_have_the_defaults_of_aws() {
    means(Some(PORT_FORWARDING), &[], SessionPlan::Port { host: None, port: 80, local_port: 0 });
    let pairs: &[(&str, &[&str])] =
        &[("host", &["db.local"]), ("portNumber", &["5432"]), ("localPortNumber", &["15432"])];
    let plan = SessionPlan::Port { host: Some("db.local".into()), port: 5432, local_port: 15432 };
    means(Some(REMOTE_HOST_FORWARDING), pairs, plan);
    means(Some(SSH_SESSION), &[], SessionPlan::Ssh { port: 22 });
    for port in ["0", "65536", "022", "+22", "", "22 "] {
        refused(SSH_SESSION, &[("portNumber", &[port])], InvalidParameters);
    }
}

#[test]
fn clients_are_told_of_ports_in_text_and_of_ssh_without_a_type() {
    let port = resolve(
        Some(REMOTE_HOST_FORWARDING),
        &parameters(&[("host", &["db"]), ("portNumber", &["5432"])]),
    )
    .unwrap();
    let expected =
        r#"{"host":"db","localPortNumber":"0","portNumber":"5432","type":"LocalPortForwarding"}"#;
    assert_eq!(port.handshake_properties().to_string(), expected);
    let ssh = resolve(Some(SSH_SESSION), &parameters(&[])).unwrap();
    assert_eq!(ssh.handshake_properties().to_string(), r#"{"portNumber":"22"}"#);
}

#[test]
fn a_document_or_parameter_that_does_not_exist_is_refused() {
    refused("AWS-RunShellScript", &[], InvalidDocument);
    refused("ssm-sessionmanagerrunshell", &[], InvalidDocument);
    refused(RUN_SHELL, &[("runasuser", &["ops"])], InvalidParameters);
    refused(INTERACTIVE_COMMAND, &[], InvalidParameters);
    refused(INTERACTIVE_COMMAND, &[("command", &[])], InvalidParameters);
    refused(INTERACTIVE_COMMAND, &[("command", &["a", "b"])], InvalidParameters);
}

#[test]
fn values_that_break_their_pattern_are_refused() {
    for user in ["", "-x", "a b", "a;b", "$", "x$y", &"a".repeat(64)] {
        refused(RUN_SHELL, &[("runAsUser", &[user])], InvalidParameters);
    }
    for host in ["", "a b", "a/b", "[::1]"] {
        refused(REMOTE_HOST_FORWARDING, &[("host", &[host])], InvalidParameters);
    }
    refused(INTERACTIVE_COMMAND, &[("command", &["a\0b"])], InvalidParameters);
    refused(
        NON_INTERACTIVE_COMMAND,
        &[("command", &["a"]), ("stdErrSeparatorPrefix", &["é"])],
        InvalidParameters,
    );
    refused(TOWLINE_EXEC, &[("argv", &[])], InvalidParameters);
    refused(TOWLINE_EXEC, &[("argv", &["", "x"])], InvalidParameters);
}

#[test]
fn a_command_must_fit_a_frame() {
    let longest = "x".repeat(MAX_COMMAND_BYTES);
    means(
        Some(INTERACTIVE_COMMAND),
        &[("command", &[&longest])],
        SessionPlan::InteractiveCommand { command: longest.clone() },
    );
    refused(INTERACTIVE_COMMAND, &[("command", &[&format!("{longest}x")])], InvalidParameters);
    refused(TOWLINE_EXEC, &[("argv", &["x", &longest])], InvalidParameters);
    refused(TOWLINE_EXEC, &[("argv", &["x"; MAX_ARGUMENTS + 1])], InvalidParameters);
}

#[test]
fn a_copy_names_one_place_and_one_direction() {
    let plan = |follow| SessionPlan::Copy {
        path: "/a b".into(),
        put: true,
        follow,
        run_as: Some("ops".into()),
    };
    means(
        Some(TOWLINE_COPY),
        &[("path", &["/a b"]), ("direction", &["put"]), ("runAsUser", &["ops"])],
        plan(false),
    );
    let follows: &[(&str, &[&str])] = &[
        ("path", &["/a b"]),
        ("direction", &["put"]),
        ("follow", &["true"]),
        ("runAsUser", &["ops"]),
    ];
    means(Some(TOWLINE_COPY), follows, plan(true));
    refused(
        TOWLINE_COPY,
        &[("path", &["/x"]), ("direction", &["get"]), ("follow", &["yes"])],
        InvalidParameters,
    );
    refused(TOWLINE_COPY, &[("path", &["/x"])], InvalidParameters);
    refused(TOWLINE_COPY, &[("path", &["/x"]), ("direction", &["both"])], InvalidParameters);
    refused(TOWLINE_COPY, &[("path", &[""]), ("direction", &["get"])], InvalidParameters);
    refused(
        TOWLINE_COPY,
        &[("path", &[&"p".repeat(4096)]), ("direction", &["get"])],
        InvalidParameters,
    );
}

#[test]
fn every_document_says_what_kind_of_session_it_plans() {
    for document in BUILT_IN {
        let required: Parameters = document
            .parameters
            .iter()
            .filter(|p| p.default.is_none())
            .map(|p| {
                (
                    p.name.to_owned(),
                    vec![if p.name == "direction" { "get" } else { "localhost" }.to_owned()],
                )
            })
            .collect();
        let plan = resolve(Some(document.name), &required).unwrap();
        assert_eq!(plan.session_type(), document.session_type, "{}", document.name);
    }
}

#[test]
fn a_path_has_one_spelling_before_any_policy_reads_it() {
    let copy = |path: &str| {
        let given = parameters(&[("path", &[path]), ("direction", &["get"])]);
        let seen = effective(find(TOWLINE_COPY).unwrap(), &given)["path"][0].clone();
        (resolve(Some(TOWLINE_COPY), &given), seen)
    };
    for (path, canonical) in
        [("/var/log", "/var/log"), ("notes", "~/notes"), ("~/notes", "~/notes"), (".", "~")]
    {
        let (plan, seen) = copy(path);
        assert!(matches!(plan, Ok(SessionPlan::Copy { path, .. }) if path == canonical), "{path}");
        assert_eq!(seen, canonical, "what policies compare is what is opened");
    }
    for path in ["/var/log/../../etc/shadow", "/a//b", "./x", "~root/x", "/a/"] {
        let (plan, _) = copy(path);
        let error = plan.expect_err(path);
        assert_eq!(error.code, InvalidParameters);
        assert!(error.message.starts_with("path ") && !error.message.contains(path), "{error}");
    }
}

#[test]
fn a_host_has_one_spelling_before_any_policy_reads_it() {
    let forward = |host: &str| {
        let given = parameters(&[("host", &[host])]);
        let seen = effective(find(REMOTE_HOST_FORWARDING).unwrap(), &given)["host"][0].clone();
        (resolve(Some(REMOTE_HOST_FORWARDING), &given), seen)
    };
    for (host, canonical) in
        [("10.0.0.7", "10.0.0.7"), ("::ffff:10.0.0.7", "10.0.0.7"), ("db.lan", "db.lan")]
    {
        let (plan, seen) = forward(host);
        assert!(
            matches!(plan, Ok(SessionPlan::Port { host: Some(host), .. }) if host == canonical),
            "{host}"
        );
        assert_eq!(seen, canonical);
    }
    for host in ["0x7f000001", "127.1", "0177.0.0.1", "2130706433", "LOCALHOST", "localhost."] {
        let error = forward(host).0.expect_err(host);
        assert!(error.message.starts_with("host "), "{error}");
    }
}
