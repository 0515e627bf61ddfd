//! Standard streams, as each system has them: their direction, and the end of an output's reader.

use super::Reader;

/// In which direction a standard stream is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Standard input.
    Read,
    /// Standard output and error.
    Write,
}

/// Waits until the reader of an output is gone; for ever when none is watched.
pub(crate) async fn gone(reader: Option<&Reader>) {
    match reader {
        Some(reader) => reader.gone().await,
        None => std::future::pending().await,
    }
}
