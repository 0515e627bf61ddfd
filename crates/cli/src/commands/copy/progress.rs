//! One line about a copy, on a terminal, a few times a second.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::limits::{PROGRESS_INTERVAL, PROGRESS_NAME};
use crate::terminal::printable;

/// The progress line of a copy.
pub(super) struct Progress {
    drawn: bool,
    name: String,
    size: u64,
    done: u64,
    /// Of this file, without what was there before.
    moved: u64,
    since: Instant,
    last: Instant,
    shown: bool,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        let now = Instant::now();
        let drawn = !quiet && std::io::stderr().is_terminal();
        Self {
            drawn,
            name: String::new(),
            size: 0,
            done: 0,
            moved: 0,
            since: now,
            last: now,
            shown: false,
        }
    }

    /// The next file; so much of it is there already.
    pub(super) fn file(&mut self, name: &str, size: u64, have: u64) {
        self.name = printable(name);
        (self.size, self.done, self.moved, self.since) = (size, have, 0, Instant::now());
        self.draw(true);
    }

    /// So many bytes more.
    pub(super) fn more(&mut self, bytes: usize) {
        self.done += bytes as u64;
        self.moved += bytes as u64;
        self.draw(false);
    }

    /// The file is done.
    pub(super) fn done(&mut self) {
        self.draw(true);
        if self.shown {
            let _ = writeln!(std::io::stderr());
            self.shown = false;
        }
    }

    /// All is done.
    pub(super) fn finish(&mut self) {
        if self.shown {
            let _ = writeln!(std::io::stderr());
        }
    }

    fn draw(&mut self, now: bool) {
        if !self.drawn || (!now && self.last.elapsed() < PROGRESS_INTERVAL) {
            return;
        }
        self.last = Instant::now();
        self.shown = true;
        let _ = write!(
            std::io::stderr(),
            "\r\x1b[K{}",
            line(&self.name, self.done, self.size, self.moved, self.since.elapsed())
        );
    }
}

fn line(name: &str, done: u64, size: u64, moved: u64, took: Duration) -> String {
    let share = if size == 0 { 100 } else { (u128::from(done) * 100 / u128::from(size)).min(100) };
    let speed = moved as f64 / took.as_secs_f64().max(0.001);
    let left = size.saturating_sub(done) as f64 / speed.max(1.0);
    let eta = if left < 1.0 || moved == 0 { String::new() } else { format!("  {left:.0} s left") };
    let shown: String =
        name.chars().rev().take(PROGRESS_NAME).collect::<Vec<_>>().into_iter().rev().collect();
    format!(
        "{shown}  {share} %  {:.1} of {:.1} MB  {:.1} MB/s{eta}",
        done as f64 / 1e6,
        size as f64 / 1e6,
        speed / 1e6
    )
}

#[cfg(test)]
mod tests {
    use super::line;
    use std::time::Duration;

    #[test]
    fn the_line_says_how_far_how_fast_and_how_long() {
        let text = line("file", 3_000_000, 4_000_000, 1_000_000, Duration::from_secs(2));
        assert_eq!(text, "file  75 %  3.0 of 4.0 MB  0.5 MB/s  2 s left");
        assert!(line("empty", 0, 0, 0, Duration::ZERO).starts_with("empty  100 %"));
    }
}
