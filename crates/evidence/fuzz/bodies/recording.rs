//! Any bytes as the lines of a recording: read, verified and resumed without a panic; what a writer
//! goes on with, a verifier takes.
//!
//! Run by the fuzzer (`fuzz_targets/recording.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use towline_evidence::cast::{Event, Header};
use towline_evidence::recording::{Lane, Resuming};
use towline_evidence::seal::Seal;
use towline_evidence::verify::{Fault, RecordingVerifier, Sealed};

/// Microseconds below which seconds as a double are exact enough: twelve days.
const EXACT: u64 = 1 << 40;

/// One run.
pub(crate) fn run(bytes: &[u8]) {
    let lines: Vec<&[u8]> = lines(bytes);
    for line in &lines {
        read(line);
    }
    let first = lines.first().and_then(|line| Header::parse(line).ok());
    let session = first.and_then(|header| header.towline).map(|facts| facts.session);
    let verified = verify(&lines);
    let mut resuming = Resuming::new(session.as_deref().unwrap_or("ann-1"));
    for line in &lines {
        resuming.line(line);
    }
    let Ok(mut recording) = resuming.finish() else { return };
    if session.is_none() {
        return;
    }
    assert!(verified.is_ok(), "resumed, and refused by the verifier: {verified:?}");
    recording.output(0, Lane::Io, u64::MAX, b"more", "the position is far ahead");
    recording.output(0, Lane::Err, 7, b"more", "");
    recording.end(1, "over");
    let more = recording.take(2);
    let whole = [&lines[..], &self::lines(&more)[..]].concat();
    let sealed = verify(&whole);
    assert!(sealed.as_ref().is_ok_and(|sealed| sealed.ended), "{sealed:?}");
}

fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect()
}

fn verify(lines: &[&[u8]]) -> Result<Sealed, Fault> {
    let mut verifier = RecordingVerifier::new(None, Vec::new());
    lines.iter().try_for_each(|line| verifier.line(line))?;
    verifier.finish()
}

fn read(line: &[u8]) {
    if let Ok(header) = Header::parse(line) {
        assert_eq!(Header::parse(header.line().as_bytes()), Ok(header));
    }
    let Ok(event) = Event::parse(line) else { return };
    if let Some(seal) = Seal::parse(&event.text) {
        assert_eq!(Seal::parse(&seal.text()), Some(seal));
    }
    if event.at < EXACT {
        assert_eq!(Event::parse(event.line().as_bytes()), Ok(event));
    }
}
