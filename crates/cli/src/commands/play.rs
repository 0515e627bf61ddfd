//! `play`: a recording in this terminal.
//!
//! # Invariants
//! - Nothing of a recording acts on this terminal: it is drawn through [`Tamer`], which lets only
//!   drawing pass.
//! - The terminal is itself again afterwards, however the player is ended.

use std::time::Duration;

use towline_evidence::cast::{Code, Event};
use towline_evidence::recording::GAP;
use towline_evidence::tame::Tamer;

use super::cast_file::{Lines, header, seconds};
use crate::args::evidence::PlayArgs;
use crate::exit::Failure;
use crate::output::Output;
use crate::terminal::printable;

/// Leaves alternate screens, shows the cursor, ends colours and margins.
pub(super) const AFTERWARDS: &str = "\u{1b}[?1049l\u{1b}[?25h\u{1b}[0m\u{1b}[r\r\n";

/// Plays these lines.
pub(super) async fn play(mut lines: Lines, args: &PlayArgs, output: Output) -> Result<(), Failure> {
    header(&mut lines)?;
    let shown = async {
        let (mut tamer, mut before) = (Tamer::drawing(), None);
        while let Some(line) = lines.next()? {
            let Ok(event) = Event::parse(&line) else { continue };
            let now = seconds(&event);
            if now >= args.from {
                let pause =
                    (now - before.unwrap_or(args.from)).clamp(0.0, args.idle_limit) / args.speed;
                tokio::time::sleep(Duration::from_secs_f64(pause)).await;
                before = Some(now);
            }
            match event.code {
                Code::Output => output.text(&tamer.push(&event.text))?,
                Code::Marker if event.text.starts_with(GAP) => {
                    output.text(&format!("\r\n[{}]\r\n", printable(&event.text)))?;
                }
                _ => {}
            }
        }
        output.text(&tamer.finish())
    };
    let result = tokio::select! {
        result = shown => result,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    output.text(AFTERWARDS)?;
    result
}
