//! The seat of a session: who has it without being the owner, and why somebody does not get it.
//!
//! # Not here
//! - How it is asked for and given: `sessions::session`.

/// A user who types into a session of somebody else. Her ids are never given again; her ARN may be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Sitter {
    /// What others are told.
    pub arn: String,
    /// The id of the person.
    pub person_id: String,
    /// The id of the user, or of the role that she has assumed.
    pub principal_id: String,
}

impl Sitter {
    /// Whether one of these ids is hers, or her role's; of those [`in_role`], both must be.
    #[must_use]
    pub fn is_of(&self, ids: &[String]) -> bool {
        let is_mine = |id: &str| match id.split_once(BOTH) {
            Some((person, role)) => person == self.person_id && role == self.principal_id,
            None => id == self.person_id || id == self.principal_id,
        };
        ids.iter().any(|id| is_mine(id))
    }
}

/// Stands between a person's id and a role's; in neither.
const BOTH: char = '/';

/// A person in one of her roles, as an id.
#[must_use]
pub fn in_role(person_id: &str, role_id: &str) -> String {
    format!("{person_id}{BOTH}{role_id}")
}

/// What a client gets that returns to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resumed {
    /// A token that opens the data channel once.
    Token(String),
    /// None: another client has taken the session over, in these words. Who asks for the seat
    /// anew, without naming the one that she had, gets it.
    TakenOver(String),
}

/// Why a user does not get the seat of a session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeatError {
    /// There is nothing to type into.
    #[error("the session has no terminal: only sessions with a terminal can be joined")]
    NoTerminal,
    /// It ended meanwhile.
    #[error("the session is over")]
    Over,
    /// Its client says no.
    #[error("the user of the session refused to hand it over")]
    Refused,
    /// Its client says nothing, or left.
    #[error(
        "the user of the session did not answer in time: try again, or get the right \
         towline:TakeOverSession"
    )]
    NoAnswer,
    /// No client is attached, or one that cannot be asked.
    #[error(
        "nobody is attached to the session who can hand it over: it needs the right \
         towline:TakeOverSession"
    )]
    NobodyToAsk,
    /// Another request waits.
    #[error("the user of the session is being asked already: try again in half a minute")]
    Busy,
    /// Something of ours failed.
    #[error("internal error: {0}")]
    Internal(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_found_by_its_person_by_its_role_and_by_both_together() {
        let sitter =
            Sitter { arn: "a".into(), person_id: "AIDF1".into(), principal_id: "AROA1".into() };
        let is_of = |id: &str| sitter.is_of(&["other".to_owned(), id.to_owned()]);
        assert!(is_of("AIDF1") && is_of("AROA1") && is_of(&in_role("AIDF1", "AROA1")));
        for id in [in_role("AIDF1", "AROA2"), in_role("AIDF2", "AROA1"), "AIDF2".to_owned()] {
            assert!(!is_of(&id), "{id}");
        }
    }
}
