//! A program that the device could not start: distinguished from other refusals, as shells and ssh do.
//!
//! The API has one code for all that a device refuses; the device's own words say which it was.
//!
//! # Invariants
//! - The words are only believed for the program that was asked for: its name may hold anything.

use crate::api::CallError;
use crate::session::SessionError;

/// What a shell answers when there is no such program.
pub(super) const NOT_FOUND: u8 = 127;
/// What a shell answers when it cannot be run.
pub(super) const NOT_RUN: u8 = 126;
/// Before the program's name, in the device's words.
const CANNOT_RUN: &str = "cannot run ";

/// The exit code for a program that could not be started, and the device's words; nothing for
/// another failure.
pub(super) fn of_program(failure: &SessionError, program: &str) -> Option<(u8, String)> {
    let SessionError::Call(CallError::Refused { message, .. }) = failure else {
        return None;
    };
    let (_, behind) = message.split_once(CANNOT_RUN)?;
    let why = behind.strip_prefix(program)?.strip_prefix(": ")?;
    let code = if why.starts_with("ENOENT") { NOT_FOUND } else { NOT_RUN };
    Some((code, format!("{CANNOT_RUN}{program}: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(message: &str) -> SessionError {
        let refused =
            CallError::Refused { code: "AccessDeniedException".into(), message: message.into() };
        SessionError::Call(refused)
    }

    #[test]
    fn a_missing_program_and_one_that_cannot_be_run_have_the_codes_of_a_shell() {
        let said =
            "mi-1: the device refused: cannot run /no/such: ENOENT: No such file or directory";
        let (code, line) = of_program(&failure(said), "/no/such").unwrap();
        assert_eq!(
            (code, line.as_str()),
            (NOT_FOUND, "cannot run /no/such: ENOENT: No such file or directory")
        );
        let said = "mi-1: the device refused: cannot run /etc: EACCES: Permission denied";
        assert_eq!(of_program(&failure(said), "/etc").unwrap().0, NOT_RUN);
    }

    #[test]
    fn other_refusals_stay_what_they_are() {
        assert_eq!(
            of_program(&failure("mi-1: the device refused: root is not allowed"), "ls"),
            None
        );
        assert_eq!(of_program(&failure("cannot run other: ENOENT"), "ls"), None);
        let late = CallError::NoKey;
        assert_eq!(of_program(&SessionError::Over(late), "ls"), None);
    }
}
