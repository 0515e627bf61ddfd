//! Calls of the Windows console: the only unsafe code of the command line.
//!
//! # Invariants
//! - A handle is borrowed for the call; memory that is written to is ours, and its length is told.
//! - Nothing is kept between calls.

use std::io;
use std::os::windows::io::{AsRawHandle as _, BorrowedHandle};

use windows_sys::Win32::System::Console::{
    CONSOLE_SCREEN_BUFFER_INFO, GetConsoleMode, GetConsoleScreenBufferInfo, INPUT_RECORD,
    KEY_EVENT, ReadConsoleInputW, SetConsoleMode, WINDOW_BUFFER_SIZE_EVENT, WriteConsoleW,
};

/// Events that are taken from a console at once.
const EVENTS: usize = 64;

/// What a console tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A unit of text.
    Unit(u16),
    /// Its window or its buffer has another size.
    Resized,
}

fn checked(result: i32) -> io::Result<()> {
    if result == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The mode of a console; an error for what is none.
pub(super) fn mode(console: BorrowedHandle<'_>) -> io::Result<u32> {
    let mut mode = 0;
    // SAFETY: the handle is open, and the mode is written into a number of ours.
    checked(unsafe { GetConsoleMode(console.as_raw_handle(), &raw mut mode) })?;
    Ok(mode)
}

/// Sets the mode of a console.
pub(super) fn set_mode(console: BorrowedHandle<'_>, mode: u32) -> io::Result<()> {
    // SAFETY: the handle is open; a mode is a number.
    checked(unsafe { SetConsoleMode(console.as_raw_handle(), mode) })
}

/// Rows and columns of the window of a console.
pub(super) fn window(console: BorrowedHandle<'_>) -> io::Result<(u16, u16)> {
    let mut info = CONSOLE_SCREEN_BUFFER_INFO::default();
    // SAFETY: the handle is open, and the answer is written into a structure of ours.
    checked(unsafe { GetConsoleScreenBufferInfo(console.as_raw_handle(), &raw mut info) })?;
    let length =
        |first: i16, last: i16| u16::try_from(i32::from(last) - i32::from(first) + 1).unwrap_or(0);
    let window = info.srWindow;
    Ok((length(window.Top, window.Bottom), length(window.Left, window.Right)))
}

/// Waits for events of a console, and adds those that matter.
pub(super) fn read_events(console: BorrowedHandle<'_>, events: &mut Vec<Event>) -> io::Result<()> {
    let mut records = [INPUT_RECORD::default(); EVENTS];
    let mut read = 0;
    let most = u32::try_from(records.len()).unwrap_or(1);
    // SAFETY: the handle is open, and at most as many records are written as there is room for.
    checked(unsafe {
        ReadConsoleInputW(console.as_raw_handle(), records.as_mut_ptr(), most, &raw mut read)
    })?;
    for record in records.iter().take(usize::try_from(read).unwrap_or(0)) {
        events.extend(event(record));
    }
    Ok(())
}

fn event(record: &INPUT_RECORD) -> Option<Event> {
    match u32::from(record.EventType) {
        WINDOW_BUFFER_SIZE_EVENT => Some(Event::Resized),
        KEY_EVENT => {
            // SAFETY: this type says that the record holds a key.
            let key = unsafe { record.Event.KeyEvent };
            // SAFETY: the console that was asked in wide characters answers in them.
            let unit = unsafe { key.uChar.UnicodeChar };
            // The Alt key going up carries what was composed with it on the number pad. A key of no
            // code is a piece of a sequence; without text it is the byte 0 (Ctrl-Space).
            let is_composed = key.bKeyDown == 0 && key.wVirtualKeyCode == ALT && unit != 0;
            let is_typed = key.bKeyDown != 0 && (unit != 0 || key.wVirtualKeyCode == 0);
            (is_typed || is_composed).then_some(Event::Unit(unit))
        }
        _ => None,
    }
}

/// VK_MENU.
const ALT: u16 = 0x12;

/// Writes text to a console; how many units it took.
pub(super) fn write(console: BorrowedHandle<'_>, units: &[u16]) -> io::Result<usize> {
    let mut written = 0;
    let length = u32::try_from(units.len()).unwrap_or(u32::MAX);
    // SAFETY: the handle is open, and no more units are read than there are.
    checked(unsafe {
        WriteConsoleW(
            console.as_raw_handle(),
            units.as_ptr(),
            length,
            &raw mut written,
            std::ptr::null(),
        )
    })?;
    Ok(usize::try_from(written).unwrap_or(0))
}
