//! Recordings in a bucket of a real S3 server (moto's, a separate process): away at first, then
//! there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

mod moto;
mod sinks;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use towline_archive::Archive;
use towline_archive::settings::Settings;
use towline_host::clock::Clock;

use moto::Server;
use sinks::{PATIENCE, bucket, record, until};

fn settings(dir: &Path, endpoint: &str) -> Settings {
    let more = "prefix = 'towline/logs'\nserver_side_encryption = 'AES256'\nchecksum = true\n";
    sinks::settings(dir, &bucket(endpoint, more))
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_reach_a_bucket_that_was_not_there_at_first_encrypted_and_whole() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let (evidence, _failures) =
        Archive::start(dir.path(), settings(dir.path(), &server.endpoint), &Clock::system())
            .unwrap();
    record(&evidence, "ann-small", 0).await;
    // 14 MB of noise: more than one part of an upload.
    record(&evidence, "ann-large", 14_000_000).await;
    let waiting = dir.path().join("evidence/outbox/towline/logs");
    until("both recordings in the outbox", || waiting.join("ann-large.cast.gz").is_file()).await;
    let size = std::fs::metadata(waiting.join("ann-large.cast.gz")).unwrap().len();
    assert!(size > 8 * 1024 * 1024, "{size}");

    server.python("s3.create_bucket(Bucket='evidence')");
    until("an empty outbox", || {
        !waiting.join("ann-large.cast.gz").exists() && !waiting.join("ann-small.cast.gz").exists()
    })
    .await;
    let told = server.python(
        "for name in ('small', 'large'):\n  \
           head = s3.head_object(Bucket='evidence', Key=f'towline/logs/ann-{name}.cast.gz')\n  \
           print(head['ContentLength'], head.get('ServerSideEncryption'))",
    );
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].ends_with("AES256") && lines[1] == format!("{size} AES256"), "{told}");
    let seals = server
        .python("print([o['Key'] for o in s3.list_objects_v2(Bucket='evidence')['Contents']])");
    assert!(seals.contains("towline/logs/towline-seals/gateway/000000000000.jsonl"), "{seals}");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_locked_where_that_is_wanted() {
    let server = Server::start();
    server.python("s3.create_bucket(Bucket='evidence', ObjectLockEnabledForBucket=True)");
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path(), &server.endpoint);
    if let towline_archive::settings::SinkSettings::S3(s3) = &mut settings.sink {
        (s3.object_lock_mode, s3.object_lock_days) = (Some("COMPLIANCE".into()), Some(30));
    }
    let (evidence, _failures) = Archive::start(dir.path(), settings, &Clock::system()).unwrap();
    record(&evidence, "ann-1", 0).await;
    let sent = || {
        !dir.path().join("evidence/outbox/towline/logs/ann-1.cast.gz").exists()
            && !evidence.recorder.is_recording("ann-1")
    };
    until("the recording in the bucket", sent).await;
    let told = server.python(
        "import datetime\n\
         head = s3.head_object(Bucket='evidence', Key='towline/logs/ann-1.cast.gz')\n\
         print(head['ObjectLockMode'], (head['ObjectLockRetainUntilDate'] - \
         datetime.datetime.now(datetime.timezone.utc)).days)",
    );
    assert_eq!(told.trim(), "COMPLIANCE 29");
}

/// A server that answers nothing while the sender lives, and then everything with 503.
fn troubled() -> (String, SyncSender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (silent, waiting): (SyncSender<()>, Receiver<()>) = sync_channel(1);
    let waiting = Arc::new(Mutex::new(waiting));
    let serve = move |mut stream: TcpStream| {
        let waiting = Arc::clone(&waiting);
        std::thread::spawn(move || {
            let _ = stream.read(&mut [0; 4096]);
            // Nothing is ever sent: it returns when the sender is dropped.
            let _ = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let _ = stream.write_all(
                b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
        });
    };
    std::thread::spawn(move || listener.incoming().flatten().take(1000).for_each(serve));
    (endpoint, silent)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_trouble_costs_disk_and_no_session_its_time() {
    let (endpoint, silent) = troubled();
    let dir = tempfile::tempdir().unwrap();
    let (evidence, _failures) =
        Archive::start(dir.path(), settings(dir.path(), &endpoint), &Clock::system()).unwrap();
    let recorder = Arc::clone(&evidence.recorder);
    // While the server says nothing at all: a session that waited for it would wait for ever.
    let sessions = tokio::spawn(async move {
        for n in 0..50 {
            record(&evidence, &format!("ann-{n}"), 0).await;
        }
        evidence
    });
    let _evidence = tokio::time::timeout(PATIENCE, sessions)
        .await
        .expect("no session waits for the server")
        .unwrap();
    let waiting = dir.path().join("evidence/outbox/towline/logs");
    let count = || std::fs::read_dir(&waiting).map_or(0, |entries| entries.count());
    until("fifty recordings in the outbox", || count() >= 50).await;
    drop(silent);
    tokio::task::spawn_blocking(move || recorder.stop()).await.unwrap();
    assert!(std::fs::read_dir(dir.path().join("evidence/quarantine")).unwrap().next().is_none());
}
