//! The endpoints of this gateway, each with its journal: `channels/<session>` in the gateway's
//! directory.
//!
//! # Invariants
//! - [`Kept::step`] writes down what changed before it returns: what the caller sends after it
//!   survives this process.
//! - A write may wait for the disk, for seconds where that is slow. It waits beside the runtime,
//!   which goes on with its other tasks, and while it does, no lock is held that another session,
//!   or another task of this one, would wait for.
//! - A journal goes with its session. One whose session is gone at the start is removed.
//! - A journal that cannot be written costs this client its survival of a restart, and nothing
//!   else; the log says so.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use tokio::task::block_in_place;
use towline_host::files;
use towline_ssm::channel::AgentConfig;

use super::endpoint::{AwsEndpoint, Order};
use super::journal::{Change, Found, Journal};
use crate::sessions::{Session, ToChannel};

/// Name of the folder.
const FOLDER: &str = "channels";
/// For a client that would go on, and cannot.
const LOST: &str = "the gateway has lost this client's place in the session; the shell still \
                    runs: start again with `towline attach`";

/// An end with its journal.
pub(super) struct Kept {
    /// The end's client.
    client_id: String,
    state: Mutex<State>,
    /// Locked before the state, and for as long as a write takes: what is written is written in the
    /// order in which it came to be.
    journal: Mutex<Option<Journal>>,
}

/// What a [`Kept`] moves.
pub(super) struct State {
    pub(super) end: AwsEndpoint,
    /// Counts its websockets. Only the latest may move anything: what an older one took would be
    /// lost with it.
    pub(super) turn: u64,
}

impl Kept {
    fn new(end: AwsEndpoint, journal: Option<Journal>) -> Arc<Self> {
        let (client_id, state) = (end.client_id.clone(), Mutex::new(State { end, turn: 0 }));
        Arc::new(Self { client_id, state, journal: Mutex::new(journal) })
    }

    /// The end. Nobody holds this while something is written.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The end, while it is this websocket's.
    pub(super) fn mine(&self, turn: u64) -> Option<MutexGuard<'_, State>> {
        Some(self.state()).filter(|state| state.turn == turn)
    }

    /// Takes what came of the session, and is as [`AwsEndpoint::step`]; on its return everything
    /// that changed is written down. Nothing when the end is another websocket's by now.
    pub(super) fn step(
        &self,
        turn: u64,
        items: Vec<ToChannel>,
        session: &str,
        now: Duration,
    ) -> Option<Vec<Order>> {
        let mut journal = self.journal();
        let (orders, change) = {
            let mut state = self.mine(turn)?;
            for item in items {
                state.end.take(item);
            }
            let orders = state.end.step(now);
            (orders, change(journal.as_ref(), &state.end))
        };
        write(&mut journal, change, session);
        Some(orders)
    }

    /// The journal. Another websocket of this end may hold it, and wait for the disk.
    fn journal(&self) -> MutexGuard<'_, Option<Journal>> {
        match self.journal.try_lock() {
            Ok(journal) => journal,
            Err(TryLockError::Poisoned(journal)) => journal.into_inner(),
            Err(TryLockError::WouldBlock) => block_in_place(|| lock(&self.journal)),
        }
    }
}

/// What is new in an end since its journal was written.
fn change(journal: Option<&Journal>, end: &AwsEndpoint) -> Option<Change> {
    journal?.change(end.record()?, |from| end.input_from(from))
}

/// Writes a change down. A journal that cannot be written is given up.
fn write(journal: &mut Option<Journal>, change: Option<Change>, session: &str) {
    let (Some(open), Some(change)) = (journal.as_mut(), change) else { return };
    let written = block_in_place(|| {
        let Err(error) = open.write(&change) else { return true };
        tracing::warn!(
            session, %error,
            "the journal of an AWS client cannot be written: it will not survive a restart"
        );
        if let Err(error) = open.give_up(change) {
            tracing::error!(
                session, %error,
                "the journal of an AWS client cannot be given up either"
            );
        }
        false
    });
    if !written {
        *journal = None;
    }
}

/// The endpoints of this gateway, by session.
pub(super) struct Registry {
    folder: PathBuf,
    kept: Mutex<HashMap<String, Arc<Kept>>>,
    /// Held while an end takes its place: its file is made in the same order. May take as long as
    /// the disk.
    taking: Mutex<()>,
}

/// Locks; the state machines keep their own invariants, so a panic elsewhere leaves them usable.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    /// The registry of the gateway in this directory. What belongs to no live session is removed.
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
        Self { folder, kept: Mutex::default(), taking: Mutex::default() }
    }

    /// The end of this client in this session: the one that it had, also in an earlier process, or
    /// a fresh one. May wait for the disk.
    ///
    /// # Errors
    /// Words for a client that had one which cannot be gone on with.
    pub(super) fn take(
        &self,
        session: &Session,
        client_id: &str,
        config: AgentConfig,
        now: Duration,
    ) -> Result<Arc<Kept>, &'static str> {
        let name = &session.meta.name;
        let known = lock(&self.kept).get(name).cloned();
        if let Some(kept) = known {
            if kept.client_id == client_id {
                return Ok(kept);
            }
        } else {
            match Journal::open(&self.folder.join(name)) {
                Found::Record(journal, record, input) if record.client_id == client_id => {
                    let config = AgentConfig {
                        separate_output: record.separate_output,
                        prefixes: record.prefixes.clone(),
                        ..config
                    };
                    let end = AwsEndpoint::resume(*record, &input, &config, now).ok_or(LOST)?;
                    return Ok(Kept::new(end, Some(journal)));
                }
                Found::Useless => {
                    // Most likely this client's: under numbers that begin anew it would wait for
                    // ever. Said once; who comes next is a new client.
                    remove(&self.folder.join(name));
                    return Err(LOST);
                }
                Found::Record(..) | Found::Nothing => {}
            }
        }
        Ok(Kept::new(AwsEndpoint::new(client_id.to_owned(), &config, now), None))
    }

    /// This end is the session's from now on: one that another client has left is forgotten. May
    /// wait for the disk.
    pub(super) fn put(&self, session: &str, kept: &Arc<Kept>) {
        let _taking = lock(&self.taking);
        let older = lock(&self.kept).insert(session.to_owned(), Arc::clone(kept));
        let known = older.is_some_and(|older| Arc::ptr_eq(&older, kept));
        let mut journal = kept.journal();
        if !known && journal.is_none() {
            *journal = self.begin(session);
        }
        let change = change(journal.as_ref(), &kept.state().end);
        write(&mut journal, change, session);
    }

    fn begin(&self, session: &str) -> Option<Journal> {
        let journal = Journal::create(&self.folder.join(session));
        let said = |error: &io::Error| {
            tracing::warn!(
                session, %error,
                "no journal for an AWS client: it will not survive a restart"
            );
        };
        journal.inspect_err(said).ok()
    }

    /// Forgets the ends of sessions that live no more.
    pub(super) fn remove_ended(&self, lives: impl Fn(&str) -> bool) {
        let gone: Vec<String> =
            lock(&self.kept).extract_if(|name, _| !lives(name)).map(|(name, _)| name).collect();
        if !gone.is_empty() {
            block_in_place(|| gone.iter().for_each(|name| remove(&self.folder.join(name))));
        }
    }
}

fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(
                path = %path.display(), %error,
                "a journal that nobody needs cannot be removed"
            );
        }
        Ok(()) | Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;

    fn kept(journal: Option<Journal>) -> Arc<Kept> {
        let config = AgentConfig {
            session_id: "ann-1".into(),
            target: "mi-1".into(),
            session_type: "Standard_Stream",
            properties: serde_json::Value::Null,
            separate_output: false,
            prefixes: Default::default(),
            customer_message: String::new(),
            seed: [0; 16],
        };
        Kept::new(AwsEndpoint::new("client".into(), &config, Duration::ZERO), journal)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn while_one_end_waits_for_the_disk_the_runtime_s_only_thread_serves_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let stuck = kept(Some(Journal::create(&folder.path().join("stuck")).unwrap()));
        let other = kept(Some(Journal::create(&folder.path().join("other")).unwrap()));
        let (entered, inside) = sync_channel(1);
        let waiting = {
            // The journal is in use: that is how a write which takes its time looks from here.
            let writing = lock(&stuck.journal);
            let end = Arc::clone(&stuck);
            let waiting = tokio::spawn(async move {
                entered.send(()).unwrap();
                end.step(0, Vec::new(), "ann-1", Duration::ZERO).is_some()
            });
            block_in_place(|| inside.recv()).unwrap();
            let end = Arc::clone(&other);
            let served =
                tokio::spawn(
                    async move { end.step(0, Vec::new(), "ann-2", Duration::ZERO).is_some() },
                );
            let (said, told) = sync_channel(1);
            tokio::spawn(async move { said.send(served.await.unwrap()) });
            assert!(block_in_place(|| told.recv()).unwrap());
            assert!(stuck.state.try_lock().is_ok(), "the end itself can be looked at");
            assert!(!waiting.is_finished(), "nothing leaves before it is written");
            drop(writing);
            waiting
        };
        assert!(waiting.await.unwrap());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_end_moves_nothing_for_a_websocket_that_another_one_has_followed() {
        let end = kept(None);
        end.state().turn += 1;
        assert!(end.step(0, Vec::new(), "ann-1", Duration::ZERO).is_none());
        assert!(end.step(1, Vec::new(), "ann-1", Duration::ZERO).is_some());
    }
}
