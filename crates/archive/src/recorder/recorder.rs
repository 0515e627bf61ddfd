//! The recorder: from the start of a session's recording to its handover, and the node's chain that
//! names each recording.
//!
//! Data flow: [`Recorder::begin`] (a file, and a record in the node's chain, before the session's
//! first byte) -> the session's [`Tape`] -> the thread in `worker` -> blocks in `staging/` -> at
//! the end `outbox/`, and a signed record.
//!
//! # Invariants
//! - No session waits for this thread.
//! - When the process is killed, everything older than [`TICK`](crate::limits::TICK) is on the
//!   disk; what is missing becomes a gap when the session goes on.
//! - A recording that began is open in the node's chain until its end is recorded there.
//!
//! # Not here
//! - Delivery: `delivery`. What happens to sessions whose recording fails or ends: the receiver of
//!   [`RecordingEvents`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{Notify, mpsc};
use towline_evidence::cast::{Facts, Header};
use towline_evidence::checkpoint::PublicKey;
use towline_evidence::layout;
use towline_evidence::node::What;
use towline_evidence::recording::{Recording, Resuming};
use towline_host::clock::{Clock, UnixMillis};
use towline_ssm::api::session::SessionManagerOutputUrl;
use towline_ssm::documents::preferences::SessionPreferences;

use super::destinations::Destinations;
use super::disk_space::DiskSpace;
use super::job::Job;
use super::node_chain::ChainFile;
use super::shared_chain::SharedChain;
use super::shares::Shares;
use super::staging::Staged;
use super::tape::{GATEWAY_ENDED, List, OnTaken, Tape};
use super::waiting::Waiting;
use crate::limits::{EVENTS, PRINCIPAL_SHARE};
use crate::part::Part;
use crate::settings::{Demand, S3, Settings, SinkSettings};

/// Why a further part lacks what came before it.
const OTHER_GATEWAY: &str = "another gateway recorded the session until then, in the part before";
/// Columns and rows of a further part, until the client says its own.
const PART_SIZE: (u16, u16) = (80, 24);

/// Events about recordings, for the part that owns the sessions.
pub type RecordingEvents = mpsc::Receiver<RecordingEvent>;

/// One event about a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordingEvent {
    /// A recording that the settings demand failed.
    Failed {
        /// The session, which has to end.
        session: String,
        /// Why.
        why: String,
    },
    /// A recording has ended. Sent before it is handed over; a process that is killed in between
    /// does not send it again.
    Finished {
        /// The session.
        session: String,
        /// Bytes of the recording.
        bytes: u64,
    },
}

/// Why a session cannot be recorded.
#[derive(Debug, thiserror::Error)]
pub enum CannotRecord {
    /// Too little disk space.
    #[error("recording is paused: {0}")]
    Paused(String),
    /// The file of an earlier process is not a recording.
    #[error("the staged file is not a recording: {0}")]
    Damaged(String),
    /// The folder of recordings was removed, or its disk is not mounted.
    #[error("the gateway's folder of recordings is not there")]
    NoFolder,
    /// The disk failed.
    #[error("cannot write the recording: {0}")]
    Disk(#[from] io::Error),
}

/// A recording with its file: one that begins, or that an earlier process left.
pub(super) struct Leftover {
    recording: Recording,
    staged: Staged,
    /// When the recording began, seconds since the epoch.
    began: i64,
    /// Whose session it is.
    principal: String,
}

/// Records sessions. Shared by all parts that need it.
pub struct Recorder {
    pub(crate) settings: Settings,
    pub(super) clock: Clock,
    pub(super) list: Arc<List>,
    pub(super) jobs: Mutex<HashMap<String, Arc<Mutex<Job>>>>,
    /// Recordings of an earlier process, until it is known whether their sessions are alive.
    leftovers: Mutex<HashMap<String, Leftover>>,
    pub(super) chain: SharedChain,
    pub(super) disk: DiskSpace,
    pub(super) shares: Shares,
    pub(super) exporting: Mutex<()>,
    pub(super) stopping: AtomicBool,
    /// Recordings that ended and have no index yet.
    pub(crate) to_index: Arc<Waiting>,
    /// Wakes the outbox.
    pub(crate) finished: Arc<Notify>,
    pub(super) events: mpsc::Sender<RecordingEvent>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner) // each holder leaves the value whole between its steps
}

impl Recorder {
    /// Reads what an earlier process left, and starts the thread.
    pub(crate) fn start(
        settings: Settings,
        chain: ChainFile,
        clock: Clock,
    ) -> io::Result<(Arc<Self>, RecordingEvents)> {
        let (events, receiver) = mpsc::channel(EVENTS);
        let recorder = Arc::new(Self {
            disk: DiskSpace::new(&settings),
            shares: Shares::new(settings.max_staged / PRINCIPAL_SHARE),
            settings,
            chain: SharedChain::new(chain, clock.clone()),
            clock,
            list: Arc::default(),
            jobs: Mutex::default(),
            leftovers: Mutex::default(),
            exporting: Mutex::default(),
            stopping: AtomicBool::new(false),
            to_index: Arc::default(),
            finished: Arc::default(),
            events,
            thread: Mutex::new(None),
        });
        recorder.read_leftovers()?;
        recorder.disk.look();
        let node = recorder.settings.node.clone();
        let key = recorder.public_key().to_string();
        if let Some(part) = recorder.settings.follows.clone()
            && recorder.chain.file().is_new()
        {
            let Part { node, checkpoint, backup, .. } = part;
            recorder.record(What::Follows { node, checkpoint, backup })?;
        }
        recorder.record(What::Start { node, key })?;
        let own = Arc::clone(&recorder);
        *lock(&recorder.thread) = Some(
            std::thread::Builder::new()
                .name("towline-evidence".to_owned())
                .spawn(move || own.run())?,
        );
        Ok((recorder, receiver))
    }

    /// Whether sessions are recorded at all.
    #[must_use]
    pub const fn demand(&self) -> Demand {
        self.settings.recording
    }

    /// Why recording is paused; `None` when it is not.
    #[must_use]
    pub fn paused(&self) -> Option<String> {
        self.disk.paused()
    }

    /// The same for the sessions of a principal, whose recordings may take more than their share.
    #[must_use]
    pub fn paused_for(&self, principal: &str) -> Option<String> {
        self.paused().or_else(|| self.shares.paused(principal))
    }

    /// The key that verifies this node's checkpoints.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.chain.file().public()
    }

    /// Key of a session's recording in the sink.
    #[must_use]
    pub fn object(&self, session: &str) -> String {
        layout::recording(&self.settings.prefix, session)
    }

    /// URL of a session's recording, even if it is not in the sink yet; `None` when sessions are
    /// not recorded.
    #[must_use]
    pub fn url(&self, session: &str) -> Option<String> {
        let url = self.url_of(&self.object(session));
        (self.settings.recording != Demand::Off).then_some(url)
    }

    /// URL of an object in the sink.
    #[must_use]
    pub fn url_of(&self, object: &str) -> String {
        match &self.settings.sink {
            SinkSettings::Directory(folder) => format!("file://{}/{object}", folder.display()),
            SinkSettings::S3(s3) => format!("{}/{}/{object}", s3.server(), s3.bucket),
        }
    }

    /// The bucket's settings, if the sink is a bucket.
    #[must_use]
    pub fn s3(&self) -> Option<&S3> {
        self.settings.s3()
    }

    /// Where a session's output goes besides its recording.
    ///
    /// # Errors
    /// Why a destination of the preferences is not possible, for the user.
    pub fn destinations(&self, preferences: &SessionPreferences) -> Result<Destinations, String> {
        Destinations::choose(&self.settings, preferences)
    }

    /// The URLs of a session's output. The bucket of the preferences goes before the gateway's own.
    #[must_use]
    pub fn output_url(
        &self,
        session: &str,
        destinations: &Destinations,
    ) -> SessionManagerOutputUrl {
        destinations.output_url(&self.settings, session, self.url(session))
    }

    /// Bytes of a recording that is under way, as far as they are on the disk; `None` when there is
    /// none.
    #[must_use]
    pub fn bytes_so_far(&self, session: &str) -> Option<u64> {
        fs::metadata(self.staging_path(session)).ok().map(|file| file.len())
    }

    /// The file of a recording that has not reached the sink yet.
    #[must_use]
    pub fn local(&self, session: &str) -> Option<PathBuf> {
        let waiting = self.outbox_folder().join(self.object(session));
        [self.staging_path(session), waiting].into_iter().find(|path| path.is_file())
    }

    /// Key of the index of a session's recording in the sink.
    #[must_use]
    pub fn index_object(&self, session: &str) -> String {
        layout::index(&self.settings.prefix, session)
    }

    /// The file of an index that has not reached the sink yet.
    #[must_use]
    pub fn local_index(&self, session: &str) -> Option<PathBuf> {
        Some(self.outbox_folder().join(self.index_object(session))).filter(|path| path.is_file())
    }

    /// Begins a recording. `on_taken` is called after the thread has emptied the tape. Waits for
    /// the disk: call it from a thread that may wait.
    ///
    /// # Errors
    /// [`CannotRecord`].
    pub fn begin(
        &self,
        facts: Facts,
        cols: u16,
        rows: u16,
        term: Option<&str>,
        destinations: &Destinations,
        on_taken: OnTaken,
    ) -> Result<Arc<Tape>, CannotRecord> {
        // Above its principal's share a recording that is wanted begins with a gap.
        let demanded = self.demand() == Demand::Demanded;
        let share = || self.shares.paused(facts.share_of()).filter(|_| demanded);
        if let Some(why) = self.paused().or_else(share) {
            return Err(CannotRecord::Paused(why));
        }
        let session = facts.session.clone();
        let env = term.map(|term| BTreeMap::from([("TERM".to_owned(), term.to_owned())]));
        let header = Header {
            version: 2,
            width: cols,
            height: rows,
            timestamp: self.clock.now().0.div_euclid(1000),
            title: format!("{} on {}", facts.principal, facts.device),
            env: env.unwrap_or_default(),
            towline: Some(facts),
        };
        let left = self.open(&session, &header, destinations)?;
        Ok(self.add(&session, left, (0, ""), on_taken))
    }

    /// Begins a further part of the recording of a session that another gateway has carried until
    /// now. It is a recording of its own, whose times are those of the session. Waits for the disk.
    ///
    /// # Errors
    /// [`CannotRecord`].
    pub fn begin_part(
        &self,
        part: u32,
        facts: Facts,
        started: UnixMillis,
        on_taken: OnTaken,
    ) -> Result<Arc<Tape>, CannotRecord> {
        if let Some(why) = self.paused() {
            return Err(CannotRecord::Paused(why));
        }
        let name = layout::part_name(&facts.session, part);
        let header = Header {
            version: 2,
            width: PART_SIZE.0,
            height: PART_SIZE.1,
            timestamp: started.0.div_euclid(1000),
            title: format!("{} on {}, part {part}", facts.principal, facts.device),
            env: BTreeMap::new(),
            towline: Some(Facts { session: name.clone(), ..facts }),
        };
        let mut left = self.open(&name, &header, &Destinations::default())?;
        let since = self.clock.now().0.saturating_sub(started.0).saturating_mul(1000);
        let base = u64::try_from(since).unwrap_or(0).max(1);
        left.recording.marker(base, &format!("part {part}: the session goes on at this gateway"));
        Ok(self.add(&name, left, (base, OTHER_GATEWAY), on_taken))
    }

    /// A new file with its header, open in the node's chain.
    fn open(
        &self,
        session: &str,
        header: &Header,
        destinations: &Destinations,
    ) -> Result<Leftover, CannotRecord> {
        let principal = header.towline.as_ref().map(|facts| facts.share_of().to_owned());
        let path = self.staging_path(session);
        let mut staged = Staged::create(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                tracing::error!(path = %path.display(), "the folder of recordings is not there");
                CannotRecord::NoFolder
            }
            _ => CannotRecord::Disk(error),
        })?;
        let mut recording = Recording::start(session, header);
        let begun = staged
            .append(&recording.take(0))
            .and_then(|()| staged.sync())
            .and_then(|()| self.record(What::Open { session: session.to_owned() }))
            .and_then(|()| destinations.enqueue(&self.settings.home, session, &path));
        if let Err(error) = begun {
            let _ = fs::remove_file(&path); // the session will not begin; its file is empty
            return Err(error.into());
        }
        Ok(Leftover { recording, staged, began: 0, principal: principal.unwrap_or_default() })
    }

    /// Whether a session's recording is still being written.
    #[must_use]
    pub fn is_recording(&self, session: &str) -> bool {
        self.staging_path(session).exists()
    }

    /// Goes on with the recording of a session that survived a restart of the gateway; `None` when
    /// there is no such recording.
    pub fn resume(&self, session: &str, on_taken: OnTaken) -> Option<Arc<Tape>> {
        let mut left = lock(&self.leftovers).remove(session)?;
        let began = left.began.saturating_mul(1_000_000);
        let since = self.clock.now().0.saturating_mul(1000).saturating_sub(began);
        let base = left.recording.last().max(u64::try_from(since).unwrap_or(0)).max(1);
        left.recording.marker(base, "the gateway was restarted");
        Some(self.add(session, left, (base, GATEWAY_ENDED), on_taken))
    }

    /// Names of the recordings that nobody has resumed yet.
    #[must_use]
    pub fn leftovers(&self) -> Vec<String> {
        lock(&self.leftovers).keys().cloned().collect()
    }

    /// Ends the recordings that nobody resumed: their sessions have ended, or `go_on`: other
    /// gateways took them.
    pub fn finish_leftovers(&self, go_on: &HashSet<String>) {
        for (session, left) in lock(&self.leftovers).drain() {
            let base = left.recording.last();
            let tape = self.add(&session, left, (base, GATEWAY_ENDED), Box::new(|| {}));
            tape.end(if go_on.contains(&session) {
                "the session went on at another gateway"
            } else {
                "the session did not survive a restart of the gateway"
            });
        }
    }

    /// Appends a record to the node's chain.
    ///
    /// # Errors
    /// The disk's.
    pub fn record(&self, what: What) -> io::Result<()> {
        self.chain.record(vec![what])
    }

    /// Records in the node's chain that the delivery of `name` was given up.
    pub(crate) fn record_lost(&self, name: String, why: String) {
        if let Err(error) = self.record(What::Lost { name, why }) {
            tracing::error!(%error, "cannot write the node's chain");
        }
    }

    /// Signs the records of the node's chain.
    ///
    /// # Errors
    /// The disk's.
    pub fn checkpoint(&self) -> io::Result<()> {
        self.chain.checkpoint()?;
        self.finished.notify_one();
        Ok(())
    }

    /// Writes and signs everything, and ends the thread. Waits for the disk.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.to_index.close();
        self.list.call();
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join(); // a panic of that thread was reported by itself
        }
    }

    fn add(
        &self,
        session: &str,
        of: Leftover,
        base: (u64, &'static str),
        on_taken: OnTaken,
    ) -> Arc<Tape> {
        let tape = Tape::new(session, base, Arc::clone(&self.list), on_taken);
        let limits = (self.settings.max_part, self.settings.max_recording);
        let job = Job::new(Arc::clone(&tape), of.recording, of.staged, of.principal, limits);
        lock(&self.jobs).insert(session.to_owned(), Arc::new(Mutex::new(job)));
        tape
    }

    fn staging_path(&self, session: &str) -> PathBuf {
        self.settings.home.join("staging").join(format!("{session}.part"))
    }

    fn read_leftovers(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.settings.home.join("staging"))? {
            let path = entry?.path();
            let Some(session) =
                path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".part"))
            else {
                continue;
            };
            match read_leftover(&path, session) {
                Ok(leftover) => drop(lock(&self.leftovers).insert(session.to_owned(), leftover)),
                Err(error) => {
                    tracing::error!(
                        session, %error,
                        "cannot resume a recording: moved to quarantine"
                    );
                    fs::rename(
                        &path,
                        self.settings.home.join("quarantine").join(format!("{session}.part")),
                    )?;
                    self.record(What::Lost { name: session.to_owned(), why: error.to_string() })?;
                }
            }
        }
        Ok(())
    }
}

fn read_leftover(path: &Path, session: &str) -> Result<Leftover, CannotRecord> {
    let (mut resuming, mut began) = (Resuming::new(session), None);
    let staged = Staged::reopen(path, |line| {
        began.get_or_insert_with(|| {
            let header = Header::parse(line).ok();
            let at = header.as_ref().map_or(0, |header| header.timestamp);
            (at, header.and_then(|header| header.towline).map(|facts| facts.share_of().to_owned()))
        });
        resuming.line(line);
    })?;
    let recording = resuming.finish().map_err(|error| CannotRecord::Damaged(error.to_string()))?;
    let (began, principal) = began.unwrap_or_default();
    Ok(Leftover { recording, staged, began, principal: principal.unwrap_or_default() })
}
