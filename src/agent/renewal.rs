//! Told to start anew: becoming the program, with the settings, that are there now.
//!
//! Way: SIGHUP -> the installed program is asked -> it would take over: everything is handed over
//! to it, at once. It works but cannot take sessions over: when no session is open, as a plain
//! restart in this process. It does not work: we stay.
//!
//! # Invariants
//! - Nobody's session ends because of an upgrade, whatever the new program is like.
//! - The last word counts: told again, the agent asks again.

use super::agent::Agent;
use crate::handover::Predecessor;
use crate::handover::exchange::{self, execute, hear_signals, installed, memory};
use crate::handover::form::{Writer, contradiction};
use crate::handover::preflight::{Answer, Question};
use crate::limits;
use crate::logger;
use crate::platform::VERSION;
use crate::process::Exit;
use crate::session::gate::Gate;
use crate::state::Dir;
use crate::state::enrollment::Enrollment;
use nix::unistd::Pid;
use std::io;
use std::time::Instant;

/// How far the agent is with starting anew.
#[derive(Debug)]
pub(super) enum Renewal {
    /// Nobody asked for it.
    No,
    /// The installed program was asked.
    Asking(Question),
    /// To be handed over as soon as nothing is cut by it: at once, but for connections through
    /// tunnels.
    Now,
    /// A plain restart, once no session is open.
    WhenQuiet,
}

impl Agent {
    /// Asks the installed program whether it would take over.
    pub(super) fn begin_renewal(&mut self, now: Instant) {
        if self.stopping.is_some() {
            return;
        }
        if let Renewal::Asking(question) = &self.renewal {
            question.give_up(); // what it was asked about may be gone, and one at a time is enough
        }
        self.renewal = match Question::ask(now) {
            Ok(question) => Renewal::Asking(question),
            Err(error) => {
                logger::error!(
                    "not starting anew: {} cannot be executed: {error}",
                    installed().display()
                );
                Renewal::No
            }
        };
        self.table.spare(self.asked());
    }

    fn asked(&self) -> Option<Pid> {
        match &self.renewal {
            Renewal::Asking(question) => Some(question.pid),
            Renewal::No | Renewal::Now | Renewal::WhenQuiet => None,
        }
    }

    /// When the question is given up.
    pub(super) fn answer_deadline(&self) -> Option<Instant> {
        match &self.renewal {
            Renewal::Asking(question) => Some(question.deadline),
            Renewal::No | Renewal::Now | Renewal::WhenQuiet => None,
        }
    }

    /// Gives the question up when it is time.
    pub(super) fn tick_renewal(&mut self, now: Instant) {
        if let Renewal::Asking(question) = &mut self.renewal
            && now >= question.deadline
        {
            question.give_up();
            question.deadline = now + limits::TAKES_OVER;
        }
    }

    /// A child ended; perhaps the one that was asked.
    pub(super) fn on_answer(&mut self, pid: Pid, exit: Exit) {
        let Renewal::Asking(question) = &self.renewal else { return };
        let Some(answer) = question.answer(pid, exit) else { return };
        self.table.spare(None);
        self.renewal = match answer {
            Answer::TakesOver if self.is_ours() => {
                if !self.table.can_be_handed_over() {
                    logger::info!("starting anew once no connection is open through a tunnel");
                }
                Renewal::Now
            }
            Answer::TakesOver | Answer::OnlyWithoutSessions => {
                logger::info!(
                    "starting anew once {} sessions are over: they cannot be handed over",
                    self.table.len()
                );
                Renewal::WhenQuiet
            }
            Answer::Broken(exit) => {
                logger::error!(
                    "not starting anew: {} does not work here: {exit:?}",
                    installed().display()
                );
                Renewal::No
            }
        };
    }

    /// Whether the device still belongs to those for whom the sessions were opened.
    fn is_ours(&self) -> bool {
        let now = Enrollment::load(&Dir::at(&self.config.state_dir));
        now.is_ok_and(|now| {
            now.device == self.enrollment.device && now.authority == self.enrollment.authority
        })
    }

    /// Becomes the installed program, if it is to. Returns only when there is nothing to do, or it
    /// failed.
    pub(super) fn renew(&mut self) {
        let now = matches!(self.renewal, Renewal::Now) && self.stopping.is_none();
        if !now || !self.table.can_be_handed_over() {
            return;
        }
        logger::info!("handing {} sessions over to {}", self.table.len(), installed().display());
        // Records are not handed over: what is not stored yet goes to the spool, for the new
        // program to send.
        self.log.stop(Instant::now());
        self.log.leave();
        let error = self.hand_over();
        logger::error!("nothing was handed over: {error}; starting anew once no session is open");
        self.service.ready(Instant::now());
        self.renewal = Renewal::WhenQuiet;
    }

    fn hand_over(&self) -> io::Error {
        let written = memory().and_then(|file| {
            let mut to = Writer::new(file, Instant::now());
            to.text(VERSION)?;
            to.number(std::process::id().into())?;
            to.bytes(&self.boot)?;
            to.number(self.connection.number().into())?;
            self.gate.hand_over(&mut to)?;
            self.table.hand_over(&mut to)?;
            to.finish()
        });
        let program = exchange::running();
        match (written, program) {
            (Ok((state, descriptors)), Ok(program)) => {
                self.service.reloading();
                execute(&installed(), &state, Some(&program), &descriptors)
            }
            (Err(error), _) | (_, Err(error)) => error,
        }
    }

    /// Goes on with what a predecessor left.
    pub(super) fn take_over(&mut self, predecessor: &mut Predecessor) -> io::Result<()> {
        let mut from = predecessor.reader();
        let version = from.text()?;
        if from.number()? != u64::from(std::process::id()) {
            return Err(contradiction("it is of another process"));
        }
        // The journal stays the one that was opened at this program's start: whether this boot
        // stands in it was decided then.
        self.boot = from.array()?;
        self.connection.count_from(from.small()?);
        self.gate = Gate::new(self.enrollment.device.clone(), self.enrollment.authority, self.boot);
        self.gate.take_over(&mut from)?;
        self.table.take_over(&mut from, Instant::now())?;
        from.end()?;
        self.log_taken_over();
        logger::info!(
            "version {VERSION} goes on with {} sessions of version {version}",
            self.table.len()
        );
        Ok(())
    }

    /// What came since the exec is heard now; children that ended before it are found.
    pub(super) fn awake(&mut self) -> io::Result<()> {
        hear_signals()?;
        self.reap(Instant::now());
        Ok(())
    }
}
