//! Why a request to the gateway failed, and whether a retry can help.
//!
//! # Invariants
//! - A refusal keeps the gateway's message: it names the missing action and resource.

use std::time::Duration;

use towline_ssm::error::Remedy;
use towline_wire::message::EndReason;

use crate::exit::{self, HasExitCode};

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CallError {
    /// The name has no address.
    #[error("cannot resolve {host}: {why}")]
    Resolve {
        /// The name.
        host: String,
        /// What the system says.
        why: String,
    },
    /// No address of the gateway (or of the proxy) answers.
    #[error("cannot connect to {to}: {why}")]
    Connect {
        /// Host and port.
        to: String,
        /// What the system says.
        why: String,
    },
    /// No answer in time.
    #[error("{to} did not answer within {waited:?}")]
    Timeout {
        /// Host and port.
        to: String,
        /// The time limit.
        waited: Duration,
    },
    /// TLS failed.
    #[error("no secure connection to {to}: {why}")]
    Tls {
        /// Host and port.
        to: String,
        /// What is wrong, with what to do where that is known.
        why: String,
    },
    /// The file with certificates cannot be used.
    #[error("cannot use the CA file {path}: {why}")]
    CaFile {
        /// Which file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// Nothing to sign with.
    #[error(
        "no access key is configured: to reattach to a session, set AWS_ACCESS_KEY_ID and \
         AWS_SECRET_ACCESS_KEY, or add them to the profile"
    )]
    NoKey,
    /// The connection broke, or the answer is not HTTP.
    #[error("the connection to {to} failed: {why}")]
    Broken {
        /// Host and port.
        to: String,
        /// What happened.
        why: String,
    },
    /// The gateway refused.
    #[error("{message} ({code})")]
    Refused {
        /// The API's error code.
        code: String,
        /// The API's message.
        message: String,
        /// What can be done about it, where the code does not say it.
        remedy: Option<Remedy>,
    },
    /// The session is over: the gateway has no token for it any more.
    #[error("the session has ended: {}", .why.trim_start_matches("ended: "))]
    SessionOver {
        /// What the gateway says of its end.
        why: String,
        /// The same as a code; nothing of an older gateway.
        reason: Option<EndReason>,
    },
    /// Another client has taken the session over while this one was away.
    #[error("{by}")]
    TakenOver {
        /// Who, in the gateway's words.
        by: String,
    },
    /// A list has more pages than are read.
    #[error(
        "the list has more than {pages} pages, too long to list: narrow the filter, or page \
         through it with the API"
    )]
    Endless {
        /// Pages that were read.
        pages: usize,
    },
    /// The server does not speak this API.
    #[error("{to} is not a Towline gateway: {why}")]
    NotAGateway {
        /// Host and port.
        to: String,
        /// What is wrong with its answer.
        why: String,
    },
}

/// The class of a failure: it decides the exit code, and whether a lost session is retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// The network: a retry may help.
    Transport,
    /// Authentication or authorisation.
    Denied,
    /// The device is not connected.
    NotConnected,
    /// The gateway is busy or failing: a retry may help.
    Busy,
    /// Anything else that the gateway refuses.
    Refused,
    /// A setting of the operator.
    Setting,
}

impl CallError {
    /// See [`Sort`].
    #[must_use]
    pub(crate) fn sort(&self) -> Sort {
        match self {
            Self::CaFile { .. } | Self::NoKey => Sort::Setting,
            Self::Refused { code, .. } => sort_of_code(code),
            Self::Endless { .. } | Self::SessionOver { .. } | Self::TakenOver { .. } => {
                Sort::Refused
            }
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::Tls { .. }
            | Self::Broken { .. }
            | Self::NotAGateway { .. } => Sort::Transport,
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub(crate) fn may_heal(&self) -> bool {
        match self {
            // An unknown CA or a foreign server needs a person.
            Self::Tls { .. } | Self::NotAGateway { .. } => false,
            other => matches!(other.sort(), Sort::Transport | Sort::Busy | Sort::NotConnected),
        }
    }

    /// Whether a second factor that is proved now would help.
    #[must_use]
    pub(crate) fn wants_second_factor(&self) -> bool {
        matches!(self, Self::Refused { remedy: Some(Remedy::SecondFactor), .. })
    }

    /// Whether the API answered with this code.
    #[must_use]
    pub(crate) fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }
}

impl HasExitCode for CallError {
    fn exit_code(&self) -> u8 {
        if self.is("ProgramNotFound") {
            return exit::PROGRAM_NOT_FOUND;
        }
        if self.is("ProgramNotExecutable") {
            return exit::PROGRAM_NOT_EXECUTABLE;
        }
        match self.sort() {
            Sort::Transport => exit::TRANSPORT,
            Sort::Denied => exit::DENIED,
            Sort::NotConnected => exit::NOT_CONNECTED,
            Sort::Busy | Sort::Refused => exit::REFUSED,
            Sort::Setting => exit::USAGE,
        }
    }

    fn may_heal(&self) -> bool {
        Self::may_heal(self)
    }
}

fn sort_of_code(code: &str) -> Sort {
    match code {
        "TargetNotConnected" => Sort::NotConnected,
        // The identity provider does not answer the gateway.
        "IDPCommunicationError"
        | "InternalServerError"
        | "ServiceUnavailable"
        | "ThrottlingException"
        | "TooManyUpdates" => Sort::Busy,
        "AccessDeniedException"
        | "AccessDenied"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "IDPRejectedClaim"
        | "IncompleteSignatureException"
        | "IncompleteSignature"
        | "InvalidClientTokenId"
        | "InvalidIdentityToken"
        | "InvalidSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => Sort::Denied,
        _ => Sort::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str) -> CallError {
        CallError::Refused { code: code.into(), message: String::new(), remedy: None }
    }

    #[test]
    fn a_lost_session_is_tried_again_only_where_time_can_heal() {
        for code in [
            "ThrottlingException",
            "InternalServerError",
            "TargetNotConnected",
            "IDPCommunicationError",
        ] {
            assert!(refused(code).may_heal(), "{code}");
        }
        for code in ["AccessDeniedException", "DoesNotExistException", "InvalidSignatureException"]
        {
            assert!(!refused(code).may_heal(), "{code}");
        }
        assert!(CallError::Broken { to: "g".into(), why: "reset".into() }.may_heal());
        assert!(!CallError::Tls { to: "g".into(), why: "unknown issuer".into() }.may_heal());
    }

    #[test]
    fn every_code_of_failed_authentication_is_denied() {
        use towline_ssm::ErrorCode::*;
        for code in [
            AccessDeniedException,
            ExpiredTokenException,
            IncompleteSignatureException,
            InvalidSignatureException,
            MissingAuthenticationTokenException,
            UnrecognizedClientException,
        ] {
            assert_eq!(refused(code.as_str()).sort(), Sort::Denied);
            assert_eq!(refused(code.query_str()).sort(), Sort::Denied);
        }
    }

    #[test]
    fn denied_not_connected_and_transport_have_codes_of_their_own() {
        assert_eq!(refused("AccessDeniedException").exit_code(), exit::DENIED);
        assert_eq!(refused("TargetNotConnected").exit_code(), exit::NOT_CONNECTED);
        for code in ["ValidationException", "TargetRefused", "ServiceQuotaExceededException"] {
            assert_eq!(refused(code).exit_code(), exit::REFUSED, "{code}");
        }
        assert_eq!(refused("ProgramNotFound").exit_code(), 127);
        assert_eq!(refused("ProgramNotExecutable").exit_code(), 126);
        let broken = CallError::Broken { to: "g".into(), why: "x".into() };
        assert_eq!(broken.exit_code(), exit::TRANSPORT);
    }
}
