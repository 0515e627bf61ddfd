//! The node's hash chain on this disk: appended, synced, signed, and handed over in segments.
//!
//! Data flow: [`ChainFile::add_all`] -> the open segment in `chain/` -> [`ChainFile::checkpoint`]
//! signs and closes it -> a hard link in the outbox. The newest closed segment stays in `chain/`:
//! after a restart the chain goes on from there.
//!
//! # Invariants
//! - Records are on the disk when `add_all` returns. Those that could not be written are not in the
//!   chain.
//! - Each segment in the outbox ends with a checkpoint.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use towline_evidence::checkpoint::{PublicKey, SigningKey};
use towline_evidence::layout;
use towline_evidence::node::{NodeChain, Record, What};

use crate::delivery::link_into_outbox;
use crate::limits::{MAX_SEGMENT, SEGMENT_RECORDS};

/// The chain and its files.
pub(crate) struct ChainFile {
    chain: NodeChain,
    key: SigningKey,
    folder: PathBuf,
    outbox: PathBuf,
    prefix: String,
    open: Option<Segment>,
    /// Syncs of segments.
    #[cfg(test)]
    pub(super) syncs: u64,
}

struct Segment {
    first: u64,
    path: PathBuf,
    file: File,
    length: u64,
}

impl ChainFile {
    /// Opens the chain of `node` in `folder`, or starts one.
    pub(crate) fn open(
        node: &str,
        key: SigningKey,
        folder: &Path,
        outbox: &Path,
        prefix: &str,
    ) -> io::Result<Self> {
        let mut opened = Self {
            chain: NodeChain::new(node),
            key,
            folder: folder.to_owned(),
            outbox: outbox.to_owned(),
            prefix: prefix.to_owned(),
            open: None,
            #[cfg(test)]
            syncs: 0,
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
            opened.read(first, path)?;
        }
        Ok(opened)
    }

    /// Reads a segment. A closed one is handed over (a second time: the same bytes under the same
    /// key); an open one goes on.
    fn read(&mut self, first: u64, path: PathBuf) -> io::Result<()> {
        let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
        let mut bytes = Vec::new();
        (&mut file).take(MAX_SEGMENT).read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        // nobody was told of a line that a power cut left half-written
        file.set_len(whole as u64)?;
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

    /// Appends records, at most [`CHAIN_BATCH`](crate::limits::CHAIN_BATCH), with one sync.
    pub(super) fn add_all(&mut self, at: i64, records: Vec<What>) -> io::Result<()> {
        let (mut chain, mut lines) = (self.chain.clone(), String::new());
        for record in records {
            lines.push_str(&chain.push(at, record));
            lines.push('\n');
        }
        self.append(&lines)?;
        self.chain = chain;
        let full = self
            .open
            .as_ref()
            .is_some_and(|open| self.chain.next() - open.first >= SEGMENT_RECORDS);
        if full && let Err(error) = self.checkpoint(at) {
            // The records are in the chain. The next ones try again, and so does the clock.
            tracing::error!(%error, "cannot sign the node's chain");
        }
        Ok(())
    }

    /// Whether it has no record yet.
    pub(super) const fn is_new(&self) -> bool {
        self.chain.next() == 0
    }

    /// Whether there are records that no checkpoint has signed.
    pub(super) const fn has_unsigned(&self) -> bool {
        self.open.is_some()
    }

    /// Signs the open segment and hands it over; does nothing when there is none.
    pub(super) fn checkpoint(&mut self, at: i64) -> io::Result<()> {
        if self.open.is_none() {
            return Ok(());
        }
        let mut chain = self.chain.clone();
        let line = chain.checkpoint(at, &self.key) + "\n";
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

    /// Appends whole lines and syncs them.
    fn append(&mut self, lines: &str) -> io::Result<()> {
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
        let bytes = lines.as_bytes();
        open.file.seek(SeekFrom::Start(open.length))?;
        #[cfg(test)]
        {
            self.syncs += 1;
        }
        if let Err(error) = open.file.write_all(bytes).and_then(|()| open.file.sync_data()) {
            // if this fails, too, the next append writes over it
            let _ = open.file.set_len(open.length);
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
        let key = layout::segment(&self.prefix, self.chain.node(), first);
        match link_into_outbox(&self.outbox, &key, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// The key that verifies checkpoints.
    pub(super) fn public(&self) -> PublicKey {
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

        fn chain(&self) -> ChainFile {
            let key = SigningKey::from_pkcs8(&self.key).unwrap();
            ChainFile::open(
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
        let mut chain = scene.chain();
        chain.add_all(1, vec![open("a")]).unwrap();
        chain.checkpoint(2).unwrap();
        chain.add_all(3, vec![open("b")]).unwrap();
        drop(chain); // killed with an open segment
        let mut chain = scene.chain();
        chain.add_all(4, vec![open("c")]).unwrap();
        chain.checkpoint(5).unwrap();
        chain.checkpoint(6).unwrap();
        drop(chain);
        let mut chain = scene.chain();
        assert!(!chain.has_unsigned());
        chain.add_all(7, vec![open("d")]).unwrap();
        chain.checkpoint(8).unwrap();
        assert_eq!(scene.verified(), 7);
        assert_eq!(fs::read_dir(scene.dir.path().join("chain")).unwrap().count(), 1);
    }

    #[test]
    fn a_power_cut_at_any_byte_of_the_open_segment_leaves_a_chain_that_goes_on() {
        let scene = Scene::new();
        let mut chain = scene.chain();
        chain.add_all(1, vec![open("a")]).unwrap();
        chain.add_all(2, vec![open("b")]).unwrap();
        drop(chain);
        let path = scene.dir.path().join("chain/000000000000.jsonl");
        let whole = fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            let _ = fs::remove_dir_all(scene.dir.path().join("outbox"));
            fs::create_dir_all(scene.dir.path().join("outbox")).unwrap();
            for left in fs::read_dir(scene.dir.path().join("chain")).unwrap() {
                fs::remove_file(left.unwrap().path()).unwrap();
            }
            File::create(&path).unwrap().write_all(&whole[..cut]).unwrap();
            let mut chain = scene.chain();
            chain.add_all(3, vec![open("c")]).unwrap();
            chain.checkpoint(4).unwrap();
            let lines = whole[..cut].iter().filter(|b| **b == b'\n').count() as u64;
            assert_eq!(scene.verified(), lines + 2, "cut at {cut}");
        }
    }
}
