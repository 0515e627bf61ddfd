//! Our shapes against botocore's model (`data/shapes.json`, made by `data/make_shapes.py`).
//!
//! A request of ours knows every member of AWS's and a few of our own, all named `Towline...`. An
//! answer of ours has no member that AWS's has not, but for those.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use towline_ssm::api::{
    activation::*, command::*, device::*, document::*, inventory::*, parse, session::*, tags::*,
};
use towline_ssm::{ErrorCode, Operation};

#[derive(Deserialize)]
struct Model {
    errors: BTreeMap<String, Vec<String>>,
    shapes: BTreeMap<String, Shape>,
}

#[derive(Deserialize)]
struct Shape {
    members: BTreeSet<String>,
    required: BTreeSet<String>,
}

fn model() -> Model {
    serde_json::from_str(include_str!("data/shapes.json")).unwrap()
}

/// What our shape makes of a JSON object that has every member: the members it knows.
fn known<T: Serialize + for<'a> Deserialize<'a>>(full: Value) -> BTreeSet<String> {
    let shape: T = serde_json::from_value(full).unwrap();
    serde_json::to_value(shape).unwrap().as_object().unwrap().keys().cloned().collect()
}

#[track_caller]
fn check(shape: &str, ours: &BTreeSet<String>, complete: bool) {
    let model = model();
    let theirs = &model.shapes[shape];
    let foreign: Vec<_> =
        ours.iter().filter(|m| !theirs.members.contains(*m) && !m.starts_with("Towline")).collect();
    assert!(foreign.is_empty(), "{shape} has members AWS does not know: {foreign:?}");
    let wanted = if complete { &theirs.members } else { &theirs.required };
    let missing: Vec<_> = wanted.difference(ours).collect();
    assert!(missing.is_empty(), "{shape} lacks {missing:?}");
}

fn tag() -> Value {
    json!({"Key": "k", "Value": "v"})
}

#[test]
fn requests_know_every_member_of_the_model() {
    let session = json!({"Target": "t", "DocumentName": "d", "Reason": "r",
        "Parameters": {"a": ["b"]},
        "TowlineTerminal": {"Term": "xterm", "Rows": 1, "Cols": 1}});
    check("StartSessionRequest", &known::<StartSessionRequest>(session), true);
    check("ResumeSessionRequest", &known::<ResumeSessionRequest>(json!({"SessionId": "s"})), true);
    check(
        "TerminateSessionRequest",
        &known::<TerminateSessionRequest>(json!({"SessionId": "s"})),
        true,
    );
    let sessions = json!({"State": "Active", "MaxResults": 1, "NextToken": "n", "Filters": []});
    check("DescribeSessionsRequest", &known::<DescribeSessionsRequest>(sessions), true);
    check("SessionFilter", &known::<SessionFilter>(json!({"key": "k", "value": "v"})), true);
    check(
        "GetConnectionStatusRequest",
        &known::<GetConnectionStatusRequest>(json!({"Target": "t"})),
        true,
    );
    let devices = json!({"InstanceInformationFilterList": [], "Filters": [], "MaxResults": 5,
        "NextToken": "n"});
    check(
        "DescribeInstanceInformationRequest",
        &known::<DescribeInstanceInformationRequest>(devices),
        true,
    );
    let old = json!({"key": "k", "valueSet": []});
    check("InstanceInformationFilter", &known::<InstanceInformationFilter>(old), true);
    let new = json!({"Key": "k", "Values": []});
    check("InstanceInformationStringFilter", &known::<InstanceInformationStringFilter>(new), true);
    let dereg = json!({"InstanceId": "i"});
    check(
        "DeregisterManagedInstanceRequest",
        &known::<DeregisterManagedInstanceRequest>(dereg),
        true,
    );
}

#[test]
fn requests_about_activations_and_tags_know_every_member_of_the_model() {
    let create = json!({"Description": "d", "DefaultInstanceName": "n", "IamRole": "r",
        "RegistrationLimit": 1,
        "ExpirationDate": 1, "Tags": [tag()], "RegistrationMetadata": [tag()],
        "TowlineRequireApproval": true});
    check("CreateActivationRequest", &known::<CreateActivationRequest>(create), true);
    check("RegistrationMetadataItem", &known::<RegistrationMetadataItem>(tag()), true);
    let list = json!({"Filters": [], "MaxResults": 1, "NextToken": "n"});
    check("DescribeActivationsRequest", &known::<DescribeActivationsRequest>(list), true);
    let filter = json!({"FilterKey": "IamRole", "FilterValues": []});
    check("DescribeActivationsFilter", &known::<DescribeActivationsFilter>(filter), true);
    check(
        "DeleteActivationRequest",
        &known::<DeleteActivationRequest>(json!({"ActivationId": "a"})),
        true,
    );
    check("Tag", &known::<Tag>(tag()), true);
    let id = json!({"ResourceType": "t", "ResourceId": "i", "Tags": [], "TagKeys": []});
    check("AddTagsToResourceRequest", &known::<AddTagsToResourceRequest>(id.clone()), true);
    check(
        "RemoveTagsFromResourceRequest",
        &known::<RemoveTagsFromResourceRequest>(id.clone()),
        true,
    );
    check("ListTagsForResourceRequest", &known::<ListTagsForResourceRequest>(id), true);
}

#[test]
fn requests_about_documents_know_every_member_of_the_model() {
    let requires = json!({"Name": "n", "Version": "1", "RequireType": "t", "VersionName": "v"});
    check("DocumentRequires", &known::<DocumentRequires>(requires.clone()), true);
    let attachment = json!({"Key": "SourceUrl", "Values": ["v"], "Name": "n"});
    check("AttachmentsSource", &known::<AttachmentsSource>(attachment.clone()), true);
    let all = json!({"Content": "c", "Name": "n", "Requires": [requires],
        "Attachments": [attachment], "DisplayName": "d",
        "VersionName": "v", "DocumentType": "t", "DocumentFormat": "f", "TargetType": "/",
        "Tags": [tag()],
        "DocumentVersion": "1", "Force": true});
    check("CreateDocumentRequest", &known::<CreateDocumentRequest>(all.clone()), true);
    check("UpdateDocumentRequest", &known::<UpdateDocumentRequest>(all.clone()), true);
    check(
        "UpdateDocumentDefaultVersionRequest",
        &known::<UpdateDocumentDefaultVersionRequest>(all.clone()),
        true,
    );
    check("GetDocumentRequest", &known::<GetDocumentRequest>(all.clone()), true);
    check("DescribeDocumentRequest", &known::<DescribeDocumentRequest>(all.clone()), true);
    check("DeleteDocumentRequest", &known::<DeleteDocumentRequest>(all), true);
    let list = json!({"Name": "n", "DocumentFilterList": [{"key": "Name", "value": "v"}],
        "Filters": [{"Key": "Name", "Values": ["v"]}], "MaxResults": 1, "NextToken": "n"});
    check("ListDocumentsRequest", &known::<ListDocumentsRequest>(list.clone()), true);
    check("ListDocumentVersionsRequest", &known::<ListDocumentVersionsRequest>(list), true);
    check("DocumentFilter", &known::<DocumentFilter>(json!({"key": "k", "value": "v"})), true);
    check(
        "DocumentKeyValuesFilter",
        &known::<DocumentKeyValuesFilter>(json!({"Key": "k", "Values": ["v"]})),
        true,
    );
}

#[test]
fn answers_about_documents_have_no_member_that_clients_would_not_know() {
    let full = json!({"Hash": "h", "HashType": "Sha256", "Name": "n", "DisplayName": "d",
        "VersionName": "v", "Owner": "o",
        "CreatedDate": 1, "Status": "Active", "DocumentVersion": "1", "Description": "d",
        "Parameters": [{"Name": "n", "Type": "String"}], "PlatformTypes": ["Linux"],
        "DocumentType": "Session",
        "SchemaVersion": "1.0", "LatestVersion": "1", "DefaultVersion": "1",
        "DocumentFormat": "JSON", "TargetType": "/",
        "Tags": [tag()], "Content": "c", "IsDefaultVersion": true, "NextToken": "n",
        "DefaultVersionName": "v"});
    check("DocumentDescription", &known::<DocumentDescription>(full.clone()), false);
    check("GetDocumentResult", &known::<GetDocumentResult>(full.clone()), false);
    check("DocumentIdentifier", &known::<DocumentIdentifier>(full.clone()), false);
    check("DocumentVersionInfo", &known::<DocumentVersionInfo>(full.clone()), false);
    check("ListDocumentsResult", &known::<ListDocumentsResult>(full.clone()), true);
    let parameter = json!({"Name": "n", "Type": "String", "Description": "d", "DefaultValue": "v"});
    check("DocumentParameter", &known::<DocumentParameter>(parameter), true);
    check(
        "DocumentDefaultVersionDescription",
        &known::<DocumentDefaultVersionDescription>(full),
        true,
    );
}

#[test]
fn requests_about_commands_know_every_member_of_the_model() {
    let send = json!({"InstanceIds": [], "Targets": [], "DocumentName": "d",
        "DocumentVersion": "1", "DocumentHash": "h",
        "DocumentHashType": "Sha256", "TimeoutSeconds": 30, "Comment": "c",
        "Parameters": {"a": ["b"]},
        "OutputS3Region": "r", "OutputS3BucketName": "b", "OutputS3KeyPrefix": "p",
        "MaxConcurrency": "1",
        "MaxErrors": "0", "ServiceRoleArn": "r", "NotificationConfig": {},
        "CloudWatchOutputConfig": {},
        "AlarmConfiguration": {}});
    check("SendCommandRequest", &known::<SendCommandRequest>(send), true);
    check("Target", &known::<Target>(json!({"Key": "k", "Values": []})), true);
    let logs = json!({"CloudWatchLogGroupName": "g", "CloudWatchOutputEnabled": true});
    check("CloudWatchOutputConfig", &known::<CloudWatchOutputConfig>(logs), true);
    let list = json!({"CommandId": "c", "InstanceId": "i", "MaxResults": 1, "NextToken": "n",
        "Filters": [], "Details": true});
    check("ListCommandInvocationsRequest", &known::<ListCommandInvocationsRequest>(list), true);
    let list = json!({"CommandId": "c", "InstanceId": "i", "MaxResults": 1, "NextToken": "n",
        "Filters": []});
    check("ListCommandsRequest", &known::<ListCommandsRequest>(list), true);
    check("CommandFilter", &known::<CommandFilter>(json!({"key": "k", "value": "v"})), true);
    let get = json!({"CommandId": "c", "InstanceId": "i", "PluginName": "p"});
    check("GetCommandInvocationRequest", &known::<GetCommandInvocationRequest>(get), true);
    check(
        "CancelCommandRequest",
        &known::<CancelCommandRequest>(json!({"CommandId": "c", "InstanceIds": []})),
        true,
    );
}

#[test]
fn answers_about_commands_have_no_member_that_clients_would_not_know() {
    let command = json!({"CommandId": "c", "DocumentName": "d", "DocumentVersion": "1",
        "ExpiresAfter": 1,
        "RequestedDateTime": 1, "Status": "Success", "OutputS3Region": "r", "MaxConcurrency": "1",
        "MaxErrors": "0",
        "TargetCount": 1, "CompletedCount": 1, "ErrorCount": 0, "DeliveryTimedOutCount": 0,
        "CloudWatchOutputConfig": {}, "TimeoutSeconds": 30});
    check("Command", &known::<Command>(command.clone()), false);
    check("SendCommandResult", &known::<SendCommandResult>(json!({"Command": command})), true);
    check("ListCommandsResult", &known::<ListCommandsResult>(json!({"NextToken": "n"})), true);
    let invocation = json!({"CommandId": "c", "InstanceId": "i", "DocumentName": "d",
        "DocumentVersion": "1",
        "RequestedDateTime": 1, "Status": "Delayed", "CloudWatchOutputConfig": {},
        "TowlineReason": "r"});
    check("CommandInvocation", &known::<CommandInvocation>(invocation), false);
    let page = known::<ListCommandInvocationsResult>(json!({"NextToken": "n"}));
    check("ListCommandInvocationsResult", &page, true);
    let plugin = json!({"Name": "n", "Status": "Failed", "ResponseCode": 1,
        "ResponseStartDateTime": 1,
        "ResponseFinishDateTime": 2, "OutputS3Region": "r", "TowlineReason": "r"});
    check("CommandPlugin", &known::<CommandPlugin>(plugin), true);
    let one = json!({"CommandId": "c", "InstanceId": "i", "DocumentName": "d",
        "DocumentVersion": "1", "PluginName": "p",
        "ResponseCode": 0, "Status": "Success", "CloudWatchOutputConfig": {},
        "TowlineReason": "r"});
    check("GetCommandInvocationResult", &known::<GetCommandInvocationResult>(one), true);
}

#[test]
fn shapes_of_inventory_and_of_document_permissions_are_those_of_the_model() {
    let full = json!({"Filters": [{"Key": "k", "Values": [], "Type": "Equal"}], "Aggregators": [{}],
        "ResultAttributes": [{"TypeName": "t"}], "MaxResults": 1, "NextToken": "n"});
    check("GetInventoryRequest", &known::<GetInventoryRequest>(full), true);
    let filter = json!({"Key": "k", "Values": [], "Type": "Equal"});
    check("InventoryFilter", &known::<InventoryFilter>(filter), true);
    check("GetInventoryResult", &known::<GetInventoryResult>(json!({"NextToken": "n"})), true);
    let entity = json!({"Id": "i", "Data": {}});
    check("InventoryResultEntity", &known::<InventoryEntity>(entity), true);
    let item = json!({"TypeName": "t", "SchemaVersion": "1.0", "CaptureTime": "c", "Content": []});
    check("InventoryResultItem", &known::<InventoryItem>(item), false);
    let asked = json!({"Name": "n", "PermissionType": "Share", "MaxResults": 1, "NextToken": "n"});
    let asked = known::<DescribeDocumentPermissionRequest>(asked);
    check("DescribeDocumentPermissionRequest", &asked, true);
    let answer = known::<DescribeDocumentPermissionResponse>(json!({}));
    check("DescribeDocumentPermissionResponse", &answer, false);
}

#[test]
fn answers_have_no_member_that_clients_would_not_know() {
    let start = json!({"SessionId": "s", "TokenValue": "t", "StreamUrl": "u",
        "TowlineInputRecorded": true});
    check("StartSessionResponse", &known::<StartSessionResponse>(start.clone()), true);
    check("ResumeSessionResponse", &known::<ResumeSessionResponse>(start), true);
    check(
        "TerminateSessionResponse",
        &known::<TerminateSessionResponse>(json!({"SessionId": "s"})),
        true,
    );
    check(
        "DescribeSessionsResponse",
        &known::<DescribeSessionsResponse>(json!({"NextToken": "n"})),
        true,
    );
    let session = json!({"SessionId": "s", "Target": "t", "Status": "Failed", "StartDate": 1,
        "EndDate": 2,
        "DocumentName": "d", "Owner": "o", "Reason": "r", "Details": "d", "OutputUrl": {},
        "MaxSessionDuration": "1",
        "AccessType": "Standard", "TowlineCommands": 3, "TowlineRecordingBytes": 400,
        "TowlineInputRecorded": true});
    check("Session", &known::<Session>(session), true);
    let urls = json!({"S3OutputUrl": "s", "CloudWatchOutputUrl": "c"});
    check("SessionManagerOutputUrl", &known::<SessionManagerOutputUrl>(urls), true);
    let status = json!({"Target": "t", "Status": "notconnected"});
    check("GetConnectionStatusResponse", &known::<GetConnectionStatusResponse>(status), true);
    let page = known::<DescribeInstanceInformationResult>(json!({"NextToken": "n"}));
    check("DescribeInstanceInformationResult", &page, true);
    let device = json!({"InstanceId": "i", "PingStatus": "Online", "LastPingDateTime": 1,
        "AgentVersion": "v",
        "IsLatestVersion": true, "PlatformType": "Linux", "PlatformName": "n",
        "PlatformVersion": "v",
        "ActivationId": "a", "IamRole": "r", "RegistrationDate": 1, "ResourceType": "t",
        "Name": "n",
        "IPAddress": "::1", "ComputerName": "c", "TowlineTags": [tag()],
        "TowlineState": "pending"});
    check("InstanceInformation", &known::<InstanceInformation>(device), false);
    let made = json!({"ActivationId": "a", "ActivationCode": "c"});
    check("CreateActivationResult", &known::<CreateActivationResult>(made), true);
    check(
        "DescribeActivationsResult",
        &known::<DescribeActivationsResult>(json!({"NextToken": "n"})),
        true,
    );
    let activation = json!({"ActivationId": "a", "Description": "d", "DefaultInstanceName": "n",
        "IamRole": "r",
        "RegistrationLimit": 1, "RegistrationsCount": 1, "ExpirationDate": 1, "Expired": false,
        "CreatedDate": 1,
        "Tags": [tag()]});
    check("Activation", &known::<Activation>(activation), true);
    check("ListTagsForResourceResult", &known::<ListTagsForResourceResult>(json!({})), true);
}

#[test]
fn a_request_without_a_required_member_is_a_validation_error() {
    let missing = |result: Result<(), towline_ssm::ApiError>| result.unwrap_err().code;
    assert_eq!(
        missing(parse::<StartSessionRequest>(b"{}").map(drop)),
        ErrorCode::ValidationException
    );
    assert_eq!(
        missing(parse::<DescribeSessionsRequest>(b"").map(drop)),
        ErrorCode::ValidationException
    );
    assert_eq!(
        missing(parse::<AddTagsToResourceRequest>(b"{}").map(drop)),
        ErrorCode::ValidationException
    );
}

#[test]
fn every_modelled_error_of_a_served_operation_has_a_code() {
    for (operation, errors) in model().errors {
        assert!(Operation::parse(&format!("AmazonSSM.{operation}")).is_ok(), "{operation}");
        for error in errors {
            assert!(
                ErrorCode::ALL.iter().any(|code| code.as_str() == error),
                "{operation}: {error}"
            );
        }
    }
}
