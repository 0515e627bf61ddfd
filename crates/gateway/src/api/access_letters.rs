//! What receivers of notifications are told about requests for access.
//!
//! # Invariants
//! - A letter is made before the change, and stored by the change's transaction.

use towline_store::{AccessRequest, Message};

use super::call::Call;
use super::internal::OrInternal as _;
use super::service::Api;
use crate::notifications::Letter;
use towline_ssm::error::ApiError;

/// Something that happened to a request: its name for programs, and for people.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event(pub(super) &'static str, pub(super) &'static str);

pub(super) const CREATED: Event = Event("access_request.created", "access is asked for");
pub(super) const GRANTED: Event =
    Event("access_request.granted", "access was given by the automatic policy");
pub(super) const COUNTED: Event =
    Event("access_request.approval_added", "an approval was added, more are needed");
pub(super) const APPROVED: Event = Event("access_request.approved", "access was approved");
pub(super) const REJECTED: Event = Event("access_request.rejected", "access was rejected");
pub(super) const REVOKED: Event = Event("access_request.revoked", "access was revoked");
pub(super) const EXTENDED: Event = Event("access_request.extended", "access was extended");
pub(super) const EXTENSION_COUNTED: Event = Event(
    "access_request.extension_approval_added",
    "an approval of an extension was added, more are needed",
);
pub(super) const BROKEN: Event =
    Event("access_request.break_glass", "EMERGENCY: access was opened without approval");

impl Api {
    /// The message about something that the caller does to a request.
    pub(super) fn letter(
        &self,
        call: &Call,
        event: Event,
        row: &AccessRequest,
    ) -> Result<Message, ApiError> {
        let letter = Letter {
            kind: event.0,
            title: event.1,
            request: &row.id,
            requester: &row.principal_arn,
            by: &call.caller.arn,
            reason: &row.reason,
            targets: &row.targets,
            origin: self.parts.sign_in.origins.first(),
        };
        letter.message(call.now).or_internal("no id for a notification")
    }
}
