//! The closed list of operations, each to its function.
//!
//! # Invariants
//! - No `_` arm: a new operation of `towline_ssm` does not compile until it is served here.
//! - An operation that answers without having asked policy is our mistake; its answer does not
//!   leave.

use serde::Serialize;
use towline_ssm::api::{parse, to_json};
use towline_ssm::error::ApiError;
use towline_ssm::operation::{Operation, ResourceKind};

use super::call::Call;
use super::internal::internal;
use super::service::Api;

/// An answer's bytes.
#[allow(clippy::needless_pass_by_value)] // so that calls read as one expression
fn json<T: Serialize>(answer: Result<T, ApiError>) -> Result<Vec<u8>, ApiError> {
    answer.map(|answer| to_json(&answer))
}

impl Api {
    /// Serves an authenticated request.
    #[allow(clippy::too_many_lines)] // one line for each operation
    pub(super) async fn dispatch(
        &self,
        call: &Call,
        body: &[u8],
        request_id: &str,
    ) -> Result<Vec<u8>, ApiError> {
        let answer = match call.operation {
            Operation::GetCallerIdentity => {
                Ok(self.caller_identity(call).to_xml(request_id).into_bytes())
            }
            Operation::GetSessionToken => self
                .session_token(call, body)
                .await
                .map(|answer| answer.to_session_token_xml(request_id).into_bytes()),
            Operation::AssumeRole => Box::pin(self.assume_role(call, body))
                .await
                .map(|answer| answer.to_xml(request_id).into_bytes()),
            Operation::AssumeRoleWithWebIdentity => {
                Box::pin(self.assume_role_with_web_identity(call, body)).await.map(
                    |(answer, identity)| {
                        answer.to_web_identity_xml(&identity, request_id).into_bytes()
                    },
                )
            }
            Operation::CreateIdentityProvider => {
                json(self.create_identity_provider(call, parse(body)?).await)
            }
            Operation::ListIdentityProviders => {
                json(self.list_identity_providers(call, parse(body)?).await)
            }
            Operation::GetIdentityProvider => {
                json(self.get_identity_provider(call, parse(body)?).await)
            }
            Operation::UpdateIdentityProvider => {
                json(self.update_identity_provider(call, parse(body)?).await)
            }
            Operation::DeleteIdentityProvider => {
                json(self.delete_identity_provider(call, parse(body)?).await)
            }
            Operation::ListFederatedPeople => {
                json(self.list_federated_people(call, parse(body)?).await)
            }
            Operation::UpdateFederatedPerson => {
                json(self.update_federated_person(call, parse(body)?).await)
            }
            Operation::CreateSecondFactor => {
                json(self.create_second_factor(call, parse(body)?).await)
            }
            Operation::EnableSecondFactor => {
                json(self.enable_second_factor(call, parse(body)?).await)
            }
            Operation::DeleteSecondFactor => {
                json(self.delete_second_factor(call, parse(body)?).await)
            }
            Operation::CreateWebhook => json(self.create_webhook(call, parse(body)?).await),
            Operation::ListWebhooks => json(self.list_webhooks(call, parse(body)?).await),
            Operation::DeleteWebhook => json(self.delete_webhook(call, parse(body)?).await),
            Operation::ListDeadLetters => json(self.list_dead_letters(call, parse(body)?).await),
            Operation::ResendDeadLetters => {
                json(self.resend_dead_letters(call, parse(body)?).await)
            }
            Operation::StartSession => json(Box::pin(self.start_session(call, parse(body)?)).await),
            Operation::ResumeSession => json(self.resume_session(call, parse(body)?).await),
            Operation::TerminateSession => json(self.terminate_session(call, parse(body)?).await),
            Operation::DescribeSessions => json(self.describe_sessions(call, parse(body)?).await),
            Operation::GetConnectionStatus => {
                json(self.connection_status(call, parse(body)?).await)
            }
            Operation::DescribeInstanceInformation => {
                json(self.describe_devices(call, parse(body)?).await)
            }
            Operation::DeregisterManagedInstance => json(self.deregister(call, parse(body)?).await),
            Operation::CreateActivation => json(self.create_activation(call, parse(body)?).await),
            Operation::DescribeActivations => {
                json(self.describe_activations(call, parse(body)?).await)
            }
            Operation::DeleteActivation => json(self.delete_activation(call, parse(body)?).await),
            Operation::AddTagsToResource => json(self.add_tags(call, parse(body)?).await),
            Operation::RemoveTagsFromResource => json(self.remove_tags(call, parse(body)?).await),
            Operation::ListTagsForResource => json(self.list_tags(call, parse(body)?).await),
            Operation::CreatePrincipal => json(self.create_principal(call, parse(body)?).await),
            Operation::ListPrincipals => json(self.list_principals(call, parse(body)?).await),
            Operation::DeletePrincipal => json(self.delete_principal(call, parse(body)?).await),
            Operation::CreateAccessKey => json(self.create_access_key(call, parse(body)?).await),
            Operation::ListAccessKeys => json(self.list_access_keys(call, parse(body)?).await),
            Operation::UpdateAccessKey => json(self.update_access_key(call, parse(body)?).await),
            Operation::DeleteAccessKey => json(self.delete_access_key(call, parse(body)?).await),
            Operation::PutPrincipalPolicy => json(self.put_policy(call, parse(body)?).await),
            Operation::GetPrincipalPolicy => json(self.get_policy(call, parse(body)?).await),
            Operation::ListPrincipalPolicies => json(self.list_policies(call, parse(body)?).await),
            Operation::DeletePrincipalPolicy => json(self.delete_policy(call, parse(body)?).await),
            Operation::ListDeviceKeys => json(self.list_device_keys(call, parse(body)?).await),
            Operation::SearchDevices => json(self.search_devices(call, parse(body)?).await),
            Operation::RotateDeviceKey => json(self.rotate_device_key(call, parse(body)?).await),
            Operation::RevokeDeviceKey => json(self.revoke_device_key(call, parse(body)?).await),
            Operation::GetRecording => json(self.get_recording(call, parse(body)?).await),
            Operation::VerifyRecording => json(self.verify_recording(call, parse(body)?).await),
            Operation::SearchSessionCommands => {
                json(self.search_session_commands(call, parse(body)?).await)
            }
            Operation::GetRecordingIndex => {
                json(self.get_recording_index(call, parse(body)?).await)
            }
            Operation::LookupEvents => json(self.lookup_events(call, parse(body)?).await),
            Operation::CreateDocument => json(self.create_document(call, parse(body)?).await),
            Operation::UpdateDocument => json(self.update_document(call, parse(body)?).await),
            Operation::UpdateDocumentDefaultVersion => {
                json(self.update_document_default_version(call, parse(body)?).await)
            }
            Operation::GetDocument => json(self.get_document(call, parse(body)?).await),
            Operation::DescribeDocument => json(self.describe_document(call, parse(body)?).await),
            Operation::ListDocuments => json(self.list_documents(call, parse(body)?).await),
            Operation::ListDocumentVersions => {
                json(self.list_document_versions(call, parse(body)?).await)
            }
            Operation::DescribeDocumentPermission => {
                json(self.describe_document_permission(call, parse(body)?).await)
            }
            Operation::GetInventory => json(self.get_inventory(call, parse(body)?).await),
            Operation::DeleteDocument => json(self.delete_document(call, parse(body)?).await),
            Operation::UpdateRole => json(self.update_role(call, parse(body)?).await),
            Operation::AddGroupMember => json(self.add_group_member(call, parse(body)?).await),
            Operation::RemoveGroupMember => {
                json(self.remove_group_member(call, parse(body)?).await)
            }
            Operation::PutPrincipalBoundary => json(self.put_boundary(call, parse(body)?).await),
            Operation::GetPrincipalBoundary => json(self.get_boundary(call, parse(body)?).await),
            Operation::DeletePrincipalBoundary => {
                json(self.delete_boundary(call, parse(body)?).await)
            }
            Operation::StartAccessRequest => {
                json(self.start_access_request(call, parse(body)?).await)
            }
            Operation::GetAccessToken => json(self.get_access_token(call, parse(body)?).await),
            Operation::BreakGlass => json(Box::pin(self.break_glass(call, parse(body)?)).await),
            Operation::ApproveAccessRequest => {
                json(self.approve_access_request(call, parse(body)?).await)
            }
            Operation::ListAccessRequests => {
                json(self.list_access_requests(call, parse(body)?).await)
            }
            Operation::ExplainAccess => {
                json(Box::pin(self.explain_access(call, parse(body)?)).await)
            }
            Operation::ListDeviceAccess => {
                json(Box::pin(self.list_device_access(call, parse(body)?)).await)
            }
            Operation::ListSessionCommands => {
                json(self.list_session_commands(call, parse(body)?).await)
            }
            Operation::SendCommand => json(Box::pin(self.send_command(call, parse(body)?)).await),
            Operation::ListCommands => json(self.list_commands(call, parse(body)?).await),
            Operation::ListCommandInvocations => {
                json(self.list_command_invocations(call, parse(body)?).await)
            }
            Operation::GetCommandInvocation => {
                json(self.get_command_invocation(call, parse(body)?).await)
            }
            Operation::GetCommandOutput => json(self.get_command_output(call, parse(body)?).await),
            Operation::CancelCommand => json(self.cancel_command(call, parse(body)?).await),
            Operation::GetHealth => json(self.get_health(call, parse(body)?).await),
            Operation::CreateSignIn => json(self.create_sign_in(call).await),
            Operation::RedeemSignInLink => json(self.redeem_sign_in_link(call).await),
            Operation::GetSignIn => json(self.get_sign_in(call).await),
            Operation::GetSignInRequest => json(self.get_sign_in_request(call, &parse(body)?)),
            Operation::DecideSignInRequest => {
                json(self.decide_sign_in_request(call, &parse(body)?))
            }
            Operation::DeleteSignIn => json(self.delete_sign_in(call).await),
            Operation::ApproveDevice => json(self.approve_device(call, parse(body)?).await),
            Operation::WatchSession => json(Box::pin(self.watch_session(call, parse(body)?)).await),
            Operation::JoinSession => json(Box::pin(self.join_session(call, parse(body)?)).await),
            Operation::SendSessionMessage => {
                json(self.send_session_message(call, parse(body)?).await)
            }
            Operation::RenameDevice => json(self.rename_device(call, parse(body)?).await),
        };
        if answer.is_ok()
            && call.operation.resource_kind() != ResourceKind::None
            && !call.record().allowed
        {
            return Err(internal(
                "an operation answered without asking policy",
                &call.operation.name(),
            ));
        }
        answer
    }
}
