//! `cargo xtask budget`: sizes, memory, wake-ups and idle bytes, compared with
//! `targets/*/budget.toml`.
//!
//! Data flow: the bounds of this machine's class -> measurements -> a table, and an error if a
//! figure is above its bound. Bounds only shrink.
//!
//! # Not here
//! - Speed: `cargo xtask bench`. Sizes of other targets: `cargo xtask dist`.

use std::path::Path;

use serde::Deserialize;
use towline_testkit::lab::programs::workspace;
use towline_testkit::{Outcome, Trouble, interrupt};

use super::measure;
use crate::{console, figures, programs};

/// Class of the machine that runs us.
const HOST: &str =
    if cfg!(target_arch = "x86_64") { "x86_64-linux-gnu" } else { "aarch64-linux-gnu" };

/// One class of devices, as its `budget.toml` says. Unknown keys are mistakes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Promise {
    pub(super) agent: AgentPromise,
    pub(super) gateway: GatewayPromise,
}

/// Upper bounds for the agent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AgentPromise {
    /// Stripped binary, bytes.
    pub(super) binary_bytes: u64,
    /// Resident memory when idle with the link up, without the pages of shared libraries, KiB.
    pub(super) idle_rss_kib: u64,
    /// Of these without a file behind them, KiB.
    pub(super) idle_anonymous_kib: u64,
    /// Growth with each further open shell, KiB.
    pub(super) per_shell_kib: u64,
    /// Threads.
    pub(super) threads: u64,
    /// Times it is woken in [`measure::IDLE`].
    pub(super) idle_wake_ups: u64,
    /// TCP payload both ways in [`measure::IDLE`], bytes.
    pub(super) idle_bytes: u64,
}

/// Upper bounds for the gateway.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GatewayPromise {
    /// Growth with each further idle device, KiB.
    pub(super) per_device_kib: u64,
}

/// One line of the table.
pub(super) struct Figure {
    pub(super) what: &'static str,
    pub(super) unit: &'static str,
    pub(super) found: u64,
    pub(super) most: u64,
}

/// `cargo xtask budget [--write]`: the same with the programs as they ship, built before.
///
/// # Errors
/// As [`check`], or a build failed.
pub(crate) fn command(write: bool) -> Outcome {
    programs::shipped()?;
    measured(write)
}

/// Measures, prints, and fails if a figure is above its bound.
///
/// # Errors
/// A figure is above its bound, or cannot be measured.
pub(crate) fn check() -> Outcome {
    measured(false)
}

fn measured(write: bool) -> Outcome {
    let path = workspace().join("targets").join(HOST).join("budget.toml");
    let promise = read(&path)?;
    let found = measure::all(&promise)?;
    interrupt::check()?;
    let mut rows = vec![["what", "found", "promised", "unit", ""].map(str::to_owned).to_vec()];
    rows.extend(found.iter().map(Figure::row));
    console::table(&rows);
    if write {
        figures::write("budget", &figures::markdown(&rows))?;
    }
    let over: Vec<&str> = found.iter().filter(|f| f.found > f.most).map(|f| f.what).collect();
    if over.is_empty() {
        return Ok(());
    }
    Err(Trouble::new(format!("over budget ({}): {}", path.display(), over.join(", "))))
}

impl Figure {
    fn row(&self) -> Vec<String> {
        let verdict = if self.found > self.most { "OVER" } else { "ok" };
        [self.what, &self.found.to_string(), &self.most.to_string(), self.unit, verdict]
            .map(str::to_owned)
            .to_vec()
    }
}

fn read(path: &Path) -> Outcome<Promise> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Trouble::new(format!("{}: {e}", path.display())))?;
    toml::from_str(&text).map_err(|e| Trouble::new(format!("{}: {e}", path.display())))
}
