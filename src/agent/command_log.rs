//! The command log in the loop: takes observations, sends batches to the gateway.
//!
//! # Invariants
//! - One batch at a time waits for the link, and only while no other message waits. So records
//!   delay a session by one batch at most.

use super::agent::Agent;
use std::time::Instant;
use towline_wire::message::{FromAgent, Terminal};

impl Agent {
    /// Records the programs and the command lines that were observed.
    pub(super) fn take_observed(&mut self, now: Instant) {
        let log = &mut self.log;
        log.take_observed(now);
        self.table.take_lines(|session, line| log.line(session, line, now));
    }

    /// Gives the link the next batch.
    pub(super) fn send_log(&mut self) {
        if let Some(batch) = self.log.parcel() {
            self.table.say(&FromAgent::Log(batch));
        }
    }

    /// Whether there is a batch, and the link has no other message to send.
    pub(super) fn log_is_due(&self) -> bool {
        self.connection.is_up() && self.table.mux.control_waiting() == 0 && self.log.has_more()
    }

    /// A session is about to be started.
    pub(super) fn log_before(&mut self) {
        self.log.listen();
        self.status.command_log(self.log.means());
    }

    /// A session was started, or the step of a command.
    pub(super) fn log_opened(&mut self, session: &str, terminal: Option<&Terminal>, now: Instant) {
        if let Some(leader) = self.table.leader(session) {
            self.log.session(session, leader, now);
        }
        if let Some(terminal) = terminal.filter(|_| self.config.audit.command_log) {
            self.table.read_lines(session, terminal.size.cols);
        }
    }

    /// Sessions were taken over from another program in this process: their processes are looked
    /// up again.
    pub(super) fn log_taken_over(&mut self) {
        let (leaders, now) = (self.table.leaders(), Instant::now());
        if leaders.is_empty() {
            return;
        }
        self.log.listen_to(leaders.iter().map(|(_, root)| *root).collect());
        for (session, root) in leaders {
            self.log.session(&session, root, now);
            if self.config.audit.command_log {
                self.table.read_lines(&session, 80);
            }
        }
        self.log.went_on(now);
    }

    /// Sends the last records of this boot, as far as the link accepts them.
    pub(super) fn log_stop(&mut self) {
        self.log.stop(Instant::now());
        if self.connection.is_up() {
            while let Some(batch) = self.log.parcel() {
                self.table.say(&FromAgent::Log(batch));
            }
        }
    }
}
