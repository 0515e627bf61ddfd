//! The recorder's thread: takes from tapes, writes blocks, signs, and hands finished recordings
//! over.
//!
//! # Invariants
//! - One thread does all of this, so a job is never written by two.
//! - A recording leaves `jobs` only after its file is in the outbox and its end is signed.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TrySendError;
use towline_evidence::node::What;

use super::disk_space::is_full;
use super::job::{Job, Step};
use super::recorder::{Recorder, RecordingEvent, lock};
use crate::delivery::put_into_outbox;
use crate::limits::{LOOK_EVERY, NICENESS, TICK};
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
            for tape in tapes {
                self.work(&tape.session, Step::Drain);
            }
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
        let sessions: Vec<String> = lock(&self.jobs).keys().cloned().collect();
        for session in sessions {
            self.work(&session, step);
        }
    }

    fn work(&self, session: &str, step: Step) {
        let Some(job) = lock(&self.jobs).get(session).cloned() else { return };
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
            self.hand_over(session, &mut job);
        } else if let Some(why) = job.failure() {
            tracing::error!(session, why, "a session is not recorded");
            let ends = self.settings.recording == Demand::Demanded
                && self.settings.when_failing == WhenFailing::EndSession;
            let event = RecordingEvent::Failed { session: session.to_owned(), why: why.to_owned() };
            if ends && self.events.try_send(event).is_err() {
                return; // sent again at the next tick
            }
            job.failure_reported();
        }
    }

    /// Signs a recording that has its last seal, and moves it to the outbox.
    fn hand_over(&self, session: &str, job: &mut Job) {
        let event = RecordingEvent::Finished { session: session.to_owned(), bytes: job.bytes() };
        // While the gateway stops nobody listens: the recording is handed over all the same.
        if matches!(self.events.try_send(event), Err(TrySendError::Full(_)))
            && !self.stopping.load(Ordering::SeqCst)
        {
            return; // tried again at the next tick
        }
        let object = self.object(session);
        let target = self.outbox_folder().join(&object);
        let moved = job.sync().and_then(|()| {
            self.record(job.ended(session, &object))?;
            put_into_outbox(&self.outbox_folder(), &object, job.path())?;
            self.checkpoint()
        });
        match moved {
            Ok(()) => {
                drop(lock(&self.jobs).remove(session));
                self.shares.handed_over(job.principal(), &target, job.bytes());
                self.to_index.add(session);
            }
            Err(error) => {
                tracing::error!(session, %error, "cannot hand over a finished recording; retrying");
                if is_full(&error) {
                    self.disk.use_reserve();
                }
            }
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
        for (session, job) in jobs {
            let mut job = lock(&job);
            let Some((lines, head)) = job.progress() else { continue };
            if let Err(error) =
                job.sync().and_then(|()| self.record(What::Progress { session, lines, head }))
            {
                tracing::error!(%error, "cannot write the node's chain");
                return;
            }
        }
        if lock(&self.chain).has_unsigned()
            && let Err(error) = self.checkpoint()
        {
            tracing::error!(%error, "cannot sign the node's chain");
        }
    }
}
