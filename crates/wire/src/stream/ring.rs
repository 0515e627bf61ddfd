//! The replay ring: bytes that were produced and not yet acknowledged, found by their position.
//!
//! It starts without memory, grows by doubling while its [`Budget`] allows, and gives everything
//! back when it is empty, so that an idle session costs nothing and a busy one is as fast as its
//! window.
//!
//! # Invariants
//! - `base <= end`, `end - base <= capacity <= cap`.
//! - The capacity is a power of two times [`SMALLEST`]; the sum of all capacities is what the
//!   budget says is used, except that each ring may hold one [`SMALLEST`] in any case: a session
//!   can always make progress.
//! - A ring that grows takes no more than half of what is left, so a ring that comes later has a
//!   share too. Without this, two rings that are full for clients who have gone leave the third as
//!   slow as one smallest ring by the round trip (seen: 0.1 MB/s).

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

    /// Whether a ring may grow by so many bytes.
    const fn allows(&self, bytes: usize) -> bool {
        bytes <= self.total.saturating_sub(self.used) / 2
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
    /// An empty ring that may grow to `cap` bytes (at least `SMALLEST` is granted).
    #[must_use]
    pub fn new(cap: usize) -> Self {
        Self { memory: Vec::new(), base: 0, end: 0, cap: cap.max(SMALLEST) }
    }

    /// Makes a ring that was never used hold these bytes from `position` on, as another process
    /// did; if it may hold so many, and all rings together have room for them.
    pub(super) fn restore(&mut self, position: u64, bytes: &[u8], budget: &mut Budget) -> bool {
        (self.base, self.end) = (position, position);
        let size = bytes.len().next_power_of_two().max(SMALLEST);
        if !bytes.is_empty() {
            if size > self.cap || (size > SMALLEST && budget.used + size > budget.total) {
                return false;
            }
            budget.used += size;
            self.memory = alloc::vec![0; size];
        }
        self.push(bytes, budget) == bytes.len()
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

    /// A contiguous free place for the next bytes, grown if the budget allows; empty when the ring
    /// is full.
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
        let can_grow = more == 0 || (more * 2 <= self.cap && budget.allows(more));
        self.len() == self.memory.len() && !can_grow
    }

    /// Bytes that could be put in now, with what growth the budget allows.
    #[must_use]
    pub fn room(&self, budget: &Budget) -> usize {
        let mut capacity = self.memory.len();
        let mut after = Budget { total: budget.total, used: budget.used };
        if capacity == 0 {
            capacity = SMALLEST; // granted in any case
            after.used += SMALLEST;
        }
        while capacity * 2 <= self.cap && after.allows(capacity) {
            after.used += capacity;
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
        if new > self.cap || !(old == 0 || budget.allows(new - old)) {
            return;
        }
        budget.used += new - old;
        let mut memory = alloc::vec![0; new];
        let mut position = self.base;
        while position < self.end {
            let run = self.at(position, usize::MAX);
            // A run may wrap in the larger memory only at its own end, since positions map by their
            // low bits.
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
        let mut budget = Budget::new(2 * SMALLEST);
        let (mut a, mut b) = (ReplayRing::new(1 << 20), ReplayRing::new(1 << 20));
        let bytes = vec![1; 1 << 20];
        assert_eq!(a.push(&bytes, &mut budget), SMALLEST);
        assert_eq!(b.push(&bytes, &mut budget), SMALLEST);
        a.forget(u64::MAX, &mut budget);
        assert_eq!(budget.used(), 2 * SMALLEST);
        assert_eq!(b.push(&bytes, &mut budget), 0);
    }

    #[test]
    fn rings_that_are_never_emptied_leave_half_of_what_is_left_to_the_next() {
        let mut budget = Budget::new(4 << 20);
        let bytes = vec![1; 4 << 20];
        let taken: Vec<usize> = std::iter::repeat_with(|| {
            let mut ring = ReplayRing::new(2 << 20);
            let room = ring.room(&budget);
            assert_eq!(ring.push(&bytes, &mut budget), room);
            room >> 10
        })
        .take(6)
        .collect();
        assert_eq!(taken, [2048, 1024, 512, 256, 128, 64]);
    }

    #[test]
    fn what_another_process_held_is_restored_whatever_its_order() {
        let mut budget = Budget::new(4 << 20);
        for size in [512 << 10, 1 << 20, 2 << 20] {
            assert!(ReplayRing::new(2 << 20).restore(7, &vec![1; size], &mut budget), "{size}");
        }
        assert!(
            !ReplayRing::new(2 << 20).restore(7, &vec![1; 1 << 20], &mut budget),
            "there is no room"
        );
        assert!(
            !ReplayRing::new(1 << 20).restore(7, &vec![1; 2 << 20], &mut Budget::new(8 << 20)),
            "beyond its cap"
        );
    }
}
