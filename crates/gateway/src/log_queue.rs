//! The way of log lines to standard error.
//!
//! Data flow: a request's task -> one formatted line -> a bounded queue -> one thread -> stderr.
//!
//! # Invariants
//! - A line of the log never decides about a request: a reader that died, a full disk or a reader
//!   that stands still costs lines, which are counted, and nothing else.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Lines that wait for the thread. An audit line has at most some KiB: a few MiB in all.
const QUEUE: usize = 1024;
/// How long the process waits at its end for lines that are still to be written.
const AT_THE_END: Duration = Duration::from_secs(1);

/// Lines that nobody could be told.
static LOST: AtomicU64 = AtomicU64::new(0);
/// Lines in the queue or under way.
static WAITING: Mutex<usize> = Mutex::new(0);
/// Told when it is 0.
static WRITTEN: Condvar = Condvar::new();

/// How many lines were lost since the start.
#[must_use]
pub fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// Waits, for a moment at the most, until what was logged is written. For the end of the process.
pub fn flush() {
    let waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = WRITTEN.wait_timeout_while(waiting, AT_THE_END, |waiting| *waiting > 0);
}

fn one_more() {
    *WAITING.lock().unwrap_or_else(PoisonError::into_inner) += 1;
}

fn one_less() {
    let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    *waiting = waiting.saturating_sub(1);
    if *waiting == 0 {
        WRITTEN.notify_all();
    }
}

/// Puts each line into the queue. It never fails: the formatter would write about a failure to
/// stderr, and panic.
#[derive(Clone)]
pub(crate) struct Lane(SyncSender<Vec<u8>>);

impl Write for Lane {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        one_more();
        if self.0.try_send(line.to_vec()).is_err() {
            one_less();
            LOST.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes lines to `to`; says how many were lost as soon as it takes lines again.
fn carry(lines: &Receiver<Vec<u8>>, mut to: impl Write) {
    let mut told = 0;
    for line in lines {
        if to.write_all(&line).is_err() {
            LOST.fetch_add(1, Ordering::Relaxed);
        } else if lost() > told {
            let now = lost();
            let text = format!("WARN {} lines of this log were lost before here\n", now - told);
            if to.write_all(text.as_bytes()).is_ok() {
                told = now;
            }
        }
        one_less();
    }
}

/// Starts the thread; each value that is made by what is returned takes lines.
pub(crate) fn start() -> impl Fn() -> Lane {
    let (lane, lines) = sync_channel(QUEUE);
    let lane = Lane(lane);
    // Without the thread the queue fills up, and lines are lost: no reason not to serve.
    let _ =
        std::thread::Builder::new().name("log".into()).spawn(move || carry(&lines, io::stderr()));
    move || lane.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Refuses its first line, as a full disk does, and takes the later ones.
    struct FullOnce<'a>(bool, &'a mut Vec<u8>);

    impl Write for FullOnce<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if std::mem::take(&mut self.0) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_cannot_be_written_is_counted_and_the_next_ones_go_on() {
        let (lane, lines) = sync_channel(2);
        let mut lane = Lane(lane);
        for line in ["lost\n", "kept\n", "beyond the queue\n"] {
            lane.write_all(line.as_bytes()).unwrap(); // never waits, never fails
        }
        assert_eq!(lost(), 1, "the queue holds two");
        drop(lane);
        let mut written = Vec::new();
        carry(&lines, FullOnce(true, &mut written));
        let written = String::from_utf8(written).unwrap();
        assert!(written.starts_with("kept\n") && written.contains("2 lines"), "{written}");
        assert_eq!(lost(), 2);
    }
}
