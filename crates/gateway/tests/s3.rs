//! Recordings in a bucket of a real S3 server (moto's, a separate process): away at first, then there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

mod moto;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use towline_evidence::cast::Facts;
use towline_evidence::recording::Lane;
use towline_gateway::clock::Clock;
use towline_gateway::evidence::Evidence;
use towline_gateway::evidence::settings::{RawEvidence, Settings};

use moto::Server;

const PATIENCE: Duration = Duration::from_secs(90);

fn settings(dir: &Path, endpoint: &str) -> Settings {
    let secret = dir.join("secret");
    std::fs::File::create(&secret).and_then(|mut file| file.write_all(b"secret\n")).unwrap();
    let text = format!(
        "free_space_floor_mib = 0\n[s3]\nbucket = 'evidence'\nprefix = 'towline/logs'\nregion = 'us-east-1'\n\
         endpoint = '{endpoint}'\nserver_side_encryption = 'AES256'\nchecksum = true\naccess_key_id = 'AKIATEST'\n\
         secret_access_key_file = '{}'\n",
        secret.display()
    );
    toml::from_str::<RawEvidence>(&text).unwrap().settings(dir).unwrap()
}

async fn record(evidence: &Evidence, session: &str, megabytes: u64) {
    let facts = Facts { session: session.into(), device: "mi-1".into(), principal: "ann".into(), ..Facts::default() };
    let places = evidence.recorder.places(&Default::default()).unwrap();
    let tape = evidence.recorder.begin(facts, 80, 24, None, &places).unwrap();
    let (mut noise, mut offset) = (1_u64, 0);
    let file = || std::fs::metadata(evidence.recorder.local(session).unwrap()).map_or(0, |meta| meta.len());
    while offset < megabytes * 1_000_000 {
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            b' ' + (noise >> 57) as u8 % 95
        })
        .take(64 * 1024)
        .collect();
        tape.output(Lane::Io, offset, &bytes);
        offset += bytes.len() as u64;
        // A producer faster than the disk would make gaps; here all of it is wanted.
        let start = Instant::now();
        while file() + 2_000_000 < offset * 3 / 4 {
            assert!(start.elapsed() < PATIENCE, "the recorder stands still");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    tape.length(Lane::Io, offset);
    tape.end("the program ended");
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_reach_a_bucket_that_was_not_there_at_first_encrypted_and_whole() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let (evidence, _failures) =
        Evidence::start(dir.path(), settings(dir.path(), &server.endpoint), &Clock::system()).unwrap();
    record(&evidence, "ann-small", 0).await;
    // 14 MB of noise: more than one part of an upload.
    record(&evidence, "ann-large", 14).await;
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
    let seals = server.python("print([o['Key'] for o in s3.list_objects_v2(Bucket='evidence')['Contents']])");
    assert!(seals.contains("towline/logs/towline-seals/gateway/000000000000.jsonl"), "{seals}");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_locked_where_that_is_wanted() {
    let server = Server::start();
    server.python("s3.create_bucket(Bucket='evidence', ObjectLockEnabledForBucket=True)");
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path(), &server.endpoint);
    if let towline_gateway::evidence::settings::SinkSettings::S3(s3) = &mut settings.sink {
        (s3.object_lock_mode, s3.object_lock_days) = (Some("COMPLIANCE".into()), Some(30));
    }
    let (evidence, _failures) = Evidence::start(dir.path(), settings, &Clock::system()).unwrap();
    record(&evidence, "ann-1", 0).await;
    let sent = || {
        !dir.path().join("evidence/outbox/towline/logs/ann-1.cast.gz").exists()
            && !evidence.recorder.is_recording("ann-1")
    };
    until("the recording in the bucket", sent).await;
    let told = server.python(
        "import datetime\n\
         head = s3.head_object(Bucket='evidence', Key='towline/logs/ann-1.cast.gz')\n\
         print(head['ObjectLockMode'], (head['ObjectLockRetainUntilDate'] - datetime.datetime.now(datetime.timezone.utc)).days)",
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
            let _ = stream.write_all(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        });
    };
    std::thread::spawn(move || listener.incoming().flatten().take(1000).for_each(serve));
    (endpoint, silent)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_trouble_costs_disk_and_no_session_its_time() {
    let (endpoint, silent) = troubled();
    let dir = tempfile::tempdir().unwrap();
    let (evidence, _failures) = Evidence::start(dir.path(), settings(dir.path(), &endpoint), &Clock::system()).unwrap();
    let recorder = Arc::clone(&evidence.recorder);
    // While the server says nothing at all: a session that waited for it would wait for ever.
    let sessions = tokio::spawn(async move {
        for n in 0..50 {
            record(&evidence, &format!("ann-{n}"), 0).await;
        }
        evidence
    });
    let _evidence = tokio::time::timeout(PATIENCE, sessions).await.expect("no session waits for the server").unwrap();
    let waiting = dir.path().join("evidence/outbox/towline/logs");
    let count = || std::fs::read_dir(&waiting).map_or(0, |entries| entries.count());
    until("fifty recordings in the outbox", || count() >= 50).await;
    drop(silent);
    tokio::task::spawn_blocking(move || recorder.stop()).await.unwrap();
    assert!(std::fs::read_dir(dir.path().join("evidence/quarantine")).unwrap().next().is_none());
}
