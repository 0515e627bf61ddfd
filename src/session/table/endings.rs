//! The ends of sessions, and the processes that are left of them.
//!
//! # Invariants
//! - An end touches only processes of its own session: it excludes the leaders of other sessions
//!   and the preflight.

use super::table::Table;
use crate::logger::{self, in_session};
use crate::process::Exit;
use crate::process::ending::{Ending, Left};
use crate::process::family::Others;
use crate::pty;
use crate::separation::monitor::Separation;
use crate::session::running::Running;
use crate::tunnel::Tunnel;
use nix::unistd::Pid;
use std::time::Instant;
use towline_wire::message::{EndReason, ExitStatus, FromAgent};

impl Table {
    /// Hangs up on a session's processes. It stays in the table until it is forgotten; a tunnel, of
    /// which nobody waits for an exit, does not. False if it is not held.
    pub fn close(&mut self, name: &str, now: Instant) -> bool {
        if self.remove_tunnel(name) {
            return true;
        }
        self.remove_script(name);
        let Some(at) = self.position(name) else { return false };
        self.begin_end(at, now);
        self.sessions[at].closed = true;
        true
    }

    /// Drops a session; its processes are hung up if they are not yet.
    pub fn remove(&mut self, name: &str, now: Instant) {
        self.remove_tunnel(name);
        self.remove_script(name);
        if let Some(at) = self.position(name) {
            self.begin_end(at, now);
            let session = self.sessions.swap_remove(at);
            self.remove_streams((session.io, session.err));
        }
    }

    /// Drops the sessions whose grace time is over. Scripts continue: they have their own time
    /// limit.
    pub fn remove_what_needs_a_link(&mut self, now: Instant) {
        while let Some(name) = self.tunnels.last().map(|tunnel| tunnel.name.clone()) {
            self.remove_tunnel(&name);
        }
        while let Some(name) =
            self.sessions.iter().find(|s| !s.is_script()).map(|session| session.name.clone())
        {
            self.remove(&name, now);
        }
    }

    /// Drops all sessions, because the agent stops or the device was removed. The gateway hears so,
    /// where there is a link; but not of scripts, about which the next agent is asked.
    pub fn remove_all(&mut self, now: Instant) {
        self.drop_scripts("all sessions end");
        while let Some(name) = self.tunnels.last().map(|tunnel| tunnel.name.clone()) {
            self.remove_tunnel(&name);
            self.say(&FromAgent::Gone { session: name, reason: EndReason::DeviceGone });
        }
        while let Some(session) = self.sessions.last() {
            let (name, is_script) = (session.name.clone(), session.is_script());
            self.remove(&name, now);
            if !is_script {
                self.say(&FromAgent::Gone { session: name, reason: EndReason::DeviceGone });
            }
        }
    }

    pub(super) fn begin_end(&mut self, at: usize, now: Instant) {
        let pid = self.sessions[at].pid;
        let others = self.others_but(pid);
        if let Some(family) = self.sessions[at].family.take() {
            if self.sessions[at].has_terminal() {
                pty::log_out(pid);
            }
            self.endings.push((pid, Ending::begin(family, &others, now)));
        }
    }

    pub(super) fn others_but(&self, pid: Pid) -> Others {
        let running = self
            .sessions
            .iter()
            .filter(|session| session.exited.is_none())
            .map(|session| session.pid);
        let ending = self.endings.iter().map(|(leader, _)| *leader);
        let network = self.separation.iter().flat_map(|it| it.children.living());
        Others {
            leaders: running.chain(ending).filter(|leader| *leader != pid).collect(),
            bystanders: network.chain(self.bystander).collect(),
        }
    }

    /// A child of the agent ended; perhaps the leader of a session.
    pub fn on_exit(&mut self, pid: Pid, exit: Exit, now: Instant) {
        let Some(at) = self.sessions.iter().position(|s| s.pid == pid && s.exited.is_none()) else {
            return;
        };
        let name = self.sessions[at].name.clone();
        if let Some(outcome) = self.sessions[at].outcome() {
            let failed = outcome.is_err();
            self.on_started(&name, outcome, now);
            if failed {
                return;
            }
        }
        let status = match exit {
            Exit::Code(code) => ExitStatus::Code(code),
            Exit::Signal(signal) => ExitStatus::Signal(signal),
        };
        let _session = in_session(&name);
        logger::info!("ended with {status:?}");
        let status = self.sessions[at].on_exit(status, now);
        self.begin_end(at, now);
        self.say(&FromAgent::Exited { session: name, status });
    }

    /// Looks after the families that are being ended; wanted after children ended, and at
    /// [`Self::deadline`].
    pub fn tick(&mut self, now: Instant) {
        let late: Vec<usize> =
            (0..self.sessions.len()).filter(|at| self.sessions[*at].takes_too_long(now)).collect();
        for at in late {
            let _session = in_session(&self.sessions[at].name);
            logger::warning!("timed out");
            self.begin_end(at, now);
        }
        let mut at = 0;
        while at < self.endings.len() {
            let others = self.others_but(self.endings[at].0);
            match self.endings[at].1.poke(&others, now) {
                Left::Some => at += 1,
                Left::Nothing => drop(self.endings.swap_remove(at)),
            }
        }
        for session in &mut self.sessions {
            session.on_tick(now, &mut self.mux);
        }
        for tunnel in &mut self.tunnels {
            tunnel.on_tick(now);
        }
    }

    /// When [`Self::tick`] is wanted at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let endings = self.endings.iter().map(|(_, ending)| ending.deadline());
        let sessions = self.sessions.iter().filter_map(Running::deadline);
        endings.chain(sessions).chain(self.tunnels.iter().filter_map(Tunnel::deadline)).min()
    }

    /// Network processes are no session's, either, and look names of tunnels up.
    pub fn separate(&mut self, separation: Option<Separation>) {
        self.separation = separation;
    }

    /// A child of the agent that is no session's, for as long as it lives: no end of a session may
    /// touch it.
    pub fn spare(&mut self, bystander: Option<Pid>) {
        self.bystander = bystander;
    }
}
