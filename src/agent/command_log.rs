//! The command log on the loop: what was seen is taken, and what the gateway has not stored is
//! sent.
//!
//! # Invariants
//! - One batch waits for the link at a time, and only when no other message does: records never
//!   hold up a session by more than one of them.

use super::agent::{Agent, Stage};
use std::task::Context;
use std::time::Instant;
use towline_wire::message::{FromAgent, Terminal};

impl Agent {
    /// Takes what was seen, and gives the link the next batch if it has nothing else to say.
    pub(super) fn poll_log(&mut self, cx: &mut Context<'_>) {
        let (log, now) = (&mut self.log, Instant::now());
        log.poll(cx, now);
        self.table.take_lines(|session, line| log.line(session, line, now));
        self.send_log();
    }

    fn send_log(&mut self) {
        let linked = matches!(self.stage, Stage::Linked { greeted: true, .. });
        if linked
            && self.table.mux.control_waiting() == 0
            && let Some(batch) = self.log.parcel()
        {
            self.table.say(&FromAgent::Log(batch));
        }
    }

    /// After the link took what it could: there is more to send.
    pub(super) fn wants_to_log(&self) -> bool {
        let linked = matches!(self.stage, Stage::Linked { greeted: true, .. });
        linked && self.table.mux.control_waiting() == 0 && self.log.has_more()
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

    /// Sessions were taken over from another program in this process: their processes are known
    /// anew.
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

    /// The last words of this boot, as far as the link takes them.
    pub(super) fn log_stop(&mut self) {
        self.log.stop(Instant::now());
        if matches!(self.stage, Stage::Linked { greeted: true, .. }) {
            while let Some(batch) = self.log.parcel() {
                self.table.say(&FromAgent::Log(batch));
            }
        }
    }
}
