//! The two outputs of a session, as the data channel tells them apart.

/// Where output belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// A terminal, standard output, or a port.
    Stdout,
    /// Standard error of sessions with separate output.
    Stderr,
}
