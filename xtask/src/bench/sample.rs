//! The samples: how long a keystroke's echo, a session's start and bulk output take through an
//! interactive command.
//!
//! Each takes a command that opens an interactive shell on a terminal, so that floor, peer and ours
//! are driven alike.

use std::process::Command;
use std::time::{Duration, Instant};

use towline_testkit::Outcome;
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::{ensure, pause};

use super::stats::median;

/// Keystrokes that are counted, back to back.
const KEYSTROKES: usize = 2000;
/// Keystrokes that are counted with a pause in between.
const SLOW_KEYSTROKES: usize = 200;
/// Keystrokes before the counted ones.
const WARM: usize = 100;
/// The pause of somebody who types fast: every process goes to sleep in between.
pub(super) const A_FAST_TYPIST: Duration = Duration::from_millis(20);
/// Sessions that are started.
const STARTS: usize = 20;
/// Between two sessions, so that the end of one does not weigh on the next.
const BETWEEN: Duration = Duration::from_millis(200);
/// How long the bulk text may take.
const BULK_LIMIT: Duration = Duration::from_secs(120);

/// p50 of a keystroke's round trip, microseconds. The far terminal is raw and echoes by `cat`.
pub(super) fn keystrokes(command: &Command, interval: Option<Duration>) -> Outcome<f64> {
    let mut terminal = Terminal::start(command, 24, 80)?;
    echoing(&mut terminal)?;
    let wanted = if interval.is_some() { SLOW_KEYSTROKES } else { KEYSTROKES };
    let mut times = Vec::with_capacity(wanted);
    for (count, key) in (b'a'..=b'z').cycle().take(WARM + wanted).enumerate() {
        let took = press(&mut terminal, key, interval)?;
        if count >= WARM {
            times.push(took.as_secs_f64() * 1e6);
        }
    }
    Ok(median(&times))
}

/// Waits for the prompt, and has the far terminal echo each byte by `cat`.
pub(super) fn echoing(terminal: &mut Terminal) -> Outcome {
    at_prompt(terminal)?;
    terminal.line("stty raw -echo; printf 'RE''ADY'; exec cat")?;
    terminal.expect("READY").map(drop)
}

/// Types a key, after the pause, and waits for its echo; how long that took.
pub(super) fn press(
    terminal: &mut Terminal,
    key: u8,
    after: Option<Duration>,
) -> Outcome<Duration> {
    if let Some(after) = after {
        pause(after);
    }
    let begin = Instant::now();
    terminal.send([key])?;
    let echo = terminal.portion(begin + PATIENCE)?;
    let took = begin.elapsed();
    ensure(echo == [key], || format!("sent {key}, got {echo:?}"))?;
    Ok(took)
}

/// p50 of the time from starting the command to its prompt, milliseconds.
pub(super) fn starts(command: &Command) -> Outcome<f64> {
    let mut times = Vec::with_capacity(STARTS);
    for count in 0..=STARTS {
        let begin = Instant::now();
        let mut terminal = Terminal::start(command, 24, 80)?;
        at_prompt(&mut terminal)?;
        if count > 0 {
            times.push(begin.elapsed().as_secs_f64() * 1e3);
        }
        terminal.line("exit")?;
        terminal.finish(PATIENCE)?;
        pause(BETWEEN);
    }
    Ok(median(&times))
}

/// Speed of text out of a raw far terminal, 10^6 bytes a second.
pub(super) fn bulk(command: &Command, text: &std::path::Path, size: usize) -> Outcome<f64> {
    const END: &[u8] = b"~~DONE~~";
    let mut terminal = Terminal::start(command, 24, 80)?;
    at_prompt(&mut terminal)?;
    terminal.line(&format!(
        "stty raw -echo; printf 'RE''ADY'; cat {}; printf '~~DO''NE~~'",
        text.display()
    ))?;
    terminal.expect("READY")?;
    let begin = Instant::now();
    let got = terminal.drain_until(END, BULK_LIMIT)?;
    let took = begin.elapsed().as_secs_f64();
    ensure(got == size, || format!("{got} bytes arrived of {size}"))?;
    Ok(size as f64 / took / 1e6)
}

/// Waits for the prompt of a shell without start-up files.
fn at_prompt(terminal: &mut Terminal) -> Outcome {
    terminal.expect(if rustix::process::geteuid().is_root() { "# " } else { "$ " }).map(drop)
}
