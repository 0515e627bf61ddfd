//! `export`: a recording as asciicast, as text, as JSON, or one moment of it as a picture.
//!
//! # Invariants
//! - asciicast is the recording as it is. All other forms are harmless: text and pictures hold only
//!   what was drawn, text names what would reorder it, JSON escapes control characters.
//! - Memory is one line of the recording, and one screen for a picture.

use serde::Serialize;
use towline_evidence::cast::{Code, Event, Header};
use towline_evidence::recording::GAP;
use towline_evidence::sanitise::Sanitiser;

use super::cast_file::{Lines, header, seconds};
use crate::args::evidence::{ExportArgs, ExportFormat};
use crate::exit::Failure;
use crate::limits::{MAX_PICTURE_COLS, MAX_PICTURE_ROWS};
use crate::output::{Output, complain, json_line};
use crate::picture::{Screen, draw};
use crate::terminal::printable;

/// One event, for `export --format json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Exported<'a> {
    seconds: f64,
    kind: &'a str,
    text: &'a str,
}

/// Writes these lines in another form.
pub(super) fn export(mut lines: Lines, args: &ExportArgs, output: Output) -> Result<(), Failure> {
    match args.format {
        ExportFormat::Svg => picture(lines, args.at, output),
        _ if args.at.is_some() => {
            Err(Failure::Usage("--at needs --format svg: other forms hold all events".to_owned()))
        }
        ExportFormat::Cast => {
            let mut is_first = true;
            while let Some(mut line) = lines.next()? {
                // The header of a further part: the events go on after those before.
                if line.starts_with(b"{") && !std::mem::take(&mut is_first) {
                    continue;
                }
                line.push(b'\n');
                output.text(&String::from_utf8_lossy(&line))?;
            }
            Ok(())
        }
        ExportFormat::Txt => text(lines, output),
        ExportFormat::Json => json(lines, output),
    }
}

fn text(mut lines: Lines, output: Output) -> Result<(), Failure> {
    header(&mut lines)?;
    let (mut sanitiser, mut line_begins) = (Sanitiser::text_only(), true);
    while let Some(line) = lines.next()? {
        let Ok(event) = Event::parse(&line) else { continue };
        let shown = match event.code {
            Code::Output => sanitiser.push(&event.text),
            Code::Marker if event.text.starts_with(GAP) => {
                let before = if line_begins { "" } else { "\n" };
                format!("{before}[{}]\n", printable(&event.text))
            }
            _ => continue,
        };
        if let Some(last) = shown.chars().last() {
            line_begins = last == '\n';
        }
        output.text(&shown)?;
    }
    output.text(&sanitiser.finish())
}

fn json(mut lines: Lines, output: Output) -> Result<(), Failure> {
    output.text(&json_line(&header(&mut lines)?.towline.unwrap_or_default())?)?;
    while let Some(line) = lines.next()? {
        let Ok(event) = Event::parse(&line) else { continue };
        let kind = match event.code {
            Code::Output => "output",
            Code::Input => "input",
            Code::Resize => "resize",
            Code::Marker => "marker",
            Code::Seal | Code::Other => continue,
        };
        let exported = Exported { seconds: seconds(&event), kind, text: &event.text };
        output.text(&json_line(&exported)?)?;
    }
    Ok(())
}

/// The screen at this moment, or at the end.
fn picture(mut lines: Lines, at: Option<f64>, output: Output) -> Result<(), Failure> {
    let header = header(&mut lines)?;
    let mut screen = Screen::new(header.width, header.height, !has_terminal(&header));
    let mut last = 0.0;
    while let Some(line) = lines.next()? {
        let Ok(event) = Event::parse(&line) else { continue };
        if at.is_some_and(|at| seconds(&event) > at) {
            break;
        }
        match event.code {
            Code::Output => screen.feed(&event.text),
            Code::Resize => {
                if let Some((cols, rows)) = size_of(&event.text) {
                    screen.resize(cols, rows);
                }
            }
            Code::Input | Code::Marker | Code::Seal | Code::Other => continue,
        }
        last = seconds(&event);
    }
    if screen.is_cut() {
        complain(&format!(
            "the recorded terminal is larger than {MAX_PICTURE_COLS} columns and \
             {MAX_PICTURE_ROWS} rows: the picture shows a terminal of that size"
        ));
    }
    let shown = at.unwrap_or(last);
    output.text(&draw(&screen, &format!("Terminal recording {}, at {shown:.1} s", header.title)))
}

/// Whether the output passed a terminal on the device, where a line feed does not return the
/// carriage. A recording of another program always did.
fn has_terminal(header: &Header) -> bool {
    header.towline.is_none() || header.env.contains_key("TERM")
}

/// `COLUMNSxROWS`.
fn size_of(text: &str) -> Option<(u16, u16)> {
    let (cols, rows) = text.split_once('x')?;
    Some((cols.parse().ok()?, rows.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_columns_and_rows() {
        assert_eq!(size_of("100x30"), Some((100, 30)));
        for bad in ["", "x", "100", "100x", "-1x2", "99999999x1", "1x2x3"] {
            assert_eq!(size_of(bad), None, "{bad}");
        }
    }
}
