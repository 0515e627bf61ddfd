//! Whether an approver could still approve: judged again when another approval is counted, by the
//! rules of then and in the circumstances in which she approved.
//!
//! Data flow: an approval -> how its person came, and what policy was asked ([`Judged`]), as JSON
//! beside it -> the next approval or extension of the request, or its list -> those that have
//! fallen.
//!
//! # Invariants
//! - What began the approver's credentials must stand: the access key, or the provider, its person
//!   and the mapping that gave the role. So must the role itself, by its id.
//! - Today's policies of the approver are asked the question of then: where it came from, and which
//!   second factor was proved, is not forgotten.
//! - An approval that cannot be judged does not count; a fault of the store is an error.
//!
//! # Not here
//! - Users, people and groups that are gone: the store looks at them in its transaction.

use serde::{Deserialize, Serialize};
use towline_host::clock::UnixMillis;
use towline_policy::{Context, Request, evaluate};
use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::Approval;

use super::authz::{Question, asked};
use super::call::Call;
use super::internal::{OrInternal as _, internal};
use super::root::Root;
use super::service::Api;
use super::tokens::LASTING;

/// How an approver came, and what policy was asked about her.
#[derive(Debug, Serialize, Deserialize)]
struct Judged {
    root: Root,
    /// When her credentials were made, milliseconds; 0 for a long-lived key.
    issued_at: i64,
    /// Whose policies count.
    principal: String,
    principal_id: String,
    arn: String,
    action: String,
    resources: Vec<String>,
    context: Vec<(String, Vec<String>)>,
}

impl Api {
    /// By what an approver is judged, as it is stored.
    pub(super) fn judged(&self, call: &Call, question: &Question) -> Result<String, ApiError> {
        let caller = &call.caller;
        let request = asked(call, self, call.operation.iam_action(), question);
        let pairs = request.context.pairs();
        let judged = Judged {
            root: caller.root(),
            issued_at: caller.temporary.as_ref().map_or(0, |held| held.issued_at.0),
            principal: caller.principal.clone(),
            principal_id: caller.principal_id.clone(),
            arn: caller.arn.clone(),
            action: request.action,
            context: pairs.map(|(key, values)| (key.to_owned(), values.to_vec())).collect(),
            resources: request.resources,
        };
        serde_json::to_string(&judged).map_err(|error| internal("an approval", &error))
    }

    /// Those of some approvals that their persons could not give any more.
    pub(super) async fn fallen(&self, all: Vec<Approval>) -> Result<Vec<Approval>, ApiError> {
        let mut fallen = Vec::new();
        for approval in all {
            if !self.could_approve(&approval).await? {
                fallen.push(approval);
            }
        }
        Ok(fallen)
    }

    async fn could_approve(&self, approval: &Approval) -> Result<bool, ApiError> {
        if approval.judged.is_empty() {
            return Ok(true); // of an older version
        }
        let Ok(judged) = serde_json::from_str::<Judged>(&approval.judged) else {
            return Ok(false);
        };
        // By a long-lived key, the approval itself is what was given.
        let issued_at = match UnixMillis(judged.issued_at) {
            LASTING => approval.approved_at,
            at => at,
        };
        match self.root_of(&judged.root, issued_at).await {
            Err(error) if error.code == ErrorCode::InternalServerError => return Err(error),
            Ok((person, _)) if person.id == approval.person_id => {}
            Ok(_) | Err(_) => return Ok(false),
        }
        if judged.principal.starts_with("role/") {
            let role = self.store().roles().get(&judged.principal).await;
            let role = role.or_internal("cannot read a role")?;
            if role.is_none_or(|role| role.unique_id != judged.principal_id) {
                return Ok(false);
            }
        }
        let mut context = Context::new();
        for (key, values) in &judged.context {
            context.set(key, values.iter().map(String::as_str));
        }
        let request = Request {
            principal: judged.arn,
            action: judged.action,
            resources: judged.resources,
            context,
        };
        let policies = self.stored_policies(&judged.principal).await?;
        Ok(request.fault().is_none() && evaluate(&policies, &request).is_allowed())
    }
}
