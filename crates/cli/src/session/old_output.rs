//! How long the output of a session that is returned to may be old: another client may have shown
//! it, and answered what it asks a terminal for.
//!
//! # Invariants
//! - It is old until the device has sent nothing for [`OLD_OUTPUT_ENDS`], or until somebody types:
//!   what the device has kept comes at once.
//! - A question that began in old output is taken out whole.

use tokio::time::Instant;

use crate::limits::OLD_OUTPUT_ENDS;
use crate::terminal::queries::Queries;

/// Output that may be old.
#[derive(Debug, Default)]
pub(super) struct OldOutput {
    queries: Queries,
    /// When it is new, unless something comes before. Nothing before the device is attached.
    until: Option<Instant>,
}

impl OldOutput {
    /// The device is attached.
    pub(super) fn comes(&mut self, now: Instant) {
        self.until.get_or_insert(now + OLD_OUTPUT_ENDS);
    }

    /// Somebody typed something.
    pub(super) fn typed(&mut self, now: Instant) {
        self.until = self.until.map(|until| until.min(now));
    }

    /// What is left of output that comes now; nothing when it is new.
    pub(super) fn take_out(&mut self, bytes: &[u8], now: Instant) -> Option<Vec<u8>> {
        match &mut self.until {
            Some(until) if now < *until => *until = now + OLD_OUTPUT_ENDS,
            Some(_) if self.queries.is_between() => return None,
            Some(_) | None => {}
        }
        Some(self.queries.take_out(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SHORT: Duration = Duration::from_millis(400);

    fn left(old: &mut OldOutput, text: &str, now: Instant) -> Option<String> {
        old.take_out(text.as_bytes(), now).map(|left| String::from_utf8(left).unwrap())
    }

    #[test]
    fn output_is_old_until_there_was_a_silence_and_a_question_is_taken_out_whole() {
        let (mut old, begin) = (OldOutput::default(), Instant::now());
        old.comes(begin);
        for n in 1..5 {
            let at = begin + SHORT * n;
            assert_eq!(left(&mut old, "a\x1b[6nb", at).as_deref(), Some("ab"), "{n}");
        }
        assert_eq!(left(&mut old, "c\x1b[", begin + SHORT * 5).as_deref(), Some("c"));
        let later = begin + SHORT * 5 + OLD_OUTPUT_ENDS;
        assert_eq!(left(&mut old, "6nd", later).as_deref(), Some("d"));
        assert_eq!(left(&mut old, "\x1b[6n", later), None);
    }

    #[test]
    fn what_is_typed_before_the_device_is_there_makes_nothing_new_and_later_it_does() {
        let (mut old, now) = (OldOutput::default(), Instant::now());
        old.typed(now);
        assert_eq!(left(&mut old, "\x1b[c", now + OLD_OUTPUT_ENDS * 9).as_deref(), Some(""));
        old.comes(now);
        assert_eq!(left(&mut old, "\x1b[c", now).as_deref(), Some(""));
        old.typed(now);
        assert_eq!(left(&mut old, "\x1b[c", now), None);
    }
}
