//! What the command log asks of the table: the leaders of sessions, and the command lines.

use super::table::Table;
use crate::session::running::Running;

impl Table {
    /// Reads command lines off a session's terminal.
    pub fn read_lines(&mut self, name: &str, columns: u16) {
        if let Some((session, _)) = self.by_name(name) {
            session.read_lines(columns);
        }
    }

    /// Whether [`Self::take_lines`] has something to give.
    #[must_use]
    pub fn has_lines(&self) -> bool {
        self.sessions.iter().any(Running::has_lines)
    }

    /// Command lines that were read off terminals since.
    pub fn take_lines(&mut self, mut each: impl FnMut(&str, String)) {
        for session in &mut self.sessions {
            for line in session.take_lines() {
                each(&session.name, line);
            }
        }
    }

    /// Sessions whose first process lives, with that.
    #[must_use]
    pub fn leaders(&self) -> Vec<(String, u32)> {
        let living = self.sessions.iter().filter(|session| session.exited.is_none());
        living.map(|session| (session.name.clone(), session.pid.as_raw().cast_unsigned())).collect()
    }

    /// The first process of a session.
    #[must_use]
    pub fn leader(&self, name: &str) -> Option<u32> {
        Some(self.sessions[self.position(name)?].pid.as_raw().cast_unsigned())
    }
}
