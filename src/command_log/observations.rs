//! Observations of processes, and the bounded queue from the watcher to the loop.
//!
//! # Invariants
//! - At most [`limits::LOG_SEEN`] items and [`limits::LOG_SEEN_BYTES`] bytes. Items that do not
//!   fit are counted, and the loop gets the count.
//! - The lock is held for a push or a swap only: the watcher may have a real-time priority,
//!   which the loop does not have.

use crate::limits;
use crate::sys::watch;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;
use towline_wire::message::ExitStatus;
use towline_wire::record::{Executable, Lost};

/// One thing that was seen. `root`: the first process of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A process became a program.
    Exec {
        /// Whose.
        root: u32,
        /// When.
        at: Instant,
        /// Which process.
        pid: u32,
        /// Who made it.
        parent: u32,
        /// What it is.
        program: Program,
    },
    /// A process that had become a program ended.
    Exit {
        /// Whose.
        root: u32,
        /// When.
        at: Instant,
        /// Which process.
        pid: u32,
        /// How; `None` where nobody can tell.
        status: Option<ExitStatus>,
        /// When it became its last program.
        since: Instant,
    },
    /// The last process of a session ended.
    Over {
        /// Whose.
        root: u32,
        /// When.
        at: Instant,
        /// Programs seen.
        executions: u64,
        /// Of these without arguments.
        without_arguments: u64,
    },
    /// Something was missed.
    Missed(Lost),
}

/// What a process is, as far as it could be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Program {
    /// Effective user; `None` when the process had ended.
    pub uid: Option<u32>,
    /// Arguments, each ended by a zero byte; empty when the process had ended.
    pub arguments: Vec<u8>,
    /// Whether arguments were cut.
    pub cut: bool,
    /// Working directory; empty when unknown.
    pub directory: Vec<u8>,
    /// What the kernel executes; `None` when the process had ended.
    pub executable: Option<Executable>,
}

impl Program {
    /// Bytes that it keeps.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let path = self.executable.as_ref().map_or(0, |executable| executable.path.len());
        self.arguments.len() + self.directory.len() + path
    }
}

fn weight(seen: &Seen) -> usize {
    match seen {
        Seen::Exec { program, .. } => program.bytes(),
        Seen::Exit { .. } | Seen::Over { .. } | Seen::Missed(_) => 0,
    }
}

#[derive(Debug, Default)]
struct Heap {
    items: VecDeque<Seen>,
    bytes: usize,
    /// Items that did not fit since the last take.
    missed: u64,
}

/// The watcher's end.
#[derive(Debug, Clone)]
pub struct Inbox {
    heap: Arc<Mutex<Heap>>,
    bell: Arc<EventFd>,
    dismissed: Arc<AtomicBool>,
    /// Wakes the watcher when it is dismissed.
    call: Arc<EventFd>,
    ended: Arc<AtomicBool>,
}

/// The loop's end.
#[derive(Debug)]
pub struct Outbox {
    inbox: Inbox,
    heard: AsyncFd<OwnedFd>,
}

fn lock(heap: &Mutex<Heap>) -> MutexGuard<'_, Heap> {
    heap.lock().unwrap_or_else(PoisonError::into_inner) // whole after each statement
}

/// Both ends of a new place. Wants to be made inside a runtime.
///
/// # Errors
/// The system is out of descriptors.
pub fn pair() -> io::Result<(Inbox, Outbox)> {
    let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
    let heard = watch(bell.as_fd().try_clone_to_owned()?)?;
    let inbox =
        Inbox::new(bell, EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
    Ok((inbox.clone(), Outbox { inbox, heard }))
}

impl Inbox {
    fn new(bell: EventFd, call: EventFd) -> Self {
        let (bell, call) = (Arc::new(bell), Arc::new(call));
        Self { heap: Arc::default(), bell, dismissed: Arc::default(), call, ended: Arc::default() }
    }

    /// Readable once the watcher is dismissed.
    #[must_use]
    pub fn call(&self) -> BorrowedFd<'_> {
        self.call.as_fd()
    }

    /// Leaves something. The loop hears of it at the next [`Self::ring`].
    pub fn push(&self, seen: Seen) {
        let mut heap = lock(&self.heap);
        let weight = weight(&seen);
        if heap.items.len() >= limits::LOG_SEEN || heap.bytes + weight > limits::LOG_SEEN_BYTES {
            heap.missed += 1;
            return;
        }
        heap.bytes += weight;
        heap.items.push_back(seen);
    }

    /// Tells the loop that something was left.
    pub fn ring(&self) {
        let _ = self.bell.write(1); // a full counter has been rung already
    }

    /// Whether the loop wants no more.
    #[must_use]
    pub fn is_dismissed(&self) -> bool {
        self.dismissed.load(Ordering::Acquire)
    }

    /// Nothing more comes.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.ring();
    }
}

impl Drop for Outbox {
    /// The watcher must not outlive the loop.
    fn drop(&mut self) {
        self.dismiss();
    }
}

impl Outbox {
    /// Ready when something was left or the watcher has ended. Else the next [`Inbox::ring`] wakes
    /// the caller.
    pub fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(guard) = self.heard.poll_read_ready(cx) {
            match (self.inbox.bell.read(), guard) {
                (Err(nix::errno::Errno::EAGAIN), Ok(mut guard)) => guard.clear_ready(),
                (Ok(_), Ok(_)) => {}
                (_, Err(_)) | (Err(_), _) => break,
            }
        }
        if self.has_left() || self.has_ended() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn has_left(&self) -> bool {
        let heap = lock(&self.inbox.heap);
        !heap.items.is_empty() || heap.missed > 0
    }

    /// Tells the watcher that nothing more is wanted. What it has seen by then still comes.
    pub fn dismiss(&self) {
        self.inbox.dismissed.store(true, Ordering::Release);
        let _ = self.inbox.call.write(1);
    }

    /// Tells the watcher that nothing more is wanted and takes what it has seen by now, all of it
    /// unless that takes longer than this; then a gap says so.
    pub fn finish(&mut self, within: Duration) -> VecDeque<Seen> {
        self.dismiss();
        let end = Instant::now() + within;
        while !self.has_ended() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.inbox.push(Seen::Missed(Lost::Kernel));
                break;
            }
            let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            let _ = poll(&mut [PollFd::new(self.inbox.bell.as_fd(), PollFlags::POLLIN)], left);
            let _ = self.inbox.bell.read();
        }
        self.take()
    }

    /// Whether the watcher was told that nothing more is wanted.
    #[must_use]
    pub fn is_dismissed(&self) -> bool {
        self.inbox.is_dismissed()
    }

    /// Whether the watcher has ended: nothing more comes but what is there.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.inbox.ended.load(Ordering::Acquire)
    }

    /// Takes all that was left, now.
    pub fn take(&mut self) -> VecDeque<Seen> {
        let heap = std::mem::take(&mut *lock(&self.inbox.heap));
        let mut items = heap.items;
        if heap.missed > 0 {
            items.push_back(Seen::Missed(Lost::Reader { events: heap.missed }));
        }
        items
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn exec(bytes: usize) -> Seen {
        let program = Program { arguments: vec![b'x'; bytes], ..Program::default() };
        Seen::Exec { root: 1, at: Instant::now(), pid: 1, parent: 0, program }
    }

    pub(in super::super) fn inbox() -> Inbox {
        let [bell, call] = [(); 2].map(|()| EventFd::from_flags(EfdFlags::EFD_NONBLOCK).unwrap());
        Inbox::new(bell, call)
    }

    impl Inbox {
        pub(in super::super) fn taken(&self) -> Vec<Seen> {
            std::mem::take(&mut *lock(&self.heap)).items.into()
        }
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let inbox = inbox();
        for _ in 0..limits::LOG_SEEN + 3 {
            inbox.push(exec(0));
        }
        let heap = lock(&inbox.heap);
        assert_eq!((heap.items.len(), heap.missed), (limits::LOG_SEEN, 3));
    }

    #[test]
    fn long_arguments_have_a_bound_of_their_own() {
        let inbox = inbox();
        for _ in 0..=limits::LOG_SEEN_BYTES / 1024 {
            inbox.push(exec(1024));
        }
        let heap = lock(&inbox.heap);
        assert_eq!((heap.bytes, heap.missed), (limits::LOG_SEEN_BYTES, 1));
    }
}
