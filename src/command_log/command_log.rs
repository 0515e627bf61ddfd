//! The command log in the loop: adds session names and record numbers to observations, and makes
//! batches for the gateway.
//!
//! Data flow: [`super::observations`] -> records -> the [`Ring`] -> [`CommandLog::parcel`] on
//! the link -> [`CommandLog::stored`].
//!
//! # Invariants
//! - The watcher runs only while a session, or a process of one, is alive.
//! - A record of a program without arguments is counted in a gap record ([`Lost::Arguments`])
//!   before the end of its session.
//! - Record 0 of each boot names the source of observations; each session's first record repeats
//!   it.

use super::observations::{self, Outbox, Program, Seen};
use super::ring::{Parcel, Ring};
use super::spool::Spool;
use super::watcher::{self, Means};
use crate::clock::{AuthorityClock, since_boot, system_time};
use crate::config::{AuditSettings, WhenFull};
use crate::limits;
use crate::logger;
use std::collections::VecDeque;
use std::path::Path;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use towline_wire::NAMES_EXECUTABLES;
use towline_wire::epoch::BootNonce;
use towline_wire::record::{BATCH, Batch, Lost, Record, Source, TEXT, without_executables};

/// A session that the log knows.
#[derive(Debug)]
struct Named {
    root: u32,
    name: String,
}

/// The records of this boot, on their way to the gateway.
#[derive(Debug)]
pub struct CommandLog {
    settings: AuditSettings,
    /// Of this log, not of the agent's process: a program that takes sessions over begins a log of
    /// its own.
    boot: BootNonce,
    ring: Ring,
    spool: Option<Spool>,
    /// Since when records wait in memory without a link.
    waiting_since: Option<Instant>,
    /// The disk failed, and that was told.
    spool_failed: bool,
    linked: bool,
    /// The gateway of this link reads [`Record::Executed`].
    names_executables: bool,
    watcher: Option<Outbox>,
    means: Means,
    sessions: VecDeque<Named>,
    /// Programs on record without arguments that no gap counts yet.
    unread: u64,
    idle_since: Option<Instant>,
    time: Option<AuthorityClock>,
}

impl CommandLog {
    /// A log of this boot, which spools to `dir` if the device's settings want that.
    #[must_use]
    pub fn new(settings: AuditSettings, dir: &Path, boot: BootNonce, now: Instant) -> Self {
        let enabled = settings.command_log;
        let off = || Means {
            source: Source::Off,
            why: "disabled on the device (audit.command_log)".to_owned(),
        };
        let means = if enabled { watcher::probe() } else { off() };
        if means.source != Source::Kernel {
            logger::warning!("command log degraded: {:?}: {}", means.source, means.why);
        }
        let mut log = Self {
            settings,
            boot,
            ring: Ring::new(limits::LOG_RING),
            spool: (settings.spool_bytes > 0).then(|| Spool::open(dir, settings.spool_bytes)),
            waiting_since: None,
            spool_failed: false,
            linked: false,
            names_executables: false,
            watcher: None,
            means,
            sessions: VecDeque::new(),
            unread: 0,
            idle_since: None,
            time: None,
        };
        let (source, why) = (log.means.source, log.means.why.clone());
        log.push(now, |at| Record::Started { at, source, why });
        log
    }

    /// The source of observations.
    #[must_use]
    pub const fn means(&self) -> &Means {
        &self.means
    }

    /// The authority's time is known.
    pub fn learn_time(&mut self, time: Option<AuthorityClock>) {
        self.time = time;
    }

    /// A session is about to be started: watch, before there is anything to see.
    pub fn listen(&mut self) {
        self.listen_to(Vec::new());
    }

    /// As [`Self::listen`]; `roots` are first processes of sessions that run already.
    pub fn listen_to(&mut self, roots: Vec<u32>) {
        self.idle_since = None;
        if !self.settings.command_log
            || self.watcher.as_ref().is_some_and(|watcher| !watcher.is_dismissed())
        {
            return;
        }
        if let Some(mut old) = self.watcher.take() {
            self.take_all(old.take(), Instant::now());
        }
        let started = observations::pair()
            .and_then(|(inbox, outbox)| Ok((watcher::start(inbox, roots)?, outbox)));
        match started {
            Ok((means, outbox)) => {
                self.means = means;
                self.watcher = Some(outbox);
            }
            Err(error) => {
                logger::error!("cannot watch processes: {error}");
                self.means =
                    Means { source: Source::Off, why: format!("cannot watch processes: {error}") };
            }
        }
    }

    /// This program replaced another one: what was executed in between is not known.
    pub fn went_on(&mut self, now: Instant) {
        self.push(now, |at| Record::Gap { at, covers: 0, lost: Lost::Renewal });
    }

    /// A session was started, with this first process.
    pub fn session(&mut self, name: &str, root: u32, now: Instant) {
        let (session, source, why) = (name.to_owned(), self.means.source, self.means.why.clone());
        self.push(now, |at| Record::Session { session, at, pid: root, source, why });
        if self.watcher.is_some() {
            if self.sessions.len() >= limits::LOG_NAMES {
                self.sessions.pop_front();
            }
            self.sessions.push_back(Named { root, name: name.to_owned() });
        }
    }

    /// A command line was read off a terminal.
    pub fn line(&mut self, session: &str, mut text: String, now: Instant) {
        while text.len() > TEXT {
            text.pop();
        }
        let session = session.to_owned();
        self.push(now, |at| Record::Line { session, at, text });
    }

    /// Ready when [`Self::take_observed`] has to be called: the watcher left something, or ended.
    pub fn poll_observed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.watcher.as_mut().map_or(Poll::Pending, |watcher| watcher.poll_left(cx))
    }

    /// Records what the watcher has left.
    pub fn take_observed(&mut self, now: Instant) {
        let Some(watcher) = &mut self.watcher else { return };
        let ended = watcher.has_ended(); // asked first: all that it left by then is taken below
        let left = watcher.take();
        if ended {
            self.watcher = None;
        }
        self.take_all(left, now);
    }

    /// Stops the watcher when there is nothing to watch. `quiet`: no session, and no known process
    /// of one.
    pub fn tick(&mut self, quiet: bool, now: Instant) {
        self.spool_if_due(now);
        let Some(watcher) = &self.watcher else { return };
        if !quiet {
            self.idle_since = None;
            return;
        }
        let since = *self.idle_since.get_or_insert(now);
        if now >= since + limits::LOG_LINGER {
            watcher.dismiss();
        }
    }

    /// When [`Self::tick`] is wanted.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let dismissal =
            self.watcher.as_ref().and(self.idle_since).map(|since| since + limits::LOG_LINGER);
        let spooling = self.waiting_since.map(|since| since + limits::SPOOL_AFTER);
        [dismissal, spooling].into_iter().flatten().min()
    }

    /// Records that wait without a link go to the disk, some seconds' worth at a time; and at once
    /// when memory is full.
    fn spool_if_due(&mut self, now: Instant) {
        if self.spool.is_none() || self.ring.is_empty() {
            self.waiting_since = None;
            return;
        }
        let crowded = self.ring.len() > limits::LOG_RING / 2;
        let due = self.waiting_since.is_some_and(|since| now >= since + limits::SPOOL_AFTER);
        if crowded || (due && !self.linked) {
            self.waiting_since = None;
            self.spill();
        }
        if !self.linked && !self.ring.is_empty() && !self.spool_failed {
            self.waiting_since.get_or_insert(now);
        }
    }

    /// The agent stops: records the end.
    pub fn stop(&mut self, now: Instant) {
        if let Some(seen) = self.watcher.as_mut().map(|watcher| watcher.finish(limits::LOG_FINISH))
        {
            self.take_all(seen, now);
        }
        self.push(now, |at| Record::Stopped { at });
    }

    /// What the gateway has not confirmed goes to the disk: the last thing that is done.
    pub fn leave(&mut self) {
        self.spill();
    }

    /// Whether nothing is watched, and nothing waits in memory.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.watcher.is_none() && self.ring.is_empty()
    }

    /// Whether a session may be opened: with `refuse-sessions`, not while records are about to be
    /// dropped.
    #[must_use]
    pub fn has_room(&self) -> bool {
        if self.settings.when_full == WhenFull::DropOldest || !self.settings.command_log {
            return true;
        }
        let spool = self.spool.as_ref().filter(|_| !self.spool_failed);
        let spool_has_room =
            spool.is_some_and(|spool| spool.len() < self.settings.spool_bytes / 8 * 7);
        spool_has_room || self.ring.len() < limits::LOG_RING / 4 * 3
    }

    /// The next batch for the gateway, in records that it can read.
    pub fn parcel(&mut self) -> Option<Batch> {
        let mut batch = self.next_batch()?;
        if !self.names_executables {
            batch.records = without_executables(&batch.records);
        }
        Some(batch)
    }

    fn next_batch(&mut self) -> Option<Batch> {
        if let Some(spool) = self.spool.as_mut().filter(|spool| spool.is_unsent()) {
            return spool.parcel(); // older than what is in memory
        }
        let Parcel { first, next, records } = self.ring.parcel()?;
        Some(Batch { boot: self.boot, first, next, records })
    }

    /// Whether [`Self::parcel`] would give one.
    #[must_use]
    pub fn has_more(&self) -> bool {
        match self.spool.as_ref().filter(|spool| spool.is_unsent()) {
            Some(spool) => spool.has_more(),
            None => self.ring.has_more(),
        }
    }

    /// The gateway has stored all of this boot before `next`.
    pub fn stored(&mut self, boot: &BootNonce, next: u64) {
        if let Some(spool) = &mut self.spool {
            spool.confirmed(boot, next);
        }
        if *boot == self.boot {
            self.ring.confirmed(next);
        }
    }

    /// The gateway has accepted the device, and speaks this version of the wire.
    pub fn link_up(&mut self, version: u16) {
        self.linked = true;
        self.names_executables = version >= NAMES_EXECUTABLES;
        self.waiting_since = None;
    }

    /// The link is gone: what was not confirmed will be said again.
    pub fn link_lost(&mut self) {
        self.linked = false;
        self.ring.link_lost();
        if let Some(spool) = &mut self.spool {
            spool.link_lost();
        }
    }

    /// Moves all that is in memory to the disk.
    fn spill(&mut self) {
        let Some(spool) = &mut self.spool else { return };
        while let Some(Parcel { first, next, records }) = self.ring.take(BATCH) {
            match spool.append(&self.boot, first, next, &records) {
                Ok(gone) if gone.is_empty() => self.spool_failed = false,
                Ok(gone) => {
                    logger::warning!(
                        "the spool of the command log is full: dropped the oldest records \
                         ({gone:?})"
                    );
                    self.spool_failed = false;
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.spool_failed, true) {
                        logger::warning!(
                            "cannot spool the command log, it stays in memory: {error}"
                        );
                    }
                    return self.ring.put_back(&Parcel { first, next, records });
                }
            }
        }
    }

    /// Records that the gateway has not confirmed, in bytes.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.ring.len()
    }

    /// Records that were dropped.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.ring.lost()
    }

    fn take_all(&mut self, seen: VecDeque<Seen>, now: Instant) {
        seen.into_iter().for_each(|seen| self.take(seen, now));
        self.record_unread(now);
    }

    /// Records how many programs have no arguments, if a gap does not count them yet.
    fn record_unread(&mut self, now: Instant) {
        let programs = std::mem::take(&mut self.unread);
        if programs > 0 {
            self.push(now, |at| Record::Gap { at, covers: 0, lost: Lost::Arguments { programs } });
        }
    }

    fn take(&mut self, seen: Seen, now: Instant) {
        match seen {
            Seen::Exec { root, at, pid, parent, program } => {
                let Some(session) = self.name_of(root) else { return };
                self.unread += u64::from(program.arguments.is_empty());
                self.push(at, |at| record_of(session, at, [pid, parent], program));
            }
            Seen::Exit { root, at, pid, status, since } => {
                let Some(session) = self.name_of(root) else { return };
                let lasted = millis(at.saturating_duration_since(since));
                self.push(at, |at| Record::Exit { session, at, pid, status, lasted });
            }
            Seen::Over { root, at, executions, without_arguments } => {
                let Some(found) = self.sessions.iter().position(|named| named.root == root) else {
                    return;
                };
                let Some(named) = self.sessions.remove(found) else { return };
                let session = named.name;
                self.record_unread(at);
                self.push(at, |at| Record::SessionEnd {
                    session,
                    at,
                    executions,
                    without_arguments,
                });
            }
            Seen::Missed(lost) => self.missed(lost, now),
        }
    }

    fn missed(&mut self, lost: Lost, now: Instant) {
        logger::warning!("the command log has a gap: {lost:?}");
        self.push(now, |at| Record::Gap { at, covers: 0, lost });
    }

    fn name_of(&self, root: u32) -> Option<String> {
        // The newest first: numbers of processes are used again.
        self.sessions.iter().rev().find(|named| named.root == root).map(|named| named.name.clone())
    }

    fn push(&mut self, when: Instant, record: impl FnOnce(u64) -> Record) {
        let at = self.unix_millis(when);
        self.ring.push(&record(at), at);
    }

    /// The authority's clock if it was heard, else the system's.
    fn unix_millis(&self, when: Instant) -> u64 {
        let ago = when.elapsed();
        self.time.map_or_else(
            || millis(system_time().saturating_sub(ago)),
            |time| time.at(since_boot().saturating_sub(ago)),
        )
    }
}

fn record_of(session: String, at: u64, [pid, parent]: [u32; 2], program: Program) -> Record {
    let Program { uid, arguments, cut, directory, executable } = program;
    match executable {
        None => Record::Exec { session, at, pid, parent, uid, arguments, cut, directory },
        Some(executable) => Record::Executed {
            session,
            at,
            pid,
            parent,
            uid,
            arguments,
            cut,
            directory,
            executable,
        },
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
