//! Steps of commands on their way to a device: a session whose client is this gateway.
//!
//! Data flow: [`Hub::open_step`] (grant, order, the script as the stream's input) -> the agent ->
//! output into the queue of [`StepSession`], which `run_command` writes to the disk and gives
//! credit for.
//!
//! # Invariants
//! - One that is lost with its link stays in the hub's map until the device says whether it holds
//!   it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant};
use towline_wire::lane::{Lane, Lanes};

use super::device::Device;
use super::hub::Hub;
use super::meta::Meta;
use super::order::Order;
use super::queue::ClientQueue;
use super::session::Session;
use super::token::Token;

use crate::plane::{EndReason, StartError};

/// A step that was ordered, or may run on a device that is awaited.
pub struct StepSession {
    /// Its session.
    pub session: Arc<Session>,
    /// What comes for this gateway as its client.
    pub queue: Arc<ClientQueue>,
    /// The device's answer; dropped when the link was lost before it. `None` for one that was
    /// ordered by an earlier process.
    pub answer: Option<oneshot::Receiver<Result<(), StartError>>>,
}

/// Takes over the steps that a device may hold, when it comes from another node.
pub trait StepsCome: Send + Sync {
    /// Returns when the steps of these commands are awaited.
    fn come(&self, device: &str, commands: Vec<String>) -> BoxFuture<'_, ()>;
}

impl Hub {
    /// Who takes over steps. To be told once.
    pub fn steps_come_to(&self, who: Box<dyn StepsCome>) {
        let _ = self.steps.set(who); // the first one stays
    }

    /// Orders a step on a device. `room`: bytes of output that may be on their way, for each
    /// stream.
    ///
    /// # Errors
    /// Only what is ours: no random bytes, or an order that does not fit the device's protocol.
    /// Nothing was sent then.
    pub fn open_step(
        &self,
        device: &Arc<dyn Device>,
        order: &Order<'_>,
        room: u32,
    ) -> Result<StepSession, StartError> {
        let (session, answer) =
            Session::opening(self.step_meta(order.session, device.id(), order.principal));
        let queue = be_client(&session, room)?;
        self.add(&session);
        self.open_on(device, order, &session)?;
        Ok(StepSession { session, queue, answer: Some(answer) })
    }

    /// Awaits a step that an earlier process ordered.
    ///
    /// # Errors
    /// No random bytes.
    pub fn await_step(
        &self,
        name: &str,
        device: &str,
        principal: &str,
        room: u32,
    ) -> Result<StepSession, StartError> {
        let session = Session::restored(self.step_meta(name, device, principal));
        let queue = be_client(&session, room)?;
        self.add(&session);
        Ok(StepSession { session, queue, answer: None })
    }

    /// Lets go of a step that the device did not open.
    pub fn drop_step(&self, step: &StepSession) {
        self.remove(&step.session);
    }

    /// Ends a step: what runs of it is hung up on.
    pub fn end_step(self: &Arc<Self>, step: &StepSession, reason: EndReason, text: &str) {
        self.end(&step.session, reason, text);
    }

    /// Takes output and gives credit; ends the step's session when all was taken.
    pub fn take_output(self: &Arc<Self>, step: &StepSession, lane: Lane, acked: u64, room: u32) {
        match step.session.output_credit(&step.queue, lane, acked, acked + u64::from(room)) {
            Ok(Some(reason)) => self.end_for(&step.session, reason),
            Ok(None) => {}
            Err(broken) => {
                tracing::error!(session = step.session.meta.name, %broken, "our own credit is wrong")
            }
        }
    }

    fn step_meta(&self, name: &str, device: &str, principal: &str) -> Meta {
        Meta {
            name: name.to_owned(),
            device: device.to_owned(),
            owner: principal.to_owned(),
            share_of: principal.to_owned(),
            session_type: "NonInteractiveCommands",
            properties: serde_json::Value::Null,
            tunnel: None,
            separate_output: true,
            prefixes: Default::default(),
            idle: Duration::MAX,
            end_at: None,
            grace: self.settings.grace,
            step: true,
            input: false,
        }
    }
}

/// Attaches this gateway as the session's client.
fn be_client(session: &Arc<Session>, room: u32) -> Result<Arc<ClientQueue>, StartError> {
    let internal = |why: &str| StartError::Internal(why.to_owned());
    let (token, text) = Token::first(Instant::now()).ok_or_else(|| internal("no randomness"))?;
    session.set_token(token);
    session.attach(&text, None, Lanes::new(room, room), None).map_err(internal)
}
