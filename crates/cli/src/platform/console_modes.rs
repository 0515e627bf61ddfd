//! The modes of a Windows console: which bits a raw terminal has.
//!
//! # Invariants
//! - The console itself turns keys into sequences and sequences into a screen. There is no table of
//!   key codes: such tables fail for keys that their authors did not have.
//! - Bits that are not named here stay as they were: marking by mouse, insert mode.

/// ENABLE_PROCESSED_INPUT: Ctrl-C is an event, not a byte.
pub(crate) const PROCESSED_INPUT: u32 = 0x0001;
/// ENABLE_LINE_INPUT: input comes by the line.
pub(crate) const LINE_INPUT: u32 = 0x0002;
/// ENABLE_ECHO_INPUT: the console shows what is typed.
pub(crate) const ECHO_INPUT: u32 = 0x0004;
/// ENABLE_WINDOW_INPUT: changes of size are among the events.
pub(crate) const WINDOW_INPUT: u32 = 0x0008;
/// ENABLE_VIRTUAL_TERMINAL_INPUT: keys come as the sequences of a terminal.
pub(crate) const VIRTUAL_TERMINAL_INPUT: u32 = 0x0200;
/// ENABLE_PROCESSED_OUTPUT: control characters act. What follows needs it.
pub(crate) const PROCESSED_OUTPUT: u32 = 0x0001;
/// ENABLE_VIRTUAL_TERMINAL_PROCESSING: sequences act.
pub(crate) const VIRTUAL_TERMINAL_PROCESSING: u32 = 0x0004;
/// DISABLE_NEWLINE_AUTO_RETURN: a line feed moves down and no more.
pub(crate) const NO_AUTO_RETURN: u32 = 0x0008;

/// The input mode of a raw terminal, from the one that was found.
#[must_use]
pub(crate) const fn raw_input(found: u32) -> u32 {
    found & !(PROCESSED_INPUT | LINE_INPUT | ECHO_INPUT) | WINDOW_INPUT | VIRTUAL_TERMINAL_INPUT
}

/// The output mode of a raw terminal.
#[must_use]
pub(crate) const fn raw_output(found: u32) -> u32 {
    with_sequences(found) | NO_AUTO_RETURN
}

/// The output mode in which sequences act, and a line feed begins a line.
#[must_use]
pub(crate) const fn with_sequences(found: u32) -> u32 {
    found | PROCESSED_OUTPUT | VIRTUAL_TERMINAL_PROCESSING
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What cmd.exe sets: the three of a line, insert, quick edit, extended flags.
    const OF_A_PROMPT: u32 = 0x01f7 & !WINDOW_INPUT;

    #[test]
    fn a_raw_console_gives_bytes_sequences_and_sizes_and_no_lines() {
        let raw = raw_input(OF_A_PROMPT);
        assert_eq!(raw & (PROCESSED_INPUT | LINE_INPUT | ECHO_INPUT), 0);
        let wanted = WINDOW_INPUT | VIRTUAL_TERMINAL_INPUT;
        assert_eq!(raw & wanted, wanted);
        assert_eq!(raw & 0x01f0, OF_A_PROMPT & 0x01f0, "marking by mouse stays as it was");
        assert_eq!(raw_input(raw), raw);
    }

    #[test]
    fn a_raw_screen_draws_sequences_and_leaves_line_feeds_to_the_device() {
        assert_eq!(raw_output(0x3), 0x0f);
        assert_eq!(with_sequences(0x3), 0x07);
    }
}
