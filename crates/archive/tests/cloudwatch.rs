//! Logs of sessions in CloudWatch Logs of a real endpoint (moto's, a separate process): streamed,
//! at the end, and after trouble.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

mod moto;
mod sinks;

use std::path::Path;

use moto::Server;
use sinks::until;
use towline_archive::settings::Settings;
use towline_archive::{Archive, Tape};
use towline_evidence::cast::Facts;
use towline_evidence::recording::Lane;
use towline_host::clock::Clock;

fn settings(dir: &Path, endpoint: &str, streaming: bool) -> Settings {
    let group =
        format!("group = '/towline/sessions'\nstreaming = {streaming}\nendpoint = '{endpoint}'\n");
    sinks::settings(dir, &format!("[cloudwatch]\n{group}ACCESS\n"))
}

fn begin(evidence: &Archive, session: &str) -> std::sync::Arc<Tape> {
    let facts = Facts {
        session: session.into(),
        device: "mi-1".into(),
        principal: "arn:aws:iam::000000000000:user/ann".into(),
        run_as: Some("ann".into()),
        ..Facts::default()
    };
    let places = evidence.recorder.destinations(&Default::default()).unwrap();
    evidence.recorder.begin(facts, 80, 24, Some("xterm"), &places, Box::new(|| {})).unwrap()
}

/// Messages of a session's stream so far, one a line.
fn messages(server: &Server, session: &str) -> String {
    server.python(&format!(
        "try:\n  events = logs.get_log_events(logGroupName='/towline/sessions', \
         logStreamName='{session}', startFromHead=True)['events']\n  \
         [print(e['message']) for e in events]\nexcept Exception as e:\n  print('none', \
         type(e).__name__)"
    ))
}

fn is_followed(dir: &Path, session: &str) -> bool {
    dir.join(format!("evidence/cloudwatch/{session}.cast")).exists()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_streamed_as_session_manager_streams_it() {
    let server = Server::start();
    server.python("logs.create_log_group(logGroupName='/towline/sessions')");
    let dir = tempfile::tempdir().unwrap();
    let (evidence, _failures) =
        Archive::start(dir.path(), settings(dir.path(), &server.endpoint, true), &Clock::system())
            .unwrap();
    let tape = begin(&evidence, "ann-1");
    let text = b"\x1b[31mred\x1b[0m\tline\r\nnot yet";
    tape.output(Lane::Io, 0, text);
    until("the first line", || messages(&server, "ann-1").contains("red    line")).await;
    tape.output(Lane::Io, text.len() as u64, b" whole\r\n");
    tape.end("the program ended");
    until("the end", || !is_followed(dir.path(), "ann-1")).await;
    let all = messages(&server, "ann-1");
    let events: Vec<serde_json::Value> =
        all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[0]["sessionData"], serde_json::json!(["red    line"]));
    assert_eq!(events[1]["sessionData"], serde_json::json!(["not yet whole"]));
    for event in &events {
        assert_eq!(
            (&event["eventVersion"], &event["sessionId"], &event["target"]["id"]),
            (&"1.0".into(), &"ann-1".into(), &"mi-1".into())
        );
        assert_eq!(
            (&event["runAsUser"], &event["awsRegion"]),
            (&"ann".into(), &"us-east-1".into())
        );
        assert!(event["userIdentity"]["arn"].as_str().unwrap().ends_with("user/ann"));
        assert!(event["eventTime"].as_str().unwrap().ends_with('Z'));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_at_the_end_is_text_and_waits_for_an_endpoint_that_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start();
    // The group is not there at first: the service refuses everything.
    let (evidence, _failures) =
        Archive::start(dir.path(), settings(dir.path(), &server.endpoint, false), &Clock::system())
            .unwrap();
    let tape = begin(&evidence, "ann-2");
    let text: String = (0..3000).map(|n| format!("line {n} {}\r\n", "x".repeat(90))).collect();
    tape.output(Lane::Io, 0, text.as_bytes());
    tape.length(Lane::Io, text.len() as u64);
    tape.end("the program ended");
    until("the recording in the sink", || {
        dir.path().join("evidence/records/ann-2.cast.gz").exists()
    })
    .await;
    assert!(
        is_followed(dir.path(), "ann-2"),
        "what was not sent is kept, though the sink has its own"
    );
    server.python("logs.create_log_group(logGroupName='/towline/sessions')");
    until("the log", || !is_followed(dir.path(), "ann-2")).await;
    let all = messages(&server, "ann-2");
    assert!(
        all.starts_with("line 0 ")
            && all.trim_end().lines().last().unwrap().starts_with("line 2999 ")
    );
    assert_eq!(all.trim_end().lines().count(), 3000);
}
