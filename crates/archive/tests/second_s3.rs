//! The same sink on an S3 server that somebody else wrote (`s3rver` of npm): what is fetched from
//! it is what was recorded.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

mod sinks;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use towline_archive::Archive;
use towline_evidence::verify::RecordingVerifier;
use towline_host::clock::Clock;

use sinks::{PATIENCE, bucket, record, settings};

const PROGRAM: &str = "const S3rver = require('s3rver');\n\
    new S3rver({ port: 0, address: '127.0.0.1', silent: true, directory: process.argv[1], \
    configureBuckets: [{ name: 'evidence' }] })\n\
      .run().then(address => console.log(address.port));";

/// The server; ended with the test.
struct Server {
    child: Child,
    endpoint: String,
}

impl Server {
    fn start(directory: &Path) -> Self {
        let modules = std::env::var_os("NODE_PATH")
            .expect("NODE_PATH is not set: `cargo xtask test` installs its modules");
        let mut child = Command::new("node")
            .args(["-e", PROGRAM])
            .arg(directory)
            .env("NODE_PATH", modules)
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is needed for this test");
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let port: u16 = port
            .trim()
            .parse()
            .expect("s3rver of npm is needed for this test: npm install s3rver@3.7.1");
        Self { child, endpoint: format!("http://127.0.0.1:{port}") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The object, once it is there with more than `least` bytes and no longer grows: this server shows
/// what it still writes.
async fn fetched(evidence: &Archive, key: &str, least: usize) -> Vec<u8> {
    let (start, mut before) = (Instant::now(), 0);
    loop {
        let seen = whole(evidence, key).await;
        match seen {
            Ok(bytes) if bytes.len() > least && bytes.len() == before => return bytes,
            Ok(bytes) => before = bytes.len(),
            Err(error) => assert!(start.elapsed() < PATIENCE, "{key}: {error}"),
        }
        assert!(start.elapsed() < PATIENCE, "{key}: {before} bytes");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn whole(evidence: &Archive, key: &str) -> Result<Vec<u8>, String> {
    let length = evidence.sink.length(key).await.map_err(|error| error.to_string())?;
    let length = length.ok_or("it is not there")?;
    evidence.sink.read(key, 0..length).await.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fetched_from_another_server_is_what_was_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("s3"));
    let settings = settings(dir.path(), &bucket(&server.endpoint, "prefix = 'site a'\n"));
    let (evidence, _failures) = Archive::start(dir.path(), settings, &Clock::system()).unwrap();
    record(&evidence, "ann-small", 1).await;
    record(&evidence, "ann-large", 14_000_000).await;
    for (session, least) in [("ann-small", 100), ("ann-large", 8 * 1024 * 1024)] {
        let packed = fetched(&evidence, &evidence.recorder.object(session), least).await;
        let mut lines = Vec::new();
        flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut lines).unwrap();
        let mut verifier = RecordingVerifier::new(Some(session), Vec::new());
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            verifier.line(line).unwrap();
        }
        let sealed = verifier.finish().unwrap();
        assert!(sealed.ended && sealed.unsealed == 0, "{session}: {sealed:?}");
    }
    let seals = fetched(&evidence, "site_a/towline-seals/gateway/000000000000.jsonl", 0).await;
    assert!(String::from_utf8(seals).unwrap().contains("ann-small"));
}
