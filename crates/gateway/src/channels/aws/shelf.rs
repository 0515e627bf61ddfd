//! The ends of this gateway, each with its journal: `channels/<session>` in the gateway's directory.
//!
//! # Invariants
//! - [`Kept::step`] writes down what changed before it returns: what the caller sends after it survives this process.
//! - A journal goes with its session. One whose session is gone at the start is removed.
//! - A journal that cannot be written costs this client its survival of a restart, and nothing else; the log says so.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use towline_ssm::channel::AgentConfig;

use super::end::{AwsEnd, Order};
use super::journal::{Found, Journal};
use crate::files;
use crate::sessions::Session;

/// Name of the folder.
const FOLDER: &str = "channels";
/// For a client that would go on, and cannot.
const LOST: &str =
    "the gateway has lost this client's place in the session; the shell still runs: start again with `towline attach`";

/// An end with its journal.
pub(super) struct Kept {
    pub(super) end: AwsEnd,
    /// Counts its websockets. Only the latest may move anything: what an older one took would be lost with it.
    pub(super) turn: u64,
    journal: Option<Journal>,
}

impl Kept {
    /// As [`AwsEnd::step`]; on its return everything that changed is written down.
    pub(super) fn step(&mut self, session: &str, now: Duration) -> Vec<Order> {
        let orders = self.end.step(now);
        self.save(session);
        orders
    }

    fn save(&mut self, session: &str) {
        let (Some(journal), Some(mut record)) = (&mut self.journal, self.end.record()) else { return };
        let end = &self.end;
        if let Err(error) = journal.save(&record, |from| end.input_from(from)) {
            tracing::warn!(session, %error, "the journal of an AWS client cannot be written: it will not survive a restart");
            record.channel = None;
            // Better no way back than a wrong one. Its place in the file has its blocks already.
            record.input = record.input.end..record.input.end;
            if let Err(error) = journal.save(&record, |_| Vec::new()) {
                tracing::error!(session, %error, "the journal of an AWS client cannot be given up either");
            }
            self.journal = None;
        }
    }
}

/// See the module.
pub(super) struct Shelf {
    folder: PathBuf,
    kept: Mutex<HashMap<String, Arc<Mutex<Kept>>>>,
}

/// Locks; the state machines keep their own invariants, so a panic elsewhere leaves them usable.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shelf {
    /// The shelf of the gateway in this directory. What belongs to no live session is removed.
    pub(super) fn open(directory: &Path, lives: impl Fn(&str) -> bool) -> Self {
        let folder = directory.join(FOLDER);
        if let Err(error) = files::private_dir(&folder) {
            tracing::warn!(%error, "AWS clients will not survive a restart of this gateway");
        }
        for file in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = file.file_name();
            if !name.to_str().is_some_and(&lives) {
                remove(&file.path());
            }
        }
        Self { folder, kept: Mutex::default() }
    }

    /// The end of this client in this session: the one that it had, also in an earlier process, or a fresh one.
    ///
    /// # Errors
    /// Words for a client that had one which cannot be gone on with.
    pub(super) fn take(
        &self,
        session: &Session,
        client_id: &str,
        config: AgentConfig,
        now: Duration,
    ) -> Result<Arc<Mutex<Kept>>, &'static str> {
        let name = &session.meta.name;
        if let Some(kept) = lock(&self.kept).get(name) {
            if lock(kept).end.client_id == client_id {
                return Ok(Arc::clone(kept));
            }
        } else {
            match Journal::open(&self.folder.join(name)) {
                Found::Record(journal, record, input) if record.client_id == client_id => {
                    let config = AgentConfig { separate_output: record.separate_output, ..config };
                    let end = AwsEnd::resume(record, &input, &config, now).ok_or(LOST)?;
                    return Ok(Arc::new(Mutex::new(Kept { end, turn: 0, journal: Some(journal) })));
                }
                Found::Useless => {
                    // Most likely this client's: under numbers that begin anew it would wait for ever. Said once; who
                    // comes next is a new client.
                    remove(&self.folder.join(name));
                    return Err(LOST);
                }
                Found::Record(..) | Found::Nothing => {}
            }
        }
        let end = AwsEnd::new(client_id.to_owned(), &config, now);
        Ok(Arc::new(Mutex::new(Kept { end, turn: 0, journal: None })))
    }

    /// This end is the session's from now on: one that another client has left is forgotten.
    pub(super) fn put(&self, session: &str, kept: &Arc<Mutex<Kept>>) {
        let mut all = lock(&self.kept);
        let known = all.insert(session.to_owned(), Arc::clone(kept)).is_some_and(|older| Arc::ptr_eq(&older, kept));
        let mut kept = lock(kept);
        if !known && kept.journal.is_none() {
            kept.journal = self.begin(session);
        }
        kept.save(session);
    }

    fn begin(&self, session: &str) -> Option<Journal> {
        let journal = Journal::create(&self.folder.join(session));
        let said = |error: &io::Error| {
            tracing::warn!(session, %error, "no journal for an AWS client: it will not survive a restart");
        };
        journal.inspect_err(said).ok()
    }

    /// Forgets the ends of sessions that live no more.
    pub(super) fn tidy(&self, lives: impl Fn(&str) -> bool) {
        lock(&self.kept).retain(|name, _| {
            let lives = lives(name);
            if !lives {
                remove(&self.folder.join(name));
            }
            lives
        });
    }
}

fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "a journal that nobody needs cannot be removed");
        }
        Ok(()) | Err(_) => {}
    }
}
