//! Why a session did not start, or could not continue.

use std::io;

use super::begin::Begin;
use super::ending::Ending;
use super::streams::Broken;
use crate::api::{CallError, Sort};
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
        "the gateway did not come back in time: {last}. The session may continue on the device; \
         reattach with: towline attach {session}"
    )]
    NotBack {
        /// The session.
        session: String,
        /// Why the last try failed.
        last: CallError,
    },
    /// A session that nobody can go on with at a terminal.
    #[error(
        "session {session} has no terminal (session type {}): attach takes shells and interactive \
         commands", crate::terminal::printable(.session_type)
    )]
    NoTerminal {
        /// The session.
        session: String,
        /// What it is, as the gateway says.
        session_type: String,
    },
    /// The link was lost, and the session has ended at the gateway.
    #[error("the session has ended: {0}")]
    Over(CallError),
    /// The link was lost, and the gateway lets nobody go on with the session now.
    #[error(transparent)]
    NotResumed(CallError),
    /// The link was lost, the session has ended, and the gateway has said why; or another client
    /// has it now.
    #[error(transparent)]
    Ended(CallError),
    /// One end violated the protocol.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// Nothing can listen where the forward should.
    #[error("cannot listen at {place}: {why}{}", advice(.why))]
    Listen {
        /// The address or path.
        place: String,
        /// What the system says.
        why: io::Error,
    },
    /// The local end cannot be used.
    #[error("{what}: {why}")]
    Local {
        /// What cannot be done.
        what: &'static str,
        /// What the system says.
        why: io::Error,
    },
}

/// An error that may be a refusal of the gateway.
pub(crate) trait MayBeRefusal {
    /// What the gateway said, when it refused to begin.
    fn refusal(&self) -> Option<&CallError>;

    /// What the gateway said, when it did not let a lost session go on.
    fn refusal_after_loss(&self) -> Option<&CallError> {
        None
    }

    /// Whether a second factor that is proved now would help to begin the session. One that began
    /// and was lost is not begun anew.
    fn ends_by_second_factor(&self, begin: &Begin) -> bool {
        let lost = self.refusal_after_loss().filter(|_| !matches!(begin, Begin::Start(_)));
        self.refusal().or(lost).is_some_and(CallError::wants_second_factor)
    }
}

impl SessionError {
    /// A session that was lost and cannot be gone on with, because of this.
    pub(super) fn not_resumed(error: CallError) -> Self {
        let is_over = error.is("DoesNotExistException") || error.sort() == Sort::Refused;
        match error {
            CallError::SessionOver { .. } | CallError::TakenOver { .. } => Self::Ended(error),
            error if is_over => Self::Over(error),
            error => Self::NotResumed(error),
        }
    }
}

impl MayBeRefusal for SessionError {
    fn refusal(&self) -> Option<&CallError> {
        match self {
            Self::Call(error) => Some(error),
            _ => None,
        }
    }

    fn refusal_after_loss(&self) -> Option<&CallError> {
        match self {
            Self::NotResumed(error) => Some(error),
            _ => None,
        }
    }
}

impl HasExitCode for SessionError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Call(error) | Self::NotResumed(error) => error.exit_code(),
            Self::NotBack { .. } | Self::Broken(_) => exit::TRANSPORT,
            Self::NoTerminal { .. } => exit::REFUSED,
            Self::Ended(error @ CallError::SessionOver { reason: Some(reason), .. }) => {
                Ending::stored(*reason, error).code
            }
            Self::Over(_) | Self::Ended(_) => exit::ENDED,
            Self::Local { .. } | Self::Listen { .. } => exit::LOCAL,
        }
    }
}

fn advice(why: &io::Error) -> &'static str {
    match why.kind() {
        io::ErrorKind::AddrInUse => {
            ": another program uses it; choose another local port, or 0 for any"
        }
        io::ErrorKind::PermissionDenied => ": ports below 1024 need a privilege",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use towline_ssm::error::Remedy;

    #[test]
    fn a_session_that_was_lost_is_gone_on_with_after_a_second_factor_and_never_begun_anew() {
        let refused = |remedy| CallError::Refused {
            code: "AccessDeniedException".into(),
            message: "a second factor that was proved just now would allow it".into(),
            remedy,
        };
        let wanted = || refused(Some(Remedy::SecondFactor));
        let start = Begin::Start(Default::default());
        for begin in [&start, &Begin::Resume("ann-1".into()), &Begin::Join("ann-1".into())] {
            let helps = |error: SessionError| error.ends_by_second_factor(begin);
            assert!(helps(SessionError::Call(wanted())), "{begin:?}");
            assert!(!helps(SessionError::Call(refused(None))), "words are no code");
            let is_start = matches!(begin, Begin::Start(_));
            assert_eq!(helps(SessionError::NotResumed(wanted())), !is_start, "{begin:?}");
        }
    }
}
