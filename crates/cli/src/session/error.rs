//! Why a session did not start, or could not continue.

use std::io;

use super::streams::Broken;
use crate::api::CallError;
use crate::exit::{self, HasExitCode};

/// Why a session did not start, or could not continue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SessionError {
    /// The gateway refused, or was not reached.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The gateway was lost and did not come back.
    #[error(
        "the gateway did not come back in time: {last}. The session may continue on the device; reattach with: towline attach {session}"
    )]
    NotBack {
        /// The session.
        session: String,
        /// Why the last try failed.
        last: CallError,
    },
    /// The link was lost, and the session has ended at the gateway.
    #[error("the session has ended: {0}")]
    Over(CallError),
    /// One end violated the protocol.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The local end cannot be used.
    #[error("{what}: {why}")]
    Local {
        /// What cannot be done.
        what: &'static str,
        /// What the system says.
        why: io::Error,
    },
}

impl HasExitCode for SessionError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Call(error) => error.exit_code(),
            Self::NotBack { .. } | Self::Broken(_) => exit::TRANSPORT,
            Self::Over(_) => exit::ENDED,
            Self::Local { .. } => exit::LOCAL,
        }
    }
}
