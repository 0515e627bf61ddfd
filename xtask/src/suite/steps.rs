//! The steps of a test run with the time of each, printed as a table at the end.
//!
//! # Invariants
//! - The table is printed after a failure as well: it then ends with the step that failed.

use std::time::{Duration, Instant};

use towline_testkit::{Outcome, interrupt};

use crate::console;

/// What has run so far.
pub(super) struct Steps {
    begun: Instant,
    taken: Vec<(String, Duration)>,
    /// Lines that are repeated below the table.
    closing: Vec<String>,
}

impl Steps {
    /// Starts the clock.
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), taken: Vec::new(), closing: Vec::new() }
    }

    /// When the run began.
    pub(super) const fn begun(&self) -> Instant {
        self.begun
    }

    /// Runs a step.
    ///
    /// # Errors
    /// Those of the step.
    pub(super) fn run<T>(&mut self, name: &str, step: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
        interrupt::check()?;
        let start = Instant::now();
        let outcome = step();
        let mark = if outcome.is_ok() { "" } else { " (failed)" };
        self.taken.push((format!("{name}{mark}"), start.elapsed()));
        outcome
    }

    /// Repeats these lines at the end.
    pub(super) fn close_with(&mut self, lines: impl IntoIterator<Item = String>) {
        self.closing.extend(lines);
    }

    /// Prints the table and the closing lines.
    pub(super) fn print(&self) {
        let mut rows = vec![vec!["step".to_owned(), "min:s".to_owned()]];
        rows.extend(self.taken.iter().map(|(name, took)| vec![name.clone(), clock(*took)]));
        rows.push(vec!["all".into(), clock(self.begun.elapsed())]);
        console::table(&rows);
        for line in &self.closing {
            console::line(line.trim());
        }
    }
}

fn clock(took: Duration) -> String {
    format!("{:>2}:{:02}", took.as_secs() / 60, took.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use towline_testkit::Trouble;

    use super::*;

    #[test]
    fn a_step_that_failed_is_marked_and_timed() {
        let mut steps = Steps::new();
        steps.run("one", || Ok(())).unwrap();
        steps.run("two", || Err::<(), _>(Trouble::new("no"))).unwrap_err();
        let names: Vec<&str> = steps.taken.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["one", "two (failed)"]);
        assert_eq!(clock(Duration::from_secs(125)), " 2:05");
    }
}
