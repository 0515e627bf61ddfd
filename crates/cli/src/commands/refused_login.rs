//! A sign-in that was refused: by the provider, by the gateway, or by a person in the console.
//!
//! # Invariants
//! - The exit code follows from the gateway's code, as for every other request.

use crate::api::{CallError, Sort};
use crate::exit::HasExitCode;

/// Why nobody is signed in, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("the sign-in was refused: {refusal}{next}")]
pub(super) struct RefusedLogin {
    refusal: CallError,
    next: &'static str,
}

impl RefusedLogin {
    /// By the gateway or the provider, in a browser on this machine.
    pub(super) fn in_browser(code: &str, message: &str) -> Self {
        let denied = "; to sign in with another account, run `towline login --fresh`";
        Self::new(code, message, denied, "; run `towline login` again")
    }

    /// By the gateway or the provider, in the browser in which a code is entered.
    pub(super) fn by_code(code: &str, message: &str) -> Self {
        let denied = "; to sign in with another account, sign out of the console and of the \
                      identity provider, and run `towline login --no-browser` again";
        Self::new(code, message, denied, "; run `towline login --no-browser` again")
    }

    /// By a person who was asked in the console.
    pub(super) fn rejected() -> Self {
        Self::new("AccessDeniedException", "somebody rejected it in the console", "", "")
    }

    fn new(code: &str, message: &str, denied: &'static str, other: &'static str) -> Self {
        let refusal =
            CallError::Refused { code: code.to_owned(), message: message.to_owned(), remedy: None };
        let next = if refusal.sort() == Sort::Denied { denied } else { other };
        Self { refusal, next }
    }

    /// The gateway's words.
    pub(super) fn message(&self) -> &str {
        match &self.refusal {
            CallError::Refused { message, .. } => message,
            _ => "",
        }
    }
}

impl HasExitCode for RefusedLogin {
    fn exit_code(&self) -> u8 {
        self.refusal.exit_code()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_why_and_what_to_do() {
        let denied = RefusedLogin::in_browser("AccessDeniedException", "none of your groups");
        let said = denied.to_string();
        assert!(said.contains("none of your groups (AccessDeniedException); to sign in"), "{said}");
        assert!(said.ends_with("run `towline login --fresh`"), "{said}");
        let away = RefusedLogin::by_code("IDPCommunicationError", "no answer").to_string();
        assert!(away.ends_with("run `towline login --no-browser` again"), "{away}");
    }
}
