//! The loop's timer: one wake-up for each deadline.
//!
//! The runtime's own timers sort deadlines into ever finer slots, which wakes the process
//! several times before a distant deadline. Each wake-up costs battery, so the loop uses a timer
//! of the kernel.

use crate::logger;
use crate::sys::watch;
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;

/// A timer of the kernel, and the deadline it is set to.
#[derive(Debug)]
pub struct Alarm {
    timer: TimerFd,
    /// The same timer, for the runtime.
    watched: AsyncFd<OwnedFd>,
    due: Option<Instant>,
}

impl Alarm {
    /// A timer that is not set.
    ///
    /// # Errors
    /// The system is out of descriptors.
    pub fn new() -> io::Result<Self> {
        let timer = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK,
        )?;
        let watched = watch(timer.as_fd().try_clone_to_owned()?)?;
        Ok(Self { timer, watched, due: None })
    }

    /// Sees to it that [`Self::poll`] is ready at `deadline` at the latest. A timer that is due
    /// earlier stays: traffic moves deadlines back all the time, and the loop finds out by itself
    /// that there is nothing to do yet.
    pub fn set(&mut self, deadline: Instant, now: Instant) {
        if self.due.is_some_and(|due| due <= deadline) {
            return;
        }
        // Zero would disarm the timer.
        let wait = deadline.saturating_duration_since(now).max(Duration::from_nanos(1));
        let when = Expiration::OneShot(TimeSpec::from_duration(wait));
        match self.timer.set(when, TimerSetTimeFlags::empty()) {
            Ok(()) => self.due = Some(deadline),
            Err(errno) => logger::error!("cannot set the timer: {errno}"),
        }
    }

    /// The next [`Self::set`] counts, even when it is later than what the timer is set to.
    pub fn forget(&mut self) {
        self.due = None;
    }

    /// Ready when the timer has gone off; it is then not set any more.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Ok(mut guard) = ready!(self.watched.poll_read_ready(cx)) else {
                return Poll::Pending;
            };
            match nix::unistd::read(self.watched.get_ref(), &mut [0; 8]) {
                Err(Errno::EAGAIN) => guard.clear_ready(),
                Err(Errno::EINTR) => {}
                Ok(_) | Err(_) => {
                    guard.clear_ready();
                    self.due = None;
                    return Poll::Ready(());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    fn with_runtime<F: Future>(story: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(story)
    }

    #[test]
    fn it_goes_off_at_the_deadline_and_then_can_be_set_again() {
        with_runtime(async {
            let mut alarm = Alarm::new().unwrap();
            for _ in 0..2 {
                let now = Instant::now();
                alarm.set(now + Duration::from_millis(20), now);
                poll_fn(|cx| alarm.poll(cx)).await;
                assert!(now.elapsed() >= Duration::from_millis(20));
            }
        });
    }

    #[test]
    fn a_deadline_that_has_passed_is_told_at_once() {
        with_runtime(async {
            let mut alarm = Alarm::new().unwrap();
            let now = Instant::now();
            alarm.set(now, now);
            poll_fn(|cx| alarm.poll(cx)).await;
        });
    }

    #[test]
    fn an_earlier_deadline_wins_and_a_later_one_waits_until_the_first_is_forgotten() {
        with_runtime(async {
            let mut alarm = Alarm::new().unwrap();
            let now = Instant::now();
            alarm.set(now + Duration::from_secs(60), now);
            alarm.set(now + Duration::from_millis(5), now);
            alarm.set(now + Duration::from_secs(90), now);
            assert_eq!(alarm.due, Some(now + Duration::from_millis(5)));
            alarm.forget();
            alarm.set(now + Duration::from_secs(90), now);
            assert_eq!(alarm.due, Some(now + Duration::from_secs(90)));
        });
    }
}
