//! The screen that a recording has drawn.
//!
//! Data flow: a piece of output -> [`Sanitiser`], which lets only drawing pass -> counts clamped ->
//! `vt100` -> [`Screen::lines`].
//!
//! # Invariants
//! - The screen has at most [`MAX_PICTURE_COLS`] columns and [`MAX_PICTURE_ROWS`] rows, and no
//!   scrollback. Nothing else of a recording is kept.
//! - A short sequence cannot ask for much work: its counts are at most [`MAX_SEQUENCE_COUNT`].
//!
//! # Not here
//! - The cursor: pictures have none. Titles, links and images: [`Sanitiser`] removes them.

use std::num::NonZeroU16;

use towline_evidence::sanitise::Sanitiser;
use vt100::{Cell, Color, Parser};

use super::palette::{BACKGROUND, FOREGROUND, Rgb, indexed};
use crate::limits::{MAX_PICTURE_COLS, MAX_PICTURE_ROWS, MAX_SEQUENCE_COUNT};

/// Turns the character before it into a wide one.
const EMOJI_PRESENTATION: char = '\u{fe0f}';

/// How a cell looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) foreground: Rgb,
    /// None: that of the screen.
    pub(super) background: Option<Rgb>,
    pub(super) bold: bool,
    pub(super) dim: bool,
    pub(super) italic: bool,
    pub(super) underline: bool,
}

/// Neighbouring cells with the same style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) column: u16,
    pub(super) cells: u16,
    pub(super) text: String,
    pub(super) style: Style,
}

/// A terminal's screen.
pub(crate) struct Screen {
    parser: Parser,
    sanitiser: Sanitiser,
    /// A line feed also returns the carriage: the output of a program without a terminal.
    line_mode: bool,
    cut: bool,
}

impl Screen {
    /// An empty screen; `line_mode` for output that did not pass a terminal.
    pub(crate) fn new(cols: u16, rows: u16, line_mode: bool) -> Self {
        let (rows, cols, cut) = bounded(cols, rows);
        Self { parser: Parser::new(rows, cols, 0), sanitiser: Sanitiser::picture(), line_mode, cut }
    }

    /// Changes the size.
    pub(crate) fn resize(&mut self, cols: u16, rows: u16) {
        let (rows, cols, cut) = bounded(cols, rows);
        self.parser.set_size(rows, cols);
        self.cut |= cut;
    }

    /// Whether a size was larger than a picture can be.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Draws a piece of output.
    pub(crate) fn feed(&mut self, piece: &str) {
        let mut drawing = with_small_counts(&self.sanitiser.push(piece));
        // `vt100` panics when a character becomes wide afterwards and finds no room.
        drawing.retain(|c| c != EMOJI_PRESENTATION);
        if self.line_mode {
            drawing = drawing.replace('\n', "\r\n");
        }
        self.parser.process(drawing.as_bytes());
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> (u16, u16) {
        let (rows, cols) = self.parser.screen().size();
        (cols.get(), rows.get())
    }

    /// What is on the screen: the runs of each row.
    pub(super) fn lines(&self) -> Vec<Vec<Run>> {
        let (cols, rows) = self.size();
        let cell = |row, col| self.parser.screen().cell(row, col);
        let line = |row| runs((0..cols).filter_map(|col| cell(row, col).map(|cell| (col, cell))));
        (0..rows).map(line).collect()
    }
}

fn bounded(cols: u16, rows: u16) -> (NonZeroU16, NonZeroU16, bool) {
    let within =
        |n: u16, least, most| NonZeroU16::new(n.clamp(least, most)).unwrap_or(NonZeroU16::MIN);
    (
        within(rows, 1, MAX_PICTURE_ROWS),
        // A wide character needs two.
        within(cols, 2, MAX_PICTURE_COLS),
        cols > MAX_PICTURE_COLS || rows > MAX_PICTURE_ROWS,
    )
}

/// The same drawing, where no number in a control sequence is larger than the bound. The sanitiser
/// gives each sequence in one piece.
fn with_small_counts(drawing: &str) -> String {
    let mut out = String::with_capacity(drawing.len());
    let mut rest = drawing;
    while let Some(at) = rest.find("\u{1b}[") {
        let (text, sequence) = rest.split_at(at + 2);
        out.push_str(text);
        let end = sequence.find(|c: char| ('@'..='~').contains(&c)).unwrap_or(sequence.len());
        let (parameters, behind) = sequence.split_at(end);
        for part in parameters.split_inclusive([';', ':']) {
            let digits = part.trim_end_matches([';', ':']);
            let large = digits.parse::<u64>().map_or(digits.len() > 4, |n| n > MAX_SEQUENCE_COUNT);
            let clean = large && digits.bytes().all(|b| b.is_ascii_digit());
            let bound = MAX_SEQUENCE_COUNT.to_string();
            out.push_str(if clean { &bound } else { digits });
            out.push_str(&part[digits.len()..]);
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

fn runs<'a>(cells: impl Iterator<Item = (u16, &'a Cell)>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (column, cell) in cells {
        if cell.is_wide_continuation() {
            continue;
        }
        let (style, blank) = (style_of(cell), cell.contents().trim().is_empty());
        if blank && style.background.is_none() && !style.underline {
            continue;
        }
        let width = if cell.is_wide() { 2 } else { 1 };
        let text = if blank { " " } else { cell.contents() };
        match runs.last_mut() {
            // Gaps become spaces of the run. A wide cell stands alone: text is spread evenly.
            Some(run) if run.style == style && width == 1 && joins(run, column) => {
                let gap = column - run.column - run.cells;
                run.text.extend(std::iter::repeat_n(' ', gap.into()));
                run.text.push_str(text);
                run.cells += gap + 1;
            }
            _ => runs.push(Run { column, cells: width, text: text.to_owned(), style }),
        }
    }
    runs
}

/// Whether a cell in this column continues the run.
fn joins(run: &Run, column: u16) -> bool {
    let wide = run.cells == 2 && run.text.chars().count() == 1;
    let adjacent = column == run.column + run.cells;
    let plain = run.style.background.is_none() && !run.style.underline;
    !wide && (adjacent || plain)
}

fn style_of(cell: &Cell) -> Style {
    let (mut foreground, mut background) = (colour(cell.fgcolor()), colour(cell.bgcolor()));
    if cell.inverse() {
        (foreground, background) =
            (background.or(Some(BACKGROUND)), foreground.or(Some(FOREGROUND)));
    }
    Style {
        foreground: foreground.unwrap_or(FOREGROUND),
        background: background.filter(|colour| *colour != BACKGROUND),
        bold: cell.bold(),
        dim: cell.dim(),
        italic: cell.italic(),
        underline: cell.underline(),
    }
}

fn colour(colour: Color) -> Option<Rgb> {
    match colour {
        Color::Default => None,
        Color::Idx(number) => Some(indexed(number)),
        Color::Rgb(red, green, blue) => Some(Rgb(red, green, blue)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn screen(output: &str) -> Screen {
        let mut screen = Screen::new(20, 4, false);
        screen.feed(output);
        screen
    }

    fn text(screen: &Screen) -> Vec<String> {
        let line = |runs: Vec<Run>| runs.iter().map(|run| run.text.as_str()).collect();
        screen.lines().into_iter().map(line).collect()
    }

    #[test]
    fn the_screen_shows_what_a_terminal_would_show() {
        assert_eq!(text(&screen("one\r\ntwo\x1b[1;2HN")), ["oNe", "two", "", ""]);
        assert_eq!(text(&screen("1\r\n2\r\n3\r\n4\r\n5")), ["2", "3", "4", "5"], "it scrolls");
        let editor = "before\x1b[?1049h\x1b[Heditor";
        assert_eq!(text(&screen(editor))[0], "editor");
        assert_eq!(text(&screen(&format!("{editor}\x1b[?1049l")))[0], "before");
    }

    #[test]
    fn neighbours_of_one_style_are_one_run_and_wide_characters_stand_alone() {
        let mut shown = screen("a b\x1b[1;31mred\x1b[0m 日本").lines().remove(0).into_iter();
        let mut next = || shown.next().map(|run| (run.column, run.cells, run.text)).unwrap();
        assert_eq!(next(), (0, 3, "a b".to_owned()));
        assert_eq!(next(), (3, 3, "red".to_owned()));
        assert_eq!(next(), (7, 2, "日".to_owned()));
        assert_eq!(next(), (9, 2, "本".to_owned()));
    }

    #[test]
    fn colours_of_all_three_palettes_and_inverse_are_known() {
        let style = |output: &str| screen(output).lines()[0][0].style;
        assert_eq!(style("\x1b[91mx").foreground, indexed(9));
        assert_eq!(style("\x1b[38;5;200mx").foreground, indexed(200));
        assert_eq!(style("\x1b[48;2;1;2;3mx").background, Some(Rgb(1, 2, 3)));
        let inverse = style("\x1b[7mx");
        assert_eq!((inverse.foreground, inverse.background), (BACKGROUND, Some(FOREGROUND)));
        let styled = style("\x1b[1;3;4mx");
        assert!(styled.bold && styled.italic && styled.underline);
    }

    #[test]
    fn output_that_did_not_pass_a_terminal_has_lines_as_well() {
        let mut screen = Screen::new(20, 3, true);
        screen.feed("one\ntwo\n");
        assert_eq!(text(&screen), ["one", "two", ""]);
    }

    #[test]
    fn sizes_and_counts_are_bounded() {
        let mut huge = Screen::new(u16::MAX, u16::MAX, false);
        assert_eq!((huge.size(), huge.is_cut()), ((MAX_PICTURE_COLS, MAX_PICTURE_ROWS), true));
        huge.resize(0, 0);
        assert_eq!(huge.size(), (2, 1));
        assert_eq!(with_small_counts("a\x1b[65535b\x1b[1;99999999999999999999Hc\x1b[38;5;9m"), {
            let most = MAX_SEQUENCE_COUNT;
            format!("a\x1b[{most}b\x1b[1;{most}Hc\x1b[38;5;9m")
        });
        assert_eq!(with_small_counts("x\x1b[?25l\x1b["), "x\x1b[?25l\x1b[");
    }

    proptest! {
        #[test]
        fn no_output_and_no_size_is_fatal(
            pieces in proptest::collection::vec(
                prop_oneof![
                    "[ -~日é\u{301}\u{200d}\u{fe0f}❤\u{202e}]{0,12}",
                    "\x1b\\[[0-9;:]{0,8}[@A-HJ-MPSTXZ`a-gmr]",
                    "\x1b\\[\\?(6|7|25|47|1049)[hl]",
                    "[\r\n\t\u{8}\u{e}\u{f}]",
                    "\x1b[78DEM]",
                    "\\PC{0,20}",
                ],
                0..60,
            ),
            sizes in proptest::collection::vec((0u16..12, 0u16..6), 1..6),
        ) {
            let mut screen = Screen::new(sizes[0].0, sizes[0].1, false);
            for (at, piece) in pieces.iter().enumerate() {
                screen.feed(piece);
                if at % 7 == 6 {
                    let (cols, rows) = sizes[at % sizes.len()];
                    screen.resize(cols, rows);
                }
            }
            let (cols, rows) = screen.size();
            let lines = screen.lines();
            prop_assert_eq!(lines.len(), usize::from(rows));
            for run in lines.into_iter().flatten() {
                prop_assert!(run.cells > 0 && run.column < cols);
            }
        }
    }
}
