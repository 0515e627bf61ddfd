//! The scheduler at one of several nodes: it claims what it may carry, reads what others have
//! changed, and takes over the steps of devices that come from another node.
//!
//! Data flow: the store -> [`Scheduler::look`] (versions, then what is new) -> `live`; devices that
//! are here -> [`Scheduler::give_claimed`] (one transaction, limits counted over all nodes) ->
//! tasks.
//!
//! # Invariants
//! - A node gives a step only after it has claimed it, and changes only what it carries or what
//!   nobody does: the store refuses anything else, and the command is read again.
//! - A step of a device that has come is awaited before the device says whether it holds it.
//! - A task whose invocation is at another node ends without a word to the device.
//! - What cannot be read is logged and left out: it holds up no other command. What the store did
//!   not answer is read again by the next look.

use std::collections::HashSet;
use std::path::Path;

use tokio::time::{Duration, Instant};
use towline_store::{InvocationRow, OpenCommand, StoreError, Wanted};

use super::carry::Wish;
use super::live::Live;
use super::output::NAMES;
use super::scheduler::{Outcome, Scheduler};
use super::shared::facts_of;
use super::step::StepState;
use crate::limits::{COMMAND_LOOK, MAX_RUNNING_SCRIPTS, STORE_RETRY};

impl Scheduler {
    fn own(&self) -> String {
        self.shared.store.node().unwrap_or_default().to_owned()
    }

    /// Time until the next look; `None` for a gateway that works alone.
    pub(super) fn next_look(&self) -> Option<Duration> {
        self.shared.store.node()?;
        Some(self.next_look.saturating_duration_since(Instant::now()))
    }

    /// Looks, when it is time.
    pub(super) async fn look_in_time(&mut self, out: &mut Outcome) {
        if self.next_look().is_none_or(|left| !left.is_zero()) {
            return;
        }
        if let Err(error) = self.look(out).await {
            tracing::warn!(%error, "it is not known what other gateways did with commands");
        }
        let [busy, idle] = COMMAND_LOOK;
        self.next_look = Instant::now() + if self.live.is_empty() { idle } else { busy };
        let keeps = self.shared.store.does_chores();
        if keeps && !self.keeps {
            self.again.extend(self.live.keys().cloned());
        }
        self.keeps = keeps;
    }

    /// Reads what other nodes have changed.
    pub(super) async fn look(&mut self, out: &mut Outcome) -> Result<(), StoreError> {
        let open = self.shared.store.run_commands().open_versions().await?;
        let ids: HashSet<&str> = open.iter().map(|one| &*one.id).collect();
        let over = |id: &String| !ids.contains(&**id);
        let over: Vec<String> = self.seen.keys().filter(|id| over(id)).cloned().collect();
        for id in over {
            self.live.remove(&id);
            self.seen.remove(&id);
            self.release(|command, _| command == id);
        }
        for one in open {
            match self.seen.get(&one.id) {
                None => self.take_up_stored(&one.id, out).await?,
                // It was over, and the database has lost that.
                Some(version) if *version < one.version && !self.live.contains_key(&one.id) => {
                    self.take_up_stored(&one.id, out).await?
                }
                Some(version) if *version < one.version => {
                    let version = *version;
                    match self.learn(&one, version, out).await {
                        Err(error) if error.is_unreadable() => {
                            tracing::error!(command = one.id, %error, "a change is left out");
                        }
                        done => done?,
                    }
                }
                Some(_) => continue,
            }
            self.seen.insert(one.id, one.version);
        }
        Ok(())
    }

    async fn learn(
        &mut self,
        of: &OpenCommand,
        version: i64,
        out: &mut Outcome,
    ) -> Result<(), StoreError> {
        let rows = self.shared.store.run_commands().changed_since(&of.id, version).await?;
        let own = self.own();
        let Some(live) = self.live.get_mut(&of.id) else { return Ok(()) };
        // It had ended here, and the database has lost that.
        let is_open_again = |row: &InvocationRow| {
            row.doubted && !row.ended && !live.invocations.contains_key(&row.device)
        };
        if rows.iter().any(is_open_again) {
            self.read_again(&of.id).await;
            return Ok(());
        }
        if of.cancelled {
            live.cancel_all();
        }
        let mut cancelled = Vec::new();
        for row in rows {
            let key = (of.id.clone(), row.device.clone());
            let is_carried = self.wishes.contains_key(&key);
            if row.cancelled && !row.ended {
                let known = live.invocations.get(&row.device);
                if known.is_some_and(|one| !one.cancelled) {
                    cancelled.push(row.device.clone());
                }
            }
            if is_carried && !row.ended && row.node == own {
                continue;
            }
            if let Some(wish) = self.wishes.remove(&key) {
                wish.send_replace(Wish::Release);
            }
            live.learn(row, &own);
        }
        if !self.shared.store.does_chores() {
            let wishes = &self.wishes;
            cancelled.retain(|device| wishes.contains_key(&(of.id.clone(), device.clone())));
        }
        self.cancel(&of.id, Some(cancelled), out);
        self.cancel_waiting(&of.id, out); // its node is dead, or has given it back
        Ok(())
    }

    fn release(&mut self, is_meant: impl Fn(&str, &str) -> bool) {
        for (_, wish) in self.wishes.extract_if(|(command, device), _| is_meant(command, device)) {
            wish.send_replace(Wish::Release);
        }
    }

    /// Whether steps may be claimed: what was claimed without an answer is given back before, some
    /// time after that claim.
    async fn may_claim(&mut self) -> bool {
        match self.lost_claim {
            None => return true,
            Some(not_before) if Instant::now() < not_before => return false,
            Some(_) => {}
        }
        self.lost_claim = Some(Instant::now() + STORE_RETRY);
        if let Err(error) = self.shared.store.run_commands().give_back_claims().await {
            tracing::warn!(%error, "no step is given: an earlier claim has no answer yet");
            return false;
        }
        self.lost_claim = None;
        self.next_look = Instant::now(); // it reads them as they stand now
        true
    }

    /// Gives steps to devices that are here, as far as all nodes together may.
    pub(super) async fn give_claimed(&mut self, out: &mut Outcome) {
        if !self.may_claim().await {
            return;
        }
        let hub = std::sync::Arc::clone(&self.shared.hub);
        let is_there = |device: &str| {
            hub.device(device).is_some_and(|there| !there.is_closed() && there.is_settled())
        };
        let mut places = MAX_RUNNING_SCRIPTS.saturating_sub(self.wishes.len());
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let mut wanted = Vec::new();
        for (id, live) in &mut self.live {
            let (concurrency, most_errors) = live.limits();
            for _ in 0..live.room().min(places) {
                let Some(device) = live.next(is_there) else { break };
                places -= 1;
                wanted.push(Wanted {
                    command: id.clone(),
                    device,
                    concurrency: number(concurrency),
                    most_errors: number(most_errors),
                });
            }
        }
        if wanted.is_empty() {
            return;
        }
        let claimed = match self.shared.store.run_commands().claim(&wanted).await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::warn!(%error, "no step is given: the store does not answer");
                self.lost_claim = Some(Instant::now() + STORE_RETRY);
                Vec::new()
            }
        };
        for one in &wanted {
            let is_it =
                |row: &InvocationRow| row.command == one.command && row.device == one.device;
            if !claimed.iter().any(is_it)
                && let Some(live) = self.live.get_mut(&one.command)
            {
                live.again(&one.device); // the next look tells why not
            }
        }
        let (now, own) = (self.shared.clock.now(), self.own());
        for row in claimed {
            let (id, device) = (row.command.clone(), row.device.clone());
            let Some(mut live) = self.live.remove(&id) else { continue };
            live.claimed(row, &own);
            match hub.device(&device).filter(|there| !there.is_closed()) {
                Some(to) => self.hand_out(&mut live, &device, &to, now, out),
                None => {
                    out.changes.extend(live.back_to_queue(&device, false));
                    live.is_away(&device);
                }
            }
            self.live.insert(id, live);
        }
    }

    /// A device has come from another node: the steps that it may hold are awaited here.
    pub(super) async fn take_over(
        &mut self,
        device: &str,
        commands: Vec<String>,
        out: &mut Outcome,
    ) {
        for command in commands {
            while let Err(error) = self.take_over_one(device, &command, out).await {
                if error.is_unreadable() {
                    tracing::error!(command, device, %error, "a step is left out");
                    break;
                }
                tracing::error!(command, device, %error, "a step is not taken over; retrying");
                tokio::time::sleep(STORE_RETRY).await;
            }
        }
    }

    async fn take_over_one(
        &mut self,
        device: &str,
        command: &str,
        out: &mut Outcome,
    ) -> Result<(), StoreError> {
        if !self.live.contains_key(command) {
            self.take_up_stored(command, out).await?;
            self.seen.insert(command.to_owned(), 0);
        }
        let row = self.shared.store.run_commands().invocation(command, device).await?;
        let (Some(row), own) = (row, self.own()) else { return Ok(()) };
        let Some(mut live) = self.live.remove(command) else { return Ok(()) };
        if row.ended || row.node != own {
            live.learn(row, &own);
        } else {
            self.release(|of, on| of == command && on == device);
            live.take_over(row, &own);
            let job = self.job(&live, device, None, Vec::new());
            out.jobs.extend(job);
            tracing::info!(command, device, "step taken over from another gateway");
        }
        self.live.insert(command.to_owned(), live);
        Ok(())
    }

    /// Writes for all nodes that somebody wants a command stopped.
    pub(super) async fn share_cancel(
        &mut self,
        id: &str,
        devices: Option<&[String]>,
        out: &mut Outcome,
    ) {
        while let Err(error) = self.shared.store.run_commands().cancel(id, devices).await {
            tracing::error!(command = id, %error, "a command is not stopped yet; retrying");
            tokio::time::sleep(STORE_RETRY).await;
        }
        self.next_look = Instant::now();
        self.look_in_time(out).await;
    }

    /// Another node has changed a command meanwhile: as it stands in the store, with what is
    /// carried here.
    pub(super) async fn read_again(&mut self, id: &str) {
        let own = self.own();
        let (row, rows) = loop {
            let commands = self.shared.store.run_commands();
            match (commands.get(id).await, commands.invocations_of(id).await) {
                (Ok(row), Ok(rows)) => break (row, rows),
                (Err(error), _) | (_, Err(error)) if error.is_unreadable() => {
                    tracing::error!(command = id, %error, "a command is left out");
                    break (None, Vec::new());
                }
                (Err(error), _) | (_, Err(error)) => {
                    tracing::error!(command = id, %error, "a command is not read again; retrying");
                    tokio::time::sleep(STORE_RETRY).await;
                }
            }
        };
        let here: HashSet<String> = rows
            .iter()
            .filter(|row| !row.ended && row.node == own)
            .map(|row| row.device.clone())
            .collect();
        self.release(|command, device| command == id && !here.contains(device));
        let before = self.live.remove(id);
        let Some((row, Ok(facts))) = row.map(|row| (facts_of(&row), row)).map(|(f, r)| (r, f))
        else {
            return;
        };
        let mut live = Live::new(&row, facts, rows, Some(&own));
        for device in &here {
            let known = before.as_ref().and_then(|before| before.invocations.get(device));
            if let Some(known) = known
                && self.wishes.contains_key(&(id.to_owned(), device.clone()))
            {
                live.keep(device, known);
            }
        }
        self.live.insert(id.to_owned(), live);
        self.again.push(id.to_owned());
    }

    /// Whether a folder holds the whole output of a step that has ended.
    pub(super) async fn is_whole(
        &self,
        folder: &Path,
        (command, device, step): (&str, &str, &str),
    ) -> Result<bool, StoreError> {
        let commands = self.shared.store.run_commands();
        let (Some(sent), Some(row)) =
            (commands.get(command).await?, commands.invocation(command, device).await?)
        else {
            return Ok(false);
        };
        let Ok(facts) = facts_of(&sent) else { return Ok(false) };
        let steps: Vec<StepState> = serde_json::from_str(&row.steps).unwrap_or_default();
        let at = facts.plan.steps.iter().position(|planned| planned.folder == step);
        let state = at.and_then(|at| steps.get(at)).filter(|state| state.ended.is_some());
        let length = |name: &str| std::fs::metadata(folder.join(name)).map_or(0, |file| file.len());
        Ok(state.is_some_and(|state| NAMES.map(length) == state.written))
    }
}
