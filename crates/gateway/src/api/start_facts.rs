//! What a session was judged by when it was started. Who joins it is judged by the same.
//!
//! Data flow: StartSession -> the row of the session, as JSON -> JoinSession.
//!
//! # Invariants
//! - A session whose facts are not known is joined by nobody: a rule may have been about them.
//! - The user of the session counts as chosen, however it was.

use serde::{Deserialize, Serialize};
use towline_ssm::documents::preferences::SessionPreferences;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::Session;

use super::authz::Question;
use super::internal::internal;
use super::resolution::{DOCUMENT_CHECK, RUN_AS_USER};

/// What a session was judged by.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StartFacts {
    /// Condition keys and their values.
    facts: Vec<(String, Vec<String>)>,
    /// Nobody chose the session's user: run-as was on, of its document or of the account.
    pub(super) run_as_enforced: bool,
    /// The user of sessions whose owner has no tag that names one.
    pub(super) run_as_default: Option<String>,
}

impl StartFacts {
    pub(super) fn new(facts: Vec<(String, Vec<String>)>, preferences: &SessionPreferences) -> Self {
        Self {
            facts,
            run_as_enforced: preferences.run_as == Some(true),
            run_as_default: preferences.run_as_default_user.clone(),
        }
    }

    /// As the row of the session holds them.
    ///
    /// # Errors
    /// None that is known.
    pub(super) fn to_text(&self) -> Result<String, ApiError> {
        serde_json::to_string(self).map_err(|error| internal("facts of a session", &error))
    }

    /// Those of a session.
    ///
    /// # Errors
    /// `AccessDeniedException` when they are not known.
    pub(super) fn of(row: &Session) -> Result<Self, ApiError> {
        if row.new.start_facts.is_empty() {
            let message = "the session was started by an older gateway, and it is not known what \
                           it was judged by: it cannot be joined";
            return Err(ApiError::new(ErrorCode::AccessDeniedException, message));
        }
        serde_json::from_str(&row.new.start_facts)
            .map_err(|error| internal("stored facts of a session", &error))
    }

    /// A question as StartSession asks it for such a session, which runs as this user.
    pub(super) fn added_to(&self, mut question: Question, user: Option<&str>) -> Question {
        let mut chosen: Vec<String> = user.map(str::to_owned).into_iter().collect();
        for (key, values) in &self.facts {
            if key != RUN_AS_USER {
                question.facts.push((key.clone(), values.clone()));
                continue;
            }
            let others = values.iter().filter(|value| user.is_none() || !value.is_empty());
            chosen.extend(others.filter(|value| Some(value.as_str()) != user).cloned());
        }
        question.with(DOCUMENT_CHECK, ["true".to_owned()]).with(RUN_AS_USER, chosen)
    }
}
