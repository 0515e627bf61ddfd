//! The recorder: one thread that turns tapes into sealed recordings on this disk, and hands them
//! over.
//!
//! Way: [`Recorder::begin`] (a file, and a record in the node's chain, before the session's first
//! byte) -> the session's [`Tape`] -> this thread -> blocks in `staging/` -> at the end `outbox/`,
//! and a signed record of it.
//!
//! # Invariants
//! - No session ever waits for this thread: it waits for them.
//! - Of a process that is killed, what is older than [`TICK`] is on the disk; what is missing shows
//!   as a gap when the session goes on.
//! - A recording that began is in the node's chain until it has ended there.
//!
//! # Not here
//! - Sending: `outbox`. What happens to sessions whose recording fails or is over: whoever listens
//!   to [`RecordingEvents`].

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use towline_evidence::cast::{Facts, Header};
use towline_evidence::checkpoint::PublicKey;
use towline_evidence::node::What;
use towline_evidence::recording::{Recording, Resuming};

use crate::delivery::{cloudwatch, copies};
use crate::recorder::destinations::Destinations;
use crate::recorder::disk_space::is_full;
use crate::recorder::job::{Job, Step};
use crate::recorder::node_chain::Ledger;
use crate::recorder::staging::Staged;
use crate::recorder::tape::{List, Tape};
use crate::settings::{Demand, Settings, SinkSettings, WhenFailing};
use towline_host::clock::Clock;

/// How long something may lie in memory only.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// The thread steps back behind those that carry bytes: it has a tape's length of time, and they
/// have none. With it bulk output of one session is a tenth faster on two processors. A session
/// whose tape is behind waits, so a busy machine starves no recording.
const NICENESS: i32 = 5;
/// How often free space and what waits are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// RecordingEvents that may wait at once; when there are more, the rest is told at the next tick.
const NEWS: usize = 256;

/// What sessions should hear of their recordings.
pub type RecordingEvents = mpsc::Receiver<RecordingEvent>;

/// One piece of news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordingEvent {
    /// A demanded recording failed.
    Failed {
        /// The session, which has to end.
        session: String,
        /// Why.
        why: String,
    },
    /// A recording is over. Told before it is handed over; of a process that is killed right then,
    /// it is not told again.
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
    /// The disk is too full.
    #[error("recording is not possible: {0}")]
    NoRoom(String),
    /// The disk failed.
    #[error("recording is not possible: {0}")]
    Disk(#[from] std::io::Error),
}

/// See the module.
pub struct Recorder {
    pub(crate) settings: Settings,
    clock: Clock,
    list: Arc<List>,
    jobs: Mutex<HashMap<String, Arc<Mutex<Job>>>>,
    /// Recordings that an earlier process left, until it is known whether their sessions live.
    left: Mutex<HashMap<String, (Recording, Staged, i64)>>,
    ledger: Mutex<Ledger>,
    pub(crate) room: Mutex<Option<String>>,
    pub(super) exporting: Mutex<()>,
    stopping: AtomicBool,
    pub(crate) finished: Arc<Notify>,
    news: mpsc::Sender<RecordingEvent>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner) // each holder leaves the value whole between its steps
}

impl Recorder {
    /// Starts the thread, after reading what an earlier process left.
    pub(crate) fn start(
        settings: Settings,
        ledger: Ledger,
        clock: Clock,
    ) -> std::io::Result<(Arc<Self>, RecordingEvents)> {
        let (news, told) = mpsc::channel(NEWS);
        let recorder = Arc::new(Self {
            settings,
            clock,
            list: Arc::default(),
            jobs: Mutex::default(),
            left: Mutex::default(),
            ledger: Mutex::new(ledger),
            room: Mutex::new(None),
            exporting: Mutex::default(),
            stopping: AtomicBool::new(false),
            finished: Arc::default(),
            news,
            thread: Mutex::new(None),
        });
        recorder.read_what_is_left()?;
        recorder.look_for_room();
        let node = recorder.settings.node.clone();
        let key = recorder.public_key().to_string();
        recorder.record(What::Start { node, key })?;
        let own = Arc::clone(&recorder);
        *lock(&recorder.thread) = Some(
            std::thread::Builder::new()
                .name("towline-evidence".to_owned())
                .spawn(move || own.run())?,
        );
        Ok((recorder, told))
    }

    /// Whether sessions are recorded at all.
    #[must_use]
    pub const fn demand(&self) -> Demand {
        self.settings.recording
    }

    /// Why nothing can be recorded now, if so.
    #[must_use]
    pub fn paused(&self) -> Option<String> {
        lock(&self.room).clone()
    }

    /// Verifies this node's checkpoints.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        lock(&self.ledger).public()
    }

    /// Key of a session's recording in the sink.
    #[must_use]
    pub fn object(&self, session: &str) -> String {
        towline_evidence::layout::recording(&self.settings.prefix, session)
    }

    /// Where a session's recording lies, or will lie, as a URL; `None` where nothing is recorded.
    #[must_use]
    pub fn url(&self, session: &str) -> Option<String> {
        let url = self.url_of(&self.object(session));
        (self.settings.recording != Demand::Off).then_some(url)
    }

    /// The URL of an object in the sink.
    #[must_use]
    pub fn url_of(&self, object: &str) -> String {
        match &self.settings.sink {
            SinkSettings::Directory(folder) => format!("file://{}/{object}", folder.display()),
            SinkSettings::S3(s3) => format!("{}/{}/{object}", s3.server(), s3.bucket),
        }
    }

    /// Bytes of a recording that goes on, as far as they are on the disk; `None` where there is
    /// none.
    #[must_use]
    pub fn bytes_so_far(&self, session: &str) -> Option<u64> {
        fs::metadata(self.staging_path(session)).ok().map(|file| file.len())
    }

    /// The file of a recording that is not, or not yet, in the sink.
    #[must_use]
    pub fn local(&self, session: &str) -> Option<PathBuf> {
        let waiting = self.settings.home.join("outbox").join(self.object(session));
        [self.staging_path(session), waiting].into_iter().find(|path| path.is_file())
    }

    /// Begins a recording. Waits for the disk: call it where waiting is allowed.
    ///
    /// # Errors
    /// [`CannotRecord`].
    pub fn begin(
        &self,
        facts: Facts,
        cols: u16,
        rows: u16,
        term: Option<&str>,
        places: &Destinations,
    ) -> Result<Arc<Tape>, CannotRecord> {
        if let Some(why) = lock(&self.room).clone() {
            return Err(CannotRecord::NoRoom(why));
        }
        let session = facts.session.clone();
        let header = Header {
            version: 2,
            width: cols,
            height: rows,
            timestamp: self.clock.now().0.div_euclid(1000),
            title: format!("{} on {}", facts.principal, facts.device),
            env: term
                .map(|term| BTreeMap::from([("TERM".to_owned(), term.to_owned())]))
                .unwrap_or_default(),
            towline: Some(facts),
        };
        let path = self.staging_path(&session);
        let mut staged = Staged::create(&path)?;
        let mut recording = Recording::start(&session, &header);
        let begun = staged
            .append(&recording.take(0))
            .and_then(|()| staged.sync())
            .and_then(|()| self.record(What::Open { session: session.clone() }));
        let home = &self.settings.home;
        let begun = begun
            .and_then(|()| {
                places
                    .logs
                    .as_ref()
                    .map_or(Ok(()), |logs| cloudwatch::follow(home, &session, &path, logs))
            })
            .and_then(|()| {
                places
                    .copy
                    .as_ref()
                    .map_or(Ok(()), |copy| copies::expect(home, &session, &path, copy))
            });
        if let Err(error) = begun {
            let _ = fs::remove_file(&path); // an empty file of a session that will not be
            return Err(error.into());
        }
        Ok(self.add(&session, recording, staged, 0))
    }

    /// Whether its recording is still being written.
    #[must_use]
    pub fn is_recording(&self, session: &str) -> bool {
        self.staging_path(session).exists()
    }

    /// Goes on with the recording of a session that outlived an earlier process; `None` when there
    /// is none.
    pub fn resume(&self, session: &str) -> Option<Arc<Tape>> {
        let (mut recording, staged, timestamp) = lock(&self.left).remove(session)?;
        let since = self
            .clock
            .now()
            .0
            .saturating_mul(1000)
            .saturating_sub(timestamp.saturating_mul(1_000_000));
        let base = recording.last().max(u64::try_from(since).unwrap_or(0));
        recording.marker(base, "the gateway was restarted");
        Some(self.add(session, recording, staged, base))
    }

    /// Ends the recordings that nobody went on with: their sessions are over.
    pub fn finish_leftovers(&self) {
        for (session, (recording, staged, _)) in lock(&self.left).drain() {
            let base = recording.last();
            let tape = self.add(&session, recording, staged, base);
            tape.end("the session did not outlive a restart of the gateway");
        }
    }

    /// Adds a record to the node's chain.
    ///
    /// # Errors
    /// The disk's.
    pub fn record(&self, what: What) -> std::io::Result<()> {
        lock(&self.ledger).add(self.clock.now().0, what)
    }

    /// Signs what the node's chain holds.
    ///
    /// # Errors
    /// The disk's.
    pub fn checkpoint(&self) -> std::io::Result<()> {
        lock(&self.ledger).checkpoint(self.clock.now().0)?;
        self.finished.notify_one();
        Ok(())
    }

    /// Writes what is there, signs it, and ends the thread. Waits for the disk.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.list.call();
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join(); // a panic of that thread was reported by itself
        }
    }

    fn add(&self, session: &str, recording: Recording, staged: Staged, base: u64) -> Arc<Tape> {
        let tape = Tape::new(session, base, Arc::clone(&self.list));
        let job = Job::new(Arc::clone(&tape), recording, staged, self.settings.max_recording);
        lock(&self.jobs).insert(session.to_owned(), Arc::new(Mutex::new(job)));
        tape
    }

    fn staging_path(&self, session: &str) -> PathBuf {
        self.settings.home.join("staging").join(format!("{session}.part"))
    }

    fn read_what_is_left(&self) -> std::io::Result<()> {
        for entry in fs::read_dir(self.settings.home.join("staging"))? {
            let path = entry?.path();
            let Some(session) =
                path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".part"))
            else {
                continue;
            };
            match read_left(&path, session) {
                Ok(left) => drop(lock(&self.left).insert(session.to_owned(), left)),
                Err(error) => {
                    tracing::error!(session, %error, "a recording cannot be gone on with: it lies in quarantine");
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

    // ---- the thread
    // -------------------------------------------------------------------------------------------

    fn run(&self) {
        // On Linux this is the thread's. Where it is not allowed, the thread does without.
        let _ = rustix::process::nice(NICENESS);
        let (mut tick, mut look, mut signed) = (Instant::now(), Instant::now(), Instant::now());
        loop {
            let stopping = self.stopping.load(Ordering::SeqCst);
            self.list.wait(if stopping {
                Duration::ZERO
            } else {
                TICK.saturating_sub(tick.elapsed())
            });
            let tapes = self.list.all();
            if stopping && tapes.is_empty() {
                break;
            }
            for tape in tapes {
                self.work(&tape.session, Step::Drain);
            }
            if tick.elapsed() >= TICK {
                self.all(Step::Flush);
                tick = Instant::now();
            }
            if look.elapsed() >= LOOK_EVERY {
                self.look_for_room();
                look = Instant::now();
            }
            if signed.elapsed() >= self.settings.checkpoint {
                self.sign();
                signed = Instant::now();
            }
        }
        self.sign();
    }

    fn all(&self, step: Step) {
        let sessions: Vec<String> = lock(&self.jobs).keys().cloned().collect();
        for session in sessions {
            self.work(&session, step);
        }
    }

    fn work(&self, session: &str, step: Step) {
        let Some(job) = lock(&self.jobs).get(session).cloned() else { return };
        let mut job = lock(&job);
        let room = lock(&self.room).clone();
        job.step(step, room.as_deref());
        if job.is_stuck() && self.use_reserve() {
            let room = lock(&self.room).clone();
            job.step(Step::Flush, room.as_deref());
        }
        if job.is_over() {
            self.hand_over(session, &mut job);
        } else if let Some(why) = job.failure() {
            tracing::error!(session, why, "a session is not recorded");
            let ends = self.settings.recording == Demand::Demanded
                && self.settings.when_failing == WhenFailing::EndSession;
            let told = RecordingEvent::Failed { session: session.to_owned(), why: why.to_owned() };
            if ends && self.news.try_send(told).is_err() {
                return; // told again at the next tick
            }
            job.failure_told();
        }
    }

    /// A recording with its last seal: signed, and into the outbox.
    fn hand_over(&self, session: &str, job: &mut Job) {
        let told = RecordingEvent::Finished { session: session.to_owned(), bytes: job.bytes() };
        // Nobody listens any more when the gateway stops: then it is handed over all the same.
        if matches!(self.news.try_send(told), Err(TrySendError::Full(_)))
            && !self.stopping.load(Ordering::SeqCst)
        {
            return; // once more at the next tick
        }
        let object = self.object(session);
        let target = self.settings.home.join("outbox").join(&object);
        let moved = job.sync().and_then(|()| {
            self.record(job.ended(session, &object))?;
            if let Some(folder) = target.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::rename(job.path(), &target)?;
            self.checkpoint()
        });
        match moved {
            Ok(()) => drop(lock(&self.jobs).remove(session)),
            Err(error) => {
                tracing::error!(session, %error, "a finished recording waits: it cannot be handed over");
                if is_full(&error) {
                    self.use_reserve();
                }
            }
        }
    }

    fn sign(&self) {
        self.all(Step::Flush);
        let jobs: Vec<(String, Arc<Mutex<Job>>)> =
            lock(&self.jobs).iter().map(|(name, job)| (name.clone(), Arc::clone(job))).collect();
        for (session, job) in jobs {
            let mut job = lock(&job);
            let Some((lines, head)) = job.progress() else { continue };
            if let Err(error) =
                job.sync().and_then(|()| self.record(What::Progress { session, lines, head }))
            {
                tracing::error!(%error, "the node's chain cannot be written");
                return;
            }
        }
        if lock(&self.ledger).has_unsigned()
            && let Err(error) = self.checkpoint()
        {
            tracing::error!(%error, "the node's chain cannot be signed");
        }
    }
}

fn read_left(path: &Path, session: &str) -> Result<(Recording, Staged, i64), CannotRecord> {
    let (mut resuming, mut timestamp) = (Resuming::new(session), None);
    let staged = Staged::reopen(path, |line| {
        if timestamp.is_none() {
            timestamp = Some(Header::parse(line).map_or(0, |header| header.timestamp));
        }
        resuming.line(line);
    })?;
    let recording = resuming.finish().map_err(|error| CannotRecord::NoRoom(error.to_string()))?;
    Ok((recording, staged, timestamp.unwrap_or(0)))
}
