//! Sessions, disks and sinks that behave and that do not, around a recorder.

use std::path::Path;
use std::time::{Duration, Instant};

use towline_evidence::digest::Digest;
use towline_evidence::layout;
use towline_evidence::recording::Lane;
use towline_evidence::verify::{NodeVerifier, ProvenChain, RecordingVerifier, Sealed};

use crate::delivery::apply_retention;
use crate::*;
use std::sync::Arc;
use towline_evidence::cast::Facts;
use towline_host::clock::Clock;

use crate::settings::{RawEvidence, Settings};

const PATIENCE: Duration = Duration::from_secs(90);

struct Scene {
    dir: tempfile::TempDir,
    settings: Settings,
}

impl Scene {
    fn new(toml: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings =
            toml::from_str::<RawEvidence>(toml).unwrap().settings(dir.path()).unwrap();
        settings.free_space_floor = 0;
        Self { dir, settings }
    }

    fn start(&self) -> (Archive, RecordingEvents) {
        Archive::start(self.dir.path(), self.settings.clone(), &Clock::system()).unwrap()
    }

    fn records(&self) -> std::path::PathBuf {
        self.dir.path().join("evidence/records")
    }

    /// Waits until the sink holds this object.
    #[track_caller]
    fn object(&self, key: &str) -> Vec<u8> {
        let path = self.records().join(key);
        until(|| path.is_file(), key);
        std::fs::read(path).unwrap()
    }

    /// The chain as far as it is in the sink, verified with nothing but the public key.
    fn proven(&self) -> ProvenChain {
        let key =
            std::fs::read_to_string(self.dir.path().join(PUBLIC_KEY)).unwrap().parse().unwrap();
        let mut verifier = NodeVerifier::new(key);
        let mut segments: Vec<_> =
            walk(&self.records()).into_iter().filter(|k| layout::segment_of(k).is_some()).collect();
        segments.sort();
        for segment in segments {
            for line in lines(&std::fs::read(self.records().join(segment)).unwrap()) {
                verifier.line(&line).unwrap();
            }
        }
        verifier.finish().unwrap()
    }
}

#[track_caller]
fn until(done: impl Fn() -> bool, what: &str) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn walk(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            found.extend(walk(&entry.path()).into_iter().map(|inner| format!("{name}/{inner}")));
        } else {
            found.push(name);
        }
    }
    found
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

fn unpack(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(bytes), &mut text).unwrap();
    lines(&text)
}

fn verify(bytes: &[u8], session: &str, chain: &ProvenChain) -> Sealed {
    let object = layout::recording("", session);
    let mut verifier = RecordingVerifier::new(Some(session), chain.heads(&object));
    for line in unpack(bytes) {
        verifier.line(&line).unwrap();
    }
    let sealed = verifier.finish();
    assert_eq!(chain.check(&object, Digest::of(&[bytes]), Some(&sealed)), Ok(()));
    sealed.unwrap()
}

fn shown(bytes: &[u8]) -> String {
    let events = unpack(bytes)
        .into_iter()
        .filter_map(|line| towline_evidence::cast::Event::parse(&line).ok());
    events
        .filter(|event| event.code == towline_evidence::cast::Code::Output)
        .map(|event| event.text)
        .collect()
}

fn facts(session: &str) -> Facts {
    Facts {
        session: session.into(),
        device: "mi-1".into(),
        principal: "ann".into(),
        ..Facts::default()
    }
}

fn begin(evidence: &Archive, session: &str) -> Arc<Tape> {
    evidence
        .recorder
        .begin(facts(session), 80, 24, Some("xterm"), &Destinations::default(), Box::new(|| {}))
        .unwrap()
}

async fn stop(evidence: Archive) {
    tokio::task::spawn_blocking(move || evidence.recorder.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_in_the_sink_after_its_end_and_verifies_with_the_public_key_alone() {
    let scene = Scene::new("");
    let (evidence, _failures) = scene.start();
    let tape = begin(&evidence, "ann-1");
    tape.output(Lane::Io, 0, b"$ ls\r\n");
    tape.output(Lane::Io, 0, b"$ ls\r\nfile\r\n");
    tape.resize(100, 30);
    tape.end("the program ended");
    let recording = scene.object("ann-1.cast.gz");
    until(|| scene.has_chain() && !scene.proven().objects.is_empty(), "the signed chain");
    let sealed = verify(&recording, "ann-1", &scene.proven());
    assert!(sealed.ended && sealed.gaps == 0);
    assert_eq!(shown(&recording), "$ ls\r\nfile\r\n");
}

/// Text that hardly compresses.
fn noise_of(state: &mut u32) -> Vec<u8> {
    std::iter::repeat_with(|| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b' ' + (*state >> 24) as u8 % 90
    })
    .take(4096)
    .collect()
}

impl Scene {
    /// Whether the chain on the gateway's disk has a record of this kind.
    fn home_chain_has(&self, kind: &str) -> bool {
        let chain = self.settings.home.join("chain");
        let word = format!("\"kind\":\"{kind}\"");
        let outbox = self.settings.home.join("outbox");
        [chain, outbox, self.records()].iter().any(|folder| {
            walk(folder).iter().any(|name| {
                std::fs::read_to_string(folder.join(name)).is_ok_and(|text| text.contains(&word))
            })
        })
    }

    /// Whether there is anything of the chain in the sink yet.
    fn has_chain(&self) -> bool {
        walk(&self.records()).iter().any(|k| layout::segment_of(k).is_some())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_outlives_the_gateway_has_one_recording_and_a_marked_hole() {
    let scene = Scene::new("");
    let (evidence, _failures) = scene.start();
    let tape = begin(&evidence, "ann-1");
    tape.output(Lane::Io, 0, b"before ");
    stop(evidence).await;

    let (evidence, _failures) = scene.start();
    let tape = evidence.recorder.resume("ann-1", Box::new(|| {})).unwrap();
    tape.output(Lane::Io, 100, b"after");
    tape.end("the program ended");
    let recording = scene.object("ann-1.cast.gz");
    stop(evidence).await;
    assert_eq!(shown(&recording), "before after");
    let gaps = unpack(&recording)
        .into_iter()
        .map(|line| String::from_utf8(line).unwrap())
        .filter(|line| line.contains("gap: "))
        .collect::<Vec<_>>();
    assert_eq!(gaps.len(), 1);
    assert!(gaps[0].contains("the gateway ended before it had written it"), "{}", gaps[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_whose_session_is_over_after_a_restart_is_finished() {
    let scene = Scene::new("");
    let (evidence, _failures) = scene.start();
    begin(&evidence, "ann-1").output(Lane::Io, 0, b"last words");
    stop(evidence).await;
    let (evidence, _failures) = scene.start();
    evidence.recorder.finish_leftovers(&Default::default());
    assert_eq!(shown(&scene.object("ann-1.cast.gz")), "last words");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_goes_on_in_further_parts_and_verifies_as_one() {
    let mut scene = Scene::new("");
    scene.settings.max_part = 64 * 1024;
    let (evidence, _news) = scene.start();
    let tape = begin(&evidence, "ann-1");
    let (mut noise, mut offset, mut sent) = (1_u32, 0, Vec::new());
    while evidence.recorder.bytes_so_far("ann-1").unwrap_or(0) < 4 * 64 * 1024 {
        let bytes = noise_of(&mut noise);
        while tape.is_behind() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tape.output(Lane::Io, offset, &bytes);
        offset += bytes.len() as u64;
        sent.extend(bytes);
        tokio::task::yield_now().await;
    }
    until(|| scene.home_chain_has("progress"), "a part's head in the node's chain");
    tape.length(Lane::Io, offset);
    tape.end("the program ended");
    let recording = scene.object("ann-1.cast.gz");
    until(|| scene.has_chain() && !scene.proven().objects.is_empty(), "the signed chain");
    let sealed = verify(&recording, "ann-1", &scene.proven());
    assert!(sealed.ended);
    assert_eq!(sealed.gaps, 0);
    assert_eq!(shown(&recording).into_bytes(), sent);
    let text = String::from_utf8(unpack(&recording).concat()).unwrap();
    assert!(text.contains(" of the recording begins"), "and a part is marked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_reached_its_limit_says_so_and_ends_well() {
    let mut scene = Scene::new("recording = 'demanded'");
    scene.settings.max_recording = 64 * 1024;
    let (evidence, mut news) = scene.start();
    let tape = begin(&evidence, "ann-1");
    let mut noise = 1_u32;
    let mut offset = 0;
    while news.try_recv().is_err() {
        let bytes = noise_of(&mut noise);
        tape.output(Lane::Io, offset, &bytes);
        offset += bytes.len() as u64;
        tokio::task::yield_now().await;
    }
    tape.length(Lane::Io, offset);
    tape.end("ended: it must be recorded");
    let recording = scene.object("ann-1.cast.gz");
    assert!(recording.len() < 512 * 1024, "{}", recording.len());
    let text = unpack(&recording).concat();
    assert!(String::from_utf8(text).unwrap().contains("the recording reached its limit"));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_disk_without_room_a_demanded_session_does_not_begin() {
    let mut scene = Scene::new("recording = 'demanded'");
    scene.settings.free_space_floor = u64::MAX;
    let (evidence, _failures) = scene.start();
    let error = evidence
        .recorder
        .begin(facts("ann-1"), 80, 24, None, &Destinations::default(), Box::new(|| {}))
        .unwrap_err();
    assert!(error.to_string().contains("MiB are free"), "{error}");
    assert!(walk(&scene.dir.path().join("evidence/staging")).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_sessions_at_once_are_all_recorded() {
    let scene = Scene::new("");
    let (evidence, _failures) = scene.start();
    let tapes: Vec<_> = (0..200).map(|n| begin(&evidence, &format!("ann-{n}"))).collect();
    for round in 0..10_u64 {
        for tape in &tapes {
            tape.output(Lane::Io, round * 3, b"abc");
        }
    }
    for tape in &tapes {
        tape.length(Lane::Io, 30);
        tape.end("the program ended");
    }
    for n in 0..200 {
        let recording = scene.object(&format!("ann-{n}.cast.gz"));
        assert_eq!(shown(&recording), "abc".repeat(10));
    }
    stop(evidence).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_by_age_removes_what_is_older_and_nothing_else() {
    let mut scene = Scene::new("retention_days = 30");
    scene.settings.retention_bytes = None;
    let (evidence, _failures) = scene.start();
    for session in ["ann-old", "ann-new"] {
        begin(&evidence, session).end("the program ended");
        let _ = scene.object(&format!("{session}.cast.gz"));
    }
    let thirty_one_days_ago = std::time::SystemTime::now() - Duration::from_secs(31 * 86_400);
    let old = std::fs::File::options()
        .append(true)
        .open(scene.records().join("ann-old.cast.gz"))
        .unwrap();
    old.set_modified(thirty_one_days_ago).unwrap();
    assert_eq!(apply_retention(&evidence.recorder, &evidence.sink, &Clock::system()).await, 1);
    assert!(
        !scene.records().join("ann-old.cast.gz").exists()
            && scene.records().join("ann-new.cast.gz").exists()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_by_size_removes_the_oldest_and_stops_when_it_is_enough() {
    let mut scene = Scene::new("");
    let (evidence, _failures) = scene.start();
    let mut sizes = Vec::new();
    for (n, session) in ["ann-1", "ann-2", "ann-3"].into_iter().enumerate() {
        begin(&evidence, session).end("the program ended");
        sizes.push(scene.object(&format!("{session}.cast.gz")).len() as u64);
        let path = scene.records().join(format!("{session}.cast.gz"));
        let age = Duration::from_secs(3600 * (10 - n as u64));
        std::fs::File::options()
            .append(true)
            .open(path)
            .unwrap()
            .set_modified(std::time::SystemTime::now() - age)
            .unwrap();
    }
    stop(evidence).await;
    scene.settings.retention_bytes = Some(sizes[1] + sizes[2]);
    let (evidence, _failures) = scene.start();
    assert_eq!(apply_retention(&evidence.recorder, &evidence.sink, &Clock::system()).await, 1);
    let left = walk(&scene.records());
    let is_left = |session: &str| left.iter().any(|key| key == &format!("{session}.cast.gz"));
    assert_eq!((is_left("ann-1"), is_left("ann-2"), is_left("ann-3")), (false, true, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_removes_is_written_down() {
    let mut scene = Scene::new("");
    scene.settings.retention_bytes = Some(0);
    let (evidence, _failures) = scene.start();
    begin(&evidence, "ann-1").end("the program ended");
    let _ = scene.object("ann-1.cast.gz");
    assert_eq!(apply_retention(&evidence.recorder, &evidence.sink, &Clock::system()).await, 1);
    evidence.recorder.checkpoint().unwrap();
    let told = || scene.has_chain() && scene.proven().removed.contains("ann-1.cast.gz");
    until(told, "the record of the removal");
    let left = walk(&scene.records()).into_iter().collect();
    assert_eq!(scene.proven().missing(&left).count(), 0);
}
