//! The agent's log: lines on standard error, for journald, procd or another service manager. No
//! files, no queue.
//!
//! Data flow: a `tracing` event -> the level of the configuration -> one line with the spans that
//! the thread is in (`link{connection=3}: `, `session{id=s-1}: `) -> standard error, in one write.
//! Under systemd (`JOURNAL_STREAM` is set) each line begins with its priority as sd-daemon(3)
//! defines it and has no time: the journal adds it.
//!
//! # Invariants
//! - Text from outside cannot forge a line: control characters are replaced.
//! - Nothing waits for the reader of the log. Lines for which its pipe has no room are lost, and
//!   counted: the next line that finds room says how many.
//! - Memory is bounded: a line by [`limits::LOG_LINE`], open spans by [`limits::LOG_SPANS`]. A
//!   longer line is cut and ends in `...`; a span beyond the bound is not shown.
//!
//! # Not here
//! - Events of libraries: none of the agent's libraries is built with its log.

use crate::clock::{system_time, utc};
use crate::limits;
use heapless::{String, Vec};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, EnteredSpan, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Span, Subscriber};

/// Writes one event. All events of the agent share the five callsites of this function: a callsite
/// of its own for each of the eighty costs half a KiB each (decision 0087).
#[cold]
#[inline(never)]
pub(crate) fn write(level: Level, text: fmt::Arguments<'_>) {
    match level {
        Level::ERROR => tracing::error!("{text}"),
        Level::WARN => tracing::warn!("{text}"),
        Level::INFO => tracing::info!("{text}"),
        Level::DEBUG => tracing::debug!("{text}"),
        Level::TRACE => tracing::trace!("{text}"),
    }
}

macro_rules! error {
    ($($text:tt)+) => { $crate::logger::write(tracing::Level::ERROR, format_args!($($text)+)) };
}
macro_rules! warning {
    ($($text:tt)+) => { $crate::logger::write(tracing::Level::WARN, format_args!($($text)+)) };
}
macro_rules! info {
    ($($text:tt)+) => { $crate::logger::write(tracing::Level::INFO, format_args!($($text)+)) };
}
macro_rules! debug {
    ($($text:tt)+) => { $crate::logger::write(tracing::Level::DEBUG, format_args!($($text)+)) };
}
pub(crate) use {debug, error, info, warning};

/// The span of what the agent does for one session, entered.
pub fn in_session(id: &str) -> EnteredSpan {
    tracing::error_span!("session", id).entered()
}

/// The span of one connection to the gateway.
#[must_use]
pub fn link_span(connection: u32) -> Span {
    tracing::error_span!("link", connection)
}

/// Starts the log at `level`. The first call of the process counts.
pub fn start(level: LevelFilter) {
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let spans = Mutex::new([const { None }; limits::LOG_SPANS]);
    let _ = tracing::subscriber::set_global_default(Log {
        level,
        journal,
        spans,
        lost: AtomicU32::new(0),
    });
}

/// A span that somebody holds: how many hold it, and how a line shows it.
struct Open {
    holders: u32,
    text: String<{ limits::LOG_SPAN }>,
}

/// Whether a line can be written without waiting for its reader. A pipe that is ready takes a line
/// of at most [`limits::LOG_LINE`] whole; files and broken pipes are ready always.
fn has_room() -> bool {
    let stderr = std::io::stderr();
    let mut ready = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    poll(&mut ready, PollTimeout::ZERO) != Ok(0)
}

/// The subscriber. The id of a span is its place in `spans`, counted from 1.
struct Log {
    level: LevelFilter,
    journal: bool,
    spans: Mutex<[Option<Open>; limits::LOG_SPANS]>,
    /// Lines that found no room.
    lost: AtomicU32,
}

/// The id of a span that found no place.
const NO_PLACE: u64 = u64::MAX;

thread_local! {
    /// The spans that this thread is in, the outermost first.
    static ENTERED: RefCell<Vec<u64, { limits::LOG_DEPTH }>> = const { RefCell::new(Vec::new()) };
}

impl Log {
    fn spans(&self) -> MutexGuard<'_, [Option<Open>; limits::LOG_SPANS]> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line up to what it says.
    fn begin(&self, level: Level) -> Line {
        let mut line = Line::default();
        if self.journal {
            let _ = write!(line, "<{}>", priority(level));
        } else {
            let now = system_time().as_secs();
            let _ = write!(line, "{} {level:5} ", utc(now));
        }
        line
    }

    fn write_spans(&self, line: &mut Line) {
        ENTERED.with_borrow(|entered| {
            let spans = self.spans();
            for id in entered {
                if let Some(open) = place(*id).and_then(|at| spans.get(at)?.as_ref()) {
                    let _ = write!(line, "{}: ", open.text);
                }
            }
        });
    }
}

/// The place of a span with this id.
fn place(id: u64) -> Option<usize> {
    usize::try_from(id.checked_sub(1)?).ok()
}

impl Subscriber for Log {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut text = Line::default();
        let _ = write!(text, "{}{{", attributes.metadata().name());
        attributes.record(&mut SpanFields(&mut text));
        let _ = text.write_char('}');
        let mut open = Open { holders: 1, text: String::new() };
        for c in text.as_str().chars() {
            if open.text.push(c).is_err() {
                break;
            }
        }
        let mut spans = self.spans();
        let free = spans.iter().position(Option::is_none);
        if let Some(slot) = free.and_then(|at| spans.get_mut(at)) {
            *slot = Some(open);
        }
        Id::from_u64(free.map_or(NO_PLACE, |at| at as u64 + 1))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let level = *event.metadata().level();
        let mut line = self.begin(level);
        self.write_spans(&mut line);
        event.record(&mut EventFields(&mut line));
        if !has_room() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let mut stderr = std::io::stderr().lock();
        // There is nowhere to report that the log cannot be written.
        if lost > 0 {
            let mut told = self.begin(Level::WARN);
            let _ = write!(told, "{lost} lines are missing here: nothing read the log");
            let _ = stderr.write_all(told.end());
        }
        if lost == 0 || has_room() {
            let _ = stderr.write_all(line.end());
        } else {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn enter(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| {
            let _ = entered.push(span.into_u64());
        });
    }

    fn exit(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| {
            if let Some(at) = entered.iter().rposition(|id| *id == span.into_u64()) {
                entered.remove(at);
            }
        });
    }

    fn clone_span(&self, span: &Id) -> Id {
        let mut spans = self.spans();
        if let Some(Some(open)) = place(span.into_u64()).and_then(|at| spans.get_mut(at)) {
            open.holders += 1;
        }
        span.clone()
    }

    fn try_close(&self, span: Id) -> bool {
        let mut spans = self.spans();
        let Some(slot) = place(span.into_u64()).and_then(|at| spans.get_mut(at)) else {
            return true;
        };
        if let Some(open) = slot.as_mut().filter(|open| open.holders > 1) {
            open.holders -= 1;
            return false;
        }
        *slot = None;
        true
    }
}

/// The fields of a span, `name=value`.
struct SpanFields<'a>(&'a mut Line);

impl Visit for SpanFields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, "{}={value:?}", field.name());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = write!(self.0, "{}={value}", field.name());
    }
}

/// The fields of an event: its message alone, the agent's events have no other.
struct EventFields<'a>(&'a mut Line);

impl Visit for EventFields<'_> {
    fn record_debug(&mut self, _: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, "{value:?}");
    }
}

/// A line that is being written.
#[derive(Default)]
struct Line {
    text: String<{ limits::LOG_LINE }>,
    cut: bool,
}

/// The end of a line that was cut.
const CUT: &str = "...";

impl Line {
    fn as_str(&self) -> &str {
        &self.text
    }

    /// The whole line.
    fn end(&mut self) -> &[u8] {
        if self.cut {
            while self.text.len() + CUT.len() + 1 > limits::LOG_LINE {
                self.text.pop();
            }
            let _ = self.text.push_str(CUT);
        }
        let _ = self.text.push('\n');
        self.text.as_bytes()
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            let c = if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
            // The last byte is the line's end.
            if self.cut || self.text.len() + c.len_utf8() >= limits::LOG_LINE {
                self.cut = true;
                return Ok(());
            }
            let _ = self.text.push(c);
        }
        Ok(())
    }
}

fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> std::string::String {
        let mut line = Line::default();
        let _ = line.write_str(text);
        std::string::String::from_utf8(line.end().to_vec()).unwrap()
    }

    #[test]
    fn a_message_from_outside_cannot_forge_a_line() {
        assert_eq!(line("a\nb\x1b[2J"), "a\u{fffd}b\u{fffd}[2J\n");
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_between_characters_and_says_so() {
        for width in ["x", "\u{e4}", "\u{20ac}", "\u{1f600}"] {
            let long = line(&width.repeat(limits::LOG_LINE));
            assert!(long.len() <= limits::LOG_LINE && long.len() > limits::LOG_LINE - 8, "{width}");
            assert!(long.ends_with(&format!("{width}...\n")), "{width}");
        }
        let whole = "x".repeat(limits::LOG_LINE - 1);
        assert_eq!(line(&whole), format!("{whole}\n"));
    }

    fn log() -> Log {
        let spans = Mutex::new([const { None }; limits::LOG_SPANS]);
        Log { level: LevelFilter::INFO, journal: false, spans, lost: AtomicU32::new(0) }
    }

    fn shown(log: &Log) -> std::string::String {
        let mut line = Line::default();
        log.write_spans(&mut line);
        line.as_str().to_owned()
    }

    fn open(log: &Log, text: &str) -> Id {
        let at = log.spans().iter().position(Option::is_none).unwrap();
        log.spans()[at] = Some(Open { holders: 1, text: text.try_into().unwrap() });
        Id::from_u64(at as u64 + 1)
    }

    #[test]
    fn a_line_names_the_spans_that_its_thread_is_in_from_the_outermost() {
        let log = log();
        let (link, session) = (open(&log, "link{connection=3}"), open(&log, "session{id=s-1}"));
        log.enter(&link);
        log.enter(&session);
        assert_eq!(shown(&log), "link{connection=3}: session{id=s-1}: ");
        log.exit(&link);
        assert_eq!(shown(&log), "session{id=s-1}: ");
        log.exit(&session);
        assert_eq!(shown(&log), "");
    }

    #[test]
    fn the_place_of_a_span_is_free_when_its_last_holder_has_gone() {
        let log = log();
        let id = open(&log, "session{id=s-1}");
        let second = log.clone_span(&id);
        assert!(!log.try_close(id));
        assert!(log.spans()[0].is_some());
        assert!(log.try_close(second));
        assert!(log.spans()[0].is_none());
        assert!(log.try_close(Id::from_u64(NO_PLACE)), "a span without a place closes, too");
    }
}
