//! A step of a command on such a device: one job of the agent.
//!
//! Data flow: order -> `agent_job` -> `agent_job_ack` (it runs) -> `agent_job_reply` (how it ended,
//! with both outputs) -> [`Output`] -> the step's session, as for our own agent.
//!
//! # Invariants
//! - The name of a job follows from its step. The agent refuses a second job of a name, so a step
//!   that is ordered again is not run again; its reply is awaited then. The agent forgets names
//!   after 30 minutes: from [`VENDOR_JOB_KNOWN`] on a step is not ordered again.
//! - A job that the agent has not taken is ordered again each [`VENDOR_ORDER_AGAIN`]: an agent that
//!   starts drops jobs without a word.
//! - The last reply is acknowledged when the end is stored, and not before: until then the agent
//!   sends it again, also to the next process of the gateway.
//! - An order that finds no room on the channel waits: the step is busy at first, and ordered again
//!   later.
//! - The agent's reply holds the beginning of each output, and not more.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::Instant;
use towline_ssm::command_document::Platform;
use towline_ssm::message::{MessageId, MessageType};
use towline_ssm::sigv4::sha256;
use towline_ssm::vendor::control::{
    JobContent, JobReplyAck, JobVerdict, cancel_command, job_id, send_command,
};
use towline_wire::lane::Lane;
use towline_wire::message::ExitStatus;
use towline_wire::text::plain;

use super::agents::{VendorAgents, message_id};
use super::control::{ControlChannel, Queued};
use super::news::{Job, News};
use super::output::Output;
use super::session::VendorSession;
use crate::limits::{
    MAX_DEVICE_SENTENCE, VENDOR_CANCEL_WAIT, VENDOR_JOB_KNOWN, VENDOR_ORDER_AGAIN, VENDOR_SESSIONS,
    VENDOR_SILENCE, VENDOR_TICK,
};
use crate::plane::{EndReason, StartError};
use crate::sessions::{DeviceEnd, Order, Script, Session};

/// The user that the agent runs jobs as.
const ROOT: &str = "root";
/// The same on Windows.
const SYSTEM: &str = "SYSTEM";

impl ControlChannel {
    /// Orders a step of a command.
    pub(super) fn order_job(
        self: &Arc<Self>,
        order: &Order<'_>,
        script: &Script<'_>,
        session: &Arc<Session>,
    ) -> Result<(), StartError> {
        let refused = |why: &str| Err(StartError::Refused { why: why.to_owned() });
        let own = if self.platform == Some(Platform::Windows) { SYSTEM } else { ROOT };
        if let Some(user) = order.run_as.filter(|user| *user != own) {
            let why =
                format!("amazon-ssm-agent runs the steps of commands as {own}, not as {user}");
            return refused(&why);
        }
        let folder = script.working_directory;
        if self.platform == Some(Platform::Windows) && folder.starts_with(['/', '~']) {
            return refused("working directories on Windows begin with a drive, as in C:\\x");
        }
        let Ok(text) = std::str::from_utf8(script.bytes) else {
            return refused("amazon-ssm-agent takes scripts of text only");
        };
        let command = uuid_of(order.session);
        let document = document(text, script);
        let order = send_command(&command, self.id(), order.document, &document);
        let known_until = script.first_given.plus(VENDOR_JOB_KNOWN);
        let job = Job { id: job_id(&command, self.id()), command, order, known_until };
        let new = VendorSession::with_job(self.id(), session, job);
        if !self.agents.registry.add(&new) {
            return Err(StartError::Busy {
                why: format!("{VENDOR_SESSIONS} sessions and steps are under way there"),
            });
        }
        session.device_up(Arc::clone(&new) as Arc<dyn DeviceEnd>);
        if let Err(error) = self.order_known(&new) {
            self.agents.registry.remove(&new);
            return Err(error);
        }
        tokio::spawn(carry(Arc::clone(&self.agents), new));
        Ok(())
    }

    /// Sends the order of a job, while the agent knows its name: later, its reply is awaited and no
    /// more.
    fn order_known(&self, own: &VendorSession) -> Result<(), StartError> {
        match &own.job {
            Some(job) if job.is_known(self.agents.parts.clock.now()) => {
                self.send_order(MessageType::AgentJob, job.order.clone(), "script")
            }
            _ => Ok(()),
        }
    }
}

/// The UUID of a step: the same whenever it is ordered.
fn uuid_of(session: &str) -> String {
    let mut random = [0; 16];
    random.copy_from_slice(&sha256(session.as_bytes())[..16]);
    MessageId::from_random(random).to_string()
}

/// The document of one script.
fn document(text: &str, script: &Script<'_>) -> Value {
    json!({
        "schemaVersion": "2.2",
        "description": "",
        "mainSteps": [{
            "action": script.interpreter.action(),
            "name": "step",
            "inputs": {
                "runCommand": text.split('\n').collect::<Vec<_>>(),
                "timeoutSeconds": script.timeout.to_string(),
                "workingDirectory": script.working_directory,
            },
        }],
    })
}

/// Carries a job until it is over.
async fn carry(agents: Arc<VendorAgents>, own: Arc<VendorSession>) {
    let output = Output::new(true);
    let mut carrier = Carrier {
        agents: Arc::clone(&agents),
        own: Arc::clone(&own),
        output,
        last: None,
        taken: false,
    };
    carrier.run().await;
    agents.registry.remove(&own);
}

struct Carrier {
    agents: Arc<VendorAgents>,
    own: Arc<VendorSession>,
    output: Output,
    /// The last reply, which is to be acknowledged when its end is stored.
    last: Option<String>,
    /// The agent has said that it has the job.
    taken: bool,
}

impl Carrier {
    async fn run(&mut self) {
        loop {
            let told = self.own.told(std::mem::take);
            if let Some(attach) = &told.attach
                && let Ok(from) = self.output.attach(attach)
            {
                self.own.session.attached(attach.number, from, 0, 0);
            }
            for lane in Lane::ALL {
                if let Some((acked, limit)) = told.credit[lane] {
                    let _ = self.output.credit(lane, acked, limit); // the step's own positions
                }
            }
            for news in told.news {
                self.hear(news);
            }
            self.output.flow(&self.own.session);
            if self.own.is_ending() || self.is_gone() {
                return self.part().await;
            }
            let now = self.agents.parts.clock.now();
            let ordering =
                !self.taken && self.own.job.as_ref().is_some_and(|job| job.is_known(now));
            let patience = if ordering { VENDOR_ORDER_AGAIN } else { VENDOR_SILENCE };
            let is_late = tokio::time::timeout(patience, self.own.ready.notified()).await.is_err();
            // Behind other orders the one before this one may wait still.
            if is_late && self.control().is_some_and(|control| !control.is_behind()) {
                self.order_again();
            }
        }
    }

    fn is_gone(&self) -> bool {
        let held = self.agents.parts.hub.session(self.own.name());
        !held.is_some_and(|held| Arc::ptr_eq(&held, &self.own.session))
    }

    fn control(&self) -> Option<Arc<ControlChannel>> {
        self.agents.control_of(&self.own.device)
    }

    /// Orders the job once more if the agent has not said that it has it. Without room for it that
    /// is tried again in [`VENDOR_ORDER_AGAIN`].
    fn order_again(&self) {
        if let Some(control) = self.control().filter(|_| !self.taken)
            && let Err(error) = control.order_known(&self.own)
        {
            tracing::debug!(session = self.own.name(), %error, "a step is ordered again later");
        }
    }

    fn hear(&mut self, news: News) {
        let session = &self.own.session;
        match news {
            News::Ack(JobVerdict::Taken | JobVerdict::Known, _) => {
                self.taken = true;
                session.opened();
            }
            News::Ack(JobVerdict::Busy, why) => {
                session.not_opened(StartError::Busy { why });
            }
            News::Ack(JobVerdict::Refused, why) => {
                session.not_opened(StartError::Refused { why });
            }
            News::Back => self.order_again(),
            News::Ended(message, content) if self.last.is_none() => self.end(message, &content),
            News::Ended(..) => {} // the same once more
        }
    }

    fn end(&mut self, message: String, content: &JobContent) {
        self.last = Some(message);
        self.taken = true;
        let session = &self.own.session;
        session.opened();
        let step = content.runtime_status.values().next().cloned().unwrap_or_default();
        let code = u8::try_from(step.code).unwrap_or(u8::MAX);
        let status = match content.document_status.as_str() {
            "Success" => ExitStatus::Code(code),
            "TimedOut" => ExitStatus::TimedOut,
            "Failed" => ExitStatus::Code(code.max(1)),
            other => {
                let other = plain(other, MAX_DEVICE_SENTENCE);
                let text = format!("the agent says that it is {other:?}");
                self.agents.parts.hub.end(session, EndReason::Terminated, &text);
                return;
            }
        };
        self.output.push(Lane::Io, step.standard_output.as_bytes());
        self.output.push(Lane::Err, step.standard_error.as_bytes());
        self.output.finish();
        if let Some(reason) = session.exited(status) {
            self.agents.parts.hub.end_for(session, reason);
        }
    }

    /// The step is over: its reply is acknowledged, or the agent is to stop it.
    async fn part(&mut self) {
        let Some(job) = &self.own.job else { return };
        if self.last.is_none()
            && let Some(control) = self.control()
        {
            let fresh = message_id().to_string();
            let stop = cancel_command(&fresh, &job.command, &self.own.device);
            let end = Instant::now() + VENDOR_CANCEL_WAIT;
            while control.send(MessageType::AgentJob, stop.clone()) == Queued::Full {
                if Instant::now() >= end {
                    let session = self.own.name();
                    tracing::warn!(session, "the agent takes no orders: its step may go on");
                    break;
                }
                tokio::time::sleep(VENDOR_TICK).await;
            }
            while self.last.is_none()
                && tokio::time::timeout_at(end, self.own.ready.notified()).await.is_ok()
            {
                for news in self.own.told(std::mem::take).news {
                    if let News::Ended(message, _) = news {
                        self.last = Some(message);
                    }
                }
            }
        }
        if let (Some(message), Some(control)) = (&self.last, self.control()) {
            control.acknowledge_reply(&job.id, message);
        }
    }
}

impl ControlChannel {
    /// Tells the agent that a reply is kept here.
    pub(super) fn acknowledge_reply(&self, job: &str, message: &str) {
        let ack = JobReplyAck { job_id: job, acknowledged_message_id: message };
        let payload = serde_json::to_vec(&ack).unwrap_or_default();
        self.send(MessageType::AgentJobReplyAck, payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_one_uuid_and_another_step_another() {
        let [one, two] = ["cmd-a-1-0", "cmd-a-1-1"].map(uuid_of);
        assert_eq!(one, uuid_of("cmd-a-1-0"));
        assert_ne!(one, two);
        assert_eq!(one.len(), 36);
    }
}
