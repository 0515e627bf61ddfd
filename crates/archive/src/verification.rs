//! Verification of one recording at the gateway: the check of `towline verify SESSION`, by the same
//! code.
//!
//! Data flow: a caller asks -> a thread reads the recording, line by line, into
//! `towline_evidence::verify` -> the caller asks again until there is an outcome.
//!
//! # Invariants
//! - At most [`VERIFICATIONS`] run at once, each on a thread that gives way to all others.
//! - An outcome is kept for [`VERIFIED_FOR`]; then the recording is read anew.
//!
//! # Not here
//! - The node's chain: whether the recording is the original shows `towline verify` on the sink,
//!   with a public key that the gateway cannot choose.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use flate2::bufread::MultiGzDecoder;
use tokio::runtime::Handle;
use towline_evidence::cast::MAX_LINE;
use towline_evidence::verify::{Fault, RecordingVerifier, Sealed};

use crate::archive::Archive;
use crate::limits::{INDEX_NICENESS, VERIFICATIONS, VERIFIED_FOR};
use crate::recorded::{self, Recorded};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every record is vouched for by the seals, up to the last one.
    Whole(Sealed),
    /// So far; the session goes on.
    SoFar(Sealed),
    /// The first fault.
    Faulty(Fault),
    /// It could not be read to the end.
    Unread(String),
}

/// One verification, under way or over.
#[derive(Debug)]
pub struct Verification {
    /// Packed bytes of the recording.
    pub size: u64,
    read: AtomicU64,
    outcome: OnceLock<(Verdict, Instant)>,
}

impl Verification {
    /// Packed bytes that were read.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// What was found; none while it is under way.
    #[must_use]
    pub fn verdict(&self) -> Option<&Verdict> {
        self.outcome.get().map(|(verdict, _)| verdict)
    }

    fn is_old(&self) -> bool {
        self.outcome.get().is_some_and(|(_, at)| at.elapsed() > VERIFIED_FOR)
    }
}

/// Verifications that are under way or were asked for lately.
#[derive(Debug, Default)]
pub(crate) struct Verifications {
    all: Mutex<HashMap<String, Arc<Verification>>>,
}

/// Why there is no verification.
#[derive(Debug, thiserror::Error)]
pub enum CannotVerify {
    /// Too many are under way.
    #[error("{VERIFICATIONS} recordings are verified at the moment: try again")]
    Busy,
    /// No such recording.
    #[error("there is no recording of such a session")]
    NoRecording,
    /// It cannot be opened.
    #[error("cannot open the recording: {0}")]
    Io(#[from] io::Error),
}

impl Archive {
    /// The verification of a session's recording; begins one when there is none. Waits for disk and
    /// network: call it from a thread that may wait.
    ///
    /// # Errors
    /// [`CannotVerify`].
    pub fn verification(
        &self,
        session: &str,
        runtime: &Handle,
    ) -> Result<Arc<Verification>, CannotVerify> {
        let lock = || self.verifications.all.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = |all: &HashMap<String, Arc<Verification>>| {
            all.values().filter(|one| one.verdict().is_none()).count() < VERIFICATIONS
        };
        {
            let mut all = lock();
            all.retain(|_, one| !one.is_old());
            if let Some(known) = all.get(session) {
                return Ok(Arc::clone(known));
            }
            if !admitted(&all) {
                return Err(CannotVerify::Busy);
            }
        }
        let goes_on = self.recorder.is_recording(session);
        let opened = recorded::open(&self.recorder, &self.sink, runtime, session, 0)?;
        let recorded = opened.ok_or(CannotVerify::NoRecording)?;
        let mut all = lock();
        if let Some(known) = all.get(session) {
            return Ok(Arc::clone(known));
        }
        if !admitted(&all) {
            return Err(CannotVerify::Busy);
        }
        let begun = Arc::new(Verification {
            size: recorded.1,
            read: AtomicU64::new(0),
            outcome: OnceLock::new(),
        });
        let (own, name) = (Arc::clone(&begun), session.to_owned());
        let thread = std::thread::Builder::new().name("towline-verify".to_owned());
        thread.spawn(move || {
            // On Linux a nice value belongs to the thread.
            let _ = rustix::process::nice(INDEX_NICENESS);
            let verdict = verify(&name, recorded, goes_on, &own.read);
            let _ = own.outcome.set((verdict, Instant::now())); // this thread alone sets it
        })?;
        all.insert(session.to_owned(), Arc::clone(&begun));
        Ok(begun)
    }
}

fn verify(session: &str, (bytes, _): Recorded, goes_on: bool, read: &AtomicU64) -> Verdict {
    let told = match lines(session, Counted { bytes, read }) {
        Ok(told) => told,
        Err(error) => return Verdict::Unread(error.to_string()),
    };
    match told {
        Ok(sealed) if sealed.ended => Verdict::Whole(sealed),
        Ok(sealed) if goes_on => Verdict::SoFar(sealed),
        Ok(sealed) => Verdict::Faulty(Fault::Truncated(sealed.lines - sealed.unsealed)),
        Err(fault) => Verdict::Faulty(fault),
    }
}

/// What the verifier says of the lines.
fn lines(session: &str, bytes: impl Read) -> io::Result<Result<Sealed, Fault>> {
    let packed = MultiGzDecoder::new(BufReader::with_capacity(64 * 1024, bytes));
    let mut reader = BufReader::with_capacity(64 * 1024, packed);
    let (mut verifier, mut line) = (RecordingVerifier::new(Some(session), Vec::new()), Vec::new());
    loop {
        line.clear();
        match (&mut reader).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line) {
            // Cut or damaged: the seals say what is missing.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput
                ) =>
            {
                return Ok(verifier.finish());
            }
            Err(error) => return Err(error),
            Ok(0) => return Ok(verifier.finish()),
            Ok(_) => {}
        }
        if let Err(fault) = verifier.line(line.strip_suffix(b"\n").unwrap_or(&line)) {
            return Ok(Err(fault));
        }
    }
}

struct Counted<'a> {
    bytes: Box<dyn Read + Send>,
    read: &'a AtomicU64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use towline_evidence::cast::{Facts, Header};
    use towline_evidence::recording::{Lane, Recording};

    use super::*;

    const SESSION: &str = "ann-0123456789abcdefg";

    fn packed(block: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(block).unwrap();
        encoder.finish().unwrap()
    }

    /// Two blocks, unpacked.
    fn blocks() -> [Vec<u8>; 2] {
        let facts = Facts { session: SESSION.into(), ..Facts::default() };
        let header = Header {
            version: 2,
            width: 80,
            height: 24,
            timestamp: 1,
            title: String::new(),
            env: Default::default(),
            towline: Some(facts),
        };
        let mut recording = Recording::start(SESSION, &header);
        recording.output(1, Lane::Io, 0, b"$ uptime", "");
        let first = recording.take(1);
        recording.output(2, Lane::Io, 8, b"up 3 days", "");
        recording.end(3, "over");
        [first, recording.take(3)]
    }

    fn verdict(bytes: Vec<u8>, goes_on: bool) -> Verdict {
        let (length, read) = (bytes.len() as u64, AtomicU64::new(0));
        verify(SESSION, (Box::new(io::Cursor::new(bytes)), length), goes_on, &read)
    }

    #[test]
    fn a_whole_recording_holds_and_a_change_is_named() {
        let [first, second] = blocks();
        let whole = [packed(&first), packed(&second)].concat();
        assert!(
            matches!(verdict(whole.clone(), false), Verdict::Whole(sealed) if sealed.gaps == 0)
        );
        let altered = String::from_utf8(second).unwrap().replace("3 days", "9 days");
        let altered = [packed(&first), packed(altered.as_bytes())].concat();
        assert_eq!(verdict(altered, false), Verdict::Faulty(Fault::Altered(3)));
        let other = verify(
            "bob-0123456789abcdefg",
            (Box::new(io::Cursor::new(whole)), 0),
            false,
            &AtomicU64::new(0),
        );
        assert!(matches!(other, Verdict::Faulty(Fault::OtherSession { .. })));
    }

    #[test]
    fn a_recording_that_ends_early_is_truncated_unless_it_goes_on() {
        let [first, second] = blocks();
        let so_far = packed(&first);
        assert!(matches!(verdict(so_far.clone(), true), Verdict::SoFar(_)));
        assert!(matches!(verdict(so_far, false), Verdict::Faulty(Fault::Truncated(_))));
        let mut cut = [packed(&first), packed(&second)].concat();
        cut.truncate(cut.len() - 20);
        assert!(matches!(verdict(cut, false), Verdict::Faulty(Fault::Truncated(_))));
    }
}
