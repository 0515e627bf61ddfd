//! A screen as SVG.
//!
//! # Invariants
//! - The picture refers to nothing: no script, no style sheet, no font, no link, no image. Text is
//!   text in a monospace font of the viewer.
//! - Each run has its place and its length, so that columns stay aligned in any font.
//! - Text from the recording is escaped, and drawn from left to right whatever its characters.
//! - The size is bounded by the screen's.

use std::fmt::{self, Write as _};

use super::palette::{BACKGROUND, FOREGROUND};
use super::screen::{Run, Screen};
use crate::terminal::is_reordering;

/// Size of the font, pixels. A monospace font is 0.6 of it wide.
const FONT: u32 = 15;
/// A cell, pixels.
const CELL_WIDTH: u32 = 9;
const CELL_HEIGHT: u32 = 18;
/// From the top of a cell to the line that characters stand on, pixels.
const BASELINE: u32 = 14;
/// Around the screen, pixels.
const MARGIN: u32 = 12;
/// From the common to the general. The viewer's own fonts: nothing is embedded.
const FONTS: &str =
    "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace";

/// Draws the screen; `label` says what it is to those who cannot see it.
pub(crate) fn draw(screen: &Screen, label: &str) -> String {
    let mut svg = String::new();
    // A `String` takes everything.
    let _ = write(&mut svg, screen, label);
    svg
}

fn write(svg: &mut String, screen: &Screen, label: &str) -> fmt::Result {
    let (cols, rows) = screen.size();
    let width = u32::from(cols) * CELL_WIDTH + 2 * MARGIN;
    let height = u32::from(rows) * CELL_HEIGHT + 2 * MARGIN;
    writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label="{}">"#,
        escaped(label)
    )?;
    writeln!(svg, r#"<rect width="100%" height="100%" rx="6" fill="{BACKGROUND}"/>"#)?;
    writeln!(
        svg,
        r#"<g font-family="{FONTS}" font-size="{FONT}" fill="{FOREGROUND}" direction="ltr" unicode-bidi="bidi-override" xml:space="preserve">"#
    )?;
    for (row, runs) in (0_u32..).zip(screen.lines()) {
        let top = MARGIN + row * CELL_HEIGHT;
        for run in &runs {
            background(svg, run, top)?;
        }
        for run in runs.iter().filter(|run| run.style.underline || !run.text.trim().is_empty()) {
            text(svg, run, top + BASELINE)?;
        }
    }
    svg.push_str("</g>\n</svg>\n");
    Ok(())
}

fn left(run: &Run) -> u32 {
    MARGIN + u32::from(run.column) * CELL_WIDTH
}

fn background(svg: &mut String, run: &Run, top: u32) -> fmt::Result {
    let Some(colour) = run.style.background else { return Ok(()) };
    let (x, width) = (left(run), u32::from(run.cells) * CELL_WIDTH);
    writeln!(
        svg,
        r#"<rect x="{x}" y="{top}" width="{width}" height="{CELL_HEIGHT}" fill="{colour}"/>"#
    )
}

fn text(svg: &mut String, run: &Run, baseline: u32) -> fmt::Result {
    write!(svg, r#"<text x="{}" y="{baseline}""#, left(run))?;
    if run.cells > 1 {
        write!(svg, r#" textLength="{}""#, u32::from(run.cells) * CELL_WIDTH)?;
    }
    if run.style.foreground != FOREGROUND {
        write!(svg, r#" fill="{}""#, run.style.foreground)?;
    }
    for (is, attribute) in [
        (run.style.bold, r#" font-weight="bold""#),
        (run.style.dim, r#" fill-opacity=".6""#),
        (run.style.italic, r#" font-style="italic""#),
        (run.style.underline, r#" text-decoration="underline""#),
    ] {
        if is {
            svg.push_str(attribute);
        }
    }
    writeln!(svg, ">{}</text>", escaped(&run.text))
}

/// Text in XML: what means something there is escaped, what may not stand there is replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if is_reordering(c) => {}
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{MAX_PICTURE_COLS, MAX_PICTURE_ROWS};

    fn picture(cols: u16, rows: u16, output: &str) -> String {
        let mut screen = Screen::new(cols, rows, false);
        screen.feed(output);
        draw(&screen, "a <label>")
    }

    #[test]
    fn a_run_is_text_at_its_place_with_its_style() {
        let svg = picture(10, 2, "ab\r\n\x1b[1;31mred\x1b[0m\x1b[44m  \x1b[0m");
        assert!(svg.contains(r#"<text x="12" y="26" textLength="18">ab</text>"#), "{svg}");
        let red =
            r##"<text x="12" y="44" textLength="27" fill="#cd3131" font-weight="bold">red</text>"##;
        assert!(svg.contains(red), "{svg}");
        let blue = r##"<rect x="39" y="30" width="18" height="18" fill="#2472c8"/>"##;
        assert!(svg.contains(blue), "{svg}");
        assert!(svg.contains(r#"width="114" height="60""#) && svg.contains("a &lt;label&gt;"));
    }

    #[test]
    fn markup_bidi_and_control_characters_stay_text() {
        let svg = picture(
            60,
            3,
            "</text><script>alert('&\"')</script>\r\n\u{202e}abc\u{ffff}\u{9b}\x07\u{0}x",
        );
        assert!(
            svg.contains("&lt;/text&gt;&lt;script&gt;alert('&amp;&quot;')&lt;/script&gt;"),
            "{svg}"
        );
        assert!(svg.contains(">abc\u{fffd}x<"), "{svg}");
        assert!(!svg.contains("<script") && !svg.contains('\u{202e}') && !svg.contains("href"));
    }

    #[test]
    fn a_normal_screen_is_small_and_the_largest_is_bounded() {
        let line = "\x1b[32m-rw-r--r--\x1b[0m 1 root root \x1b[1;34mname\x1b[0m of a file \x1b[33m12 KiB\x1b[0m\r\n";
        let normal = picture(80, 24, &line.repeat(24));
        assert!(normal.len() <= 20_000, "{} bytes", normal.len());
        let cells = usize::from(MAX_PICTURE_COLS) * usize::from(MAX_PICTURE_ROWS);
        let colours: String =
            (0..cells).map(|n| format!("\x1b[1;3;4;38;5;{};48;5;{}m&", n % 2, n % 3)).collect();
        let largest = picture(u16::MAX, u16::MAX, &colours);
        assert!(largest.len() < cells * 300, "{} bytes", largest.len());
    }
}
