//! Steps of commands on their way to a device: a session whose client is this gateway.
//!
//! Way: [`Hub::open_step`] (grant, order, the script as the stream's input) -> the agent -> output
//! into the queue of [`StepSession`], which [`crate::run_command`] writes to the disk and gives credit
//! for.
//!
//! # Invariants
//! - The script's bytes follow their order on the same link at once, within the room that an agent
//!   has before any credit.
//! - One that is lost with its link stays in the hub's map until the device says whether it holds
//!   it.

use std::sync::Arc;

use ring::digest::{SHA256, digest};
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant};
use towline_wire::frame::{Frame, MAX_DATA};
use towline_wire::message::{EndReason, Launch, Script, ToAgent};

use super::meta::Meta;
use super::opening::{Whom, sign};
use super::queue::ClientQueue;
use super::token::Token;
use super::{Hub, Session, lock};
use crate::devices::towline::Link;
use crate::plane::StartError;
use crate::sessions::Lane;

/// What is to run where, for whom.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    /// Name of the session: of command and step.
    pub session: &'a str,
    /// ARN of who sent the command.
    pub principal: &'a str,
    /// The command document.
    pub document: &'a str,
    /// User to run as; `None`: the device's own default.
    pub run_as: Option<String>,
    /// The script.
    pub script: &'a [u8],
    /// Where it runs; empty: the user's home.
    pub working_directory: &'a str,
    /// Seconds after which the device ends it.
    pub timeout: u32,
    /// Starts of the agent that may have started it.
    pub given_to: Vec<[u8; 16]>,
}

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

impl Hub {
    /// Orders a step on a device's link. `room`: bytes of output that may be on their way, for each
    /// stream.
    ///
    /// # Errors
    /// Only what is ours: no random bytes, or an order that does not fit the wire. Nothing was sent
    /// then.
    pub fn open_step(
        &self,
        link: &Arc<Link>,
        order: &Order<'_>,
        room: u32,
    ) -> Result<StepSession, StartError> {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest(&SHA256, order.script).as_ref());
        let length = u32::try_from(order.script.len()).unwrap_or(u32::MAX);
        let launch = Launch::Script(Script {
            length,
            sha256,
            working_directory: order.working_directory.to_owned(),
            timeout: order.timeout,
            given_to: order.given_to.clone(),
        });
        let whom = Whom {
            session: order.session,
            principal: order.principal,
            document: order.document,
            run_as: order.run_as.clone(),
        };
        let open = sign(self, link, whom, &launch)?;
        let (session, answer) = Session::opening(
            self.step_meta(order.session, link.device.as_str(), order.principal),
            true,
        );
        let queue = be_client(&session, room)?;
        let (io, err) = (open.io, open.err);
        lock(&self.sessions).insert(session.meta.name.clone(), Arc::clone(&session));
        link.bind(&session, io, err);
        session.link_up(link, io, err);
        link.send(&ToAgent::Open(open));
        let mut offset = 0;
        for data in order.script.chunks(MAX_DATA) {
            link.send_data(io, &Frame::Data { stream: io, offset, data });
            offset += data.len() as u64;
        }
        if link.is_closed() {
            // It may have been emptied of its sessions before this one was bound.
            session.link_down(link);
        }
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
        lock(&self.sessions).insert(session.meta.name.clone(), Arc::clone(&session));
        Ok(StepSession { session, queue, answer: None })
    }

    /// Lets go of a step that the device did not open.
    pub fn drop_step(&self, step: &StepSession) {
        let mut sessions = lock(&self.sessions);
        if sessions
            .get(&step.session.meta.name)
            .is_some_and(|held| Arc::ptr_eq(held, &step.session))
        {
            sessions.remove(&step.session.meta.name);
        }
    }

    /// Ends a step: what runs of it is hung up on.
    pub fn end_step(self: &Arc<Self>, step: &StepSession, reason: EndReason, text: &str) {
        self.end(&step.session, reason, text);
    }

    /// Takes output and gives credit; ends the step's session when all was taken.
    pub fn take_output(self: &Arc<Self>, step: &StepSession, lane: Lane, acked: u64, room: u32) {
        match step.session.output_credit(&step.queue, lane, acked, acked + u64::from(room)) {
            Ok(Some(reason)) => self.end(&step.session, reason, &super::sentence(reason)),
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
            session_type: "NonInteractiveCommands",
            properties: serde_json::Value::Null,
            tunnel: None,
            separate_output: true,
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
    let (token, text) = Token::fresh(Instant::now()).ok_or_else(|| internal("no randomness"))?;
    session.set_token(token);
    session.attach(&text, None, [room; 2], None).map_err(internal)
}
