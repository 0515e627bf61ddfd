//! Session preferences that name a bucket: the plain log is there when the session is over, in a
//! real S3 server (moto's).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

mod moto;
mod sinks;

use std::path::Path;

use moto::Server;
use serde_json::json;
use sinks::{bucket, settings, until};
use towline_archive::Archive;
use towline_archive::settings::Settings;
use towline_evidence::cast::Facts;
use towline_evidence::recording::Lane;
use towline_host::clock::Clock;
use towline_ssm::documents::preferences::SessionPreferences;

fn with_s3(dir: &Path, endpoint: &str) -> Settings {
    let logs = format!("[cloudwatch]\nendpoint = '{endpoint}'\nACCESS\n");
    settings(dir, &format!("checkpoint_seconds = 1\n{}{logs}", bucket(endpoint, "")))
}

fn preferences(inputs: &serde_json::Value) -> SessionPreferences {
    SessionPreferences::read(inputs.as_object().unwrap()).unwrap()
}

fn session(evidence: &Archive, name: &str, wishes: &SessionPreferences) {
    let facts = Facts { session: name.into(), principal: "ann".into(), ..Facts::default() };
    let places = evidence.recorder.destinations(wishes).unwrap();
    let tape =
        evidence.recorder.begin(facts, 80, 24, Some("xterm"), &places, Box::new(|| {})).unwrap();
    let text = format!("\x1b[1m{name}\x1b[0m\r\n");
    tape.output(Lane::Io, 0, text.as_bytes());
    tape.length(Lane::Io, text.len() as u64);
    tape.end("the program ended");
}

fn waits(dir: &Path, session: &str) -> bool {
    dir.join(format!("evidence/copies/{session}.cast")).exists()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_goes_to_the_bucket_and_the_prefix_that_preferences_name() {
    let server = Server::start();
    server.python("[s3.create_bucket(Bucket=b) for b in ('evidence', 'team-logs')]");
    let dir = tempfile::tempdir().unwrap();
    let (evidence, _failures) =
        Archive::start(dir.path(), with_s3(dir.path(), &server.endpoint), &Clock::system())
            .unwrap();
    let wishes = preferences(
        &json!({"s3BucketName": "team-logs", "s3KeyPrefix": "a/b", "s3EncryptionEnabled": true}),
    );
    session(&evidence, "ann-1", &wishes);
    session(
        &evidence,
        "ann-2",
        &preferences(&json!({"s3BucketName": "evidence", "s3EncryptionEnabled": false})),
    );
    until("both copies", || !waits(dir.path(), "ann-1") && !waits(dir.path(), "ann-2")).await;
    let told = server.python(
        "o = s3.get_object(Bucket='team-logs', \
         Key='a/b/ann-1.log')\nprint(o.get('ServerSideEncryption'))\nprint(o['Body'].read())\n\
         print(s3.get_object(Bucket='evidence', Key='ann-2.log')['Body'].read())",
    );
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "AES256", "{told}");
    assert!(
        lines[1].starts_with("b'Script started on 20") && lines[1].contains("Script done on 20"),
        "{told}"
    );
    assert!(lines[1].contains(r"\x1b[1mann-1\x1b[0m\r\n") && lines[2].contains("ann-2"), "{told}");
    // The sealed recording is where it always is, and the chain names whatever lies in its own
    // bucket.
    let keys = || {
        server
            .python("print([o['Key'] for o in s3.list_objects_v2(Bucket='evidence')['Contents']])")
    };
    until("the recordings", || {
        keys().contains("ann-1.cast.gz") && keys().contains("ann-2.cast.gz")
    })
    .await;
    let chain = || {
        server.python("print(*[s3.get_object(Bucket='evidence', Key=o['Key'])['Body'].read() for o in s3.list_objects_v2(Bucket='evidence', Prefix='towline-seals')['Contents']])")
    };
    until("the chain", || chain().contains("ann-2.log")).await;
    assert!(!chain().contains("a/b/ann-1.log"));
    let places = evidence.recorder.destinations(&wishes).unwrap();
    let url = evidence.recorder.output_url("ann-1", &places).s3_output_url.unwrap();
    assert_eq!(url, format!("{}/team-logs/a/b/ann-1.log", server.endpoint));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there_is_waited_for_and_holds_up_nobody() {
    let server = Server::start();
    server.python("[s3.create_bucket(Bucket=b) for b in ('evidence', 'there')]");
    let dir = tempfile::tempdir().unwrap();
    let (evidence, _failures) =
        Archive::start(dir.path(), with_s3(dir.path(), &server.endpoint), &Clock::system())
            .unwrap();
    session(&evidence, "ann-1", &preferences(&json!({"s3BucketName": "later"})));
    session(&evidence, "ann-2", &preferences(&json!({"s3BucketName": "there"})));
    until("the copy for the bucket that is there", || !waits(dir.path(), "ann-2")).await;
    assert!(waits(dir.path(), "ann-1"));
    server.python("s3.create_bucket(Bucket='later')");
    until("the copy for the other", || !waits(dir.path(), "ann-1")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_preferences_want_and_this_gateway_cannot_do_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let (evidence, _failures) =
        Archive::start(dir.path(), settings(dir.path(), ""), &Clock::system()).unwrap();
    let refused = |wishes: &serde_json::Value| {
        evidence.recorder.destinations(&preferences(wishes)).unwrap_err()
    };
    let bucket = refused(&json!({"s3BucketName": "team-logs"}));
    assert!(bucket.contains("bucket team-logs") && bucket.contains("[evidence.s3]"), "{bucket}");
    let group = refused(&json!({"cloudWatchLogGroupName": "/team"}));
    assert!(
        group.contains("log group /team") && group.contains("[evidence.cloudwatch]"),
        "{group}"
    );
    assert!(
        evidence
            .recorder
            .destinations(&preferences(&json!({"s3BucketName": "", "s3KeyPrefix": "x"})))
            .is_ok()
    );

    let elsewhere = tempfile::tempdir().unwrap();
    let off = settings(elsewhere.path(), "recording = 'off'\n");
    let (evidence, _failures) = Archive::start(elsewhere.path(), off, &Clock::system()).unwrap();
    let why = evidence
        .recorder
        .destinations(&preferences(&json!({"s3BucketName": "team-logs"})))
        .unwrap_err();
    assert!(why.contains("records nothing"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn preferences_name_the_log_group_and_whether_it_is_streamed() {
    let server = Server::start();
    server
        .python("s3.create_bucket(Bucket='evidence')\nlogs.create_log_group(logGroupName='/team')");
    let dir = tempfile::tempdir().unwrap();
    let (evidence, _failures) =
        Archive::start(dir.path(), with_s3(dir.path(), &server.endpoint), &Clock::system())
            .unwrap();
    let streamed = preferences(
        &json!({"cloudWatchLogGroupName": "/team", "cloudWatchStreamingEnabled": true}),
    );
    let at_end = preferences(
        &json!({"cloudWatchLogGroupName": "/team", "cloudWatchStreamingEnabled": false}),
    );
    session(&evidence, "ann-1", &streamed);
    session(&evidence, "ann-2", &at_end);
    let followed =
        |name: &str| dir.path().join(format!("evidence/cloudwatch/{name}.cast")).exists();
    until("both logs", || !followed("ann-1") && !followed("ann-2")).await;
    let messages = |name: &str| {
        server.python(&format!(
            "[print(e['message']) for e in logs.get_log_events(logGroupName='/team', \
             logStreamName='{name}', startFromHead=True)['events']]"
        ))
    };
    assert!(messages("ann-1").contains("\"sessionData\":[\"ann-1\"]"), "{}", messages("ann-1"));
    assert_eq!(messages("ann-2").trim(), "ann-2");
    let url =
        evidence.recorder.output_url("ann-1", &evidence.recorder.destinations(&streamed).unwrap());
    assert!(
        url.cloud_watch_output_url.unwrap().ends_with("#logEventViewer:group=/team;stream=ann-1")
    );
}
