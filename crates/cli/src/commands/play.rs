//! `play` and `export`: a recording in this terminal, or in another form.
//!
//! # Invariants
//! - Nothing of a recording acts on this terminal: it is drawn through [`Tamer`], which lets only
//!   drawing pass.
//! - The terminal is itself again afterwards, however the player is ended.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use towline_evidence::cast::{Code, Event, Facts, Header};
use towline_evidence::tame::Tamer;

use super::cast_file::Lines;
use crate::args::evidence::{ExportArgs, ExportFormat, PlayArgs};
use crate::exit::Failure;
use crate::output::Output;

/// Leaves alternate screens, shows the cursor, ends colours and margins.
const AFTERWARDS: &str = "\u{1b}[?1049l\u{1b}[?25h\u{1b}[0m\u{1b}[r\r\n";

/// One event, for `export --format json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Exported<'a> {
    seconds: f64,
    kind: &'a str,
    text: &'a str,
}

/// Whether a recording is named by a path.
pub(super) fn is_file(recording: &str) -> bool {
    Path::new(recording).is_file()
}

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
            if event.code == Code::Output {
                output.text(&tamer.push(&event.text))?;
            }
        }
        Ok(())
    };
    let result = tokio::select! {
        result = shown => result,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    output.text(AFTERWARDS)?;
    result
}

/// Writes these lines in another form.
pub(super) fn export(mut lines: Lines, args: &ExportArgs, output: Output) -> Result<(), Failure> {
    if args.format == ExportFormat::Cast {
        while let Some(mut line) = lines.next()? {
            line.push(b'\n');
            output.text(&String::from_utf8_lossy(&line))?;
        }
        return Ok(());
    }
    let (_, facts) = header(&mut lines)?;
    let mut tamer = Tamer::text_only();
    if args.format == ExportFormat::Json {
        output.text(&line_of(&facts)?)?;
    }
    while let Some(line) = lines.next()? {
        let Ok(event) = Event::parse(&line) else { continue };
        let kind = match event.code {
            Code::Output => "output",
            Code::Input => "input",
            Code::Resize => "resize",
            Code::Marker => "marker",
            Code::Seal | Code::Other => continue,
        };
        match args.format {
            ExportFormat::Json => output.text(&line_of(&Exported {
                seconds: seconds(&event),
                kind,
                text: &event.text,
            })?)?,
            _ if event.code == Code::Output => output.text(&tamer.push(&event.text))?,
            _ => {}
        }
    }
    Ok(())
}

fn header(lines: &mut Lines) -> Result<(Header, Facts), Failure> {
    let first = lines.next()?.unwrap_or_default();
    let header = Header::parse(&first).map_err(|error| Failure::BadDocument(error.to_string()))?;
    let facts = header.towline.clone().unwrap_or_default();
    Ok((header, facts))
}

fn line_of(object: &impl Serialize) -> Result<String, Failure> {
    let what = || "cannot write JSON".to_owned();
    serde_json::to_string(object)
        .map(|text| text + "\n")
        .map_err(|e| Failure::Local { what: what(), why: e.into() })
}

#[allow(clippy::cast_precision_loss)] // 2^53 microseconds are 285 years
fn seconds(event: &Event) -> f64 {
    event.at as f64 / 1e6
}
