//! The end of piped input, told to a terminal on the device.
//!
//! A terminal has no end: its end-of-file character reaches the program that reads at that moment.
//! A shell that is just starting loses it when it takes the terminal over, and a program that the
//! shell runs takes it for itself. So it is repeated whenever the device has shown something and
//! then fallen silent, as long as the session lasts: the next reader learns that there is no more
//! input.
//!
//! # Invariants
//! - Pure: the caller brings the time.
//! - The pauses double up to [`MAX_END_OF_INPUT_PAUSE`]: a program that answers each repetition is
//!   not driven in circles.
//! - Without output there is no repetition: nothing piles up before a program that works and does
//!   not read.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{FIRST_END_OF_INPUT_PAUSE, MAX_END_OF_INPUT_PAUSE};

/// When the end of input is repeated.
#[derive(Debug)]
pub(super) struct EndOfInput {
    pause: Duration,
    due: Option<Instant>,
}

impl EndOfInput {
    /// It was sent for the first time.
    #[must_use]
    pub(super) fn said() -> Self {
        Self { pause: FIRST_END_OF_INPUT_PAUSE, due: None }
    }

    /// The device has shown something.
    pub(super) fn on_output(&mut self, now: Instant) {
        self.due = Some(now + self.pause);
    }

    /// When to look again.
    #[must_use]
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// It is repeated.
    pub(super) fn on_said(&mut self) {
        self.due = None;
        self.pause = (self.pause * 2).min(MAX_END_OF_INPUT_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_sent_again_after_output_and_silence_and_not_without_output() {
        let start = Instant::now();
        let mut end = EndOfInput::said();
        assert_eq!(end.due(), None);
        end.on_output(start);
        end.on_output(start + FIRST_END_OF_INPUT_PAUSE / 2);
        assert_eq!(
            end.due(),
            Some(start + FIRST_END_OF_INPUT_PAUSE / 2 + FIRST_END_OF_INPUT_PAUSE),
            "output puts it off"
        );
        end.on_said();
        assert_eq!(end.due(), None);
    }

    #[test]
    fn the_pauses_grow_up_to_a_bound() {
        let start = Instant::now();
        let mut end = EndOfInput::said();
        let pauses: Vec<Duration> = (0..12)
            .map(|_| {
                end.on_output(start);
                let pause = end.due().unwrap() - start;
                end.on_said();
                pause
            })
            .collect();
        assert_eq!(
            pauses[..3],
            [FIRST_END_OF_INPUT_PAUSE, FIRST_END_OF_INPUT_PAUSE * 2, FIRST_END_OF_INPUT_PAUSE * 4]
        );
        assert_eq!(pauses[11], MAX_END_OF_INPUT_PAUSE);
    }
}
