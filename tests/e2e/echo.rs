//! A shell that is an echo: what comes back must be, byte for byte, what was sent.

use std::time::Duration;

pub(crate) use towline_testkit::cuts::echo;
use towline_testkit::terminal::Terminal;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble};

/// How long bytes may take when a link has to come back in between.
pub(crate) const BACK: Duration = Duration::from_secs(30);

/// How long what one more byte brings may take.
const ONE_MORE: Duration = Duration::from_secs(2);

/// Sends `block` and compares what comes back.
pub(crate) fn round_trip(shell: &mut Terminal, block: &[u8], story: &str) -> Outcome {
    shell.send(block)?;
    comes_back(shell, block, story)
}

/// Compares what comes back with `block`.
pub(crate) fn comes_back(shell: &mut Terminal, block: &[u8], story: &str) -> Outcome {
    let mut got = Vec::with_capacity(block.len());
    let whole = shell.drain(BACK, |portion| {
        got.extend_from_slice(portion);
        got.len() >= block.len()
    });
    let at = got
        .iter()
        .zip(block)
        .position(|(got, sent)| got != sent)
        .unwrap_or(got.len().min(block.len()));
    if let Err(trouble) = whole {
        return Err(Trouble::new(format!(
            "{story}: {} of {} bytes, {at} of them right: {trouble}; {}",
            got.len(),
            block.len(),
            stuck(shell)
        )));
    }
    ensure(got == block, || {
        let around = String::from_utf8_lossy(&got[at.saturating_sub(20)..got.len().min(at + 60)])
            .into_owned();
        format!("{story}: byte {at} of {} differs: {around:?}", block.len())
    })
}

/// What bytes that do not come wait for: a terminal that is not raw, or something behind them.
fn stuck(shell: &mut Terminal) -> String {
    let raw = shell.is_raw();
    let sent = shell.send(b"!");
    let mut more = 0;
    let _ = shell.drain(ONE_MORE, |portion| {
        more += portion.len();
        false
    });
    format!("the terminal here is raw: {raw:?}; one more byte ({sent:?}) brought {more}")
}
