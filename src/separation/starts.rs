//! Whether processes of one kind can be had on this device, by what became of their starts.
//!
//! # Invariants
//! - Nothing of the network is read before a start is over: no failure is a stranger's work.
//! - What may pass (no memory, no further process) is no reason to do without, once a process of
//!   its kind has worked.
//!
//! # Not here
//! - What a start is: [`super::monitor`].

use crate::limits;
use std::cell::{Cell, RefCell};

/// Why there is no answer or no line.
#[derive(Debug)]
pub enum Failure {
    /// No network process can be had here, or not without rights.
    Unavailable(String),
    /// It did its task, and this came of it.
    Failed(String),
}

/// What became of the processes of one kind: look-ups and links give up other rights.
#[derive(Debug, Default)]
pub(super) struct Tried {
    pub(super) starts: Cell<Starts>,
    /// Why the last task was done without.
    pub(super) given_up: RefCell<Option<String>>,
}

impl Tried {
    /// What a start means for its task: whether this kind of process can be had here at all.
    pub(super) fn judge<T>(&self, begun: Result<T, Failure>) -> Result<T, Failure> {
        let starts = self.starts.get();
        match begun {
            Ok(begun) => {
                self.starts.set(Starts::Work);
                self.given_up.take();
                Ok(begun)
            }
            Err(Failure::Unavailable(why)) if starts == Starts::Work => Err(Failure::Failed(why)),
            Err(Failure::Failed(why)) => {
                self.starts.set(starts.after_an_early_end());
                let useless = self.starts.get() == Starts::Useless;
                Err(if useless { Failure::Unavailable(why) } else { Failure::Failed(why) })
            }
            Err(other) => Err(other),
        }
    }
}

/// Whether processes can be started here at all. One that ends before its rights are gone has read
/// nothing of the network, so nobody outside has ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Starts {
    /// None has worked yet, and so many ended early.
    Untried(u8),
    /// One has worked: another one that ends early is an accident, and no reason to do without.
    Work,
    /// They do not work here.
    Useless,
}

impl Default for Starts {
    fn default() -> Self {
        Self::Untried(0)
    }
}

impl Starts {
    fn after_an_early_end(self) -> Self {
        match self {
            Self::Untried(before) if before + 1 < limits::SEPARATED_STARTS => {
                Self::Untried(before + 1)
            }
            Self::Untried(_) | Self::Useless => Self::Useless,
            Self::Work => Self::Work,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_always_end_early_are_done_without_and_one_that_has_worked_never_is() {
        let mut starts = Starts::default();
        for _ in 1..limits::SEPARATED_STARTS {
            starts = starts.after_an_early_end();
            assert_ne!(starts, Starts::Useless);
        }
        assert_eq!(starts.after_an_early_end(), Starts::Useless);
        let ended = |starts: Starts, _| starts.after_an_early_end();
        assert_eq!((0..100).fold(Starts::Work, ended), Starts::Work);
    }

    #[test]
    fn what_may_pass_is_no_reason_to_do_without_and_what_is_mended_counts_at_once() {
        let failed = || Err(Failure::Failed("no memory".into()));
        let impossible = || Err(Failure::Unavailable("no filters".into()));
        let tried = Tried::default();
        let judged = |begun: Result<(), Failure>| match tried.judge(begun) {
            Ok(()) => "works",
            Err(Failure::Failed(_)) => "again",
            Err(Failure::Unavailable(_)) => "without",
        };
        // Nothing has worked yet: the third accident in a row is none.
        assert_eq!(
            [judged(failed()), judged(failed()), judged(failed())],
            ["again", "again", "without"]
        );
        *tried.given_up.borrow_mut() = Some("no memory".into());
        assert_eq!(judged(impossible()), "without");
        assert_eq!(judged(Ok(())), "works");
        assert_eq!(*tried.given_up.borrow(), None, "the next task is done apart again");
        for _ in 0..100 {
            assert_eq!([judged(failed()), judged(impossible())], ["again", "again"]);
        }
    }
}
