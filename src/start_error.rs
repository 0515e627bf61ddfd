//! Why the agent does not start, with the exit status of the program.

use crate::link::tls::TlsError;
use crate::state::StateError;

/// Why the agent does not start. A running agent stops only by a signal.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Key or enrollment.
    #[error(transparent)]
    State(#[from] StateError),
    /// The TLS settings.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system.
    #[error("the agent cannot start: {0}")]
    System(#[from] std::io::Error),
}

impl StartError {
    /// The program's exit status: 78 for what a user has to repair, 1 for what may pass.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::State(_) | Self::Tls(_) => 78,
            Self::System(_) => 1,
        }
    }
}
