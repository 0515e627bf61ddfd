//! Reads and writes small files in a scratch directory.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::Outcome;

/// Writes a scratch file, readable by its owner only. Not atomic: nothing reads it before this
/// returns.
///
/// # Errors
/// The path and what the system says.
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> Outcome {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(content.as_ref())?;
    Ok(())
}

/// Opens a log for appending.
///
/// # Errors
/// What the system says.
pub fn log(path: &Path) -> Outcome<File> {
    Ok(OpenOptions::new().create(true).append(true).open(path)?)
}

/// The last `lines` lines of a text file, for a failed test's message. Empty when there is no such
/// file.
#[must_use]
pub fn tail(path: &Path, lines: usize) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
