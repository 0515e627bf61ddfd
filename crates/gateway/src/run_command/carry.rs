//! One step on one device: from its order to its last byte, through lost links.
//!
//! Data flow: the scheduler stored that the step is given to this boot -> [`carry`] orders it (or
//! awaits one that an earlier process ordered) -> output into the [`OutputWriter`], credit as it is
//! written -> exit and both ends -> the scheduler stores the end -> the last credit, with which the
//! device may forget the step.
//!
//! # Invariants
//! - The device is told that everything has arrived only after the end is stored: a crash before
//!   that asks again, and the device answers from what it keeps.
//! - Output waits for the disk, never the other way round: without room no credit is given, and the
//!   script stops printing.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use towline_host::clock::UnixMillis;
use towline_ssm::command_document::PlannedStep;
use towline_wire::client::ToClient;
use towline_wire::lane::{Lane, Lanes};
use towline_wire::message::ExitStatus;

use super::event::{Event, Over};
use super::keeping::{Keeper, StepOf};
use super::live::Facts;
use super::output::{OutputWriter, Wrote};
use super::shared::Shared;
use super::step::End;
use crate::limits::{DISK_RETRY, SCRIPT_OUTPUT_BATCH, SCRIPT_WINDOW};
use crate::plane::{EndReason, StartError};
use crate::sessions::{Device, Order, Script, StepSession, ToChannel, Work, session_name};

/// What the scheduler wants of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Go on.
    Go,
    /// End it: somebody cancelled the command.
    Cancel,
    /// Let go of it: everything of the command is over.
    LetGo,
    /// Let go of it without a word to the device: another node carries it.
    Release,
}

/// Where a task begins.
pub(super) enum From {
    /// The step is given to this device.
    Order(Arc<dyn Device>),
    /// It may run already.
    Held(StepSession),
}

/// A task's work.
pub(super) struct Job {
    pub(super) facts: Arc<Facts>,
    pub(super) device: String,
    pub(super) step: usize,
    pub(super) from: From,
    /// Starts of the agent that may have begun it.
    pub(super) given_to: Vec<[u8; 16]>,
    /// When the step was given to the device for the first time.
    pub(super) first_given: UnixMillis,
    pub(super) wishes: watch::Receiver<Wish>,
}

/// Carries a step. The scheduler hears of its stages, and of its end.
pub(super) async fn carry(shared: Arc<Shared>, job: Job, events: mpsc::Sender<Event>) {
    let Some(planned) = job.facts.plan.steps.get(job.step).cloned() else { return };
    let Job { facts, device, step, from, given_to, first_given, wishes } = job;
    let may_have_output = matches!(from, From::Held(_)) || !given_to.is_empty();
    let begun = match from {
        From::Held(held) => Ok(held),
        From::Order(to) => {
            let session = session_name(&facts.id, &device, step);
            let order = Order {
                session: &session,
                principal: &facts.principal,
                share_of: &facts.principal,
                document: &facts.document,
                run_as: facts.run_as.as_deref(),
                platform: None, // each step's condition was judged when it was sent
                reserved: false,
                work: Work::Script(Script {
                    bytes: planned.script.as_bytes(),
                    interpreter: planned.interpreter,
                    working_directory: &planned.working_directory,
                    timeout: planned.timeout,
                    given_to: &given_to,
                    first_given,
                }),
            };
            shared.hub.open_step(&to, &order, SCRIPT_WINDOW)
        }
    };
    let place = StepOf { command: facts.id.clone(), device: device.clone(), step };
    let keeper = Keeper::new(&shared, place);
    let mut carrier = Carrier {
        writer: OutputWriter::open(shared.folder(&facts.id, &device, &planned.folder)),
        shared,
        facts,
        device,
        step,
        wishes,
        events,
        keeper,
        ended: Lanes::default(),
        confirmed: false,
    };
    let over = match begun {
        Ok(step) => {
            carrier.recall(may_have_output).await;
            carrier.go(step, &planned).await
        }
        Err(error) => Some(refused(error)),
    };
    if let Some(over) = over {
        carrier.over(over).await;
    }
}

struct Carrier {
    shared: Arc<Shared>,
    facts: Arc<Facts>,
    device: String,
    step: usize,
    wishes: watch::Receiver<Wish>,
    events: mpsc::Sender<Event>,
    writer: OutputWriter,
    /// What other nodes could go on with.
    keeper: Option<Keeper>,
    /// Where each stream ended.
    ended: Lanes<Option<u64>>,
    confirmed: bool,
}

impl Carrier {
    /// Where several gateways work together: the output as far as the device was told that it is
    /// kept, and no byte more. A gateway that works alone has that in its files. The store is asked
    /// only for a step that was given to the device before.
    async fn recall(&mut self, may_have_output: bool) {
        let Some(mut keeper) = self.keeper.take() else { return };
        self.writer.forget();
        for lane in Lane::ALL.into_iter().filter(|_| may_have_output) {
            while let Some(bytes) = keeper.next(lane, &mut self.wishes).await {
                let from = self.writer.written()[lane];
                if self.write(lane, from, &bytes).await == Wrote::TooMuch {
                    break;
                }
            }
        }
        self.keeper = Some(keeper);
    }

    /// Gives credit for what has come: at once, or when the store has it for other nodes.
    async fn credit(&mut self, step: &StepSession, lane: Lane, received: u64) {
        let kept = match &mut self.keeper {
            None => Some(received),
            Some(keeper) => {
                let end = received.min(self.writer.written()[lane]);
                keeper.keep(lane, end, self.writer.path(lane), &mut self.wishes).await
            }
        };
        if let Some(kept) = kept {
            self.shared.hub.take_output(step, lane, kept, SCRIPT_WINDOW);
        }
    }

    /// Until it is over; `None` when the end was told already.
    async fn go(&mut self, mut step: StepSession, planned: &PlannedStep) -> Option<Over> {
        let mut answer = step.answer.take();
        loop {
            tokio::select! {
                told = async { match &mut answer { Some(answer) => answer.await, None => std::future::pending().await } } => {
                    answer = None;
                    match told {
                        Ok(Ok(())) => self.stage(true).await,
                        Ok(Err(why)) => {
                            self.shared.hub.drop_step(&step);
                            return Some(refused(why));
                        }
                        Err(_) => self.stage(false).await, // the link was lost before the answer
                    }
                }
                () = step.queue.ready() => {}
                () = step.session.has_changed() => {
                    let carried = step.session.is_carried();
                    if answer.is_none() && !carried {
                        self.stage(false).await;
                    }
                }
                changed = self.wishes.changed() => {
                    if changed.is_err() {
                        return None; // the gateway stops: the next process goes on
                    }
                }
            }
            if let Some(over) = self.take(&step).await {
                return Some(over);
            }
            let wish = *self.wishes.borrow_and_update();
            if wish == Wish::Release {
                self.release(&step);
                return None;
            }
            if let Some(over) = self.obey(wish, &step) {
                return Some(over);
            }
            if let Some(status) = step.session.exit_status()
                && self.ended.io.is_some()
                && self.ended.err.is_some()
            {
                self.finish(&step, planned, status).await;
                return None;
            }
        }
    }

    /// What the scheduler wants.
    fn obey(&self, wish: Wish, step: &StepSession) -> Option<Over> {
        let hub = &self.shared.hub;
        match wish {
            Wish::Go | Wish::Release => None,
            Wish::Cancel if step.session.is_carried() => {
                hub.end_step(step, EndReason::Terminated, "cancelled");
                Some(Over::Ended(End::Cancelled))
            }
            // Told when the device is back, or when everything is over.
            Wish::Cancel => None,
            Wish::LetGo => {
                hub.end_step(step, EndReason::DeviceLost, "the device did not come back in time");
                Some(Over::Ended(End::Lost))
            }
        }
    }

    /// Takes what has come. Some: the step is over here, in this way.
    async fn take(&mut self, step: &StepSession) -> Option<Over> {
        loop {
            let (items, over) = step.queue.take(SCRIPT_OUTPUT_BATCH);
            if items.is_empty() {
                return over.then_some(Over::NotHeld);
            }
            let mut last = None;
            let mut moved: Lanes<Option<u64>> = Lanes::default();
            for item in items {
                match item {
                    ToChannel::Data(lane, offset, data) => {
                        moved[lane] = Some(offset + data.len() as u64);
                        if self.write(lane, offset, &data).await == Wrote::TooMuch {
                            self.shared.hub.end_step(
                                step,
                                EndReason::Terminated,
                                "it printed too much",
                            );
                            return Some(Over::Ended(End::TooMuchOutput));
                        }
                    }
                    ToChannel::Fin(lane, length) => self.ended[lane] = Some(length),
                    ToChannel::Word(ToClient::Attached { .. }) => self.stage(true).await,
                    ToChannel::Word(ToClient::Ended { reason, text }) => {
                        last = Some(ended(reason.into(), text))
                    }
                    ToChannel::Word(ToClient::Refused { text, .. }) => {
                        last = Some(Over::Ended(End::Broken(text)))
                    }
                    ToChannel::Word(_) | ToChannel::Credit { .. } => {}
                }
            }
            for lane in Lane::ALL {
                if let Some(received) = moved[lane] {
                    self.credit(step, lane, received).await;
                }
            }
            if let Some(last) = last {
                return Some(last);
            }
        }
    }

    /// Writes until it is written: a full disk makes the script wait.
    async fn write(&mut self, lane: Lane, offset: u64, data: &[u8]) -> Wrote {
        loop {
            let room = self.shared.recorder.has_disk_space();
            match self.writer.write(lane, offset, data) {
                Ok(wrote) if room => return wrote,
                Ok(Wrote::TooMuch) => return Wrote::TooMuch,
                Ok(Wrote::Kept) => {
                    tracing::warn!(command = self.facts.id, "output waits: the disk is too full")
                }
                Err(error) => {
                    tracing::warn!(command = self.facts.id, %error, "output waits: the disk does not take it")
                }
            }
            tokio::time::sleep(DISK_RETRY).await;
            if room && !self.shared.recorder.has_disk_space() {
                continue;
            }
            if *self.wishes.borrow() != Wish::Go {
                return Wrote::Kept; // what is not written is not credited; nobody wants it any more
            }
        }
    }

    /// Everything is here: store it, then let the device forget it.
    async fn finish(&mut self, step: &StepSession, planned: &PlannedStep, status: ExitStatus) {
        if !self.tell(Over::Ended(End::Exited(status))).await {
            return self.release(step);
        }
        self.shared.hand_over(&self.facts, &self.device, &planned.folder);
        for lane in Lane::ALL {
            let length = self.ended[lane];
            // One more than the length acknowledges the end itself.
            self.shared.hub.take_output(step, lane, length.unwrap_or(0) + 1, 0);
        }
    }

    async fn over(&mut self, over: Over) {
        let ended = matches!(over, Over::Ended(_) | Over::HadBefore(_));
        let stored = self.tell(over).await;
        if let (true, Some(planned)) = (ended && stored, self.facts.plan.steps.get(self.step)) {
            self.shared.hand_over(&self.facts, &self.device, &planned.folder);
        }
    }

    /// Another node carries it: the device hears nothing, and what was written here is of no use.
    fn release(&self, step: &StepSession) {
        self.shared.hub.drop_step(step);
        if self.shared.hub.session(&step.session.meta.name).is_none() {
            self.writer.remove(&self.shared.recorder.outputs_folder());
        }
    }

    /// Tells the scheduler of the end, and waits until it is stored. False: another node carries
    /// it.
    async fn tell(&mut self, over: Over) -> bool {
        let heads = matches!(over, Over::Ended(_)).then(|| self.writer.heads());
        if let Err(error) = self.writer.sync() {
            tracing::error!(command = self.facts.id, %error, "output may not be on the disk");
        }
        let (stored, told) = oneshot::channel();
        let event = Event::Over {
            command: self.facts.id.clone(),
            device: self.device.clone(),
            over,
            written: self.writer.written(),
            missing: self.writer.missing(),
            heads,
            stored,
        };
        // Gone: the gateway stops, and the next process asks again.
        self.events.send(event).await.is_ok() && told.await.unwrap_or(true)
    }

    /// Whether the device's link is there, and with it the word that the step runs.
    async fn stage(&mut self, there: bool) {
        if there && self.confirmed {
            return;
        }
        self.confirmed = there;
        let (command, device) = (self.facts.id.clone(), self.device.clone());
        let _ = self.events.send(Event::Active { command, device, active: there }).await;
    }
}

/// What a session's end means for its step.
fn ended(reason: EndReason, text: String) -> Over {
    match reason {
        EndReason::DeviceLost | EndReason::NotOpened => Over::NotHeld,
        EndReason::DeviceRemoved => {
            Over::Ended(End::Broken("the device was deregistered".to_owned()))
        }
        EndReason::Exited(status) => Over::Ended(End::Exited(status)),
        _ => Over::Ended(End::Broken(text)),
    }
}

/// What a refusal means for its step.
fn refused(why: StartError) -> Over {
    match why {
        StartError::Busy { .. }
        | StartError::NotNow { .. }
        | StartError::TooManyGrants
        | StartError::TooManySessions { .. }
        | StartError::ShareTaken { .. } => Over::Busy,
        StartError::NotConnected | StartError::Draining | StartError::Timeout => Over::NotHeld,
        StartError::AlreadyStarted { why } => Over::HadBefore(why),
        StartError::Refused { why }
        | StartError::ProgramNotFound { why }
        | StartError::ProgramNotExecutable { why } => Over::Ended(End::Refused(why)),
        StartError::Unreachable { .. }
        | StartError::NotRecorded { .. }
        | StartError::NoStore(_)
        | StartError::Internal(_) => Over::Ended(End::Broken(why.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_waited_for_and_nothing_of_it_ends_a_step() {
        let why = "the command log is full".to_owned();
        for passing in [
            StartError::Busy { why: why.clone() },
            StartError::NotNow { why },
            StartError::TooManyGrants,
            StartError::TooManySessions { limit: 8 },
            StartError::ShareTaken { share: 4, most: 8 },
        ] {
            assert!(matches!(refused(passing.clone()), Over::Busy), "{passing:?}");
        }
        for passing in [StartError::NotConnected, StartError::Draining, StartError::Timeout] {
            assert!(matches!(refused(passing.clone()), Over::NotHeld), "{passing:?}");
        }
        let refusal = refused(StartError::Refused { why: "no such user".into() });
        assert!(matches!(refusal, Over::Ended(End::Refused(_))), "{refusal:?}");
    }
}
