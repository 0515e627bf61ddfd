//! What the gateway sends: data to its stream, messages to the function that obeys them.
//!
//! # Invariants
//! - A violation on one stream ends its session; a violation on the link ends the link. Neither
//!   ends the agent.
//! - Only a grant that [`crate::session::gate`] accepts opens a session.
//! - An agent that stops opens nothing, and refuses nothing for good.

use super::agent::Agent;
use crate::clock::since_boot;
use crate::link::driver::LinkError;
use crate::link::gateways::Route;
use crate::logger::{self, in_session};
use crate::pty::Size;
use crate::session::gate::{Passed, Refusal};
use crate::state::enrollment::Address;
use std::time::{Duration, Instant};
use towline_wire::VERSIONS;
use towline_wire::extension::{ELSEWHERE, elsewhere};
use towline_wire::frame::{Frame, StreamId};
use towline_wire::grant::GrantError;
use towline_wire::message::{EndReason, FromAgent, Launch, Open, ToAgent, Version, decode};
use towline_wire::mux::Incoming;
use towline_wire::stream::Violation;

/// One frame, without what it borrowed from the link.
enum Step {
    Nothing,
    Message(ToAgent),
    Violated(StreamId, Violation),
    /// The script of this session is complete.
    Script(String),
}

impl Agent {
    /// Takes all whole frames that have come.
    pub(super) fn receive(&mut self, now: Instant) -> Result<(), LinkError> {
        self.connection.heard(now);
        while let Some(step) = self.next_step()? {
            self.take_step(step, now)?;
        }
        self.ask_time_if_old(now);
        Ok(())
    }

    /// Takes one frame that was kept for a postponed order.
    pub(super) fn take_frame(&mut self, frame: Frame<'_>, now: Instant) -> Result<(), LinkError> {
        let step = match self.table.mux.on_frame(frame) {
            Err((stream, violation)) => Step::Violated(stream, violation),
            Ok(Incoming::Data(stream, bytes)) => {
                self.table.input(stream, bytes).map_or(Step::Nothing, Step::Script)
            }
            Ok(Incoming::End(stream)) => {
                self.table.input_ended(stream);
                Step::Nothing
            }
            Ok(_) => Step::Nothing,
        };
        self.take_step(step, now)
    }

    fn take_step(&mut self, step: Step, now: Instant) -> Result<(), LinkError> {
        match step {
            Step::Nothing => {}
            Step::Message(message) => self.on_message(message, now)?,
            Step::Script(session) => self.start_script(&session, now),
            Step::Violated(stream, violation) => self.table.violated_on(stream, &violation, now),
        }
        Ok(())
    }

    /// Takes one frame. Data goes to its program here, while the link's buffer is borrowed.
    fn next_step(&mut self) -> Result<Option<Step>, LinkError> {
        let Some((link, accepted)) = self.connection.link() else { return Ok(None) };
        let Some(frame) = link.next_frame()? else { return Ok(None) };
        if let Frame::Version { min, max } = frame {
            let agreed = VERSIONS.agree(Version { min, max });
            self.table.agreed(agreed.ok_or(LinkError::Version { min, max })?);
            return Ok(Some(Step::Nothing));
        }
        if let Frame::Extension { tag: ELSEWHERE, body } = frame {
            let gateways = elsewhere(body).filter_map(Address::parse);
            let proxy = |gateway: &Address| self.config.proxy_for(gateway);
            let route = |gateway| Route { proxy: proxy(&gateway), gateway };
            let routes = gateways.map(route).collect();
            self.connection.name(routes);
            return Ok(Some(Step::Nothing));
        }
        if accepted && self.timekeeping.keeps(&frame) {
            return Ok(Some(Step::Nothing));
        }
        let step = match self.table.mux.on_frame(frame) {
            Err((stream, violation)) => Step::Violated(stream, violation),
            Ok(Incoming::Control(body)) => Step::Message(decode(body)?),
            Ok(_) if !accepted => Step::Nothing,
            Ok(Incoming::Data(stream, bytes)) => {
                self.table.input(stream, bytes).map_or(Step::Nothing, Step::Script)
            }
            Ok(Incoming::End(stream)) => {
                self.table.input_ended(stream);
                Step::Nothing
            }
            Ok(Incoming::Ping(_)) => {
                link.push(&Frame::Pong)?;
                Step::Nothing
            }
            Ok(Incoming::Pong) => {
                // The alarm was set for this answer; the next deadline is that of the next ping.
                self.connection.answered();
                self.alarm.forget();
                Step::Nothing
            }
            Ok(Incoming::Credit(_) | Incoming::Nothing) => Step::Nothing,
        };
        Ok(Some(step))
    }

    fn on_message(&mut self, message: ToAgent, now: Instant) -> Result<(), LinkError> {
        let accepted = self.connection.is_up();
        match message {
            ToAgent::Welcome(welcome) => return self.welcome(&welcome, now),
            ToAgent::Refuse { code, text, retry_after } => {
                return Err(LinkError::Refused { code, text, retry_after });
            }
            ToAgent::GoAway { retry_after } => return Err(LinkError::GoAway(retry_after)),
            _ if !accepted => logger::debug!("ignored a message that came before the welcome"),
            ToAgent::Enrolled { .. } => {
                logger::warning!("ignored an enrollment: this device is enrolled already")
            }
            ToAgent::Open(open) => self.open(open, false, now),
            ToAgent::OpenReserved(open) => self.open(open, true, now),
            ToAgent::Attach { session, attachment, received, room } => {
                self.connection.is_useful();
                self.table.attach(&session, attachment, received, room, now);
            }
            ToAgent::Detach { session } => self.table.detach(&session),
            ToAgent::Resize { session, size } => {
                self.table.resize(&session, Size { rows: size.rows, cols: size.cols });
            }
            ToAgent::Signal { session, signal } => self.table.signal(&session, signal),
            ToAgent::Close { session, reason } => self.close(&session, reason, now),
            ToAgent::Forget { session } => {
                let _session = in_session(&session);
                logger::info!("over");
                self.timekeeping.forget(&session);
                self.journal.ended(&session);
                self.table.remove(&session, now);
            }
            ToAgent::RotateKey => self.rotate_key(now),
            ToAgent::KeyAdded => return self.key_added(),
            ToAgent::LogStored { boot, next } => self.log.stored(&boot, next),
            ToAgent::TellEcho { session } => {
                if self.table.tell_echo(&session) {
                    let _session = in_session(&session);
                    logger::info!(
                        "the gateway records input, except what the terminal does not echo"
                    );
                }
            }
            ToAgent::Time(time) => return self.on_time(&time, now),
            ToAgent::NextPin(said) => self.take_pin(&said),
            ToAgent::KeepAlive { longest } => {
                self.connection.keep_alive_within(longest, now);
            }
        }
        Ok(())
    }

    fn open(&mut self, open: Open, reserved: bool, now: Instant) {
        if self.table.holds(&open.session) {
            return self.table.say(&FromAgent::Opened { session: open.session });
        }
        if self.timekeeping.holds(&open.session) {
            return; // it is judged when the authority's time has come
        }
        match self.pass(&open, reserved) {
            Ok(passed) => self.open_passed(open, passed, reserved, now),
            // The gateway's clock may have been set, or this device suspended.
            Err(refusal @ Refusal::Grant(GrantError::Time { .. })) => {
                if let Err(back) = self.postpone(open, reserved, refusal, now) {
                    let (open, refusal) = *back;
                    self.refuse(open.session, &refusal);
                }
            }
            Err(refusal) => self.refuse(open.session, &refusal),
        }
    }

    /// Judges an order that was postponed.
    pub(super) fn open_or_refuse(&mut self, open: Open, reserved: bool, now: Instant) {
        match self.pass(&open, reserved) {
            Ok(passed) => self.open_passed(open, passed, reserved, now),
            Err(refusal) => self.refuse(open.session, &refusal),
        }
    }

    fn open_passed(&mut self, open: Open, passed: Passed, reserved: bool, now: Instant) {
        let session = open.session.clone();
        if let Err(refusal) = self.try_open(open, passed, reserved, now) {
            self.refuse(session, &refusal);
        }
    }

    pub(super) fn refuse(&mut self, session: String, refusal: &Refusal) {
        let _session = in_session(&session);
        logger::warning!("refused: {refusal}");
        if self.stopping.is_some() {
            // Without an answer the order is lost with the link: a step is ordered again when the
            // device is back, and the operator of a shell reads that the device is not connected.
            return;
        }
        let (code, text) = (refusal.code(), refusal.to_string());
        self.table.say(&FromAgent::NotOpened { session, code, text });
    }

    /// A script is complete: the journal gets a line, and the script starts.
    fn start_script(&mut self, session: &str, now: Instant) {
        self.log_before();
        let journal = &mut self.journal;
        match self.table.start_script(session, now, |name| journal.note(name)) {
            Ok(()) => self.log_opened(session, None, now),
            Err(refusal) => self.refuse(session.to_owned(), &refusal),
        }
    }

    fn pass(&mut self, open: &Open, reserved: bool) -> Result<Passed, Refusal> {
        if self.stopping.is_some() {
            return Err(Refusal::Spawn("the agent is stopping".to_owned()));
        }
        self.table.has_room(reserved)?;
        self.gate.pass(open, &self.config, since_boot(), reserved)
    }

    fn try_open(
        &mut self,
        open: Open,
        passed: Passed,
        reserved: bool,
        now: Instant,
    ) -> Result<(), Refusal> {
        if !self.log.has_room() {
            return Err(Refusal::LogFull);
        }
        if let Launch::Script(script) = &passed.launch {
            self.journal.admits(&open.session, &script.given_to)?;
            // It is started, and logged, when it is complete.
            return self.table.open(open, passed, false);
        }
        self.log_before();
        let (grant, user) = (&passed.grant, &passed.account.name);
        let opened = format!("opened for {} as {user} by {}", grant.principal, grant.document);
        let (session, terminal) = (open.session.clone(), open.terminal.clone());
        self.table.open(open, passed, reserved)?;
        self.log_opened(&session, terminal.as_ref(), now);
        let _session = in_session(&session);
        logger::info!("{opened}");
        Ok(())
    }

    fn close(&mut self, session: &str, reason: EndReason, now: Instant) {
        let _session = in_session(session);
        logger::info!("closed by the gateway: {reason:?}");
        self.timekeeping.forget(session);
        if !self.table.close(session, now) {
            let reason = EndReason::DeviceGone;
            self.table.say(&FromAgent::Gone { session: session.to_owned(), reason });
        }
    }

    /// How long sessions may wait for a link.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.grace
    }
}
