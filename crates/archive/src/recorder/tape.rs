//! A tape: a bounded buffer between a session and the recorder's thread. It never makes a session
//! wait.
//!
//! Data flow: the session's task copies bytes in ([`Tape::output`]) -> the tape is put on the
//! recorder's list, once -> the recorder's thread takes everything ([`Tape::take`]).
//!
//! # Invariants
//! - A keystroke wakes no thread. The recorder's thread looks by itself at each tick; it is woken
//!   only for many bytes ([`TAPE_URGENT`]) or an end. A thread that is woken for each echo takes a
//!   core just when the echo needs one.
//! - At most [`TAPE`] bytes are in one tape and [`ALL_TAPES`] in all of them. What does not fit is
//!   dropped; the recorder sees the missing positions and writes a gap.
//! - A tape that is behind slows its own session down, by the credit its agent gets, and no other.
//!   So a recorder that works, however slowly, records everything within a session's window.
//! - Positions come with the bytes. A repetition takes no room: a client that attaches again and
//!   again does not fill the tape with what is in it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use towline_evidence::recording::Lane;
use towline_evidence::typed::Said;

use crate::limits::{
    ALL_TAPES, ALL_TAPES_BEHIND, JOINED_OUTPUT, SAME_MOMENT, TAPE, TAPE_BEHIND, TAPE_INPUT_PIECES,
    TAPE_PIECES, TAPE_URGENT,
};

/// Why output is missing that a device sent to the process before this one.
pub(super) const GATEWAY_ENDED: &str = "the gateway ended before it had written it to its disk";

/// Why output is missing that did not fit.
pub(super) const TOO_SLOW: &str = "the recorder was too slow";

/// What the recorder calls after it has taken everything from a tape. It must not wait.
pub type OnTaken = Box<dyn Fn() + Send + Sync>;

/// One event of a session.
#[derive(Debug)]
pub(super) enum Piece {
    /// Output, and the reason that a gap before it gets.
    Output { at: u64, lane: Lane, offset: u64, data: Vec<u8>, why: &'static str },
    /// A new terminal size.
    Resize { at: u64, cols: u16, rows: u16 },
    /// A marker.
    Marker { at: u64, text: String },
    /// Input on its way to the device. It is recorded only when the device confirms it.
    Input { at: u64, offset: u64, data: Vec<u8> },
    /// The device's report about input.
    Said { at: u64, said: Said },
}

/// Everything that the recorder's thread takes at once.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) pieces: VecDeque<Piece>,
    /// Lengths of the lanes, where known: what has not arrived by the end is missing.
    pub(super) lengths: [Option<u64>; 2],
    /// Where output ends that was dropped, each lane; no later piece says so.
    pub(super) dropped: [Option<u64>; 2],
    /// The session has ended, at this time and for this reason.
    pub(super) end: Option<(u64, String)>,
}

#[derive(Default)]
struct Inner {
    taken: Taken,
    bytes: usize,
    listed: bool,
    called: bool,
    closed: bool,
    /// Where the output ends that was added, each lane: what comes again is not added again.
    added: [u64; 2],
    /// Where the output ends that did not fit, each lane. It stays until output behind it is added,
    /// whatever the recorder takes in between.
    dropped: [u64; 2],
    /// Lanes whose first output may have a hole before it that an earlier process left.
    resumed: [bool; 2],
    /// Why there is one.
    before: &'static str,
}

/// The recorder's list of tapes that hold something.
#[derive(Default)]
pub(super) struct List {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    bytes: AtomicUsize,
}

#[derive(Default)]
struct Waiting {
    tapes: VecDeque<Arc<Tape>>,
    called: bool,
}

/// A tape. The module's header says how it works.
pub struct Tape {
    /// The session.
    pub session: String,
    started: Instant,
    /// Microseconds of the recording when this tape began: 0, unless an earlier process recorded.
    base: u64,
    inner: Mutex<Inner>,
    list: Arc<List>,
    on_taken: OnTaken,
}

impl std::fmt::Debug for Tape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tape").field("session", &self.session).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner) // whole after each statement
}

impl List {
    /// Waits for a call, or until the time is over.
    pub(super) fn wait(&self, patience: Duration) {
        let waiting = lock(&self.waiting);
        let waited = self.wake.wait_timeout_while(waiting, patience, |w| !w.called);
        waited.unwrap_or_else(PoisonError::into_inner).0.called = false;
    }

    /// Removes and returns all tapes of the list.
    pub(super) fn all(&self) -> VecDeque<Arc<Tape>> {
        std::mem::take(&mut lock(&self.waiting).tapes)
    }

    /// Wakes the recorder's thread.
    pub(super) fn call(&self) {
        lock(&self.waiting).called = true;
        self.wake.notify_all();
    }
}

impl Tape {
    /// `before`: why output is missing that was there before a tape which does not begin at 0.
    pub(super) fn new(
        session: &str,
        (base, before): (u64, &'static str),
        list: Arc<List>,
        on_taken: OnTaken,
    ) -> Arc<Self> {
        let session = session.to_owned();
        let inner = Inner { resumed: [base > 0; 2], before, ..Inner::default() };
        Arc::new(Self {
            session,
            started: Instant::now(),
            base,
            inner: Mutex::new(inner),
            list,
            on_taken,
        })
    }

    /// A tape that no recorder reads, for tests.
    #[cfg(any(test, feature = "testing"))]
    pub fn detached(session: &str, on_taken: OnTaken) -> Arc<Self> {
        Self::new(session, (0, ""), Arc::default(), on_taken)
    }

    /// Takes everything, as a recorder does.
    #[cfg(any(test, feature = "testing"))]
    pub fn emptied(&self) {
        drop(self.take());
    }

    /// Takes everything; one line of text for each piece.
    #[cfg(any(test, feature = "testing"))]
    pub fn taken_as_text(&self) -> Vec<String> {
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

    /// Adds output at its position. Returns at once, whatever the disk does.
    pub fn output(self: &Arc<Self>, lane: Lane, offset: u64, data: &[u8]) {
        let at = self.now();
        let mut inner = lock(&self.inner);
        let added = inner.added[lane.index()];
        let known = usize::try_from(added.saturating_sub(offset)).unwrap_or(usize::MAX);
        let Some(data) = data.get(known..).filter(|fresh| !fresh.is_empty()) else { return };
        let offset = offset.max(added);
        if inner.closed || inner.taken.pieces.len() >= TAPE_PIECES || !self.fits(&inner, data.len())
        {
            let dropped = &mut inner.dropped[lane.index()];
            *dropped = (*dropped).max(offset.saturating_add(data.len() as u64));
            return;
        }
        let was_dropped = inner.dropped[lane.index()] > added;
        inner.added[lane.index()] = offset.saturating_add(data.len() as u64);
        let resumed = std::mem::replace(&mut inner.resumed[lane.index()], false);
        inner.bytes += data.len();
        self.list.bytes.fetch_add(data.len(), Ordering::Relaxed);
        if let Some(Piece::Output { at: then, lane: l, offset: o, data: d, .. }) =
            inner.taken.pieces.back_mut()
            && *l == lane
            && *o + d.len() as u64 == offset
            && d.len() + data.len() <= JOINED_OUTPUT
            && at.saturating_sub(*then) < SAME_MOMENT
        {
            d.extend_from_slice(data);
        } else {
            let why = if was_dropped {
                TOO_SLOW
            } else if resumed {
                inner.before
            } else {
                "it did not pass this gateway"
            };
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

    /// Whether so much waits, in this tape or in all of them together, that the session should slow
    /// down. `on_taken` is called when the recorder has caught up.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        let own = lock(&self.inner).bytes;
        let all = self.list.bytes.load(Ordering::Relaxed);
        own > TAPE_BEHIND || (own > TAPE_URGENT && all > ALL_TAPES_BEHIND)
    }

    /// Sets the length of a lane, once its end is known.
    pub fn length(self: &Arc<Self>, lane: Lane, length: u64) {
        lock(&self.inner).taken.lengths[usize::from(lane == Lane::Err)] = Some(length);
    }

    /// Adds a new terminal size.
    pub fn resize(self: &Arc<Self>, cols: u16, rows: u16) {
        self.small(TAPE_PIECES, |at| Piece::Resize { at, cols, rows });
    }

    /// Adds input on its way to the device. What does not fit is not recorded; the recorder sees
    /// its missing position.
    pub fn input(self: &Arc<Self>, offset: u64, data: &[u8]) {
        let at = self.now();
        let mut inner = lock(&self.inner);
        if !inner.closed
            && inner.taken.pieces.len() < TAPE_INPUT_PIECES
            && self.fits(&inner, data.len())
        {
            inner.bytes += data.len();
            self.list.bytes.fetch_add(data.len(), Ordering::Relaxed);
            inner.taken.pieces.push_back(Piece::Input { at, offset, data: data.to_vec() });
            self.list(&mut inner);
        }
    }

    /// Adds the device's report about input.
    pub fn said(self: &Arc<Self>, said: Said) {
        self.small(TAPE_INPUT_PIECES, |at| Piece::Said { at, said });
    }

    /// Adds a marker.
    pub fn marker(self: &Arc<Self>, text: &str) {
        self.small(TAPE_PIECES, |at| Piece::Marker { at, text: text.to_owned() });
    }

    /// Ends the recording. Later calls do nothing.
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
        let urgent = inner.closed
            || inner.bytes >= TAPE_URGENT
            || inner.taken.pieces.len() >= TAPE_PIECES / 2;
        if urgent && !std::mem::replace(&mut inner.called, true) {
            self.list.call();
        }
    }

    /// Takes everything from the tape.
    pub(super) fn take(&self) -> Taken {
        let mut inner = lock(&self.inner);
        self.list.bytes.fetch_sub(inner.bytes, Ordering::Relaxed);
        inner.bytes = 0;
        (inner.listed, inner.called) = (false, false);
        let fresh = Taken { lengths: inner.taken.lengths, ..Taken::default() };
        let mut taken = std::mem::replace(&mut inner.taken, fresh);
        for lane in [Lane::Io, Lane::Err].map(Lane::index) {
            taken.dropped[lane] = Some(inner.dropped[lane]).filter(|end| *end > inner.added[lane]);
        }
        drop(inner); // the session may hold its own lock and wait for this one
        (self.on_taken)();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tape() -> (Arc<Tape>, Arc<List>) {
        let list = Arc::new(List::default());
        (Tape::new("ann-1", (0, ""), Arc::clone(&list), Box::new(|| {})), list)
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
    fn a_keystroke_wakes_no_thread_and_many_bytes_or_an_end_do() {
        let called = |list: &List| std::mem::take(&mut lock(&list.waiting).called);
        let (tape, list) = tape();
        tape.output(Lane::Io, 0, b"a");
        assert!(!called(&list));
        for n in 0..5 {
            tape.output(Lane::Io, 1 + n * JOINED_OUTPUT as u64, &vec![0; JOINED_OUTPUT]);
        }
        assert!(called(&list));
        tape.output(Lane::Io, 1 + 5 * JOINED_OUTPUT as u64, b"more");
        assert!(!called(&list), "once is enough until it was taken");
        drop(tape.take());
        tape.end("over");
        assert!(called(&list));
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_marked() {
        let (tape, list) = tape();
        let end = filled(&tape);
        let fits = (TAPE / JOINED_OUTPUT) as u64;
        let taken = tape.take();
        assert_eq!(taken.pieces.len() as u64, fits);
        assert_eq!(taken.dropped, [Some(end), None]);
        assert_eq!(list.bytes.load(Ordering::Relaxed), 0);
    }

    /// Fills the tape; where the output ends that did not fit.
    fn filled(tape: &Arc<Tape>) -> u64 {
        let piece = vec![0; JOINED_OUTPUT];
        let fits = (TAPE / JOINED_OUTPUT) as u64;
        for n in 0..=fits {
            tape.output(Lane::Io, n * JOINED_OUTPUT as u64, &piece);
        }
        (fits + 1) * JOINED_OUTPUT as u64
    }

    #[test]
    fn what_was_dropped_is_told_by_the_end_when_no_output_came_behind_it() {
        let (tape, _list) = tape();
        let end = filled(&tape);
        drop(tape.take());
        tape.end("over");
        assert_eq!(tape.take().dropped, [Some(end), None]);
    }

    /// The reasons that gaps before these pieces get.
    fn reasons(taken: &Taken) -> Vec<&'static str> {
        let why = |piece: &Piece| {
            if let Piece::Output { why, .. } = piece { Some(*why) } else { None }
        };
        taken.pieces.iter().filter_map(why).collect()
    }

    #[test]
    fn what_was_dropped_is_the_reason_of_the_next_gap_of_its_lane_alone() {
        let (tape, _list) = tape();
        let end = filled(&tape);
        drop(tape.take());
        tape.output(Lane::Err, 3, b"other");
        tape.output(Lane::Io, end, b"later");
        tape.output(Lane::Io, end + 10, b"much later");
        let taken = tape.take();
        let other = "it did not pass this gateway";
        assert_eq!(reasons(&taken), [other, TOO_SLOW, other]);
        assert_eq!(taken.dropped, [None, None]);
    }

    #[test]
    fn what_was_dropped_and_comes_again_is_not_missing() {
        let (tape, _list) = tape();
        let end = filled(&tape);
        drop(tape.take());
        let (from, half) = (end - JOINED_OUTPUT as u64, JOINED_OUTPUT / 2);
        tape.output(Lane::Io, from, &vec![0; half]);
        assert_eq!(tape.take().dropped, [Some(end), None], "the other half is");
        tape.output(Lane::Io, from, &vec![0; JOINED_OUTPUT]);
        assert_eq!(tape.take().dropped, [None, None]);
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
    fn repetitions_take_no_room() {
        let (tape, list) = tape();
        for _ in 0..100 {
            tape.output(Lane::Io, 0, &vec![0; 1024 * 1024]);
        }
        tape.output(Lane::Io, 1024 * 1024 - 2, b"xxyz");
        assert_eq!(list.bytes.load(Ordering::Relaxed), 1024 * 1024 + 2);
        assert_eq!(tape.take().dropped, [None, None]);
    }

    #[test]
    fn a_session_slows_down_when_all_tapes_together_are_behind() {
        let (tape, list) = tape();
        tape.output(Lane::Io, 0, &vec![0; 2 * TAPE_URGENT]);
        assert!(!tape.is_behind());
        list.bytes.fetch_add(ALL_TAPES_BEHIND, Ordering::Relaxed);
        assert!(tape.is_behind(), "others have filled their tapes");
        drop(tape.take());
        assert!(!tape.is_behind(), "its own is empty: it is not the one that makes the noise");
    }

    #[test]
    fn any_number_of_keystrokes_leaves_space_for_output() {
        let (tape, _list) = tape();
        for n in 0..2 * TAPE_PIECES as u64 {
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
        assert!(taken.pieces.len() == TAPE_INPUT_PIECES + 1 && taken.dropped == [None, None]);
    }

    #[test]
    fn nothing_is_added_after_the_end() {
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
