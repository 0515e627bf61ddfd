//! What programs of others draw in this terminal, for `play` and `watch`: made harmless, and undone
//! at the end.
//!
//! Data flow: their output -> [`Drawn::draw`] ([`Sanitiser`], then [`Modes`] looks at what is left)
//! -> the terminal; at the end [`Drawn::undo`].
//!
//! # Invariants
//! - What was let through and outlasts the drawing is undone: reverse screen, insert mode, no
//!   wrapping, a shifted character set, alternate screens, the hidden cursor, colours and margins.

use towline_evidence::sanitise::Sanitiser;

use crate::exit::Failure;
use crate::platform::Signals;
use crate::terminal::modes::Modes;

/// The state of a drawing.
pub(super) struct Drawn {
    sanitiser: Sanitiser,
    modes: Modes,
}

impl Drawn {
    /// Nothing was drawn.
    pub(super) fn new() -> Self {
        Self { sanitiser: Sanitiser::drawing(), modes: Modes::new() }
    }

    /// What may be written of this output.
    pub(super) fn draw(&mut self, output: &str) -> String {
        let harmless = self.sanitiser.push(output);
        self.modes.push(harmless.as_bytes());
        harmless
    }

    /// What brings the terminal back. What is drawn afterwards begins anew.
    pub(super) fn undo(&mut self) -> String {
        let cut = self.sanitiser.finish();
        cut + &self.modes.undo()
    }
}

/// The signals that end a program: who draws listens to them, so that it can bring the terminal
/// back.
///
/// # Errors
/// The kernel refuses.
pub(super) fn endings() -> Result<Signals, Failure> {
    let refused = |why| Failure::Local { what: "cannot listen to signals".to_owned(), why };
    Signals::listen(false, false).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_outlasts_a_drawing_is_undone() {
        for (drawn, undone) in [
            ("\u{1b}[?5hreverse", "\u{1b}[?5l"),
            ("\u{1b}[?7lno wrapping", "\u{1b}[?7h"),
            ("\u{1b}[4hinsert", "\u{1b}[4l"),
            ("\u{1b}[?6horigin", "\u{1b}[?6l"),
            ("\u{1b}[?25l\u{1b}[?1049h", "\u{1b}[?25h\u{1b}[?1049l"),
            ("\u{1b}[31mred", "\u{1b}[0m"),
            ("\u{1b}[2;5r", "\u{1b}7\u{1b}[r\u{1b}8"),
            ("plain text", ""),
            ("\u{1b}[?1000hmouse, which is not drawn", ""),
        ] {
            let mut screen = Drawn::new();
            screen.draw(drawn);
            assert_eq!(screen.undo(), undone, "{drawn:?}");
            assert_eq!(screen.undo(), "", "once");
        }
        let mut screen = Drawn::new();
        screen.draw("\u{e}shifted");
        assert!(screen.undo().starts_with('\u{f}'));
    }

    #[test]
    fn a_sequence_that_was_cut_swallows_nothing_of_the_undoing() {
        let mut screen = Drawn::new();
        assert_eq!(screen.draw("\u{1b}[?5hx\u{1b}[3"), "\u{1b}[?5hx");
        assert_eq!(screen.undo(), "\u{1b}[?5l");
        assert_eq!(screen.draw("y"), "y", "and it begins anew");
    }
}
