//! A command that is not over: which devices wait, which run, what was counted, and what follows
//! from each event.
//!
//! Pure: no I/O and no clock. The scheduler brings events and time, and stores the changes that
//! come back.
//!
//! # Invariants
//! - At most `concurrency` devices are active at once. One whose link is lost is not active: others
//!   may go on meanwhile.
//! - An invocation leaves `invocations` exactly once, and is counted then.
//! - A step is handed out only together with the boot that gets it, and the change that says so is
//!   stored before it is sent.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use towline_host::clock::UnixMillis;
use towline_ssm::api::command::{CommandStatus, Share};
use towline_ssm::command_document::Plan;
use towline_store::{CommandEnd, InvocationChange, InvocationRow, OutputHeads, SentCommand};
use towline_wire::lane::Lanes;

use super::doubt;
use super::step::{self, End, SKIPPED, StepState};
use crate::limits::{COMMAND_SLACK, MAX_STEP_DELIVERIES};

/// What never changes about a command.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) id: String,
    pub(super) plan: Plan,
    pub(super) principal: String,
    pub(super) document: String,
    pub(super) run_as: Option<String>,
    /// What the keys of its outputs begin with.
    pub(super) prefix: String,
    /// The log group that gets its outputs too.
    pub(super) log_group: Option<String>,
    pub(super) deliver_by: UnixMillis,
    pub(super) expires_at: UnixMillis,
}

/// Where a device stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// In the queue.
    Waiting,
    /// Carried by a task.
    Running {
        /// Its link is there: it counts against the concurrency.
        active: bool,
    },
    /// Another node carries it, or its node is dead and its device did not come to another one yet.
    Elsewhere {
        /// It counts against the concurrency.
        active: bool,
    },
}

const ACTIVE: Stage = Stage::Running { active: true };

impl Stage {
    pub(super) const fn is_active(self) -> bool {
        matches!(self, Self::Running { active: true } | Self::Elsewhere { active: true })
    }

    /// As a row tells it, at the node `own`; `None`: this gateway works alone.
    fn of(row: &InvocationRow, own: Option<&str>) -> Self {
        // What this node carries is not read from its row: a doubted one is of before.
        let is_left = row.doubted && own == Some(&*row.node);
        let is_left = is_left || row.node.is_empty() && doubt::asks(row);
        if own.is_none() || row.node.is_empty() && row.given_to.is_empty() || is_left {
            Self::Waiting
        } else {
            Self::Elsewhere { active: row.active }
        }
    }
}

/// One device of a command.
#[derive(Debug, Clone)]
pub(super) struct Invocation {
    pub(super) step: usize,
    pub(super) given_to: Vec<[u8; 16]>,
    pub(super) steps: Vec<StepState>,
    pub(super) stage: Stage,
    /// The device said that the present step runs.
    pub(super) confirmed: bool,
    /// Somebody wants it stopped.
    pub(super) cancelled: bool,
    /// The database may have lost what became of it.
    pub(super) doubted: bool,
}

/// Why no further device gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Cancelled,
    TooManyErrors,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    completed: usize,
    successes: usize,
    errors: usize,
    too_long: usize,
    undelivered: usize,
}

/// A command that is not over, with its devices.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) facts: Arc<Facts>,
    pub(super) invocations: HashMap<String, Invocation>,
    /// Those that may be there.
    queue: VecDeque<String>,
    /// Those that were not there when it was their turn.
    pub(super) away: HashSet<String>,
    targets: usize,
    concurrency: usize,
    most_errors: usize,
    counts: Counts,
    begun: bool,
    stop: Option<Stop>,
    /// Invocations that count against the concurrency.
    pub(super) active: usize,
    /// Several nodes count against the concurrency, so that each change of it is stored.
    is_shared: bool,
    /// Somebody may wait who gets it no more, because there were too many errors.
    unsettled: bool,
    /// Somebody may wait for a step that was perhaps run before.
    pub(super) in_doubt: bool,
}

impl Live {
    /// A command as it stands in the store, at the node `own`. Nobody is carried yet.
    pub(super) fn new(
        row: &SentCommand,
        facts: Facts,
        rows: Vec<InvocationRow>,
        own: Option<&str>,
    ) -> Self {
        let targets = rows.len();
        let share =
            |text: &str, zero| Share::parse(text, zero).unwrap_or(Share::Number(0)).of(targets);
        let mut live = Self {
            facts: Arc::new(facts),
            invocations: HashMap::new(),
            queue: VecDeque::new(),
            away: HashSet::new(),
            targets,
            concurrency: share(&row.new.max_concurrency, false).max(1),
            most_errors: share(&row.new.max_errors, true),
            counts: Counts::default(),
            begun: false,
            active: 0,
            unsettled: false,
            in_doubt: false,
            is_shared: own.is_some(),
            stop: (row.status == CommandStatus::Cancelling.as_str()).then_some(Stop::Cancelled),
        };
        for row in rows {
            if row.ended {
                live.count_end(CommandStatus::parse(&row.status), &row.details);
                continue;
            }
            live.insert(row, own);
        }
        live
    }

    pub(super) fn insert(&mut self, row: InvocationRow, own: Option<&str>) {
        let steps: Vec<StepState> = serde_json::from_str(&row.steps).unwrap_or_default();
        let mut step = usize::try_from(row.step).unwrap_or(0);
        if steps.get(step).is_some_and(|state| state.skipped) {
            step = step::next(&self.facts.plan, &steps).unwrap_or(step);
        }
        self.begun |= !row.given_to.is_empty() || has_run(&steps, step);
        let stage = Stage::of(&row, own);
        self.active += usize::from(stage.is_active());
        self.in_doubt |= row.doubted;
        if stage == Stage::Waiting {
            self.unsettled = true;
            self.away.remove(&row.device);
            self.queue.push_back(row.device.clone());
        }
        let invocation = Invocation {
            step,
            given_to: row.given_to,
            steps,
            stage,
            confirmed: false,
            cancelled: row.cancelled || row.status == CommandStatus::Cancelling.as_str(),
            doubted: row.doubted,
        };
        self.invocations.insert(row.device, invocation);
    }

    pub(super) fn remove(&mut self, device: &str) -> bool {
        let removed = self.invocations.remove(device);
        self.active -= usize::from(removed.as_ref().is_some_and(|one| one.stage.is_active()));
        removed.is_some()
    }

    /// Its limits: devices at once, and errors.
    pub(super) const fn limits(&self) -> (usize, usize) {
        (self.concurrency, self.most_errors)
    }

    /// A device turned out not to be there.
    pub(super) fn is_away(&mut self, device: &str) {
        self.away.insert(device.to_owned());
    }

    /// Moves an invocation to another stage.
    pub(super) fn enter(&mut self, device: &str, stage: Stage) -> Option<&mut Invocation> {
        let one = self.invocations.get_mut(device)?;
        self.active -= usize::from(one.stage.is_active());
        self.active += usize::from(stage.is_active());
        self.unsettled |= stage == Stage::Waiting;
        self.in_doubt |= one.doubted;
        one.stage = stage;
        Some(one)
    }

    /// How many more devices may get it now.
    pub(super) fn room(&self) -> usize {
        if self.stop.is_some() { 0 } else { self.concurrency.saturating_sub(self.active) }
    }

    /// Takes the next device that is there out of the queue.
    pub(super) fn next(&mut self, is_there: impl Fn(&str) -> bool) -> Option<String> {
        while let Some(device) = self.queue.pop_front() {
            if !self.invocations.get(&device).is_some_and(|one| one.stage == Stage::Waiting) {
                continue; // over, or on its way already
            }
            if is_there(&device) {
                return Some(device);
            }
            self.away.insert(device);
        }
        None
    }

    /// A device has come. True when it waits for this command.
    pub(super) fn arrived(&mut self, device: &str) -> bool {
        let waits = self.away.remove(device);
        if waits {
            self.queue.push_back(device.to_owned());
        }
        waits
    }

    /// A device will be asked again: it had no room.
    pub(super) fn again(&mut self, device: &str) {
        if self.invocations.contains_key(device) {
            self.queue.push_back(device.to_owned());
        }
    }

    /// Some step on a device was handed to a task that waits for the device; nothing is given to
    /// it.
    pub(super) fn awaited(&mut self, device: &str) {
        self.enter(device, Stage::Running { active: false });
    }

    /// The present step is about to be given to this boot of the device's agent. `None`: it was
    /// given too often, or may have been run.
    pub(super) fn give(
        &mut self,
        device: &str,
        boot: [u8; 16],
        now: UnixMillis,
    ) -> Option<InvocationChange> {
        let one = self.invocations.get_mut(device).filter(|one| !one.doubted || one.asks())?;
        if one.asks() || !one.given_to.contains(&boot) {
            if one.deliveries() >= MAX_STEP_DELIVERIES {
                return None;
            }
            one.given_to.push(boot);
        }
        one.doubted = false; // its device tells
        let one = self.enter(device, ACTIVE)?;
        one.confirmed = false;
        let step = one.step;
        one.steps.get_mut(step)?.begin(now);
        self.begun = true;
        self.change(device, None, false)
    }

    /// A task's link is lost, or there; with it, the device may have said that the step runs.
    pub(super) fn set_active(&mut self, device: &str, active: bool) -> Option<InvocationChange> {
        let one = self
            .invocations
            .get_mut(device)
            .filter(|one| matches!(one.stage, Stage::Running { .. }))?;
        let confirmed = one.confirmed || active;
        let was_active = one.stage == ACTIVE;
        let shown_alike = one.confirmed || was_active;
        one.confirmed = confirmed;
        self.enter(device, Stage::Running { active });
        if shown_alike == (confirmed || active) && (was_active == active || !self.is_shared) {
            return None;
        }
        self.change(device, None, false)
    }

    /// The device turned out not to hold what it was given, or to have no room: it waits again.
    pub(super) fn back_to_queue(
        &mut self,
        device: &str,
        at_once: bool,
    ) -> Option<InvocationChange> {
        self.enter(device, Stage::Waiting)?;
        if at_once {
            self.queue.push_back(device.to_owned());
        }
        self.change(device, None, false)
    }

    /// A step has ended. The second value is true when another step follows.
    pub(super) fn ended(
        &mut self,
        device: &str,
        end: &End,
        written: Lanes<u64>,
        heads: Option<OutputHeads>,
        now: UnixMillis,
    ) -> (Option<InvocationChange>, bool) {
        let facts = Arc::clone(&self.facts);
        let Some(one) = self.invocations.get_mut(device) else { return (None, false) };
        let at = one.step;
        if let Some(state) = one.steps.get_mut(at) {
            state.end(end, written, now);
        }
        one.doubted = false; // its device had it
        let stopped = one.cancelled || matches!(end, End::Lost | End::Broken(_));
        if let Some(next) = step::next(&facts.plan, &one.steps).filter(|_| !stopped) {
            one.step = next;
            one.given_to.clear();
            self.enter(device, Stage::Waiting);
            self.queue.push_front(device.to_owned());
            return (self.change(device, heads, false), true);
        }
        for state in one.steps.iter_mut().filter(|state| !state.status.is_final()) {
            state.skip(SKIPPED, "not run: the document ended before this step");
        }
        (self.finish(device, heads), false)
    }

    /// Ends an invocation that waits, without having run its present step.
    pub(super) fn give_up(
        &mut self,
        device: &str,
        status: CommandStatus,
        details: &str,
        why: &str,
    ) -> Option<InvocationChange> {
        let one = self.invocations.get_mut(device)?;
        let may_have_begun = !one.given_to.is_empty();
        let why = if may_have_begun {
            format!("{why}; it was given to the device before that, and may have begun")
        } else {
            why.to_owned()
        };
        for state in one.steps.iter_mut().filter(|state| !state.status.is_final()) {
            state.skip(details, &why);
            state.status = status;
        }
        self.finish(device, None)
    }

    fn finish(&mut self, device: &str, heads: Option<OutputHeads>) -> Option<InvocationChange> {
        let change = self.change(device, heads, true)?;
        self.remove(device);
        self.away.remove(device);
        self.count_end(CommandStatus::parse(&change.status), &change.details);
        Some(change)
    }

    pub(super) fn count_end(&mut self, status: Option<CommandStatus>, details: &str) {
        self.begun = true;
        self.count(status.unwrap_or(CommandStatus::Failed), details);
        if self.stop.is_none() && self.counts.errors > self.most_errors {
            (self.stop, self.unsettled) = (Some(Stop::TooManyErrors), true);
        }
    }

    fn count(&mut self, status: CommandStatus, details: &str) {
        let counts = &mut self.counts;
        counts.completed += 1;
        match (status, details) {
            (CommandStatus::Success, _) => counts.successes += 1,
            (CommandStatus::TimedOut, "DeliveryTimedOut") => counts.undelivered += 1,
            (CommandStatus::TimedOut, _) => {
                (counts.errors, counts.too_long) = (counts.errors + 1, counts.too_long + 1)
            }
            (CommandStatus::Failed, "Undeliverable") => {}
            (CommandStatus::Failed, _) => counts.errors += 1,
            _ => {}
        }
    }

    /// Stops it on one device; `None` when it is over there. The second value: a task carries it,
    /// and has to be told.
    pub(super) fn cancel(&mut self, device: &str) -> Option<(InvocationChange, bool)> {
        let one = self.invocations.get_mut(device)?;
        one.cancelled = true;
        match one.stage {
            Stage::Running { .. } => Some((self.change(device, None, false)?, true)),
            Stage::Waiting => {
                let why = "cancelled before it was run here";
                Some((self.give_up(device, CommandStatus::Cancelled, "Cancelled", why)?, false))
            }
            Stage::Elsewhere { .. } => None, // the node that carries it, or will, reads it
        }
    }

    /// No further device gets it.
    pub(super) fn cancel_all(&mut self) {
        self.stop = Some(Stop::Cancelled);
    }

    /// True when somebody cancelled all of it.
    pub(super) fn is_cancelled(&self) -> bool {
        self.stop == Some(Stop::Cancelled)
    }

    /// Those whose wait is over by now, with the changes that say so.
    pub(super) fn overdue(&mut self, now: UnixMillis) -> Vec<InvocationChange> {
        // Each batch of events asks: nobody is looked at before there is a reason.
        let stopped = self.stop == Some(Stop::TooManyErrors) && self.unsettled;
        if !stopped && now < self.facts.deliver_by.min(self.facts.expires_at) {
            return Vec::new();
        }
        self.unsettled = false;
        let waiting: Vec<String> = self
            .invocations
            .iter()
            .filter(|(_, one)| one.stage == Stage::Waiting)
            .map(|(device, _)| device.clone())
            .collect();
        let mut changes = Vec::new();
        for device in waiting {
            let begun =
                self.invocations.get(&device).is_some_and(|one| has_run(&one.steps, one.step));
            let late = !begun && now >= self.facts.deliver_by || now >= self.facts.expires_at;
            let asks = self.invocations.get(&device).is_some_and(Invocation::asks);
            let change = if asks && late {
                self.not_given(&device)
            } else if self.stop == Some(Stop::TooManyErrors) && !begun {
                let why = "not run: there were more errors on other devices than MaxErrors allows";
                self.give_up(&device, CommandStatus::Cancelled, "Terminated", why)
            } else if !begun && now >= self.facts.deliver_by {
                let why = "the device was not there, or had no room, within TimeoutSeconds";
                self.give_up(&device, CommandStatus::TimedOut, "DeliveryTimedOut", why)
            } else if now >= self.facts.expires_at {
                let why = "the device did not come back for the next step in time";
                self.give_up(&device, CommandStatus::TimedOut, "ExecutionTimedOut", why)
            } else {
                None
            };
            changes.extend(change);
        }
        changes
    }

    /// Those that a task carries though everything should be over: their device was lost, or does
    /// not end them.
    pub(super) fn outlived(&self, now: UnixMillis) -> Vec<String> {
        if now < self.facts.expires_at {
            return Vec::new();
        }
        let late = |one: &Invocation| match one.stage {
            Stage::Waiting => false,
            Stage::Running { active: false } => now >= self.facts.expires_at,
            Stage::Running { active: true } => now >= self.facts.expires_at.plus(COMMAND_SLACK),
            // The node that carries it ends it before that.
            Stage::Elsewhere { .. } => now >= self.facts.expires_at.plus(2 * COMMAND_SLACK),
        };
        self.invocations
            .iter()
            .filter(|(_, one)| late(one))
            .map(|(device, _)| device.clone())
            .collect()
    }

    /// When [`Live::overdue`] or [`Live::outlived`] may have something.
    pub(super) fn deadline(&self, now: UnixMillis) -> UnixMillis {
        let at = [
            self.facts.deliver_by,
            self.facts.expires_at,
            self.facts.expires_at.plus(COMMAND_SLACK),
            self.facts.expires_at.plus(2 * COMMAND_SLACK),
        ];
        at.into_iter().find(|at| now < *at).unwrap_or(now.plus(COMMAND_SLACK))
    }

    /// True when it is over on every device.
    pub(super) fn is_over(&self) -> bool {
        self.invocations.is_empty()
    }

    /// Where the whole stands.
    pub(super) fn standing(&self) -> CommandEnd {
        let (status, details) = self.status();
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        CommandEnd {
            id: self.facts.id.clone(),
            status: status.as_str().to_owned(),
            details: details.to_owned(),
            completed: number(self.counts.completed),
            errors: number(self.counts.errors),
            undelivered: number(self.counts.undelivered),
            ended: self.is_over(),
        }
    }

    fn status(&self) -> (CommandStatus, &'static str) {
        let counts = &self.counts;
        if !self.is_over() {
            return match (self.stop, self.begun) {
                (Some(Stop::Cancelled), _) => (CommandStatus::Cancelling, "Cancelling"),
                (_, true) => (CommandStatus::InProgress, "InProgress"),
                (_, false) => (CommandStatus::Pending, "Pending"),
            };
        }
        if counts.successes == self.targets {
            (CommandStatus::Success, "Success")
        } else if self.stop == Some(Stop::Cancelled) {
            (CommandStatus::Cancelled, "Cancelled")
        } else if counts.errors > self.most_errors {
            let all_too_long = counts.too_long == counts.errors;
            if all_too_long {
                (CommandStatus::TimedOut, "ExecutionTimedOut")
            } else {
                (CommandStatus::Failed, "Failed")
            }
        } else if counts.undelivered > self.most_errors {
            (CommandStatus::TimedOut, "DeliveryTimedOut")
        } else {
            (CommandStatus::Failed, "Incomplete")
        }
    }

    /// The row of a device as it stands.
    fn change(
        &self,
        device: &str,
        heads: Option<OutputHeads>,
        ended: bool,
    ) -> Option<InvocationChange> {
        let one = self.invocations.get(device)?;
        let (status, details) = if ended {
            step::whole(&self.facts.plan, &one.steps)
        } else {
            let status = match one.stage {
                Stage::Elsewhere { active } => match active {
                    true => CommandStatus::InProgress,
                    false => CommandStatus::Delayed,
                },
                Stage::Running { .. } if one.cancelled => CommandStatus::Cancelling,
                Stage::Running { active: true } => CommandStatus::InProgress,
                Stage::Running { .. } if one.confirmed => CommandStatus::InProgress,
                // Given, and its device was lost: nobody knows more until it is back.
                Stage::Running { active: false } => CommandStatus::Delayed,
                Stage::Waiting if has_run(&one.steps, one.step) => CommandStatus::InProgress,
                Stage::Waiting if one.given_to.is_empty() => CommandStatus::Pending,
                Stage::Waiting => CommandStatus::Delayed,
            };
            (status, status.as_str().to_owned())
        };
        let reason = one
            .steps
            .iter()
            .filter(|s| s.details != SKIPPED && !s.skipped)
            .find_map(|state| state.reason.clone());
        Some(InvocationChange {
            command: self.facts.id.clone(),
            device: device.to_owned(),
            status: status.as_str().to_owned(),
            details,
            reason: reason.unwrap_or_default(),
            step: i64::try_from(one.step).unwrap_or(0),
            given_to: one.given_to.clone(),
            steps: serde_json::to_string(&one.steps).unwrap_or_default(),
            heads,
            active: !ended && one.stage == ACTIVE,
            carried: matches!(one.stage, Stage::Running { .. }),
            doubted: one.doubted,
            ended,
        })
    }
}

/// Whether a step before this one was run: skipped ones were not.
fn has_run(steps: &[StepState], present: usize) -> bool {
    steps.iter().take(present).any(|state| !state.skipped)
}
