//! The closed list of operations, each to its function.
//!
//! Data flow: an authenticated [`Call`] and its body -> the row of its operation in the table below
//! -> that function, which asks policy -> the answer's bytes.
//!
//! # Invariants
//! - The table is one exhaustive `match`: a new operation of `towline_ssm` does not compile until
//!   it has a row here.
//! - An operation that answers without having asked policy is our mistake; its answer does not
//!   leave.

use serde::Serialize;
use towline_ssm::api::{parse, to_json};
use towline_ssm::error::ApiError;
use towline_ssm::operation::{Operation, ResourceKind};

use super::call::Call;
use super::internal::internal;
use super::service::Api;

/// How an operation is served: `json` parses the body and writes the answer as JSON; `boxed` does
/// the same with a large future on the heap; `here` without waiting; `bare` takes no parameters;
/// `xml` reads a form and writes XML by itself.
macro_rules! served {
    ($($name:ident: $kind:ident $function:ident;)+) => {
        impl Api {
            /// Asks the function of the call's operation.
            async fn served(&self, call: &Call, body: &[u8], id: &str) -> Answer {
                match call.operation {
                    $(Operation::$name => served!(@ $kind $function, self, call, body, id),)+
                }
            }
        }
    };
    (@ json $function:ident, $api:ident, $call:ident, $body:ident, $id:ident) => {
        json($api.$function($call, parse($body)?).await)
    };
    (@ boxed $function:ident, $api:ident, $call:ident, $body:ident, $id:ident) => {
        json(Box::pin($api.$function($call, parse($body)?)).await)
    };
    (@ here $function:ident, $api:ident, $call:ident, $body:ident, $id:ident) => {
        json($api.$function($call, &parse($body)?))
    };
    (@ bare $function:ident, $api:ident, $call:ident, $body:ident, $id:ident) => {
        json($api.$function($call).await)
    };
    (@ xml $function:ident, $api:ident, $call:ident, $body:ident, $id:ident) => {
        $api.$function($call, $body, $id).await
    };
}

served! {
    // Who the caller is.
    GetCallerIdentity: xml caller_identity_xml;
    GetSessionToken: xml session_token_xml;
    AssumeRole: xml assume_role_xml;
    AssumeRoleWithWebIdentity: xml web_identity_xml;
    CreateSignIn: bare create_sign_in;
    RedeemSignInLink: bare redeem_sign_in_link;
    GetSignIn: bare get_sign_in;
    DeleteSignIn: bare delete_sign_in;
    ProveSecondFactor: json prove_second_factor;
    GetSignInRequest: json get_sign_in_request;
    DecideSignInRequest: json decide_sign_in_request;

    // Identity providers.
    CreateIdentityProvider: json create_identity_provider;
    ListIdentityProviders: json list_identity_providers;
    GetIdentityProvider: json get_identity_provider;
    UpdateIdentityProvider: json update_identity_provider;
    DeleteIdentityProvider: json delete_identity_provider;
    UpdateIdentityProviderStatus: json update_identity_provider_status;
    ListFederatedPeople: json list_federated_people;
    UpdateFederatedPerson: json update_federated_person;

    // Principals.
    CreatePrincipal: json create_principal;
    ListPrincipals: json list_principals;
    DeletePrincipal: json delete_principal;
    CreateAccessKey: json create_access_key;
    ListAccessKeys: json list_access_keys;
    UpdateAccessKey: json update_access_key;
    DeleteAccessKey: json delete_access_key;
    CreateSecondFactor: json create_second_factor;
    EnableSecondFactor: json enable_second_factor;
    DeleteSecondFactor: json delete_second_factor;
    PutPrincipalPolicy: json put_policy;
    GetPrincipalPolicy: json get_policy;
    ListPrincipalPolicies: json list_policies;
    DeletePrincipalPolicy: json delete_policy;
    PutPrincipalBoundary: json put_boundary;
    GetPrincipalBoundary: json get_boundary;
    DeletePrincipalBoundary: json delete_boundary;
    UpdateRole: json update_role;
    AddGroupMember: json add_group_member;
    RemoveGroupMember: json remove_group_member;
    ExplainAccess: boxed explain_access;
    ListDeviceAccess: boxed list_device_access;

    // Access for a time.
    StartAccessRequest: json start_access_request;
    GetAccessToken: json get_access_token;
    ApproveAccessRequest: json approve_access_request;
    ListAccessRequests: json list_access_requests;
    BreakGlass: boxed break_glass;
    CreateWebhook: json create_webhook;
    ListWebhooks: json list_webhooks;
    DeleteWebhook: json delete_webhook;
    ListDeadLetters: json list_dead_letters;
    ResendDeadLetters: json resend_dead_letters;

    // Devices.
    DescribeInstanceInformation: json describe_devices;
    GetConnectionStatus: json connection_status;
    GetInventory: json get_inventory;
    SearchDevices: json search_devices;
    RenameDevice: json rename_device;
    ApproveDevice: json approve_device;
    DeregisterManagedInstance: json deregister;
    CreateActivation: json create_activation;
    DescribeActivations: json describe_activations;
    DeleteActivation: json delete_activation;
    AddTagsToResource: json add_tags;
    RemoveTagsFromResource: json remove_tags;
    ListTagsForResource: json list_tags;
    ListDeviceKeys: json list_device_keys;
    RotateDeviceKey: json rotate_device_key;
    RevokeDeviceKey: json revoke_device_key;

    // Sessions.
    StartSession: boxed start_session;
    ResumeSession: json resume_session;
    TerminateSession: json terminate_session;
    DescribeSessions: json describe_sessions;
    WatchSession: boxed watch_session;
    JoinSession: boxed join_session;
    SendSessionMessage: json send_session_message;

    // Records.
    GetRecording: json get_recording;
    GetRecordingIndex: json get_recording_index;
    VerifyRecording: json verify_recording;
    ListSessionCommands: json list_session_commands;
    SearchSessionCommands: json search_session_commands;
    LookupEvents: json lookup_events;
    GetHealth: json get_health;

    // Documents.
    CreateDocument: json create_document;
    UpdateDocument: json update_document;
    UpdateDocumentDefaultVersion: json update_document_default_version;
    GetDocument: json get_document;
    DescribeDocument: json describe_document;
    ListDocuments: json list_documents;
    ListDocumentVersions: json list_document_versions;
    DescribeDocumentPermission: json describe_document_permission;
    DeleteDocument: json delete_document;

    // Commands.
    SendCommand: boxed send_command;
    ListCommands: json list_commands;
    ListCommandInvocations: json list_command_invocations;
    GetCommandInvocation: json get_command_invocation;
    GetCommandOutput: json get_command_output;
    CancelCommand: json cancel_command;
}

/// An answer's bytes, or the refusal.
type Answer = Result<Vec<u8>, ApiError>;

#[allow(clippy::needless_pass_by_value)] // so that calls read as one expression
fn json<T: Serialize>(answer: Result<T, ApiError>) -> Answer {
    answer.map(|answer| to_json(&answer))
}

impl Api {
    /// Serves an authenticated request.
    pub(super) async fn dispatch(&self, call: &Call, body: &[u8], request_id: &str) -> Answer {
        let answer = self.served(call, body, request_id).await;
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

    #[allow(clippy::unused_async)] // as its neighbours of the table
    async fn caller_identity_xml(&self, call: &Call, _: &[u8], id: &str) -> Answer {
        Ok(self.caller_identity(call).to_xml(id).into_bytes())
    }

    async fn session_token_xml(&self, call: &Call, body: &[u8], id: &str) -> Answer {
        let answer = self.session_token(call, body).await?;
        Ok(answer.to_session_token_xml(id).into_bytes())
    }

    async fn assume_role_xml(&self, call: &Call, body: &[u8], id: &str) -> Answer {
        let answer = Box::pin(self.assume_role(call, body)).await?;
        Ok(answer.to_xml(id).into_bytes())
    }

    async fn web_identity_xml(&self, call: &Call, body: &[u8], id: &str) -> Answer {
        let (answer, identity) = Box::pin(self.assume_role_with_web_identity(call, body)).await?;
        Ok(answer.to_web_identity_xml(&identity, id).into_bytes())
    }
}
