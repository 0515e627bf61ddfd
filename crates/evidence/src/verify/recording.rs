//! Verification of one recording, line by line.
//!
//! # Invariants
//! - Keeps the marks of at most two blocks and a seal.
//! - A line is vouched for only by a seal behind it whose head fits.

use crate::cast::{Code, Event, Header};
use crate::digest::Digest;
use crate::recording::GAP;
use crate::seal::{BLOCK, Seal, SessionChain};

/// Lines without a seal that are read on, to find out where the seal went.
const PATIENCE: usize = 2 * BLOCK + 2;

/// What is wrong with a recording; records are its lines, from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The first line is no header with a session.
    #[error("record 0 (line 1) was altered: it is not the header of a recording")]
    NoHeader,
    /// The recording is of another session.
    #[error("holds the recording of session {found}, not of {wanted}")]
    OtherSession {
        /// Whose it should be.
        wanted: String,
        /// Whose it says it is.
        found: String,
    },
    /// A record is not what was sealed.
    #[error("record {0} (line {line}) was altered", line = .0 + 1)]
    Altered(u64),
    /// A record is no longer there.
    #[error("record {0} (line {line}) is missing", line = .0 + 1)]
    Missing(u64),
    /// A record stands there that was not sealed.
    #[error("record {0} (line {line}) was added", line = .0 + 1)]
    Added(u64),
    /// Records stand in another order.
    #[error("record {0} (line {line}) is not in its place", line = .0 + 1)]
    Reordered(u64),
    /// It ends before its end.
    #[error("truncated: record {0} (line {line}) and what follows is missing", line = .0 + 1)]
    Truncated(u64),
    /// The seals fit the lines, but not the signed head: all was written anew.
    #[error(
        "rewritten: the records from {from} on do not fit the head that was signed for the first \
         {signed}"
    )]
    Rewritten {
        /// The first record that is not vouched for.
        from: u64,
        /// Number of records that the signed head covers.
        signed: u64,
    },
}

/// What a recording that holds is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Whose it is.
    pub session: String,
    /// Records.
    pub lines: u64,
    /// The chain's head after them.
    pub head: Digest,
    /// Whether it has its last seal.
    pub ended: bool,
    /// Records behind the last seal: vouched for by nothing.
    pub unsealed: u64,
    /// Gap records.
    pub gaps: u64,
}

/// Verifies one recording.
#[derive(Debug)]
pub struct RecordingVerifier {
    wanted: Option<String>,
    signed: Vec<(u64, Digest)>,
    session: String,
    chain: Option<SessionChain>,
    /// Marks of the lines since `from`, the first line that no seal vouches for.
    marks: Vec<[u8; 4]>,
    from: u64,
    vouched: u64,
    ended: bool,
    unsealed: u64,
    gaps: u64,
}

impl RecordingVerifier {
    /// A verifier; `session`, if given, is whose it must be. `signed`: heads after so many records
    /// that a node's chain vouches for, in any order.
    #[must_use]
    pub fn new(session: Option<&str>, mut signed: Vec<(u64, Digest)>) -> Self {
        signed.sort_by_key(|(lines, _)| std::cmp::Reverse(*lines));
        Self {
            wanted: session.map(str::to_owned),
            signed,
            session: String::new(),
            chain: None,
            marks: Vec::new(),
            from: 0,
            vouched: 0,
            ended: false,
            unsealed: 0,
            gaps: 0,
        }
    }

    /// The next line, without newline.
    ///
    /// # Errors
    /// The first [`Fault`]; after it the verifier is of no more use.
    pub fn line(&mut self, line: &[u8]) -> Result<(), Fault> {
        let Some(chain) = &self.chain else { return self.header(line) };
        if self.ended {
            return Err(Fault::Added(chain.lines()));
        }
        let event = Event::parse(line).ok();
        let seal =
            event.as_ref().filter(|e| e.code == Code::Seal).and_then(|e| Seal::parse(&e.text));
        if event.is_some_and(|e| e.code == Code::Marker && e.text.starts_with(GAP)) {
            self.gaps += 1;
        }
        match seal {
            Some(seal) => self.seal(&seal, line),
            None => self.record(line),
        }
    }

    fn header(&mut self, line: &[u8]) -> Result<(), Fault> {
        let facts =
            Header::parse(line).ok().and_then(|header| header.towline).ok_or(Fault::NoHeader)?;
        if let Some(wanted) = self.wanted.as_ref().filter(|wanted| **wanted != facts.session) {
            return Err(Fault::OtherSession { wanted: wanted.clone(), found: facts.session });
        }
        self.chain = Some(SessionChain::new(&facts.session));
        self.session = facts.session;
        self.record(line)
    }

    fn record(&mut self, line: &[u8]) -> Result<(), Fault> {
        self.unsealed += 1;
        self.marks.push(Digest::of(&[line]).mark());
        if self.marks.len() > PATIENCE {
            return Err(Fault::Missing(self.from + BLOCK as u64));
        }
        self.add(line)
    }

    fn add(&mut self, line: &[u8]) -> Result<(), Fault> {
        let Some(chain) = &mut self.chain else { return Err(Fault::NoHeader) };
        chain.add(line);
        let (lines, head) = (chain.lines(), chain.head());
        while let Some((signed, expected)) =
            self.signed.last().copied().filter(|(signed, _)| *signed <= lines)
        {
            self.signed.pop();
            if signed == lines && head != expected {
                return Err(Fault::Rewritten { from: self.vouched, signed });
            }
            self.vouched = self.vouched.max(signed);
        }
        Ok(())
    }

    fn seal(&mut self, seal: &Seal, line: &[u8]) -> Result<(), Fault> {
        let Some(chain) = &self.chain else { return Err(Fault::NoHeader) };
        if let Some(fault) = self.difference(seal) {
            return Err(fault);
        }
        if chain.head() != seal.head {
            // every line has its mark: the seal itself is not what it was
            return Err(Fault::Altered(chain.lines()));
        }
        self.from = chain.lines();
        self.marks.clear();
        self.marks.push(Digest::of(&[line]).mark());
        self.unsealed = 0;
        self.ended = seal.end;
        self.add(line)
    }

    /// The first difference between the lines since the last seal and what this seal says they are.
    fn difference(&self, seal: &Seal) -> Option<Fault> {
        let (found, expected) = (&self.marks[..], &seal.marks[..]);
        let Some(skipped) = seal.from.checked_sub(self.from) else {
            return Some(Fault::Reordered(self.from + found.len() as u64));
        };
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        if skipped > 0 && found.len() < skipped.saturating_add(expected.len()) {
            // A seal went missing, and with it lines before or behind it: what is there at the end
            // still fits.
            let same =
                found.iter().rev().zip(expected.iter().rev()).take_while(|(a, b)| a == b).count();
            return Some(Fault::Missing(self.from + (found.len() - same) as u64));
        }
        let found = found.get(skipped..).unwrap_or_default();
        place(found, expected, seal.from)
    }

    /// What the recording is.
    ///
    /// # Errors
    /// [`Fault::Truncated`] when it has not even a header, or fewer records than are signed.
    pub fn finish(self) -> Result<Sealed, Fault> {
        let Some(chain) = self.chain else { return Err(Fault::Truncated(0)) };
        if !self.signed.is_empty() {
            return Err(Fault::Truncated(chain.lines()));
        }
        Ok(Sealed {
            session: self.session,
            lines: chain.lines(),
            head: chain.head(),
            ended: self.ended,
            unsealed: self.unsealed,
            gaps: self.gaps,
        })
    }
}

/// Names the first difference of two lists of marks; the first mark belongs to record `from`.
fn place(found: &[[u8; 4]], expected: &[[u8; 4]], from: u64) -> Option<Fault> {
    let at = found.iter().zip(expected).take_while(|(a, b)| a == b).count();
    if at == found.len() && at == expected.len() {
        return None;
    }
    let record = from + at as u64;
    let (found, expected) = (&found[at..], &expected[at..]);
    let sorted = |marks: &[[u8; 4]]| {
        let mut marks = marks.to_vec();
        marks.sort_unstable();
        marks
    };
    Some(match found.len().cmp(&expected.len()) {
        std::cmp::Ordering::Less => Fault::Missing(record),
        std::cmp::Ordering::Greater => Fault::Added(record),
        std::cmp::Ordering::Equal if sorted(found) == sorted(expected) => Fault::Reordered(record),
        std::cmp::Ordering::Equal => Fault::Altered(record),
    })
}
