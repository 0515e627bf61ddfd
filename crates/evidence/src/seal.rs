//! A session's hash chain, and the seals that stand in its recording.
//!
//! Every line of a recording is a record of the chain. A seal is an event of code `z` behind at
//! most [`BLOCK`] lines: `1 block from=N count=N io=N err=N head=HEX marks=HEX`; the last one says
//! `end` in place of `block`. `head` is the chain's head after all lines before the seal; `marks`
//! has four bytes of the digest of each line of the block, so that a later change can be placed to
//! the line; `io` and `err` are the output positions up to which is recorded. A seal is itself a
//! line of the chain, the first of the next block: so the next seal vouches for this one, and the
//! node's chain for the last.
//!
//! # Invariants
//! - The chain starts from the session's id: a recording cannot be shown as that of another
//!   session.
//!
//! # Not here
//! - Proof against somebody who writes the whole recording anew: that is what [`crate::node`]'s
//!   signed heads are for.

use core::fmt::Write as _;

use crate::digest::{Digest, hex, unhex};

/// Lines in one block at the most. Bounds what a writer and a verifier keep: 4 bytes and 36 bytes a
/// line.
pub const BLOCK: usize = 512;

/// What the chain's start is for.
const PURPOSE: &str = "session";

/// The chain while it grows.
#[derive(Debug, Clone)]
pub struct SessionChain {
    head: Digest,
    lines: u64,
    marks: Vec<[u8; 4]>,
    /// Whether a line came after the last seal.
    fresh: bool,
}

/// What a seal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// True for the last seal of a recording that was finished.
    pub end: bool,
    /// Number of the block's first line, from 0.
    pub from: u64,
    /// Output positions recorded so far: stdout or terminal, and stderr.
    pub positions: [u64; 2],
    /// Head of the chain after all lines before the seal.
    pub head: Digest,
    /// Marks of the block's lines.
    pub marks: Vec<[u8; 4]>,
}

impl SessionChain {
    /// The chain of a session, without a line.
    #[must_use]
    pub fn new(session: &str) -> Self {
        Self {
            head: Digest::chain_start(PURPOSE, session),
            lines: 0,
            marks: Vec::new(),
            fresh: false,
        }
    }

    /// Adds a line (without newline).
    pub fn add(&mut self, line: &[u8]) {
        let digest = Digest::of(&[line]);
        self.head = self.head.then(digest);
        self.lines += 1;
        self.marks.push(digest.mark());
        self.fresh = true;
    }

    /// Whether the block is full and a seal has to come before the next line.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.marks.len() >= BLOCK
    }

    /// Whether there are lines behind the last seal.
    #[must_use]
    pub const fn has_unsealed(&self) -> bool {
        self.fresh
    }

    /// Lines so far, seals among them.
    #[must_use]
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// The head after those lines.
    #[must_use]
    pub const fn head(&self) -> Digest {
        self.head
    }

    /// The seal of the present block. Its line has to be given to [`SessionChain::sealed`].
    #[must_use]
    pub fn seal(&self, end: bool, positions: [u64; 2]) -> Seal {
        let from = self.lines - self.marks.len() as u64;
        Seal { end, from, positions, head: self.head, marks: self.marks.clone() }
    }

    /// The seal's own line: it ends the block, and is the first of the next.
    pub fn sealed(&mut self, line: &[u8]) {
        self.marks.clear();
        self.add(line);
        self.fresh = false;
    }
}

impl Seal {
    /// The event's text.
    #[must_use]
    pub fn text(&self) -> String {
        let [io, err] = self.positions;
        let kind = if self.end { "end" } else { "block" };
        let mut text = format!(
            "1 {kind} from={} count={} io={io} err={err} head={} marks=",
            self.from,
            self.marks.len(),
            self.head
        );
        for mark in &self.marks {
            let _ = text.write_str(&hex(mark)); // into a String: cannot fail
        }
        text
    }

    /// Reads an event's text; `None` when it is not a seal of version 1.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        if words.next()? != "1" {
            return None;
        }
        let end = match words.next()? {
            "end" => true,
            "block" => false,
            _ => return None,
        };
        let mut value = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
        let from = value("from")?.parse().ok()?;
        let count: usize = value("count")?.parse().ok()?;
        let positions = [value("io")?.parse().ok()?, value("err")?.parse().ok()?];
        let head = value("head")?.parse().ok()?;
        let marks = unhex(value("marks")?)?;
        let (marks, rest) = marks.as_chunks::<4>();
        let whole =
            rest.is_empty() && marks.len() == count && count <= BLOCK && words.next().is_none();
        whole.then(|| Self { end, from, positions, head, marks: marks.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_reads_back_from_its_text() {
        let mut chain = SessionChain::new("ann-1");
        chain.add(b"first");
        chain.sealed(b"a seal");
        chain.add(b"second");
        chain.add(b"third");
        let seal = chain.seal(true, [7, 0]);
        assert_eq!((seal.from, seal.marks.len()), (1, 3));
        assert_eq!(Seal::parse(&seal.text()), Some(seal));
    }

    #[test]
    fn what_is_not_whole_is_no_seal() {
        let text = SessionChain::new("a").seal(false, [0, 0]).text();
        for cut in 0..text.len() {
            let part = &text[..cut];
            assert_eq!(Seal::parse(part), None, "{part}");
        }
        assert_eq!(Seal::parse(&format!("{text}00")), None);
        assert_eq!(Seal::parse(&format!("{text} more=1")), None);
    }
}
