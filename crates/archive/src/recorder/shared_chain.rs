//! The node's chain, shared: what waits for it becomes lines of it with one sync.
//!
//! Data flow: [`SharedChain::record`] -> the queue -> who has the chain takes all that waits,
//! writes it, syncs once, and tells each what became of its records.
//!
//! # Invariants
//! - A record is on the disk when `record` returns, also when somebody else has written it.
//! - Records of one call are in the chain together, in their order, or not at all.
//! - The queue holds one entry for each thread that waits.
//!
//! # Not here
//! - Lines, segments and signatures: [`super::node_chain`].

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{SyncSender, TryRecvError, sync_channel};
use std::sync::{Mutex, MutexGuard};

use towline_evidence::node::What;
use towline_host::clock::Clock;

use super::node_chain::ChainFile;
use super::recorder::lock;
use crate::limits::CHAIN_BATCH;

/// Records that wait, and who waits for them.
struct Waiting {
    records: Vec<What>,
    written: SyncSender<io::Result<()>>,
}

/// See above.
pub(super) struct SharedChain {
    file: Mutex<ChainFile>,
    waiting: Mutex<VecDeque<Waiting>>,
    clock: Clock,
}

impl SharedChain {
    pub(super) fn new(file: ChainFile, clock: Clock) -> Self {
        Self { file: Mutex::new(file), waiting: Mutex::default(), clock }
    }

    /// The chain itself.
    pub(super) fn file(&self) -> MutexGuard<'_, ChainFile> {
        lock(&self.file)
    }

    /// Appends records.
    pub(super) fn record(&self, records: Vec<What>) -> io::Result<()> {
        let (written, outcome) = sync_channel(1);
        lock(&self.waiting).push_back(Waiting { records, written });
        let mut file = self.file();
        loop {
            match outcome.try_recv() {
                Ok(outcome) => return outcome,
                Err(TryRecvError::Empty) => self.write_waiting(&mut file),
                Err(TryRecvError::Disconnected) => {
                    return Err(io::Error::other("the thread that wrote the node's chain failed"));
                }
            }
        }
    }

    /// Signs what is recorded and what waits.
    pub(super) fn checkpoint(&self) -> io::Result<()> {
        let mut file = self.file();
        self.write_waiting(&mut file);
        file.checkpoint(self.clock.now().0)
    }

    /// Writes what waits, at most [`CHAIN_BATCH`] records or one entry.
    fn write_waiting(&self, file: &mut ChainFile) {
        let (mut records, mut entries) = (Vec::new(), Vec::new());
        {
            let mut waiting = lock(&self.waiting);
            while let Some(next) = waiting.front()
                && (records.is_empty() || records.len() + next.records.len() <= CHAIN_BATCH)
                && let Some(entry) = waiting.pop_front()
            {
                records.extend(entry.records);
                entries.push(entry.written);
            }
        }
        if entries.is_empty() {
            return;
        }
        let outcome = file.add_all(self.clock.now().0, records);
        for written in entries {
            let _ = written.send(outcome.as_ref().copied().map_err(again)); // it waits for this
        }
    }
}

/// The same error for another one who waits.
fn again(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use towline_evidence::checkpoint::SigningKey;

    use super::*;

    const THREADS: usize = 16;

    fn record(number: usize) -> What {
        What::Open { session: format!("ann-{number}") }
    }

    fn chain(dir: &std::path::Path) -> Arc<SharedChain> {
        for folder in ["chain", "outbox"] {
            std::fs::create_dir_all(dir.join(folder)).unwrap();
        }
        let key = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
        let (folder, outbox) = (dir.join("chain"), dir.join("outbox"));
        let file = ChainFile::open("gw", key, &folder, &outbox, "").unwrap();
        Arc::new(SharedChain::new(file, Clock::system()))
    }

    /// So many threads record while the chain is held; what each got when it was free again.
    fn all_at_once(chain: &Arc<SharedChain>) -> Vec<io::Result<()>> {
        let held = chain.file();
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let chain = Arc::clone(chain);
                std::thread::spawn(move || chain.record(vec![record(number)]))
            })
            .collect();
        while lock(&chain.waiting).len() < THREADS {
            std::thread::yield_now();
        }
        drop(held);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    }

    #[test]
    fn what_waits_is_synced_at_once_and_each_is_told_after_that() {
        let dir = tempfile::tempdir().unwrap();
        let chain = chain(dir.path());
        chain.record(vec![record(99)]).unwrap();
        let before = chain.file().syncs;
        for outcome in all_at_once(&chain) {
            outcome.unwrap();
        }
        assert_eq!(chain.file().syncs - before, 1);
        let path = dir.path().join("chain/000000000000.jsonl");
        let lines = std::fs::read_to_string(path).unwrap();
        assert_eq!(lines.lines().count(), 1 + THREADS);
        for number in 0..THREADS {
            assert_eq!(lines.matches(&format!("\"ann-{number}\"")).count(), 1, "{lines}");
        }
        chain.checkpoint().unwrap();
    }

    #[test]
    fn who_waited_for_a_sync_that_failed_is_told_so_and_nothing_of_it_is_in_the_chain() {
        let dir = tempfile::tempdir().unwrap();
        let chain = chain(dir.path());
        std::fs::remove_dir(dir.path().join("chain")).unwrap();
        let outcomes = all_at_once(&chain);
        assert!(outcomes.iter().all(Result::is_err), "{outcomes:?}");
        assert!(chain.file().is_new());
        std::fs::create_dir(dir.path().join("chain")).unwrap();
        chain.record(vec![record(1), record(2)]).unwrap();
        let path = dir.path().join("chain/000000000000.jsonl");
        assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 2);
    }
}
