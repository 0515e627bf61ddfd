//! What is behind a handle: a console or not, its size, and its raw mode.
//!
//! Data flow: [`RawMode::enter`] keeps the modes of the console's input and output in one place of
//! the process. The first of these restores them: the guard's end, or the panic hook.
//!
//! # Invariants
//! - One console at a time: a process has one.

use std::io::{self, IsTerminal};
use std::os::windows::io::{AsHandle, OwnedHandle};
use std::sync::{Mutex, Once, PoisonError};

use towline_wire::message::Size;

use super::calls;
use crate::limits::MAX_TERMINAL_SIDE;
use crate::platform::console_modes::{raw_input, raw_output, with_sequences};

/// The size of the window of the console behind `handle`, within what a session may have; nothing
/// when it is none. A console's input has no size: its output is asked.
#[must_use]
pub(crate) fn size_of(handle: impl AsHandle) -> Option<Size> {
    let (rows, cols) = calls::window(handle.as_handle()).ok()?;
    let (rows, cols) = (rows.min(MAX_TERMINAL_SIDE), cols.min(MAX_TERMINAL_SIDE));
    (rows > 0 && cols > 0).then_some(Size { rows, cols })
}

/// Whether `handle` is a console. A terminal of Cygwin or Git Bash is a pipe for this program.
#[must_use]
pub(crate) fn is_terminal(handle: impl AsHandle) -> bool {
    calls::mode(handle.as_handle()).is_ok()
}

/// The keyboard of this program's console, whatever standard input is.
#[must_use]
pub(crate) fn keyboard() -> Option<std::fs::File> {
    std::fs::File::open("CONIN$").ok()
}

/// What an operator must know of the terminal behind `input`, if anything.
#[must_use]
pub(crate) fn notice(input: &(impl AsHandle + IsTerminal)) -> Option<&'static str> {
    (input.is_terminal() && !is_terminal(input)).then_some(
        "this window is not a Windows console, so input is sent line by line: use Windows \
         Terminal, \
         or start towline with winpty",
    )
}

/// Makes the console of this program draw colours and sequences.
pub(crate) fn prepare() {
    for stream in [owned(io::stdout()), owned(io::stderr())].into_iter().flatten() {
        if let Ok(mode) = calls::mode(stream.as_handle()) {
            // A console that is too old shows the sequences; raw mode says so.
            let _ = calls::set_mode(stream.as_handle(), with_sequences(mode));
        }
    }
}

fn owned(stream: impl AsHandle) -> Option<OwnedHandle> {
    stream.as_handle().try_clone_to_owned().ok()
}

struct Saved {
    console: OwnedHandle,
    mode: u32,
}

static SAVED: Mutex<Vec<Saved>> = Mutex::new(Vec::new());
static HOOK: Once = Once::new();

/// The console is raw while this lives.
#[derive(Debug)]
#[must_use = "the console is put back when this is dropped"]
pub(crate) struct RawMode(());

impl RawMode {
    /// Makes the console behind `input` raw, and the one behind standard output.
    ///
    /// # Errors
    /// What the system says; what to do where a console is too old.
    pub(crate) fn enter(input: impl AsHandle) -> io::Result<Self> {
        HOOK.call_once(restore_on_panic);
        let input = input.as_handle().try_clone_to_owned()?;
        let guard = Self(());
        set(input, raw_input).map_err(|why| too_old(&why))?;
        if let Some(output) = owned(io::stdout()).filter(|output| is_terminal(output)) {
            set(output, raw_output).map_err(|why| too_old(&why))?;
        }
        Ok(guard)
    }

    /// There is no job control: nothing is put back for the time being.
    pub(crate) fn pause(&self) {}

    /// As [`RawMode::pause`].
    pub(crate) fn resume(&self) {}
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let mut saved = SAVED.lock().unwrap_or_else(PoisonError::into_inner);
        put_back(&saved);
        saved.clear();
    }
}

fn set(console: OwnedHandle, raw: impl Fn(u32) -> u32) -> io::Result<()> {
    let mode = calls::mode(console.as_handle())?;
    calls::set_mode(console.as_handle(), raw(mode))?;
    SAVED.lock().unwrap_or_else(PoisonError::into_inner).push(Saved { console, mode });
    Ok(())
}

fn too_old(why: &io::Error) -> io::Error {
    io::Error::new(
        why.kind(),
        format!("{why} (a console with terminal sequences is needed: Windows 10 1809 or newer)"),
    )
}

fn put_back(saved: &[Saved]) {
    for Saved { console, mode } in saved {
        // Nothing can be done about a failure: the console is gone.
        let _ = calls::set_mode(console.as_handle(), *mode);
    }
}

/// Before the message is printed, or it would be a staircase.
fn restore_on_panic() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // Not `lock`: the panic may have come from within.
        if let Ok(saved) = SAVED.try_lock() {
            put_back(&saved);
        }
        before(info);
    }));
}
