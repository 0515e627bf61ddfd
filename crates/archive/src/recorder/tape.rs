//! A tape: where a session's output goes on its way to the recorder. Bounded, and it never makes a
//! session wait.
//!
//! Way: the session's task copies bytes in ([`Tape::output`]) -> the tape is put on the recorder's
//! list, once -> the recorder's thread takes all of it ([`Tape::take`]).
//!
//! # Invariants
//! - A keystroke wakes nobody: the thread comes by itself at each tick, and is called only for much
//!   ([`URGENT`]) or an end. (A thread that is woken for each echo takes a core just when the echo
//!   needs one.)
//! - At most [`TAPE`] bytes in one tape and [`ALL_TAPES`] in all of them. What does not fit is not
//!   kept; its positions are missed by the recorder, which names the gap.
//! - A tape that is behind slows its own session down, by the credit that its agent gets, and no
//!   other: so a recorder that works, however slowly, loses nothing of a session within its window.
//! - Positions come with the bytes: what is replayed is found out by the recorder, not here.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use towline_evidence::recording::Lane;
use towline_evidence::typed::Said;

/// Bytes in one tape: what makes it count as behind, and the windows of both lanes that may still
/// come.
pub(crate) const TAPE: usize = 3 * 1024 * 1024;
/// Bytes in all tapes together.
pub(crate) const ALL_TAPES: usize = 64 * 1024 * 1024;
/// Pieces in one tape: bounds what tiny pieces cost beside their bytes.
const PIECES: usize = 8192;
/// With so many, nothing of input is added: keystrokes sent one by one must not crowd out the
/// output.
const INPUT_PIECES: usize = PIECES / 2;
/// So many bytes on a tape call the thread; less waits for its tick.
const URGENT: usize = 64 * 1024;
const _: () = assert!(URGENT < BEHIND, "a session would be slowed down before anybody was called");
/// Output that follows within so much time is one event: no eye sees the difference.
const SAME_MOMENT: u64 = 10_000;
/// Longest output of one event that is made by joining.
const JOINED: usize = 16 * 1024;

/// A tape with more bytes is behind, and its session slows down: what may still be on its way fits
/// above it.
const BEHIND: usize = TAPE / 3;
const _: () = assert!(BEHIND as u64 + 2 * crate::limits::RECORDED_WINDOW <= TAPE as u64);

/// Called when the recorder has taken what was on a tape.
struct Taker(Box<dyn Fn() + Send + Sync>);

impl std::fmt::Debug for Taker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Taker(..)")
    }
}

/// One thing that happened.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Output, and the reason to name if something before it is missing.
    Output { at: u64, lane: Lane, offset: u64, data: Vec<u8>, why: &'static str },
    /// A new size.
    Resize { at: u64, cols: u16, rows: u16 },
    /// A marker.
    Marker { at: u64, text: String },
    /// Input on its way to the device, which is not in the recording by that alone.
    Input { at: u64, offset: u64, data: Vec<u8> },
    /// What the device said of input.
    Said { at: u64, said: Said },
}

/// What the recorder's thread takes at once.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) pieces: VecDeque<Piece>,
    /// Lengths of the lanes, where known: what is not there by the end is missing.
    pub(crate) lengths: [Option<u64>; 2],
    /// Why something may be missing that no later piece tells.
    pub(crate) dropped: bool,
    /// The session is over, at this time and for this reason.
    pub(crate) end: Option<(u64, String)>,
}

#[derive(Debug, Default)]
struct Inner {
    taken: Taken,
    bytes: usize,
    listed: bool,
    called: bool,
    closed: bool,
}

/// The recorder's list of tapes with something on them.
#[derive(Debug, Default)]
pub(crate) struct List {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    bytes: AtomicUsize,
}

/// Tapes with something on them, and whether somebody called for the thread.
#[derive(Debug, Default)]
struct Waiting {
    tapes: VecDeque<Arc<Tape>>,
    called: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Tape {
    /// The session.
    pub session: String,
    started: Instant,
    /// Where time begins: 0, or where an earlier process left off, microseconds.
    base: u64,
    inner: Mutex<Inner>,
    list: Arc<List>,
    taker: OnceLock<Taker>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner) // whole after each statement
}

impl List {
    /// Waits until somebody calls, at most so long.
    pub(crate) fn wait(&self, patience: Duration) {
        let waiting = lock(&self.waiting);
        let waited = self.wake.wait_timeout_while(waiting, patience, |w| !w.called);
        waited.unwrap_or_else(PoisonError::into_inner).0.called = false;
    }

    /// All tapes with something on them.
    pub(crate) fn all(&self) -> VecDeque<Arc<Tape>> {
        std::mem::take(&mut lock(&self.waiting).tapes)
    }

    /// Calls the thread, whether there is a tape or not.
    pub(crate) fn call(&self) {
        lock(&self.waiting).called = true;
        self.wake.notify_all();
    }
}

impl Tape {
    pub(crate) fn new(session: &str, base: u64, list: Arc<List>) -> Arc<Self> {
        let session = session.to_owned();
        Arc::new(Self {
            session,
            started: Instant::now(),
            base,
            inner: Mutex::default(),
            list,
            taker: OnceLock::new(),
        })
    }

    /// A tape that no recorder reads.
    #[cfg(any(test, feature = "testing"))]
    pub fn detached(session: &str) -> Arc<Self> {
        Self::new(session, 0, Arc::default())
    }

    /// What a recorder does.
    #[cfg(any(test, feature = "testing"))]
    pub fn emptied(&self) {
        drop(self.take());
    }

    /// What is on it, in words.
    #[cfg(any(test, feature = "testing"))]
    pub fn words(&self) -> Vec<String> {
        let word = |piece| match piece {
            Piece::Output { offset, data, .. } => format!("output {offset}+{}", data.len()),
            Piece::Resize { cols, rows, .. } => format!("size {cols}x{rows}"),
            Piece::Marker { text, .. } => text,
            Piece::Input { offset, data, .. } => format!("input {offset}+{}", data.len()),
            Piece::Said { said, .. } => {
                format!("said {}..{} at {} {:?}", said.from, said.until, said.output, said.echo)
            }
        };
        self.take().pieces.into_iter().map(word).collect()
    }

    /// Time since the session's start, microseconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.base + u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX / 2)
    }

    /// Output at its position. Returns at once, whatever the disk does.
    pub fn output(self: &Arc<Self>, lane: Lane, offset: u64, data: &[u8]) {
        let at = self.now();
        let mut inner = lock(&self.inner);
        if inner.closed || inner.taken.pieces.len() >= PIECES || !self.fits(&inner, data.len()) {
            inner.taken.dropped = true;
            return;
        }
        inner.bytes += data.len();
        self.list.bytes.fetch_add(data.len(), Ordering::Relaxed);
        if let Some(Piece::Output { at: then, lane: l, offset: o, data: d, .. }) =
            inner.taken.pieces.back_mut()
            && *l == lane
            && *o + d.len() as u64 == offset
            && d.len() + data.len() <= JOINED
            && at.saturating_sub(*then) < SAME_MOMENT
        {
            d.extend_from_slice(data);
        } else {
            let why = if inner.taken.dropped {
                "the recorder was too slow"
            } else {
                "it did not pass this gateway"
            };
            inner.taken.dropped = false;
            inner.taken.pieces.push_back(Piece::Output {
                at,
                lane,
                offset,
                data: data.to_vec(),
                why,
            });
        }
        self.list(&mut inner);
    }

    /// Whether so much waits that its session should slow down. It then hears when that was taken.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        lock(&self.inner).bytes > BEHIND
    }

    /// Calls this whenever the recorder has taken what was here. The first call counts.
    pub fn when_taken(&self, call: impl Fn() + Send + Sync + 'static) {
        let _ = self.taker.set(Taker(Box::new(call)));
    }

    /// The end of a lane is known.
    pub fn length(self: &Arc<Self>, lane: Lane, length: u64) {
        lock(&self.inner).taken.lengths[usize::from(lane == Lane::Err)] = Some(length);
    }

    /// A new size of the terminal.
    pub fn resize(self: &Arc<Self>, cols: u16, rows: u16) {
        self.small(PIECES, |at| Piece::Resize { at, cols, rows });
    }

    /// Input on its way to the device. What does not fit is not recorded; its position is missed by
    /// the recorder.
    pub fn input(self: &Arc<Self>, offset: u64, data: &[u8]) {
        let at = self.now();
        let mut inner = lock(&self.inner);
        if !inner.closed && inner.taken.pieces.len() < INPUT_PIECES && self.fits(&inner, data.len())
        {
            inner.bytes += data.len();
            self.list.bytes.fetch_add(data.len(), Ordering::Relaxed);
            inner.taken.pieces.push_back(Piece::Input { at, offset, data: data.to_vec() });
            self.list(&mut inner);
        }
    }

    /// The device's word for input.
    pub fn said(self: &Arc<Self>, said: Said) {
        self.small(INPUT_PIECES, |at| Piece::Said { at, said });
    }

    /// A marker.
    pub fn marker(self: &Arc<Self>, text: &str) {
        self.small(PIECES, |at| Piece::Marker { at, text: text.to_owned() });
    }

    /// The session is over. The first call counts.
    pub fn end(self: &Arc<Self>, why: &str) {
        let at = self.now();
        let mut inner = lock(&self.inner);
        if !std::mem::replace(&mut inner.closed, true) {
            inner.taken.end = Some((at, why.to_owned()));
            self.list(&mut inner);
        }
    }

    fn fits(&self, inner: &Inner, more: usize) -> bool {
        inner.bytes + more <= TAPE && self.list.bytes.load(Ordering::Relaxed) + more <= ALL_TAPES
    }

    fn small(self: &Arc<Self>, most: usize, piece: impl FnOnce(u64) -> Piece) {
        let at = self.now();
        let mut inner = lock(&self.inner);
        if !inner.closed && inner.taken.pieces.len() < most {
            inner.taken.pieces.push_back(piece(at));
            self.list(&mut inner);
        }
    }

    fn list(self: &Arc<Self>, inner: &mut Inner) {
        if !std::mem::replace(&mut inner.listed, true) {
            lock(&self.list.waiting).tapes.push_back(Arc::clone(self));
        }
        let urgent =
            inner.closed || inner.bytes >= URGENT || inner.taken.pieces.len() >= PIECES / 2;
        if urgent && !std::mem::replace(&mut inner.called, true) {
            self.list.call();
        }
    }

    /// Everything on the tape.
    pub(crate) fn take(&self) -> Taken {
        let mut inner = lock(&self.inner);
        self.list.bytes.fetch_sub(inner.bytes, Ordering::Relaxed);
        inner.bytes = 0;
        (inner.listed, inner.called) = (false, false);
        let fresh = Taken { lengths: inner.taken.lengths, ..Taken::default() };
        let taken = std::mem::replace(&mut inner.taken, fresh);
        drop(inner); // the session may hold its own lock and wait for this one
        if let Some(taker) = self.taker.get() {
            (taker.0)();
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tape() -> (Arc<Tape>, Arc<List>) {
        let list = Arc::new(List::default());
        (Tape::new("ann-1", 0, Arc::clone(&list)), list)
    }

    #[test]
    fn a_tape_is_on_the_list_once_until_it_is_taken() {
        let (tape, list) = tape();
        tape.output(Lane::Io, 0, b"a");
        tape.resize(80, 24);
        assert_eq!((list.all().len(), list.all().len()), (1, 0));
        assert_eq!(tape.take().pieces.len(), 2);
        tape.marker("m");
        assert_eq!(list.all().len(), 1);
    }

    #[test]
    fn a_keystroke_calls_nobody_and_much_or_an_end_does() {
        let called = |list: &List| std::mem::take(&mut lock(&list.waiting).called);
        let (tape, list) = tape();
        tape.output(Lane::Io, 0, b"a");
        assert!(!called(&list));
        for n in 0..5 {
            tape.output(Lane::Io, 1 + n * JOINED as u64, &vec![0; JOINED]);
        }
        assert!(called(&list));
        tape.output(Lane::Io, 1 + 5 * JOINED as u64, b"more");
        assert!(!called(&list), "once is enough until it was taken");
        drop(tape.take());
        tape.end("over");
        assert!(called(&list));
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_the_next_piece_says_so() {
        let (tape, list) = tape();
        let piece = vec![0; JOINED];
        let fits = (TAPE / JOINED) as u64;
        for n in 0..=fits {
            tape.output(Lane::Io, n * JOINED as u64, &piece);
        }
        let taken = tape.take();
        assert!(taken.dropped && taken.pieces.len() as u64 == fits);
        assert_eq!(list.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn output_of_one_moment_is_one_piece_and_a_jump_is_not() {
        let (tape, _list) = tape();
        tape.output(Lane::Io, 0, b"ab");
        tape.output(Lane::Io, 2, b"cd");
        tape.output(Lane::Io, 9, b"jk");
        tape.output(Lane::Err, 0, b"e");
        let sizes: Vec<usize> = tape
            .take()
            .pieces
            .iter()
            .map(|piece| if let Piece::Output { data, .. } = piece { data.len() } else { 0 })
            .collect();
        assert_eq!(sizes, [4, 2, 1]);
    }

    #[test]
    fn keystrokes_without_number_leave_room_for_output() {
        let (tape, _list) = tape();
        for n in 0..2 * PIECES as u64 {
            tape.input(n, b"k");
            tape.said(Said {
                from: n,
                until: n + 1,
                output: 0,
                echo: towline_evidence::typed::Echo::Terminal,
            });
        }
        tape.output(Lane::Io, 0, b"shown");
        let taken = tape.take();
        assert!(taken.pieces.len() == INPUT_PIECES + 1 && !taken.dropped);
    }

    #[test]
    fn nothing_comes_behind_the_end() {
        let (tape, _list) = tape();
        tape.end("over");
        tape.end("again");
        tape.output(Lane::Io, 0, b"late");
        tape.marker("late");
        let taken = tape.take();
        assert_eq!(taken.end.unwrap().1, "over");
        assert!(taken.pieces.is_empty());
    }
}
