//! The node's chain: what one gateway has recorded, each line bound to the one before, signed at
//! checkpoints.
//!
//! A line is one JSON object: `n` (from 0, without holes), `prev` (SHA-256 of the line before; of
//! nothing but a name for the first), `at` (ms since 1970), `kind` and what belongs to it. The
//! chain is kept in segments; each ends with a checkpoint and is an object of its own, so what lies
//! in a sink is always signed.
//!
//! # Invariants
//! - A checkpoint signs the head before it, and with it everything since the node's first line.
//! - A session that began stands here before its first byte of output: a recording cannot vanish
//!   without a trace.

use serde::{Deserialize, Serialize};

use crate::checkpoint::{SigningKey, Statement};
use crate::digest::Digest;

/// Longest line, bytes.
pub const MAX_LINE: usize = 16 * 1024;

/// One line of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its number, from 0.
    pub n: u64,
    /// Digest of the line before.
    pub prev: Digest,
    /// When, ms since 1970.
    pub at: i64,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What a line records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum What {
    /// The gateway process started; `key` is the public key that will sign.
    Start {
        /// Name of the node.
        node: String,
        /// Its public key, hex.
        key: String,
    },
    /// A recording began.
    Open {
        /// The session.
        session: String,
    },
    /// A recording that goes on has this head after this many lines.
    Progress {
        /// The session.
        session: String,
        /// Lines so far.
        lines: u64,
        /// The chain's head after them.
        head: Digest,
    },
    /// A recording is finished and is this object.
    End {
        /// The session.
        session: String,
        /// Lines.
        lines: u64,
        /// The chain's head after them.
        head: Digest,
        /// Gap records among them.
        gaps: u64,
        /// Key of the object in the sink.
        object: String,
        /// SHA-256 of the object's bytes.
        sha256: Digest,
        /// Its size, bytes.
        bytes: u64,
    },
    /// An object that is not a recording: a file of the audit trail.
    File {
        /// Key in the sink.
        object: String,
        /// SHA-256 of its bytes.
        sha256: Digest,
        /// Its size, bytes.
        bytes: u64,
        /// Events in it.
        records: u64,
    },
    /// A recording or file was removed by the rules of retention.
    Removed {
        /// Key in the sink.
        object: String,
        /// Which rule.
        why: String,
    },
    /// A recording or file could not be written to the sink and lies in quarantine; or was lost.
    Lost {
        /// The session or object.
        name: String,
        /// What happened.
        why: String,
    },
    /// This chain goes on where that of another node stopped: the gateway was restored from a
    /// backup.
    Follows {
        /// The node whose chain it was.
        node: String,
        /// The last checkpoint that the backup has of that chain, `number:head`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        checkpoint: Option<String>,
        /// When the backup was made, ms since 1970.
        backup: i64,
    },
    /// All before is signed.
    Checkpoint {
        /// The node.
        node: String,
        /// Signature of the [`Statement`], hex.
        signature: String,
    },
}

/// The chain while it grows: the next line's number and what it is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeChain {
    node: String,
    next: u64,
    head: Digest,
}

impl NodeChain {
    /// A node's chain without a line.
    #[must_use]
    pub fn new(node: &str) -> Self {
        Self { node: node.to_owned(), next: 0, head: Digest::chain_start("node", node) }
    }

    /// The chain after this line, which was the last.
    ///
    /// # Errors
    /// When the line is none of a chain.
    pub fn after(node: &str, line: &[u8]) -> Result<Self, serde_json::Error> {
        let record: Record = serde_json::from_slice(line)?;
        let next = record.n.checked_add(1);
        let next =
            next.ok_or_else(|| serde::de::Error::custom("no record can follow its number"))?;
        Ok(Self { node: node.to_owned(), next, head: Digest::of(&[line]) })
    }

    /// Number of the next line.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Digest of the last line.
    #[must_use]
    pub const fn head(&self) -> Digest {
        self.head
    }

    /// The node's name.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The next line, without newline; the chain goes on behind it.
    #[must_use]
    pub fn push(&mut self, at: i64, what: What) -> String {
        let record = Record { n: self.next, prev: self.head, at, what };
        // text and numbers: cannot fail
        let line = serde_json::to_string(&record).unwrap_or_default();
        self.next = self.next.saturating_add(1);
        self.head = Digest::of(&[line.as_bytes()]);
        line
    }

    /// A checkpoint's line.
    #[must_use]
    pub fn checkpoint(&mut self, at: i64, key: &SigningKey) -> String {
        let signature =
            key.sign(&Statement { node: &self.node, records: self.next, at, head: self.head });
        let node = self.node.clone();
        self.push(at, What::Checkpoint { node, signature })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_goes_on_from_its_last_line() {
        let mut chain = NodeChain::new("gw");
        let _ = chain.push(1, What::Open { session: "ann-1".into() });
        let line = chain.push(2, What::Lost { name: "ann-1".into(), why: "disk".into() });
        assert_eq!(NodeChain::after("gw", line.as_bytes()).unwrap(), chain);
        assert!(NodeChain::after("gw", b"{}").is_err());
        let last = format!(
            r#"{{"n":{},"prev":"{}","at":1,"kind":"open","session":"a"}}"#,
            u64::MAX,
            chain.head()
        );
        assert!(NodeChain::after("gw", last.as_bytes()).is_err(), "nothing can follow");
    }

    #[test]
    fn a_line_has_this_form() {
        let mut chain = NodeChain::new("gw");
        let line = chain.push(1, What::Open { session: "ann-1".into() });
        let prev = Digest::chain_start("node", "gw");
        assert_eq!(
            line,
            format!(r#"{{"n":0,"prev":"{prev}","at":1,"kind":"open","session":"ann-1"}}"#)
        );
    }
}
