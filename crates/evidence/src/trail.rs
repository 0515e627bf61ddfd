//! The audit trail's events in CloudTrail's form, and its files (`{"Records":[...]}`).
//!
//! Source of the form: the CloudTrail record contents page of the AWS documentation, event version
//! 1.09; member names are its own, in its order.
//!
//! # Invariants
//! - Secrets have no place: the caller that fills `request_parameters` and `response_elements`
//!   names what goes in, member by member.
//!
//! # Not here
//! - Compression, and where files go: [`crate::layout`] and the gateway.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The version of the form.
pub const EVENT_VERSION: &str = "1.09";
/// Text that stands for a secret in CloudTrail's own events.
pub const HIDDEN: &str = "HIDDEN_DUE_TO_SECURITY_REASONS";

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserIdentity {
    /// `IAMUser` for operators, `AssumedRole` for operators in a role, `AWSService` for the gateway
    /// itself, `Unknown` for the unproven.
    #[serde(rename = "type")]
    pub kind: String,
    /// Id that is never given again; the name in events of older versions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub principal_id: String,
    /// ARN; empty when not proven.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub arn: String,
    /// Account.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub account_id: String,
    /// Access key as claimed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub access_key_id: String,
    /// Name alone: of the user, or of the role's session.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user_name: String,
    /// The user behind a role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<OnBehalfOf>,
}

/// The user who assumed a role.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OnBehalfOf {
    /// Id that is never given again.
    pub user_id: String,
    /// ARN at the time.
    pub arn: String,
}

/// Something that policy was asked about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Resource {
    /// Its ARN.
    #[serde(rename = "ARN")]
    pub arn: String,
    /// Account in it.
    #[serde(rename = "accountId", default, skip_serializing_if = "String::is_empty")]
    pub account_id: String,
    /// `AWS::SSM::ManagedInstance` and the like.
    #[serde(rename = "type", default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// [`EVENT_VERSION`].
    pub event_version: String,
    /// Who.
    pub user_identity: UserIdentity,
    /// When: RFC 3339, UTC, whole seconds.
    pub event_time: String,
    /// Which service.
    pub event_source: String,
    /// Which operation or event.
    pub event_name: String,
    /// Region.
    pub aws_region: String,
    /// Where it came from.
    #[serde(rename = "sourceIPAddress")]
    pub source_ip_address: String,
    /// What the client calls itself.
    pub user_agent: String,
    /// Error code, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Error sentence, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// What was asked, without secrets; null when there is nothing.
    pub request_parameters: Option<Map<String, Value>>,
    /// What was answered, without secrets; null when nothing changed.
    pub response_elements: Option<Map<String, Value>>,
    /// Further facts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub additional_event_data: Option<Map<String, Value>>,
    /// The request's id.
    #[serde(rename = "requestID", default, skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// The event's id, unique.
    #[serde(rename = "eventID")]
    pub event_id: String,
    /// Whether it only looked.
    pub read_only: bool,
    /// What it was about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Resource>,
    /// `AwsApiCall`, or `AwsServiceEvent` for what devices and the gateway do.
    pub event_type: String,
    /// True: all of ours are.
    pub management_event: bool,
    /// Account.
    pub recipient_account_id: String,
    /// `Management`.
    pub event_category: String,
}

/// Whether an operation of this name only looks, by AWS's way of naming.
#[must_use]
pub fn is_read_only(name: &str) -> bool {
    ["Describe", "Get", "List", "Lookup", "Simulate"].iter().any(|verb| name.starts_with(verb))
}

/// A file of events, given as their lines of JSON.
#[must_use]
pub fn file(lines: &[String]) -> String {
    format!("{{\"Records\":[{}]}}", lines.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_the_members_that_importers_look_for() {
        let event = Event {
            event_version: EVENT_VERSION.into(),
            event_name: "StartSession".into(),
            ..Event::default()
        };
        let line = serde_json::to_string(&event).unwrap();
        let file: Value = serde_json::from_str(&file(&[line.clone(), line])).unwrap();
        let record = file["Records"][1].as_object().unwrap();
        for member in [
            "eventVersion",
            "userIdentity",
            "eventTime",
            "eventSource",
            "eventName",
            "awsRegion",
            "sourceIPAddress",
            "userAgent",
            "requestParameters",
            "responseElements",
            "eventID",
            "readOnly",
            "eventType",
            "managementEvent",
            "recipientAccountId",
            "eventCategory",
        ] {
            assert!(record.contains_key(member), "{member}");
        }
        assert_eq!(record["requestParameters"], Value::Null);
    }

    #[test]
    fn looking_is_told_from_doing_by_the_verb() {
        assert!(is_read_only("DescribeSessions") && is_read_only("LookupEvents"));
        assert!(!is_read_only("StartSession") && !is_read_only("DeleteActivation"));
    }
}
