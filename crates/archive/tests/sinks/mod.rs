//! What tests of sinks share: settings, a session with something to record, and waiting for what
//! comes of it.
#![allow(dead_code)] // each test program uses its own part of this

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use towline_archive::settings::{RawEvidence, Settings};
use towline_archive::{Archive, Destinations};
use towline_evidence::cast::Facts;
use towline_evidence::recording::Lane;

pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// What these lines of `[evidence]` mean in this gateway's directory. `ACCESS`: an access key and
/// the file of its secret.
pub(crate) fn settings(dir: &Path, more: &str) -> Settings {
    let secret = dir.join("secret");
    // s3rver of npm knows this pair only; moto takes any.
    std::fs::File::create(&secret).and_then(|mut file| file.write_all(b"S3RVER\n")).unwrap();
    let access =
        format!("access_key_id = 'S3RVER'\nsecret_access_key_file = '{}'\n", secret.display());
    let text = format!("free_space_floor_mib = 0\n{}", more.replace("ACCESS\n", &access));
    toml::from_str::<RawEvidence>(&text).unwrap().settings(dir).unwrap()
}

/// A bucket `evidence` at this server; `more` lines of its section.
pub(crate) fn bucket(endpoint: &str, more: &str) -> String {
    format!(
        "[s3]\nbucket = 'evidence'\nregion = 'us-east-1'\nendpoint = '{endpoint}'\n{more}ACCESS\n"
    )
}

/// A session of at least so many bytes of noise, to its end.
pub(crate) async fn record(evidence: &Archive, session: &str, bytes: u64) {
    let facts = Facts {
        session: session.into(),
        device: "mi-1".into(),
        principal: "ann".into(),
        ..Facts::default()
    };
    let tape = evidence
        .recorder
        .begin(facts, 80, 24, None, &Destinations::default(), Box::new(|| {}))
        .unwrap();
    let (mut noise, mut offset) = (7_u64, 0);
    while offset < bytes {
        let piece: Vec<u8> = std::iter::repeat_with(|| {
            noise = noise
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            b' ' + (noise >> 57) as u8 % 95
        })
        .take(64 * 1024)
        .collect();
        tape.output(Lane::Io, offset, &piece);
        offset += piece.len() as u64;
        // A producer faster than the disk would make gaps; here all of it is wanted.
        let file = || {
            std::fs::metadata(evidence.recorder.local(session).unwrap())
                .map_or(0, |meta| meta.len())
        };
        until("the recorder to keep up", || file() + 2_000_000 >= offset * 3 / 4).await;
    }
    tape.length(Lane::Io, offset);
    tape.end("the program ended");
}

pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
