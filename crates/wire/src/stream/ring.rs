//! The replay ring: bytes that were produced and not yet acknowledged, found by their position.
//!
//! It starts without memory, grows by doubling while its [`Budget`] allows, and gives everything back when it is empty,
//! so that an idle session costs nothing and a busy one is as fast as its window.
//!
//! # Invariants
//! - `base <= end`, `end - base <= capacity <= cap`.
//! - The capacity is a power of two times [`SMALLEST`]; the sum of all capacities is what the budget says is used,
//!   except that each ring may hold one [`SMALLEST`] in any case: a session can always make progress.

use alloc::vec::Vec;

/// Bytes of a ring's first allocation.
pub(super) const SMALLEST: usize = 8 * 1024;

/// Memory that the rings of one endpoint share, bytes.
#[derive(Debug)]
pub struct Budget {
    total: usize,
    used: usize,
}

impl Budget {
    /// A budget of `total` bytes.
    #[must_use]
    pub const fn new(total: usize) -> Self {
        Self { total, used: 0 }
    }

    /// Bytes in use now. May exceed the total by the guaranteed smallest rings only.
    #[must_use]
    pub const fn used(&self) -> usize {
        self.used
    }

    fn take(&mut self, bytes: usize, guaranteed: bool) -> bool {
        if !guaranteed && self.used + bytes > self.total {
            return false;
        }
        self.used += bytes;
        true
    }

    fn give_back(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes);
    }
}

/// Bytes `base..end` of a stream.
#[derive(Debug)]
pub struct ReplayRing {
    memory: Vec<u8>,
    base: u64,
    end: u64,
    cap: usize,
}

impl ReplayRing {
    /// An empty ring that may grow to `cap` bytes (at least [`SMALLEST`] is granted).
    #[must_use]
    pub fn new(cap: usize) -> Self {
        Self { memory: Vec::new(), base: 0, end: 0, cap: cap.max(SMALLEST) }
    }

    /// Makes a ring that was never used begin at `position`.
    pub(super) fn start_at(&mut self, position: u64) {
        (self.base, self.end) = (position, position);
    }

    /// Position of the oldest byte held.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Position after the newest byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    fn len(&self) -> usize {
        // Never more than the capacity, which is a usize.
        (self.end - self.base) as usize
    }

    fn index(&self, position: u64) -> usize {
        // The length of the memory is a power of two.
        (position as usize) & (self.memory.len() - 1)
    }

    /// A contiguous free place for the next bytes, grown if the budget allows; empty when the ring is full.
    pub fn spare(&mut self, budget: &mut Budget) -> &mut [u8] {
        if self.len() == self.memory.len() {
            self.grow(budget);
        }
        if self.len() == self.memory.len() {
            return &mut [];
        }
        let free = self.memory.len() - self.len();
        let at = self.index(self.end);
        let until = (at + free).min(self.memory.len());
        &mut self.memory[at..until]
    }

    /// Says that `n` bytes were put into the place that [`ReplayRing::spare`] gave.
    pub fn filled(&mut self, n: usize) {
        let free = self.memory.len() - self.len();
        self.end += n.min(free) as u64;
    }

    /// Copies as much of `bytes` as there is room for; how many that were.
    pub fn push(&mut self, mut bytes: &[u8], budget: &mut Budget) -> usize {
        let before = bytes.len();
        while !bytes.is_empty() {
            let spare = self.spare(budget);
            let n = spare.len().min(bytes.len());
            if n == 0 {
                break;
            }
            spare[..n].copy_from_slice(&bytes[..n]);
            self.filled(n);
            bytes = &bytes[n..];
        }
        before - bytes.len()
    }

    /// True when nothing more can be put in, even after growth.
    #[must_use]
    pub fn is_full(&self, budget: &Budget) -> bool {
        let more = self.memory.len();
        let can_grow = more == 0 || (more * 2 <= self.cap && budget.used + more <= budget.total);
        self.len() == self.memory.len() && !can_grow
    }

    /// Bytes that could be put in now, with what growth the budget allows.
    #[must_use]
    pub fn room(&self, budget: &Budget) -> usize {
        let (mut capacity, mut used) = (self.memory.len(), budget.used);
        if capacity == 0 {
            (capacity, used) = (SMALLEST, used + SMALLEST); // granted in any case
        }
        while capacity * 2 <= self.cap && used + capacity <= budget.total {
            used += capacity;
            capacity *= 2;
        }
        capacity - self.len()
    }

    /// The longest contiguous run of held bytes at `position`, at most `most` bytes.
    #[must_use]
    pub fn at(&self, position: u64, most: usize) -> &[u8] {
        if position < self.base || position >= self.end {
            return &[];
        }
        let at = self.index(position);
        let n = ((self.end - position) as usize).min(most).min(self.memory.len() - at);
        &self.memory[at..at + n]
    }

    /// Forgets everything below `position`; an empty ring gives its memory back when it was large.
    pub fn forget(&mut self, position: u64, budget: &mut Budget) {
        self.base = position.clamp(self.base, self.end);
        if self.base == self.end && self.memory.len() > SMALLEST {
            self.release(budget);
        }
    }

    /// Gives the memory back to the budget, with all bytes in it.
    pub fn release(&mut self, budget: &mut Budget) {
        budget.give_back(self.memory.len());
        self.memory = Vec::new();
        self.base = self.end;
    }

    fn grow(&mut self, budget: &mut Budget) {
        let old = self.memory.len();
        let new = if old == 0 { SMALLEST } else { old * 2 };
        if new > self.cap || !budget.take(new - old, old == 0) {
            return;
        }
        let mut memory = alloc::vec![0; new];
        let mut position = self.base;
        while position < self.end {
            let run = self.at(position, usize::MAX);
            // A run may wrap in the larger memory only at its own end, since positions map by their low bits.
            let at = (position as usize) & (new - 1);
            memory[at..at + run.len()].copy_from_slice(run);
            position += run.len() as u64;
        }
        self.memory = memory;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_ring_is_a_window_of_everything_ever_pushed(
            steps in proptest::collection::vec((0_usize..5000, 0_usize..6000), 1..80),
            total in 0_usize..100_000,
        ) {
            let mut budget = Budget::new(total);
            let mut ring = ReplayRing::new(64 * 1024);
            let mut all: Vec<u8> = Vec::new();
            for (i, (push, forget)) in steps.into_iter().enumerate() {
                let bytes: Vec<u8> = (0..push).map(|n| (n ^ i) as u8).collect();
                let kept = ring.push(&bytes, &mut budget);
                all.extend(&bytes[..kept]);
                prop_assert_eq!(ring.end(), all.len() as u64);
                if kept < push {
                    prop_assert!(ring.is_full(&budget));
                }
                let mut position = ring.base();
                while position < ring.end() {
                    let run = ring.at(position, 777);
                    let from = position as usize;
                    prop_assert_eq!(run, &all[from..from + run.len()]);
                    position += run.len() as u64;
                }
                let to = ring.base() + forget as u64;
                ring.forget(to, &mut budget);
                prop_assert_eq!(budget.used(), ring.memory.len());
                prop_assert!(budget.used() <= total.max(SMALLEST));
            }
        }
    }

    #[test]
    fn two_rings_share_a_budget_and_each_is_sure_of_the_smallest() {
        let mut budget = Budget::new(16 * 1024);
        let (mut a, mut b) = (ReplayRing::new(1 << 20), ReplayRing::new(1 << 20));
        let bytes = vec![1; 1 << 20];
        assert_eq!(a.push(&bytes, &mut budget), 16 * 1024);
        assert_eq!(b.push(&bytes, &mut budget), SMALLEST);
        a.forget(u64::MAX, &mut budget);
        assert_eq!(budget.used(), SMALLEST);
        assert_eq!(b.push(&bytes, &mut budget), SMALLEST);
    }
}
