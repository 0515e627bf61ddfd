//! Whose a session is: decided by ids, which its row and its recording hold.
//!
//! Data flow: the row of a session, or the header of its recording when the row is gone ->
//! [`Owner`] -> the two tags by which AWS's documents recognise an owner's sessions -> policy.
//!
//! # Invariants
//! - A session is its caller's when principal, person and name are the same, the first two by ids
//!   that are never given again. An owner who is not known is nobody.
//! - No answer depends on the row alone: it goes after 30 days, the recording stays.
//! - For what is not the caller's, no pattern with her name matches ([`disown`]).
//! - What is on record of a session is asked for by the tags of its device as well: who may not
//!   watch the sessions of some devices reads no recording of them.

use towline_evidence::cast::Facts;
use towline_evidence::layout::part_name;
use towline_ssm::error::ApiError;
use towline_ssm::ids::SessionId;
use towline_store::Session;

use super::authz::Question;
use super::call::{Call, Caller};
use super::internal::OrInternal as _;
use super::service::Api;
use super::tags::OF_DEVICES;

/// What is asked about a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// The session itself: without a row there is nothing to attach to, and nothing to end.
    Life,
    /// What is on record of it.
    Record,
    /// A part of its recording, by number.
    Part(u32),
}

/// Whose a session is.
struct Owner {
    arn: String,
    name: String,
    principal_id: String,
    person_id: String,
    device: String,
}

impl Owner {
    fn of_row(row: &Session) -> Self {
        let new = &row.new;
        Self {
            arn: new.principal_arn.clone(),
            name: new.principal_name.clone(),
            principal_id: new.principal_id.clone(),
            person_id: new.person_id.clone(),
            device: new.device_id.clone(),
        }
    }

    fn of_facts(facts: Facts, id: &SessionId) -> Self {
        Self {
            arn: facts.principal,
            name: id.owner().to_owned(),
            principal_id: facts.principal_id,
            person_id: facts.person_id,
            device: facts.device,
        }
    }

    /// Two persons in one role share nothing, whatever they call their sessions.
    fn is(&self, caller: &Caller) -> bool {
        !self.person_id.is_empty()
            && self.person_id == caller.person.id
            && self.principal_id == caller.principal_id
            && self.arn == caller.arn
    }
}

impl Api {
    /// Policy on a session: its ARN, and the two tags by which AWS's documents recognise an owner's
    /// sessions.
    pub(super) async fn authorize_session(
        &self,
        call: &Call,
        id: &str,
        about: About,
    ) -> Result<Option<Session>, ApiError> {
        call.note("sessionId", id);
        let (question, session) = self.about_session(call, id, about).await?;
        self.authorize(call, &question).await?;
        Ok(session)
    }

    /// Whether the caller may read what is on record of a session of this device, without
    /// consequences. Where the row is gone, the session is nobody's.
    pub(super) async fn would_allow_session(
        &self,
        call: &Call,
        id: &str,
        device: &str,
    ) -> Result<bool, ApiError> {
        let (mut question, row) = self.about_session(call, id, About::Life).await?;
        if row.is_none() {
            disown(&mut question, call);
        }
        self.add_device(&mut question, device).await?;
        self.would_allow(call, &question).await
    }

    /// Adds the tags and the agent of a session's device, for who sees what it shows. Who is kept
    /// from some devices is kept from one of which nothing is on record.
    pub(super) async fn add_device(
        &self,
        question: &mut Question,
        device: &str,
    ) -> Result<(), ApiError> {
        let (device, is_known) = self.about_device_on_record(device).await?;
        question.tags.extend(device.tags);
        question.facts.extend(device.facts);
        if !is_known {
            question.unknown = OF_DEVICES;
        }
        Ok(())
    }

    /// Whether a session is the caller's.
    pub(super) fn is_own(&self, call: &Call, session: &Session) -> bool {
        Owner::of_row(session).is(&call.caller)
    }

    /// The question about a session, and its row. What is on record is asked for with its device.
    pub(super) async fn about_session(
        &self,
        call: &Call,
        id: &str,
        about: About,
    ) -> Result<(Question, Option<Session>), ApiError> {
        let realm = self.realm();
        let session = self.store().sessions().get(id).await.or_internal("cannot read a session")?;
        let mut question =
            Question::about(format!("arn:aws:ssm:{}:{}:session/{id}", realm.region, realm.account));
        let parsed = id.parse::<SessionId>().ok();
        let owner = match (&session, &parsed) {
            (Some(row), _) => Some(Owner::of_row(row)),
            (None, Some(id)) => match about {
                About::Life => None,
                About::Record => self.owner_on_record(id, 1).await,
                About::Part(part) => self.owner_on_record(id, part).await,
            },
            (None, None) => None,
        };
        match owner {
            Some(owner) => {
                let owned = owner.is(&call.caller);
                // A role's session may be called like a user: only the whole ARN tells them apart.
                let by_role = !owner.arn.contains(":user/");
                let tag = match (owned, by_role) {
                    (true, _) => call.caller.user_id.clone(),
                    (false, true) => owner.arn,
                    (false, false) => owner.name,
                };
                question.tags.insert("aws:ssmmessages:session-id".to_owned(), tag);
                if about != About::Life {
                    self.add_device(&mut question, &owner.device).await?;
                }
                question.tags.insert("aws:ssmmessages:target-id".to_owned(), owner.device);
                if !owned {
                    disown(&mut question, call);
                }
            }
            // There is nothing behind such an id. AWS answers it like one's own that has ended.
            None if about == About::Life
                && parsed.is_some_and(|id| id.owner() == call.caller.name.as_str()) => {}
            None => disown(&mut question, call),
        }
        Ok((question, session))
    }

    /// The owner of a session whose row is gone, from this part of its recording.
    async fn owner_on_record(&self, id: &SessionId, part: u32) -> Option<Owner> {
        match self.parts.evidence.facts(&part_name(id.as_str(), part)).await {
            Ok(facts) => facts.map(|facts| Owner::of_facts(facts, id)),
            Err(error) => {
                tracing::warn!(session = id.as_str(), %error, "cannot read whose a recording is");
                None
            }
        }
    }
}

/// The pattern `session/${aws:username}-*` of AWS's documents, filled in for `ann`, also matches
/// the sessions of `ann-lee`. For a session that is not the caller's, the names in it get a
/// character that no session id has.
fn disown(question: &mut Question, call: &Call) {
    let nobody = format!("{}/", call.caller.name);
    for key in ["aws:username", "aws:userid"] {
        question.facts.push((key.to_owned(), vec![nobody.clone()]));
    }
}
