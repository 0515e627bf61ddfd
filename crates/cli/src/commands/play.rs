//! `play`: a recording in this terminal.
//!
//! # Invariants
//! - Nothing of a recording acts on this terminal: only drawing passes ([`Drawn`]).
//! - The terminal is itself again afterwards, however the player is ended.

use std::time::Duration;

use towline_evidence::cast::{Code, Event};
use towline_evidence::recording::GAP;

use super::cast_file::{Lines, header, seconds};
use super::drawn::{Drawn, endings};
use crate::args::evidence::PlayArgs;
use crate::exit::Failure;
use crate::output::{Output, while_read};
use crate::terminal::printable;

/// Plays these lines.
pub(super) async fn play(mut lines: Lines, args: &PlayArgs, output: Output) -> Result<(), Failure> {
    header(&mut lines)?;
    let (mut drawn, mut signals) = (Drawn::new(), endings()?);
    let shown = async {
        let mut before = None;
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
                Code::Output => output.stream(&drawn.draw(&event.text))?,
                Code::Marker if event.text.starts_with(GAP) => {
                    output.stream(&format!("\r\n[{}]\r\n", printable(&event.text)))?;
                }
                _ => {}
            }
        }
        Ok(())
    };
    let result = tokio::select! {
        result = while_read(shown) => result,
        _ = signals.next() => Ok(()),
    };
    output.text(&(drawn.undo() + "\r\n"))?;
    result
}
