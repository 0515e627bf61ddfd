//! Standard output and error, except for the bytes of a session.
//!
//! # Invariants
//! - Names chosen by devices or other users cannot control the terminal: control characters become
//!   spaces.
//! - No colour without a terminal or with `NO_COLOR`.
//! - A closed pipe is not an error: `towline devices | head` works. What goes on for long ends with
//!   its reader, as by SIGPIPE ([`Output::stream`], [`while_read`]).

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;
use towline_wire::text::is_plain;

use crate::exit::Failure;
use crate::limits::MAX_CELL;
use crate::platform::{Reader, is_reader_gone, is_terminal};
use crate::terminal::printable;

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Table for people.
    Table,
    /// The API's objects as JSON.
    Json,
}

/// The format of answers, and whether they have colours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
    colour: bool,
}

/// A word that may have a colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// As it is.
    Plain(String),
    /// Healthy.
    Good(String),
    /// Needs attention.
    Bad(String),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Plain(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Plain(text)
    }
}

impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Self {
        Self::Plain(text.unwrap_or_default())
    }
}

impl Output {
    /// In this format; `no_colour` as of the environment.
    #[must_use]
    pub(crate) fn new(format: Format, no_colour: bool) -> Self {
        Self { format, colour: !no_colour && is_terminal(io::stdout()) }
    }

    /// Prints an answer: the object itself as JSON, or what `table` makes of it.
    ///
    /// # Errors
    /// [`Failure::Local`] when it cannot be written.
    pub(crate) fn answer<T: Serialize>(
        self,
        object: &T,
        table: impl FnOnce(Self) -> String,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.text(&json(object)?),
            Format::Table => self.text(&table(self)),
        }
    }

    /// Prints an empty answer: an empty object as JSON, else nothing.
    ///
    /// # Errors
    /// [`Failure::Local`] when it cannot be written.
    pub(crate) fn done(self) -> Result<(), Failure> {
        self.answer(&towline_ssm::api::Empty {}, |_| String::new())
    }

    /// Whether answers are for machines.
    #[must_use]
    pub(crate) const fn is_json(self) -> bool {
        matches!(self.format, Format::Json)
    }

    /// Prints text as it is.
    ///
    /// # Errors
    /// [`Failure::Local`] when it cannot be written.
    pub(crate) fn text(self, text: &str) -> Result<(), Failure> {
        match self.stream(text) {
            Err(Failure::ReaderGone) => Ok(()),
            result => result,
        }
    }

    /// Prints text of what goes on for long.
    ///
    /// # Errors
    /// [`Failure::ReaderGone`]; [`Failure::Local`] when it cannot be written otherwise.
    pub(crate) fn stream(self, text: &str) -> Result<(), Failure> {
        written(&mut io::stdout().lock(), text)
    }

    /// A table with a head and aligned columns; only a head when there are no rows.
    #[must_use]
    pub(crate) fn table(self, head: &[&str], rows: &[Vec<Cell>]) -> String {
        let cells =
            |row: &[Cell]| row.iter().map(|cell| cut(&printable(cell.text()))).collect::<Vec<_>>();
        let mut plain = vec![head.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()];
        plain.extend(rows.iter().map(|row| cells(row)));
        let width = |column| {
            plain
                .iter()
                .filter_map(|row| row.get(column))
                .map(|c: &String| c.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        let mut text = String::new();
        for (number, row) in plain.iter().enumerate() {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let padding = widths.get(column).map_or(0, |width| width - cell.chars().count());
                let styled = match number
                    .checked_sub(1)
                    .and_then(|n| rows.get(n))
                    .and_then(|row| row.get(column))
                {
                    Some(cell_of) => self.paint(cell_of, cell),
                    None => cell.clone(),
                };
                line.push_str(&styled);
                line.push_str(&" ".repeat(padding + 2));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn paint(self, cell: &Cell, text: &str) -> String {
        match cell {
            Cell::Good(_) if self.colour => format!("\x1b[32m{text}\x1b[0m"),
            Cell::Bad(_) if self.colour => format!("\x1b[31m{text}\x1b[0m"),
            Cell::Plain(_) | Cell::Good(_) | Cell::Bad(_) => text.to_owned(),
        }
    }
}

impl Cell {
    fn text(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Good(text) | Self::Bad(text) => text,
        }
    }
}

/// Prints a message on standard error.
pub(crate) fn complain(text: &str) {
    // Without standard error there is nothing left to do.
    let _ = writeln!(io::stderr(), "towline: {}", printable(text));
}

/// Asks for a line, on standard error.
pub(crate) fn prompt(text: &str) {
    let _ = write!(io::stderr(), "towline: {}", printable(text));
}

/// Starts a new line on standard error.
pub(crate) fn new_line() {
    let _ = writeln!(io::stderr());
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_CELL) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn written(to: &mut impl Write, text: &str) -> Result<(), Failure> {
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Err(error) if is_reader_gone(&error) => Err(Failure::ReaderGone),
        result => result.map_err(local),
    }
}

/// Works as long as somebody reads standard output.
///
/// # Errors
/// [`Failure::ReaderGone`]; those of the work.
pub(crate) async fn while_read<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let reader = Reader::of(io::stdout());
    tokio::select! {
        result = work => result,
        () = reader.gone() => Err(Failure::ReaderGone),
    }
}

/// An object as JSON for people on standard output.
///
/// # Errors
/// [`Failure::Local`] when it cannot be JSON.
pub(crate) fn json<T: Serialize>(object: &T) -> Result<String, Failure> {
    serde_json::to_string_pretty(object).map(|json| escaped(&json) + "\n").map_err(unspeakable)
}

fn unspeakable(error: serde_json::Error) -> Failure {
    Failure::Local { what: "cannot write JSON".to_owned(), why: error.into() }
}

/// An object as one line of JSON for standard output.
///
/// # Errors
/// [`Failure::Local`] when it cannot be JSON.
pub(crate) fn json_line<T: Serialize>(object: &T) -> Result<String, Failure> {
    serde_json::to_string(object).map(|json| one_line(&json)).map_err(unspeakable)
}

/// JSON of elsewhere as one line for standard output. Outside of strings an end of a line is a
/// space.
pub(crate) fn one_line(json: &str) -> String {
    escaped(json).replace('\n', " ") + "\n"
}

/// JSON in which characters that would control or reorder a terminal are escaped. Outside of
/// strings JSON has none but ends of lines.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || is_plain(c) {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}

fn local(why: io::Error) -> Failure {
    Failure::Local { what: "cannot write to standard output".to_owned(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_no_character_that_controls_or_reorders_a_terminal() {
        let text = serde_json::to_string_pretty(&["a\u{9b}b\u{202e}c\u{e0041}", "ü"]).unwrap();
        let shown = escaped(&text);
        assert!(shown.chars().all(|c| c == '\n' || is_plain(c)), "{shown}");
        assert_eq!(
            serde_json::from_str::<Vec<String>>(&shown).unwrap(),
            ["a\u{9b}b\u{202e}c\u{e0041}", "ü"]
        );
    }

    #[test]
    fn a_line_of_json_is_one_line_and_escaped() {
        let line = json_line(&["a\u{9b}2J\u{202e}\n"]).unwrap();
        assert_eq!(line, "[\"a\\u009b2J\\u202e\\n\"]\n");
        assert_eq!(one_line("{\n\"a\":\n\"\u{9b}\"}"), "{ \"a\": \"\\u009b\"}\n");
    }

    #[test]
    fn a_stream_ends_with_its_reader() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        written(&mut writer, "a").unwrap();
        drop(reader);
        let gone = written(&mut writer, "b").unwrap_err();
        assert!(matches!(gone, Failure::ReaderGone) && gone.code() == 141);
    }

    fn table(colour: bool) -> String {
        let rows = vec![
            vec![Cell::Good("on".into()), "ü\x1b]0;x".into()],
            vec![Cell::Bad("offline".into()), "".into()],
        ];
        Output { format: Format::Table, colour }.table(&["STATE", "NAME"], &rows)
    }

    #[test]
    fn columns_are_aligned_and_names_cannot_steer_the_terminal() {
        assert_eq!(table(false), "STATE    NAME\non       ü ]0;x\noffline\n");
    }

    #[test]
    fn colour_does_not_disturb_the_columns() {
        let plain =
            table(true).replace("\x1b[32m", "").replace("\x1b[31m", "").replace("\x1b[0m", "");
        assert_eq!(plain, table(false));
        assert_ne!(table(true), table(false));
    }
}
