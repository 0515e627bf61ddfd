//! Restart on SIGHUP: the agent becomes the installed program, with the current settings.
//!
//! Data flow: SIGHUP -> permissions of the settings ([`super::reload`]) -> preflight of the
//! installed program -> if it can take over sessions, they are transferred at once; if it runs but
//! cannot take over, the agent restarts in this process when no session is open; if it does not
//! run, the agent stays.
//!
//! # Invariants
//! - An upgrade ends no session, whatever the new program is like.
//! - A second SIGHUP starts a second preflight.

use super::agent::Agent;
use crate::handover::Predecessor;
use crate::handover::exchange::{self, execute, installed, memory};
use crate::handover::form::{Writer, contradiction};
use crate::handover::preflight::{Answer, Preflight};
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

/// How far a restart is.
#[derive(Debug)]
pub(super) enum Renewal {
    /// None was requested.
    No,
    /// The preflight of the installed program runs.
    Asking(Preflight),
    /// The transfer begins as soon as it cuts nothing: at once, unless a connection through a
    /// tunnel is open.
    Now,
    /// A plain restart, once no session is open.
    WhenQuiet,
}

impl Agent {
    /// Starts the preflight of the installed program.
    pub(super) fn begin_renewal(&mut self, now: Instant) {
        if self.stopping.is_some() {
            return;
        }
        self.reload_permissions();
        if let Renewal::Asking(preflight) = &self.renewal {
            preflight.give_up(); // the program may have changed, and one at a time is enough
        }
        self.renewal = match Preflight::ask(now) {
            Ok(preflight) => Renewal::Asking(preflight),
            Err(error) => {
                logger::error!("not restarting: cannot execute {}: {error}", installed().display());
                Renewal::No
            }
        };
        self.table.spare(self.asked());
    }

    fn asked(&self) -> Option<Pid> {
        match &self.renewal {
            Renewal::Asking(preflight) => Some(preflight.pid),
            Renewal::No | Renewal::Now | Renewal::WhenQuiet => None,
        }
    }

    /// When the preflight is given up.
    pub(super) fn answer_deadline(&self) -> Option<Instant> {
        match &self.renewal {
            Renewal::Asking(preflight) => Some(preflight.deadline),
            Renewal::No | Renewal::Now | Renewal::WhenQuiet => None,
        }
    }

    /// Gives the preflight up when it is time.
    pub(super) fn tick_renewal(&mut self, now: Instant) {
        if let Renewal::Asking(preflight) = &mut self.renewal
            && now >= preflight.deadline
        {
            preflight.give_up();
            preflight.deadline = now + limits::TAKES_OVER;
        }
    }

    /// A child ended; perhaps the one that was asked.
    pub(super) fn on_answer(&mut self, pid: Pid, exit: Exit) {
        let Renewal::Asking(preflight) = &self.renewal else { return };
        let Some(answer) = preflight.answer(pid, exit) else { return };
        self.table.spare(None);
        self.renewal = match answer {
            Answer::TakesOver if self.is_ours() => {
                if !self.table.can_be_handed_over() {
                    let why = "restarting as soon as no connection through a tunnel is open";
                    logger::info!("{why}");
                    self.status.renewal(why);
                }
                Renewal::Now
            }
            Answer::TakesOver | Answer::OnlyWithoutSessions => {
                let why = format!(
                    "restarting when {} sessions have ended: they cannot be transferred",
                    self.table.len()
                );
                logger::info!("{why}");
                self.status.renewal(&why);
                Renewal::WhenQuiet
            }
            Answer::Broken(exit) => {
                logger::error!(
                    "not restarting: {} does not work here: {exit:?}",
                    installed().display()
                );
                Renewal::No
            }
        };
    }

    /// Whether the device is still enrolled as it was when the sessions were opened.
    fn is_ours(&self) -> bool {
        let now = Enrollment::load(&Dir::at(&self.config.state_dir));
        now.is_ok_and(|now| {
            now.device == self.enrollment.device && now.authority == self.enrollment.authority
        })
    }

    /// Becomes the installed program, if that is due. Returns when nothing is due, or it failed.
    pub(super) fn renew(&mut self) {
        let now = matches!(self.renewal, Renewal::Now) && self.stopping.is_none();
        if !now || !self.table.can_be_handed_over() {
            return;
        }
        logger::info!("transferring {} sessions to {}", self.table.len(), installed().display());
        // Records are not transferred: the new program sends the unconfirmed ones from the spool.
        self.log.stop(Instant::now());
        self.log.leave();
        let error = self.hand_over();
        logger::error!("the transfer failed: {error}; restarting when no session is open");
        self.service.ready(Instant::now());
        self.status.renewal("restarting when no session is open: the transfer failed");
        self.renewal = Renewal::WhenQuiet;
    }

    fn hand_over(&mut self) -> io::Error {
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
                if let Some(separation) = self.connection.separation() {
                    separation.children.end_all();
                }
                execute(&installed(), &state, Some(&program), &descriptors)
            }
            (Err(error), _) | (_, Err(error)) => error,
        }
    }

    /// Resumes the state that a predecessor left.
    pub(super) fn take_over(&mut self, predecessor: &mut Predecessor) -> io::Result<()> {
        let mut from = predecessor.reader();
        let version = from.text()?;
        if from.number()? != u64::from(std::process::id()) {
            return Err(contradiction("it belongs to another process"));
        }
        // The journal stays the one that this program opened at its start: that decided whether
        // this boot is in it.
        self.boot = from.array()?;
        self.connection.count_from(from.small()?);
        self.gate = Gate::new(self.enrollment.device.clone(), self.enrollment.authority, self.boot);
        self.gate.take_over(&mut from)?;
        self.table.take_over(&mut from, Instant::now())?;
        from.end()?;
        self.log_taken_over();
        logger::info!(
            "version {VERSION} took over {} sessions of version {version}",
            self.table.len()
        );
        Ok(())
    }
}
