//! The recorder's thread: takes from tapes, writes blocks, signs, and hands finished recordings
//! over.
//!
//! # Invariants
//! - One thread does all of this, so a job is never written by two.
//! - A recording leaves `jobs` only after its end is in the node's chain and its file in the
//!   outbox. Recordings that end together are recorded with one sync, and signed by one checkpoint.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TrySendError;
use towline_evidence::node::What;

use super::disk_space::is_full;
use super::job::{Job, Step};
use super::recorder::{Recorder, RecordingEvent, lock};
use crate::delivery::put_into_outbox;
use crate::limits::{CHAIN_BATCH, LOOK_EVERY, NICENESS, TICK};
use crate::settings::{Demand, WhenFailing};

impl Recorder {
    /// Works until [`Recorder::stop`].
    pub(super) fn run(&self) {
        // On Linux a nice value belongs to the thread. Where setting it is not allowed, the thread
        // works without.
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
            let mut over = Vec::new();
            for tape in tapes {
                if self.work(&tape.session, Step::Drain) {
                    over.push(tape.session.clone());
                }
            }
            self.hand_over(&over);
            if tick.elapsed() >= TICK {
                self.all(Step::Flush);
                tick = Instant::now();
            }
            if look.elapsed() >= LOOK_EVERY {
                self.disk.look();
                self.look_at_shares();
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
        let mut sessions: Vec<String> = lock(&self.jobs).keys().cloned().collect();
        sessions.retain(|session| self.work(session, step));
        self.hand_over(&sessions);
    }

    /// Does a step of a recording. True: it is over, and has to be handed over.
    fn work(&self, session: &str, step: Step) -> bool {
        let Some(job) = lock(&self.jobs).get(session).cloned() else { return false };
        let mut job = lock(&job);
        let paused = self.paused_for(job.principal());
        job.step(step, paused.as_deref());
        if job.is_stuck() && self.disk.use_reserve() {
            job.step(Step::Flush, self.paused().as_deref());
        }
        if job.part_ended() && !job.is_over() {
            self.sign_part(session, &mut job);
        }
        if job.is_over() {
            return true;
        }
        if let Some(why) = job.failure() {
            tracing::error!(session, why, "a session is not recorded");
            let ends = self.settings.recording == Demand::Demanded
                && self.settings.when_failing == WhenFailing::EndSession;
            let event = RecordingEvent::Failed { session: session.to_owned(), why: why.to_owned() };
            if ends && self.events.try_send(event).is_err() {
                return false; // sent again at the next tick
            }
            job.failure_reported();
        }
        false
    }

    /// Signs recordings that have their last seal, and moves them to the outbox.
    fn hand_over(&self, sessions: &[String]) {
        for sessions in sessions.chunks(CHAIN_BATCH) {
            let jobs: Vec<_> = {
                let jobs = lock(&self.jobs);
                let job =
                    |session: &String| Some((session.clone(), Arc::clone(jobs.get(session)?)));
                sessions.iter().filter_map(job).collect()
            };
            self.hand_over_some(&jobs);
        }
    }

    fn hand_over_some(&self, jobs: &[(String, Arc<Mutex<Job>>)]) {
        let (mut ended, mut records) = (Vec::new(), Vec::new());
        for (session, job) in jobs {
            let job = lock(job);
            let (bytes, name) = (job.bytes(), session.clone());
            let event = RecordingEvent::Finished { session: name, bytes };
            // While the gateway stops nobody listens: the recording is handed over all the same.
            if matches!(self.events.try_send(event), Err(TrySendError::Full(_)))
                && !self.stopping.load(Ordering::SeqCst)
            {
                continue; // tried again at the next tick
            }
            if let Err(error) = job.sync() {
                self.not_handed_over(session, &error);
                continue;
            }
            records.push(job.ended(session, &self.object(session)));
            ended.push((session, job));
        }
        if ended.is_empty() {
            return;
        }
        if let Err(error) = self.chain.record(records) {
            for (session, _) in ended {
                self.not_handed_over(session, &error);
            }
            return;
        }
        for (session, job) in ended {
            let object = self.object(session);
            if let Err(error) = put_into_outbox(&self.outbox_folder(), &object, job.path()) {
                self.not_handed_over(session, &error);
                continue;
            }
            drop(lock(&self.jobs).remove(session));
            let target = self.outbox_folder().join(&object);
            self.shares.handed_over(job.principal(), &target, job.bytes());
            self.to_index.add(session);
        }
        if let Err(error) = self.checkpoint() {
            tracing::error!(%error, "cannot sign the node's chain"); // tried again in its time
        }
    }

    fn not_handed_over(&self, session: &str, error: &std::io::Error) {
        tracing::error!(session, %error, "cannot hand over a finished recording; retrying");
        if is_full(error) {
            self.disk.use_reserve();
        }
    }

    /// Syncs and signs what is in the file of a recording that begins a further part.
    fn sign_part(&self, session: &str, job: &mut Job) {
        job.step(Step::Flush, None);
        let Some((lines, head)) = job.progress() else { return }; // signed with the next checkpoint
        let session = session.to_owned();
        let signed = job
            .sync()
            .and_then(|()| self.record(What::Progress { session, lines, head }))
            .and_then(|()| self.checkpoint());
        if let Err(error) = signed {
            tracing::error!(%error, "cannot sign a part of a recording");
        }
    }

    /// Finds out whose recordings take more than their share.
    fn look_at_shares(&self) {
        let jobs: Vec<Arc<Mutex<Job>>> = lock(&self.jobs).values().cloned().collect();
        let under_way = jobs.into_iter().map(|job| {
            let job = lock(&job);
            (job.principal().to_owned(), job.bytes())
        });
        self.shares.look(under_way);
    }

    fn sign(&self) {
        self.all(Step::Flush);
        let jobs: Vec<(String, Arc<Mutex<Job>>)> =
            lock(&self.jobs).iter().map(|(name, job)| (name.clone(), Arc::clone(job))).collect();
        for jobs in jobs.chunks(CHAIN_BATCH) {
            let mut records = Vec::new();
            for (session, job) in jobs {
                let mut job = lock(job);
                let Some((lines, head)) = job.progress() else { continue };
                if let Err(error) = job.sync() {
                    tracing::error!(session, %error, "cannot sync a recording");
                    continue;
                }
                records.push(What::Progress { session: session.clone(), lines, head });
            }
            if !records.is_empty()
                && let Err(error) = self.chain.record(records)
            {
                tracing::error!(%error, "cannot write the node's chain");
                return;
            }
        }
        if self.chain.file().has_unsigned()
            && let Err(error) = self.checkpoint()
        {
            tracing::error!(%error, "cannot sign the node's chain");
        }
    }
}
