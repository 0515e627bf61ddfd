//! The scheduler: one task that hears all events, stores what they change, and gives steps to
//! devices.
//!
//! Data flow: a batch of events -> `live` (what follows) -> one transaction -> tasks are started,
//! and callers that wait are told.
//!
//! # Invariants
//! - Nothing is sent, and nobody is told, before it is stored. While the store fails it tries
//!   again, and everybody waits.
//! - Where several gateways work together each has a scheduler, for the devices that it holds
//!   ([`super::nodes`]). The one that does the chores keeps the standings and the time limits.
//! - All that waits is bounded: events by their channel, the rest by the store's limits.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Duration, Instant};
use towline_host::clock::UnixMillis;
use towline_ssm::api::command::CommandStatus;
use towline_store::{CommandEnd, InvocationChange, OutputHeads, SentCommand, StoreError};
use towline_wire::lane::Lanes;

use super::carry::{From, Job, Wish, carry};
use super::event::{Event, Over};
use super::live::{Invocation, Live, Stage};
use super::shared::{Shared, facts_of, hand_over};
use super::step::End;
use crate::changes::Topic;
use crate::limits::{
    BUSY_DEVICE_RETRY, COMMAND_EVENT_BATCH, MAX_RUNNING_SCRIPTS, SCHEDULER_TICK, SCRIPT_WINDOW,
    STORE_RETRY,
};
use crate::sessions::{Device, session_name};

/// What one batch of events leads to.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) changes: Vec<InvocationChange>,
    pub(super) touched: Vec<String>,
    pub(super) told: Vec<oneshot::Sender<()>>,
    /// Tasks that are over, by command and device.
    over: Vec<(String, String, oneshot::Sender<bool>)>,
    pub(super) jobs: Vec<Job>,
}

/// The one task that schedules commands.
pub(super) struct Scheduler {
    pub(super) shared: Arc<Shared>,
    events: mpsc::Sender<Event>,
    pub(super) live: HashMap<String, Live>,
    /// What tasks are wished to do, by command and device.
    pub(super) wishes: HashMap<(String, String), watch::Sender<Wish>>,
    /// Devices without room, and when they are asked again.
    later: Vec<(Instant, String, String)>,
    /// Where several gateways work together: what was read of each command that has not ended.
    pub(super) seen: HashMap<String, i64>,
    /// Commands that were read again, and whose standing is to be stored.
    pub(super) again: Vec<String>,
    /// Commands that were sent, and that the store did not give yet.
    unread: Vec<String>,
    /// The answer to a claim was lost: what was claimed is given back first, not before this.
    pub(super) lost_claim: Option<Instant>,
    pub(super) next_look: Instant,
    /// Whether this node kept the standings of commands when it looked last.
    pub(super) keeps: bool,
}

impl Scheduler {
    pub(super) fn new(shared: Arc<Shared>, events: mpsc::Sender<Event>) -> Self {
        Self {
            shared,
            events,
            live: HashMap::new(),
            wishes: HashMap::new(),
            later: Vec::new(),
            seen: HashMap::new(),
            again: Vec::new(),
            unread: Vec::new(),
            lost_claim: None,
            next_look: Instant::now(),
            keeps: false,
        }
    }

    /// Takes up the commands that were not over when an earlier process ended.
    pub(super) async fn restore(&mut self) -> Result<(), StoreError> {
        let mut out = Outcome::default();
        if self.shared.store.node().is_some() {
            self.look(&mut out).await?;
        } else {
            if self.shared.store.is_shared() {
                self.shared.store.run_commands().take_from_nodes().await?;
            }
            for row in self.shared.store.run_commands().open().await? {
                self.take_up(&row, &mut out).await?;
            }
        }
        self.store(&mut out).await;
        self.start(out);
        self.hand_over_what_is_left().await
    }

    pub(super) async fn take_up(
        &mut self,
        row: &SentCommand,
        out: &mut Outcome,
    ) -> Result<(), StoreError> {
        let facts = facts_of(row)
            .map_err(|error| StoreError::Row(format!("command {}: {error}", row.new.id)))?;
        let rows = self.shared.store.run_commands().invocations_of(&row.new.id).await?;
        let own = self.shared.store.node();
        let mut live = Live::new(row, facts, rows, own);
        // At a node these are elsewhere, until their devices come here.
        let given = live.invocations.iter();
        let is_given = |one: &Invocation| !one.given_to.is_empty() && !one.asks();
        let given = given.filter(|(_, one)| own.is_none() && is_given(one)).map(|(id, _)| id);
        for device in given.cloned().collect::<Vec<_>>() {
            live.awaited(&device);
            let job = self.job(&live, &device, None, Vec::new());
            out.jobs.extend(job);
        }
        let id = row.new.id.clone();
        let cancelled = live.is_cancelled();
        self.live.insert(id.clone(), live);
        if cancelled {
            self.cancel(&id, None, out);
        }
        self.cancel_waiting(&id, out);
        out.touched.push(id);
        Ok(())
    }

    /// Takes up a command of this id, if there is one. One that this version cannot read is left
    /// out, so that it does not hold up the others.
    pub(super) async fn take_up_stored(
        &mut self,
        id: &str,
        out: &mut Outcome,
    ) -> Result<(), StoreError> {
        let taken_up = match self.shared.store.run_commands().get(id).await {
            Ok(Some(row)) => self.take_up(&row, out).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        match taken_up {
            Err(error) if error.is_unreadable() => {
                tracing::error!(command = id, %error, "a command is left out");
                Ok(())
            }
            done => done,
        }
    }

    /// Outputs of steps that ended right before the earlier process did.
    async fn hand_over_what_is_left(&self) -> Result<(), StoreError> {
        let home = self.shared.recorder.outputs_folder();
        for folder in step_folders(&home) {
            let Some((command, device, step)) = split(&home, &folder) else { continue };
            if self.shared.store.node().is_some()
                && !self.is_whole(&folder, (&command, &device, &step)).await?
            {
                let _ = std::fs::remove_dir_all(&folder); // the store has what counts of it
                continue;
            }
            let Some(row) = self.shared.store.run_commands().get(&command).await? else { continue };
            let Ok(facts) = facts_of(&row) else { continue };
            let present = self
                .live
                .get(&command)
                .and_then(|live| live.invocations.get(&device))
                .map(|one| one.step);
            if present
                .and_then(|at| facts.plan.steps.get(at))
                .is_some_and(|planned| planned.folder == step)
            {
                continue; // it goes on
            }
            hand_over(
                &self.shared.recorder,
                &facts,
                &device,
                &step,
                &folder,
                self.shared.clock.now(),
            );
        }
        Ok(())
    }

    /// Hears events for ever.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Event>) {
        let mut batch = Vec::with_capacity(COMMAND_EVENT_BATCH);
        loop {
            let deadline = self.deadline();
            let shared = Arc::clone(&self.shared);
            tokio::select! {
                heard = inbox.recv_many(&mut batch, COMMAND_EVENT_BATCH) => if heard == 0 { return },
                () = shared.hub.arrivals().ready() => {}
                () = tokio::time::sleep(deadline) => {}
            }
            let mut out = Outcome::default();
            self.look_in_time(&mut out).await;
            for id in std::mem::take(&mut self.unread) {
                self.on_sent(&id, &mut out).await;
            }
            for event in batch.drain(..) {
                self.on_event(event, &mut out).await;
            }
            for id in self.again.clone() {
                self.cancel_waiting(&id, &mut out);
            }
            self.on_arrivals();
            self.on_time(&mut out);
            if self.shared.store.node().is_some() {
                self.give_claimed(&mut out).await;
            } else {
                self.give(&mut out);
            }
            self.store(&mut out).await;
            self.start(out);
        }
    }

    async fn on_event(&mut self, event: Event, out: &mut Outcome) {
        match event {
            Event::Sent { id, done } => {
                self.on_sent(&id, out).await;
                out.told.push(done);
            }
            Event::Come { device, commands, done } => {
                self.take_over(&device, commands, out).await;
                out.told.push(done);
            }
            Event::Look { done } => {
                self.next_look = Instant::now();
                self.look_in_time(out).await;
                out.told.push(done);
            }
            Event::Cancel { id, devices, done } => {
                if self.shared.store.node().is_some() || self.unread.contains(&id) {
                    self.share_cancel(&id, devices.as_deref(), out).await;
                }
                self.cancel(&id, devices, out);
                out.told.push(done);
            }
            Event::Removed { device, done } => {
                self.on_removed(&device, out);
                out.told.push(done);
            }
            Event::Active { command, device, active } => {
                if let Some(live) = self.live.get_mut(&command) {
                    out.changes.extend(live.set_active(&device, active));
                }
            }
            Event::Over { command, device, over, written, missing, heads, stored } => {
                if self.wishes.remove(&(command.clone(), device.clone())).is_some() {
                    self.on_over(&command, &device, over, written, missing, heads, out);
                    out.touched.push(command.clone());
                    out.over.push((command, device, stored));
                } else {
                    let _ = stored.send(false); // another node carries it
                }
            }
        }
    }

    async fn on_sent(&mut self, id: &str, out: &mut Outcome) {
        if self.seen.contains_key(id) {
            return; // a look has found it already
        }
        match self.take_up_stored(id, out).await {
            Ok(()) if self.shared.store.node().is_some() => {
                self.seen.insert(id.to_owned(), 0);
            }
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(command = id, %error, "a command is not taken up yet; retrying");
                self.unread.push(id.to_owned());
            }
        }
    }

    fn on_removed(&mut self, device: &str, out: &mut Outcome) {
        for (id, live) in &mut self.live {
            let waits = live.invocations.get(device).is_some_and(|one| one.stage == Stage::Waiting);
            if waits {
                let (status, why) = (CommandStatus::Failed, "the device was deregistered");
                out.changes.extend(live.give_up(device, status, "Undeliverable", why));
                out.touched.push(id.clone());
            }
        }
    }

    #[allow(clippy::too_many_arguments)] // the fields of one event
    fn on_over(
        &mut self,
        command: &str,
        device: &str,
        over: Over,
        written: Lanes<u64>,
        missing: u64,
        heads: Option<Lanes<Vec<u8>>>,
        out: &mut Outcome,
    ) {
        let now = self.shared.clock.now();
        let Some(live) = self.live.get_mut(command) else { return };
        let cancelled = live.invocations.get(device).is_some_and(|one| one.cancelled);
        let end = match over {
            Over::Ended(end) => end,
            Over::HadBefore(why) => {
                if let Some(change) = live.had_before(device) {
                    out.changes.push(change);
                    return;
                }
                End::Broken(why)
            }
            Over::NotHeld | Over::Busy if cancelled => End::Cancelled,
            Over::NotHeld => {
                out.changes.extend(live.back_to_queue(device, true));
                return;
            }
            Over::Busy => {
                out.changes.extend(live.back_to_queue(device, false));
                self.later.push((
                    Instant::now() + BUSY_DEVICE_RETRY,
                    command.to_owned(),
                    device.to_owned(),
                ));
                return;
            }
        };
        let step =
            live.invocations.get(device).and_then(|one| i64::try_from(one.step).ok()).unwrap_or(0);
        let heads = heads
            .map(|heads| OutputHeads { step, stdout: heads.io, stderr: heads.err })
            .filter(|heads| !heads.stdout.is_empty() || !heads.stderr.is_empty());
        let (mut change, _) = live.ended(device, &end, written, heads, now);
        if let Some(change) = change.as_mut().filter(|_| missing > 0) {
            let lost =
                format!("{missing} bytes of output were lost when the gateway's machine stopped");
            let reason = [change.reason.as_str(), &lost]
                .into_iter()
                .filter(|r| !r.is_empty())
                .collect::<Vec<_>>();
            change.reason = reason.join("; ");
        }
        out.changes.extend(change);
    }

    /// Ends what waits although somebody wants it stopped: nobody else does, where no node carries
    /// it.
    pub(super) fn cancel_waiting(&mut self, id: &str, out: &mut Outcome) {
        let Some(live) = self.live.get(id).filter(|_| self.shared.store.does_chores()) else {
            return;
        };
        let waits = |one: &Invocation| one.cancelled && one.stage == Stage::Waiting;
        let waiting = live.invocations.iter().filter(|(_, one)| waits(one));
        let waiting: Vec<String> = waiting.map(|(device, _)| device.clone()).collect();
        if !waiting.is_empty() {
            self.cancel(id, Some(waiting), out);
        }
    }

    pub(super) fn cancel(&mut self, id: &str, devices: Option<Vec<String>>, out: &mut Outcome) {
        let Some(live) = self.live.get_mut(id) else { return };
        let devices = devices.unwrap_or_else(|| {
            live.cancel_all();
            live.invocations.keys().cloned().collect()
        });
        for device in devices {
            let Some((change, running)) = live.cancel(&device) else { continue };
            out.changes.push(change);
            if let Some(wish) = self.wishes.get(&(id.to_owned(), device)).filter(|_| running) {
                wish.send_replace(Wish::Cancel);
            }
        }
        out.touched.push(id.to_owned());
    }

    fn on_arrivals(&mut self) {
        let arrived = self.shared.hub.arrivals().take();
        for live in self.live.values_mut() {
            for device in &arrived {
                live.arrived(device);
            }
        }
        let now = Instant::now();
        for (_, command, device) in self.later.extract_if(.., |(at, ..)| *at <= now) {
            if let Some(live) = self.live.get_mut(&command) {
                live.again(&device);
            }
        }
    }

    fn on_time(&mut self, out: &mut Outcome) {
        let (now, keeps) = (self.shared.clock.now(), self.shared.store.does_chores());
        for (id, live) in &mut self.live {
            let mut overdue = live.end_doubted();
            if keeps {
                overdue.extend(live.overdue(now));
            }
            if !overdue.is_empty() {
                out.changes.extend(overdue);
                out.touched.push(id.clone());
            }
            for device in live.outlived(now) {
                if let Some(wish) = self.wishes.get(&(id.clone(), device.clone())) {
                    wish.send_replace(Wish::LetGo);
                } else if keeps {
                    let (change, _) = live.ended(&device, &End::Lost, Lanes::default(), None, now);
                    out.changes.extend(change);
                    out.touched.push(id.clone());
                }
            }
        }
    }

    fn deadline(&self) -> Duration {
        let now = self.shared.clock.now();
        let busy = self.later.iter().map(|(at, ..)| at.saturating_duration_since(Instant::now()));
        let millis =
            |at: UnixMillis| Duration::from_millis(u64::try_from(at.0 - now.0).unwrap_or(0));
        self.live
            .values()
            .map(|live| millis(live.deadline(now)))
            .chain(busy)
            .chain(self.next_look())
            .chain((!self.unread.is_empty()).then_some(STORE_RETRY))
            .chain(self.lost_claim.map(|at| at.saturating_duration_since(Instant::now())))
            .chain([SCHEDULER_TICK])
            .min()
            .unwrap_or(SCHEDULER_TICK)
    }

    /// Gives steps to devices that are there, as far as concurrency and memory allow.
    fn give(&mut self, out: &mut Outcome) {
        let now = self.shared.clock.now();
        let ids: Vec<String> = self.live.keys().cloned().collect();
        for id in ids {
            let Some(mut live) = self.live.remove(&id) else { continue };
            for _ in 0..live.room() {
                if self.wishes.len() >= MAX_RUNNING_SCRIPTS {
                    break;
                }
                let hub = &self.shared.hub;
                let is_there = |device: &str| {
                    hub.device(device).is_some_and(|there| !there.is_closed() && there.is_settled())
                };
                let Some(device) = live.next(is_there) else { break };
                match hub.device(&device) {
                    Some(to) => self.hand_out(&mut live, &device, &to, now, out),
                    None => live.is_away(&device),
                }
            }
            self.live.insert(id, live);
        }
    }

    /// Gives the present step to a device.
    pub(super) fn hand_out(
        &mut self,
        live: &mut Live,
        device: &str,
        to: &Arc<dyn Device>,
        now: UnixMillis,
        out: &mut Outcome,
    ) {
        let before =
            live.invocations.get(device).map(|one| one.given_to.clone()).unwrap_or_default();
        out.touched.push(live.facts.id.clone());
        match live.give(device, to.boot(), now) {
            Some(change) => {
                out.changes.push(change);
                out.jobs.extend(self.job(live, device, Some(to), before));
            }
            None => out.changes.extend(live.not_given(device)),
        }
    }

    /// A task for the present step: it is given to this device, or the device may hold it.
    pub(super) fn job(
        &mut self,
        live: &Live,
        device: &str,
        to: Option<&Arc<dyn Device>>,
        given_to: Vec<[u8; 16]>,
    ) -> Option<Job> {
        let one = live.invocations.get(device)?;
        let from = match to {
            Some(to) => From::Order(Arc::clone(to)),
            None => {
                let session = session_name(&live.facts.id, device, one.step);
                let hub = &self.shared.hub;
                match hub.await_step(&session, device, &live.facts.principal, SCRIPT_WINDOW) {
                    Ok(held) => From::Held(held),
                    Err(error) => {
                        tracing::error!(session, %error, "a step is not awaited");
                        return None;
                    }
                }
            }
        };
        let begun = one.steps.get(one.step).and_then(|step| step.started);
        let (wish, wishes) = watch::channel(if one.cancelled { Wish::Cancel } else { Wish::Go });
        self.wishes.insert((live.facts.id.clone(), device.to_owned()), wish);
        Some(Job {
            facts: Arc::clone(&live.facts),
            device: device.to_owned(),
            step: one.step,
            from,
            given_to,
            first_given: begun.map_or_else(|| self.shared.clock.now(), UnixMillis),
            wishes,
        })
    }

    /// Stores what has changed, however long that takes, and lets go of what is over.
    async fn store(&mut self, out: &mut Outcome) {
        out.touched.append(&mut self.again);
        out.touched.sort_unstable();
        out.touched.dedup();
        let keeps = self.shared.store.does_chores();
        let touched = out.touched.iter().filter(|_| keeps);
        let standings: Vec<CommandEnd> =
            touched.filter_map(|id| Some(self.live.get(id)?.standing())).collect();
        if !out.changes.is_empty() || !standings.is_empty() {
            let commands = self.shared.store.run_commands();
            let refused = loop {
                match commands.change(&out.changes, &standings, self.shared.clock.now()).await {
                    Ok(refused) => break refused,
                    Err(error) => {
                        tracing::error!(%error, "cannot store command results; retrying");
                        tokio::time::sleep(STORE_RETRY).await;
                    }
                }
            };
            self.shared.changes.tell(Topic::Commands);
            self.undo(refused, out).await;
        }
        for (_, _, stored) in out.over.drain(..) {
            let _ = stored.send(true); // gone: nobody waits any more
        }
        for over in standings.iter().filter(|standing| standing.ended) {
            self.live.remove(&over.id);
        }
    }

    /// Another node was first: its word counts.
    async fn undo(&mut self, refused: Vec<(String, String)>, out: &mut Outcome) {
        if refused.is_empty() {
            return;
        }
        let is_refused = |command: &str, device: &str| {
            refused.iter().any(|one| (&*one.0, &*one.1) == (command, device))
        };
        for job in out.jobs.extract_if(.., |job| is_refused(&job.facts.id, &job.device)) {
            self.wishes.remove(&(job.facts.id.clone(), job.device.clone()));
        }
        for (.., stored) in out.over.extract_if(.., |one| is_refused(&one.0, &one.1)) {
            let _ = stored.send(false); // gone: nobody waits any more
        }
        let mut commands: Vec<String> = refused.into_iter().map(|one| one.0).collect();
        commands.dedup();
        for command in commands {
            self.read_again(&command).await;
        }
    }

    fn start(&self, out: Outcome) {
        for job in out.jobs {
            tokio::spawn(carry(Arc::clone(&self.shared), job, self.events.clone()));
        }
        for told in out.told {
            let _ = told.send(()); // gone: nobody waits any more
        }
    }
}

/// Folders that hold a step's files.
fn step_folders(home: &Path) -> Vec<std::path::PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![home.to_owned()]);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        let (below, files): (Vec<_>, Vec<_>) =
            entries.flatten().map(|entry| entry.path()).partition(|path| path.is_dir());
        if !files.is_empty() {
            found.push(folder);
        }
        folders.extend(below);
    }
    found
}

/// Command, device, and the step's folder below them.
fn split(home: &Path, folder: &Path) -> Option<(String, String, String)> {
    let mut parts = folder.strip_prefix(home).ok()?.to_str()?.splitn(3, '/');
    Some((parts.next()?.to_owned(), parts.next()?.to_owned(), parts.next()?.to_owned()))
}
