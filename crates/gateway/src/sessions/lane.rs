//! The lanes of a session's output, one definition for the whole gateway.

/// Which direction of a session a stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Terminal, or stdin and stdout.
    Io,
    /// Stderr.
    Err,
}

impl Lane {
    /// Position in arrays of lanes.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Io => 0,
            Self::Err => 1,
        }
    }
}
