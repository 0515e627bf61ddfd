//! Verification of a node's chain, and of a whole sink against it.
//!
//! # Invariants
//! - Nothing behind the last good checkpoint is believed: the chain holds only what is signed.

use std::collections::{BTreeMap, BTreeSet};

use super::recording::{Fault, Sealed};
use crate::checkpoint::{PublicKey, Statement};
use crate::digest::Digest;
use crate::node::{Record, What};

/// Records between two checkpoints at the most; a writer signs after far fewer. Bounds what a
/// verifier keeps unbelieved.
const MAX_UNSIGNED: usize = 100_000;

/// What is wrong with a node's chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeFault {
    /// A line is no record, or not the one that the next is bound to.
    #[error("record {0} of the node's chain was altered")]
    Altered(u64),
    /// A record is not there.
    #[error("record {0} of the node's chain is missing")]
    Missing(u64),
    /// A record stands where another should.
    #[error(
        "record {found} of the node's chain is not in its place: {expected} should stand there"
    )]
    Reordered {
        /// The number that should be.
        expected: u64,
        /// The number that is.
        found: u64,
    },
    /// A checkpoint is not signed by the key.
    #[error("checkpoint {0} of the node's chain is not signed by this key")]
    BadSignature(u64),
    /// The chain does not end with a checkpoint.
    #[error("truncated: the node's chain has no checkpoint behind record {0}")]
    Truncated(u64),
    /// There is nothing.
    #[error("truncated: the node's chain is empty")]
    Empty,
}

/// A signed head, for comparison with one seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its number in the chain.
    pub n: u64,
    /// When it was signed, ms since 1970.
    pub at: i64,
    /// The head that it signs.
    pub head: Digest,
}

/// A recording as the chain's `end` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The session; empty for a file that is no recording.
    pub session: String,
    /// Records of the recording; 0 for a file.
    pub lines: u64,
    /// Head after them; of nothing for a file.
    pub head: Option<Digest>,
    /// SHA-256 of the object.
    pub sha256: Digest,
    /// Size of the object.
    pub bytes: u64,
}

/// The end of an older chain, as the one that follows it names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// The older chain's node.
    pub node: String,
    /// The last checkpoint that the backup had of it, `number:head`.
    pub checkpoint: Option<String>,
    /// When the backup was made, ms since 1970.
    pub backup: i64,
}

/// What a verified chain says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProvenChain {
    /// Name of the node.
    pub node: String,
    /// Records of the chain.
    pub records: u64,
    /// Objects that were written, by their key.
    pub objects: BTreeMap<String, Ended>,
    /// Objects that retention removed.
    pub removed: BTreeSet<String>,
    /// Sessions whose recording began and has not ended, with the heads signed so far.
    pub open: BTreeMap<String, Vec<(u64, Digest)>>,
    /// What was lost, as the chain itself says, with the reason.
    pub lost: BTreeMap<String, String>,
    /// The chains that this one goes on from, after restores.
    pub follows: Vec<Followed>,
    /// The last checkpoint.
    pub last_checkpoint: Option<Checkpoint>,
    /// All checkpoints, as `number:head`. About 100 bytes each.
    checkpoints: BTreeSet<String>,
    heads: BTreeMap<String, Vec<(u64, Digest)>>,
}

/// What is wrong with an object of a sink.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetFault {
    /// The chain does not know it.
    #[error("the node's chain does not name it: it was added, or the chain was truncated")]
    Unknown,
    /// It should be there.
    #[error("it is missing: the node's chain names it, and retention did not remove it")]
    Missing,
    /// It is another recording's object.
    #[error("holds the recording of session {found}, not of {wanted}")]
    Swapped {
        /// Whose it should be.
        wanted: String,
        /// Whose it is.
        found: String,
    },
    /// The recording has a fault.
    #[error(transparent)]
    Recording(#[from] Fault),
    /// Its bytes are not those that were sealed, though what they hold reads the same or cannot be
    /// placed.
    #[error("its bytes were altered")]
    Bytes,
}

/// Verifies a node's chain, line by line over all its segments.
#[derive(Debug)]
pub struct NodeVerifier {
    key: PublicKey,
    head: Option<Digest>,
    begins: u64,
    next: u64,
    /// A line that did not fit the one before: which of the two is wrong shows with the next one.
    doubt: Option<u64>,
    waiting: Vec<Record>,
    chain: ProvenChain,
}

impl NodeVerifier {
    /// A verifier of a chain that this key signs.
    #[must_use]
    pub fn new(key: PublicKey) -> Self {
        Self::from_record(key, 0)
    }

    /// A verifier of what is left of a chain: from this record on. It shows that nothing is missing
    /// behind it, and nothing about what was before.
    #[must_use]
    pub fn from_record(key: PublicKey, first: u64) -> Self {
        Self {
            key,
            head: None,
            begins: first,
            next: first,
            doubt: None,
            waiting: Vec::new(),
            chain: ProvenChain::default(),
        }
    }

    /// The next line, without newline.
    ///
    /// # Errors
    /// The first [`NodeFault`].
    pub fn line(&mut self, line: &[u8]) -> Result<(), NodeFault> {
        let record: Record = serde_json::from_slice(line)
            .map_err(|_| NodeFault::Altered(self.doubt.unwrap_or(self.next)))?;
        let fits = self.head.is_none_or(|head| head == record.prev);
        if let Some(doubtful) = self.doubt {
            // If this line fits the doubtful one, that one is whole and the line before it is not.
            return Err(NodeFault::Altered(if fits { doubtful - 1 } else { doubtful }));
        }
        if record.n > self.next {
            return Err(NodeFault::Missing(self.next));
        }
        if record.n < self.next {
            return Err(NodeFault::Reordered { expected: self.next, found: record.n });
        }
        if !fits {
            self.doubt = Some(record.n);
        }
        self.head = Some(Digest::of(&[line]));
        self.next += 1;
        if self.doubt.is_none() {
            self.believe_or_wait(record)?;
        }
        Ok(())
    }

    fn believe_or_wait(&mut self, record: Record) -> Result<(), NodeFault> {
        let What::Checkpoint { node, signature } = &record.what else {
            let n = record.n;
            self.waiting.push(record);
            return if self.waiting.len() > MAX_UNSIGNED {
                Err(NodeFault::Truncated(n))
            } else {
                Ok(())
            };
        };
        let statement = Statement { node, records: record.n, at: record.at, head: record.prev };
        let first = self.chain.node.is_empty();
        if !(first || self.chain.node == *node) || !self.key.verifies(&statement, signature) {
            return Err(NodeFault::BadSignature(record.n));
        }
        if first {
            // The first line is bound to nothing but the node's name.
            let start = self.waiting.first().map_or(record.prev, |line| line.prev);
            if self.begins == 0 && start != Digest::chain_start("node", node) {
                return Err(NodeFault::Altered(0));
            }
            self.chain.node.clone_from(node);
        }
        self.chain.last_checkpoint =
            Some(Checkpoint { n: record.n, at: record.at, head: record.prev });
        self.chain.checkpoints.insert(format!("{}:{}", record.n, record.prev));
        for believed in std::mem::take(&mut self.waiting) {
            self.chain.add(believed.what);
        }
        Ok(())
    }

    /// What the chain says.
    ///
    /// # Errors
    /// [`NodeFault`]: doubts that were left, or records behind the last checkpoint.
    pub fn finish(mut self) -> Result<ProvenChain, NodeFault> {
        if let Some(doubtful) = self.doubt {
            return Err(NodeFault::Altered(doubtful - 1));
        }
        if self.next == self.begins {
            return Err(NodeFault::Empty);
        }
        if let Some(record) = self.waiting.last() {
            return Err(NodeFault::Truncated(record.n));
        }
        self.chain.records = self.next - self.begins;
        Ok(self.chain)
    }
}

impl ProvenChain {
    fn add(&mut self, what: What) {
        match what {
            What::Start { .. } | What::Checkpoint { .. } => {}
            What::Open { session } => {
                self.open.entry(session).or_default();
            }
            What::Progress { session, lines, head } => {
                self.open.entry(session).or_default().push((lines, head));
            }
            What::End { session, lines, head, object, sha256, bytes, .. } => {
                let mut heads = self.open.remove(&session).unwrap_or_default();
                heads.push((lines, head));
                self.heads.insert(object.clone(), heads);
                self.objects
                    .insert(object, Ended { session, lines, head: Some(head), sha256, bytes });
            }
            What::File { object, sha256, bytes, .. } => {
                self.objects.insert(
                    object,
                    Ended { session: String::new(), lines: 0, head: None, sha256, bytes },
                );
            }
            What::Removed { object, .. } => {
                self.removed.insert(object);
            }
            What::Follows { node, checkpoint, backup } => {
                self.follows.push(Followed { node, checkpoint, backup });
            }
            What::Lost { name, why } => {
                self.open.remove(&name);
                self.lost.insert(name, why);
            }
        }
    }

    /// Whether the chain holds this checkpoint, written `number:head`.
    #[must_use]
    pub fn holds(&self, checkpoint: &str) -> bool {
        self.checkpoints.contains(checkpoint)
    }

    /// Heads that are signed for an object's recording: for a [`super::RecordingVerifier`].
    #[must_use]
    pub fn heads(&self, object: &str) -> Vec<(u64, Digest)> {
        self.heads.get(object).cloned().unwrap_or_default()
    }

    /// Judges an object that is there. `recording`: what a verifier with [`ProvenChain::heads`]
    /// said; `None` for other files.
    ///
    /// # Errors
    /// The [`SetFault`].
    pub fn check(
        &self,
        object: &str,
        sha256: Digest,
        recording: Option<&Result<Sealed, Fault>>,
    ) -> Result<(), SetFault> {
        let named = self.objects.get(object).ok_or(SetFault::Unknown)?;
        match recording {
            Some(Err(Fault::OtherSession { wanted, found })) => {
                Err(SetFault::Swapped { wanted: wanted.clone(), found: found.clone() })
            }
            Some(Err(fault)) => Err(fault.clone().into()),
            Some(Ok(sealed)) if sealed.lines > named.lines => Err(Fault::Added(named.lines).into()),
            Some(Ok(_)) | None if sha256 != named.sha256 => Err(SetFault::Bytes),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    /// Objects that should be there and are not among `present`.
    pub fn missing<'a>(&'a self, present: &'a BTreeSet<String>) -> impl Iterator<Item = &'a str> {
        let gone = |object: &&String| !present.contains(*object) && !self.removed.contains(*object);
        self.objects.keys().filter(gone).map(String::as_str)
    }
}
