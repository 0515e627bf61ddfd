//! The windows of one stream: what may be sent, and what was promised to be taken.
//!
//! Counts are u32 and wrap, as on the wire; windows are far smaller, so differences are exact.
//!
//! # Invariants
//! - What is promised never shrinks; it grows by doubling, and only for a stream that uses it up.
//! - The far end hears of every eighth of a window, so that at least seven eighths of it can be
//!   under way. Told of halves only, a sender whose own buffer is about as large as the window
//!   waits for the second half in every round trip.

use super::INITIAL_WINDOW;

/// Towards the far end.
#[derive(Debug)]
pub(super) struct Out {
    sent: u32,
    taken: u32,
    window: u32,
}

impl Out {
    pub(super) const fn new() -> Self {
        Self { sent: 0, taken: 0, window: INITIAL_WINDOW }
    }

    /// Bytes that may be sent.
    pub(super) const fn room(&self) -> u32 {
        self.window.saturating_sub(self.sent.wrapping_sub(self.taken))
    }

    pub(super) const fn sent(&mut self, n: u32) {
        self.sent = self.sent.wrapping_add(n);
    }

    /// False for a number that cannot be: more was taken than was sent.
    pub(super) const fn on_window(&mut self, consumed: u32, window: u32) -> bool {
        let outstanding = self.sent.wrapping_sub(self.taken);
        let newly = consumed.wrapping_sub(self.taken);
        if newly > outstanding {
            return false;
        }
        (self.taken, self.window) = (consumed, window);
        true
    }
}

/// From the far end.
#[derive(Debug)]
pub(super) struct In {
    received: u32,
    consumed: u32,
    /// What the far end was told, or knows without.
    told: u32,
    told_window: u32,
    window: u32,
    /// What was consumed when it was last found to be used up.
    used: u32,
}

/// Bytes consumed that the far end hears of at once.
const fn telling(window: u32) -> u32 {
    let eighth = window / 8;
    if eighth > INITIAL_WINDOW / 2 { eighth } else { INITIAL_WINDOW / 2 }
}

impl In {
    pub(super) const fn new() -> Self {
        Self {
            received: 0,
            consumed: 0,
            told: 0,
            told_window: INITIAL_WINDOW,
            window: INITIAL_WINDOW,
            used: 0,
        }
    }

    /// The present window, bytes.
    pub(super) const fn window(&self) -> u32 {
        self.window
    }

    pub(super) const fn widen(&mut self, window: u32) {
        self.window = window;
    }

    /// False: more than was promised.
    pub(super) const fn on_data(&mut self, n: u32) -> bool {
        self.received = self.received.wrapping_add(n);
        self.received.wrapping_sub(self.told) <= self.told_window
    }

    /// So many bytes more have been passed on. True when half of the window was used since that was
    /// said last.
    pub(super) const fn consumed(&mut self, n: u32) -> bool {
        self.consumed = self.consumed.wrapping_add(n);
        let half = self.consumed.wrapping_sub(self.used) >= self.window / 2;
        if half {
            self.used = self.consumed;
        }
        half
    }

    /// Whether the far end should hear.
    pub(super) const fn is_due(&self) -> bool {
        self.window != self.told_window
            || self.consumed.wrapping_sub(self.told) >= telling(self.window)
    }

    /// What it hears.
    pub(super) const fn tell(&mut self) -> (u32, u32) {
        (self.told, self.told_window) = (self.consumed, self.window);
        (self.consumed, self.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_opens_as_bytes_are_taken_and_a_lie_is_found_out() {
        let mut out = Out::new();
        out.sent(INITIAL_WINDOW);
        assert_eq!(out.room(), 0);
        assert!(out.on_window(INITIAL_WINDOW / 2, INITIAL_WINDOW));
        assert_eq!(out.room(), INITIAL_WINDOW / 2);
        assert!(!out.on_window(INITIAL_WINDOW + 1, INITIAL_WINDOW), "more than was sent");
        assert!(!out.on_window(0, INITIAL_WINDOW), "less than before");
    }

    #[test]
    fn counts_wrap_as_on_the_wire() {
        let mut out = Out { sent: u32::MAX - 1, taken: u32::MAX - 1, window: 10 };
        out.sent(6);
        assert_eq!(out.room(), 4);
        assert!(out.on_window(4, 10));
        assert_eq!(out.room(), 10);
    }

    #[test]
    fn the_far_end_hears_of_half_a_first_window_and_of_a_wider_one() {
        let mut side = In::new();
        assert!(side.on_data(INITIAL_WINDOW) && !side.is_due());
        assert!(!side.consumed(INITIAL_WINDOW / 2 - 1));
        assert!(side.consumed(1) && side.is_due());
        assert_eq!(side.tell(), (INITIAL_WINDOW / 2, INITIAL_WINDOW));
        side.widen(2 * INITIAL_WINDOW);
        assert!(side.is_due());
        assert!(!side.on_data(INITIAL_WINDOW), "it was not told of the wider one yet");
    }

    #[test]
    fn of_a_wide_window_the_far_end_hears_each_eighth_and_half_of_it_is_used_up_once() {
        let (mut side, window) = (In::new(), 64 * INITIAL_WINDOW);
        side.widen(window);
        let _ = side.tell();
        let mut used_up = 0;
        for eighth in 1..=8 {
            assert!(side.on_data(window / 8) && !side.is_due());
            used_up += u32::from(side.consumed(window / 8));
            assert!(side.is_due());
            assert_eq!(side.tell(), (eighth * window / 8, window));
        }
        assert_eq!(used_up, 2);
    }
}
