//! Look-ahead: events of the kernel wait for the events right after them, together with the
//! arguments that processes showed meanwhile.
//!
//! A process may execute one program after another, so a reader may see the arguments of the
//! second for the first; and a process id may be reused. So an event is handled only when the
//! events within [`limits::LOG_AHEAD_FOR`] after it are known. An answer that may belong to a
//! later event counts for the later one alone: missing arguments are better than wrong ones.
//!
//! # Invariants
//! - At most [`limits::LOG_AHEAD`] events, [`limits::LOG_ANSWERS`] answers and
//!   [`limits::LOG_ANSWER_BYTES`] bytes in them. With more events the oldest is handled at once.
//!   With more answers the oldest is dropped, and its process is read later.
//! - Events keep their order.

use super::events::{Event, Told};
use super::observations::Program;
use crate::limits;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What a process showed at an exec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Which process.
    pub pid: u32,
    /// Time of the exec's event: with `pid` it names the event.
    pub at: u64,
    /// When the arguments had been read.
    pub read_at: u64,
    /// What it said.
    pub program: Program,
}

/// Answers that wait for their events, shared with the process readers.
#[derive(Debug, Default)]
pub struct Answers(Mutex<Heap>);

#[derive(Debug, Default)]
struct Heap {
    answers: VecDeque<Answer>,
    bytes: usize,
}

fn weight(answer: &Answer) -> usize {
    answer.program.bytes()
}

impl Answers {
    fn heap(&self) -> MutexGuard<'_, Heap> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner) // whole after each statement
    }

    /// Leaves an answer.
    pub fn put(&self, answer: Answer) {
        let mut heap = self.heap();
        heap.bytes += weight(&answer);
        heap.answers.push_back(answer);
        while heap.answers.len() > limits::LOG_ANSWERS || heap.bytes > limits::LOG_ANSWER_BYTES {
            let Some(oldest) = heap.answers.pop_front() else { return };
            heap.bytes -= weight(&oldest);
        }
    }

    /// Takes the answer to the exec of `pid` at `at`.
    pub fn take(&self, pid: u32, at: u64) -> Option<Answer> {
        let mut heap = self.heap();
        let found = heap.answers.iter().position(|answer| (answer.pid, answer.at) == (pid, at))?;
        let answer = heap.answers.remove(found)?;
        heap.bytes -= weight(&answer);
        Some(answer)
    }

    /// Whether there is an answer to the exec of `pid` at `at` with other arguments; `None` without
    /// an answer.
    fn differs(&self, pid: u32, at: u64, arguments: &[u8]) -> Option<bool> {
        let heap = self.heap();
        let answer = heap.answers.iter().find(|answer| (answer.pid, answer.at) == (pid, at))?;
        (!answer.program.arguments.is_empty()).then(|| answer.program.arguments != arguments)
    }
}

/// Events that wait for the ones after them.
#[derive(Debug, Default)]
pub struct LookAhead {
    waiting: VecDeque<(Instant, Told)>,
}

impl LookAhead {
    /// An event came.
    pub fn push(&mut self, told: Told, now: Instant) {
        self.waiting.push_back((now, told));
    }

    /// The oldest event, if it has waited long enough; with `all`, if there is one.
    pub fn next(&mut self, now: Instant, all: bool) -> Option<Told> {
        let (came, _) = self.waiting.front()?;
        let ripe =
            all || now >= *came + limits::LOG_AHEAD_FOR || self.waiting.len() > limits::LOG_AHEAD;
        if ripe { self.waiting.pop_front().map(|(_, told)| told) } else { None }
    }

    /// When [`Self::next`] will give something.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.waiting.front().map(|(came, _)| *came + limits::LOG_AHEAD_FOR)
    }

    /// Whether what was answered may belong to something that the process, or another with its
    /// number, became later.
    #[must_use]
    pub fn is_doubtful(&self, answer: &Answer, answers: &Answers) -> bool {
        let arguments = &answer.program.arguments;
        self.waiting.iter().any(|(_, later)| match later.event {
            Event::Exec { pid } if pid == answer.pid && later.at > answer.at => {
                let surely_later = match answers.differs(pid, later.at, arguments) {
                    Some(differs) => differs,
                    None => answer.read_at + limits::LOG_SHOWN_BEFORE < later.at,
                };
                later.at <= answer.read_at || !surely_later
            }
            Event::Fork { child, .. } => {
                child == answer.pid && later.at <= answer.read_at && later.at > answer.at
            }
            Event::Exec { .. } | Event::Exit { .. } | Event::Lost => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(pid: u32, at: u64, read_at: u64, arguments: &[u8]) -> Answer {
        Answer {
            pid,
            at,
            read_at,
            program: Program { arguments: arguments.into(), ..Program::default() },
        }
    }

    fn exec(pid: u32, at: u64) -> Told {
        Told { at, cpu: 0, event: Event::Exec { pid } }
    }

    /// One answer to the exec of process 7 at 1,000,000, and one to its exec at 2,000,000, if there
    /// is one.
    #[track_caller]
    fn check(first: &Answer, later: Told, second: Option<Answer>, doubtful: bool) {
        let (mut ahead, answers) = (LookAhead::default(), Answers::default());
        ahead.push(later, Instant::now());
        second.into_iter().for_each(|second| answers.put(second));
        assert_eq!(ahead.is_doubtful(first, &answers), doubtful);
    }

    #[test]
    fn what_was_read_before_the_next_program_of_a_process_is_the_first_ones() {
        let first = answer(7, 1_000_000, 1_010_000, b"setsid\0");
        check(&first, exec(7, 2_000_000), Some(answer(7, 2_000_000, 2_010_000, b"true\0")), false);
        check(&first, exec(7, 2_000_000), None, false);
        check(&first, exec(8, 1_005_000), None, false);
    }

    #[test]
    fn what_was_read_after_it_belongs_to_the_next() {
        let late = answer(7, 1_000_000, 2_010_000, b"true\0");
        check(&late, exec(7, 2_000_000), Some(answer(7, 2_000_000, 2_020_000, b"true\0")), true);
        check(&late, exec(7, 2_000_000), None, true);
    }

    #[test]
    fn what_was_read_while_the_next_one_began_is_in_doubt() {
        // The kernel shows the next program's arguments a moment before it tells of it.
        let first = answer(7, 1_000_000, 1_999_000, b"true\0");
        check(&first, exec(7, 2_000_000), Some(answer(7, 2_000_000, 2_010_000, b"true\0")), true);
        check(&first, exec(7, 2_000_000), None, true);
    }

    #[test]
    fn a_number_that_is_used_again_answers_for_its_new_process() {
        let fork = |at| Told { at, cpu: 0, event: Event::Fork { parent: 1, child: 7 } };
        check(&answer(7, 1_000_000, 3_000_000, b"other\0"), fork(2_000_000), None, true);
        check(&answer(7, 1_000_000, 1_500_000, b"own\0"), fork(2_000_000), None, false);
    }

    #[test]
    fn events_wait_for_a_while_and_no_more_of_them_than_fit() {
        let (mut ahead, now) = (LookAhead::default(), Instant::now());
        ahead.push(exec(1, 1), now);
        assert_eq!(
            (ahead.next(now, false), ahead.due()),
            (None, Some(now + limits::LOG_AHEAD_FOR))
        );
        assert_eq!(ahead.next(now + limits::LOG_AHEAD_FOR, false), Some(exec(1, 1)));
        for at in 0..=limits::LOG_AHEAD as u64 {
            ahead.push(exec(1, at), now);
        }
        assert_eq!(ahead.next(now, false), Some(exec(1, 0)));
        assert_eq!(ahead.next(now, false), None);
        assert_eq!(ahead.next(now, true), Some(exec(1, 1)));
    }

    #[test]
    fn answers_that_nobody_takes_go_when_there_are_too_many() {
        let answers = Answers::default();
        for at in 0..=limits::LOG_ANSWERS as u64 {
            answers.put(answer(1, at, at, b"x"));
        }
        assert_eq!(answers.take(1, 0), None);
        assert_eq!(answers.take(1, 1), Some(answer(1, 1, 1, b"x")));
        assert_eq!(answers.take(1, 1), None);
        answers.put(answer(2, 0, 0, &vec![b'x'; limits::LOG_ANSWER_BYTES]));
        let heap = answers.heap();
        assert_eq!((heap.answers.len(), heap.bytes), (1, limits::LOG_ANSWER_BYTES));
    }
}
