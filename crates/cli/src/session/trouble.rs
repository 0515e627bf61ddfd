//! What the operator is shown while bytes do not flow: why, what happens next, how to leave, and
//! how much of what was typed is kept.
//!
//! # Invariants
//! - On a terminal of 80 columns each text fits beside what it ends with, since the status line
//!   cuts the rest. What happens next takes turns with the reason, each for [`STATUS_TURN`].
//!
//! # Not here
//! - Drawing: [`crate::terminal::status::StatusLine`].

use tokio::time::Instant;

use crate::limits::STATUS_TURN;

/// What agents of Towline do while a session is open. One of before 2026-11-28 may wait for
/// minutes, amazon-ssm-agent waits as long as it likes.
const DIALS: &str = "a Towline agent waits at most 10 s between two dials";

/// Why bytes do not flow, and what became of the bytes typed meanwhile.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    text: String,
    /// What happens next, and when the line changes to or from it.
    next: Option<(&'static str, Instant)>,
    is_next_shown: bool,
    /// Bytes that were typed and are kept.
    pub(super) typed: usize,
    /// Bytes that were typed and found no room.
    pub(super) discarded: usize,
}

impl Trouble {
    /// Bytes do not flow, for this reason.
    pub(super) fn tell(&mut self, text: String) {
        (self.text, self.next, self.is_next_shown) = (text, None, false);
    }

    /// The device is away; the session waits for `grace` seconds.
    pub(super) fn device_is_away(&mut self, grace: u32, now: Instant) {
        self.tell(away(grace));
        self.next = Some((DIALS, now + STATUS_TURN));
    }

    /// When the line changes.
    pub(super) fn turns_at(&self) -> Option<Instant> {
        self.next.map(|(_, at)| at)
    }

    /// The line changes.
    pub(super) fn turn(&mut self, now: Instant) {
        if let Some((_, at)) = &mut self.next {
            *at = now + STATUS_TURN;
            self.is_next_shown = !self.is_next_shown;
        }
    }

    /// The line of a terminal in raw mode.
    pub(super) fn line(&self) -> String {
        match (self.next.filter(|_| self.is_next_shown), self.typed) {
            (None, 0) => format!("{}; ^C leaves", self.text),
            (None, typed) => format!("{}; ^C leaves; {typed} bytes kept", self.text),
            (Some((next, _)), 0) => format!("{next}; ^C leaves"),
            (Some((next, _)), typed) => format!("{next}; {typed} bytes kept"),
        }
    }

    /// The line of any other output, which is written once.
    pub(super) fn message(&self) -> String {
        match self.next {
            Some((next, _)) => format!("{}; {next}", self.text),
            None => self.text.clone(),
        }
    }
}

/// For programs without a status line: the device is away.
pub(super) fn device_is_away(grace: u32) -> String {
    format!("{}; {DIALS}", away(grace))
}

fn away(grace: u32) -> String {
    format!("the device is not connected: waiting up to {grace} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_and_what_happens_next_take_turns_on_a_terminal() {
        let (mut trouble, mut now) = (Trouble::default(), Instant::now());
        trouble.device_is_away(600, now);
        let mut lines = Vec::new();
        for _ in 0..3 {
            lines.push(trouble.line());
            now = trouble.turns_at().unwrap();
            trouble.turn(now);
        }
        assert_eq!(lines[0], "the device is not connected: waiting up to 600 s; ^C leaves");
        assert_eq!(lines[1], "a Towline agent waits at most 10 s between two dials; ^C leaves");
        assert_eq!(lines[2], lines[0]);
    }

    #[test]
    fn a_terminal_of_80_columns_has_room_for_all_of_a_line() {
        let (mut trouble, now) = (Trouble::default(), Instant::now());
        trouble.device_is_away(3600, now);
        for typed in [0, 9999] {
            trouble.typed = typed;
            for _ in 0..2 {
                assert!(trouble.line().len() <= 80 - 3, "{}", trouble.line());
                trouble.turn(now);
            }
        }
    }

    #[test]
    fn another_reason_has_no_turns_and_a_file_gets_both_at_once() {
        let (mut trouble, now) = (Trouble::default(), Instant::now());
        trouble.device_is_away(600, now);
        assert_eq!(trouble.message(), device_is_away(600));
        trouble.turn(now);
        trouble.tell("connection to the gateway lost".into());
        assert_eq!(trouble.turns_at(), None);
        assert_eq!(trouble.message(), "connection to the gateway lost");
        assert_eq!(trouble.line(), "connection to the gateway lost; ^C leaves");
    }
}
