//! The node's chain on this disk: appended, synced, signed, and handed over segment by segment.
//!
//! Way: [`Ledger::add`] -> the open segment in `chain/` -> [`Ledger::checkpoint`] closes it -> a
//! hard link in the outbox. The newest closed segment stays in `chain/`: it says where the chain
//! goes on after a restart.
//!
//! # Invariants
//! - A record is on the disk when `add` returns; one that could not be written is not in the chain.
//! - What lies in the outbox ends with a checkpoint.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use towline_evidence::checkpoint::{PublicKey, SigningKey};
use towline_evidence::layout;
use towline_evidence::node::{NodeChain, Record, What};

/// Records in a segment before a checkpoint comes whatever the clock says. 4096 lines of 400 bytes
/// are 1.6 MB.
const SEGMENT: u64 = 4096;
/// Largest segment that is read back, bytes.
const MAX_SEGMENT: u64 = (SEGMENT + 2) * towline_evidence::node::MAX_LINE as u64;

/// The chain and where it lies.
pub(crate) struct Ledger {
    chain: NodeChain,
    key: SigningKey,
    folder: PathBuf,
    outbox: PathBuf,
    prefix: String,
    open: Option<Segment>,
}

struct Segment {
    first: u64,
    path: PathBuf,
    file: File,
    length: u64,
}

impl Ledger {
    /// Opens the chain of `node` in `folder`, or begins it.
    pub(crate) fn open(
        node: &str,
        key: SigningKey,
        folder: &Path,
        outbox: &Path,
        prefix: &str,
    ) -> io::Result<Self> {
        let mut ledger = Self {
            chain: NodeChain::new(node),
            key,
            folder: folder.to_owned(),
            outbox: outbox.to_owned(),
            prefix: prefix.to_owned(),
            open: None,
        };
        let mut segments: Vec<(u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if let Ok(first) = name.parse() {
                segments.push((first, path));
            }
        }
        segments.sort();
        for (first, path) in segments {
            ledger.read(first, path)?;
        }
        Ok(ledger)
    }

    /// Takes up a segment: a closed one is handed over (again: the same bytes under the same key),
    /// an open one goes on.
    fn read(&mut self, first: u64, path: PathBuf) -> io::Result<()> {
        let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
        let mut bytes = Vec::new();
        (&mut file).take(MAX_SEGMENT).read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        file.set_len(whole as u64)?; // a line that a power cut left half-written was never answered for
        let Some(last) = bytes[..whole].split(|b| *b == b'\n').rfind(|line| !line.is_empty())
        else {
            return fs::remove_file(&path);
        };
        let wrong = |e: serde_json::Error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: {e}", path.display()))
        };
        let record: Record = serde_json::from_slice(last).map_err(wrong)?;
        self.chain = NodeChain::after(self.chain.node(), last).map_err(wrong)?;
        if matches!(record.what, What::Checkpoint { .. }) {
            return self.hand_over(first, &path);
        }
        file.seek(SeekFrom::Start(whole as u64))?;
        self.open = Some(Segment { first, path, file, length: whole as u64 });
        Ok(())
    }

    /// Adds a record.
    pub(crate) fn add(&mut self, at: i64, what: What) -> io::Result<()> {
        let mut chain = self.chain.clone();
        let line = chain.push(at, what);
        self.append(&line)?;
        self.chain = chain;
        let full = self.open.as_ref().is_some_and(|open| self.chain.next() - open.first >= SEGMENT);
        if full { self.checkpoint(at) } else { Ok(()) }
    }

    /// Whether there are records that no checkpoint signs.
    pub(crate) const fn has_unsigned(&self) -> bool {
        self.open.is_some()
    }

    /// Signs what is there and hands the segment over; does nothing when all is signed.
    pub(crate) fn checkpoint(&mut self, at: i64) -> io::Result<()> {
        if self.open.is_none() {
            return Ok(());
        }
        let mut chain = self.chain.clone();
        let line = chain.checkpoint(at, &self.key);
        self.append(&line)?;
        self.chain = chain;
        let Some(Segment { first, path, .. }) = self.open.take() else { return Ok(()) };
        self.hand_over(first, &path)?;
        for entry in fs::read_dir(&self.folder)? {
            let older = entry?.path();
            if older != path {
                fs::remove_file(older)?;
            }
        }
        Ok(())
    }

    fn append(&mut self, line: &str) -> io::Result<()> {
        if self.open.is_none() {
            let first = self.chain.next();
            let path = self.folder.join(format!("{first:012}.jsonl"));
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&path)?;
            File::open(&self.folder)?.sync_all()?;
            self.open = Some(Segment { first, path, file, length: 0 });
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        let bytes = [line.as_bytes(), b"\n"].concat();
        open.file.seek(SeekFrom::Start(open.length))?;
        if let Err(error) = open.file.write_all(&bytes).and_then(|()| open.file.sync_data()) {
            let _ = open.file.set_len(open.length); // if this fails too, the next append writes over it
            if open.length == 0 {
                let _ = fs::remove_file(&open.path);
                self.open = None;
            }
            return Err(error);
        }
        open.length += bytes.len() as u64;
        Ok(())
    }

    fn hand_over(&self, first: u64, path: &Path) -> io::Result<()> {
        let target = self.outbox.join(layout::segment(&self.prefix, self.chain.node(), first));
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        match fs::hard_link(path, &target) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// Verifies checkpoints.
    pub(crate) fn public(&self) -> PublicKey {
        self.key.public()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use towline_evidence::verify::NodeVerifier;

    struct Scene {
        dir: tempfile::TempDir,
        key: Vec<u8>,
    }

    impl Scene {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir_all(dir.path().join("chain")).unwrap();
            fs::create_dir_all(dir.path().join("outbox")).unwrap();
            Self { dir, key: SigningKey::generate().unwrap() }
        }

        fn ledger(&self) -> Ledger {
            let key = SigningKey::from_pkcs8(&self.key).unwrap();
            Ledger::open(
                "gw",
                key,
                &self.dir.path().join("chain"),
                &self.dir.path().join("outbox"),
                "",
            )
            .unwrap()
        }

        /// The records of all segments in the outbox, after verification.
        fn verified(&self) -> u64 {
            let mut verifier =
                NodeVerifier::new(SigningKey::from_pkcs8(&self.key).unwrap().public());
            let folder = self.dir.path().join("outbox/towline-seals/gw");
            let mut files: Vec<_> =
                fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
            files.sort();
            for file in files {
                for line in fs::read(file).unwrap().split(|b| *b == b'\n').filter(|l| !l.is_empty())
                {
                    verifier.line(line).unwrap();
                }
            }
            verifier.finish().unwrap().records
        }
    }

    fn open(session: &str) -> What {
        What::Open { session: session.into() }
    }

    #[test]
    fn segments_of_one_chain_verify_together_over_restarts() {
        let scene = Scene::new();
        let mut ledger = scene.ledger();
        ledger.add(1, open("a")).unwrap();
        ledger.checkpoint(2).unwrap();
        ledger.add(3, open("b")).unwrap();
        drop(ledger); // killed with an open segment
        let mut ledger = scene.ledger();
        ledger.add(4, open("c")).unwrap();
        ledger.checkpoint(5).unwrap();
        ledger.checkpoint(6).unwrap();
        drop(ledger);
        let mut ledger = scene.ledger();
        assert!(!ledger.has_unsigned());
        ledger.add(7, open("d")).unwrap();
        ledger.checkpoint(8).unwrap();
        assert_eq!(scene.verified(), 7);
        assert_eq!(fs::read_dir(scene.dir.path().join("chain")).unwrap().count(), 1);
    }

    #[test]
    fn a_power_cut_at_any_byte_of_the_open_segment_leaves_a_chain_that_goes_on() {
        let scene = Scene::new();
        let mut ledger = scene.ledger();
        ledger.add(1, open("a")).unwrap();
        ledger.add(2, open("b")).unwrap();
        drop(ledger);
        let path = scene.dir.path().join("chain/000000000000.jsonl");
        let whole = fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            let _ = fs::remove_dir_all(scene.dir.path().join("outbox"));
            fs::create_dir_all(scene.dir.path().join("outbox")).unwrap();
            for left in fs::read_dir(scene.dir.path().join("chain")).unwrap() {
                fs::remove_file(left.unwrap().path()).unwrap();
            }
            File::create(&path).unwrap().write_all(&whole[..cut]).unwrap();
            let mut ledger = scene.ledger();
            ledger.add(3, open("c")).unwrap();
            ledger.checkpoint(4).unwrap();
            let lines = whole[..cut].iter().filter(|b| **b == b'\n').count() as u64;
            assert_eq!(scene.verified(), lines + 2, "cut at {cut}");
        }
    }
}
