//! The audit trail in CloudTrail's form: one event for each line of the store, and files of events
//! for the sink.
//!
//! Data flow: lines of the store -> [`event`] -> [`Recorder::export`] (a gzip file in the outbox,
//! and its record in the node's chain) -> the number of the last exported line in `trail.cursor`.
//!
//! # Invariants
//! - Every line of the store is exported: the cursor moves only after the file is in the outbox and
//!   in the chain. After a crash in between, the same lines are exported again under the same key.
//! - An event holds nothing that its line does not hold: no secret can enter here.

use std::sync::Arc;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use towline_archive::Recorder;
use towline_archive::settings::DEFAULT_NODE;
use towline_evidence::digest::Digest;
use towline_evidence::layout;
use towline_evidence::trail::{self, EVENT_VERSION, Event, OnBehalfOf, Resource, UserIdentity};
use towline_host::clock::UnixMillis;
use towline_ssm::ids::Realm;
use towline_store::Store;

use super::cursor::{Cursor, ExportError, write};
use crate::limits::{EVENTS_IN_FILE, EVENTS_PER_READ, TRAIL_FILES_AT_ONCE};

/// Name of the cursor's file.
pub(super) const CURSOR: &str = "trail.cursor";

/// Lines that one call of [`export`] takes at the most: there may be more.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 128,000
pub(super) const FULL: usize = EVENTS_IN_FILE as usize * TRAIL_FILES_AT_ONCE;

/// Exports the lines after the cursor. Returns the number of lines.
///
/// # Errors
/// [`ExportError`]; what is missing is exported next time.
pub async fn export(
    store: &Store,
    recorder: &Arc<Recorder>,
    realm: &Realm,
    now: UnixMillis,
) -> Result<usize, ExportError> {
    let cursor = Cursor::new(recorder.home(), CURSOR);
    let mut exported = 0;
    for _ in 0..TRAIL_FILES_AT_ONCE {
        let Some(file) = collect(store, realm, cursor.read()).await? else { break };
        let key = key(recorder.prefix(), recorder.node(), realm, &file.first, now);
        let text = trail::file(&[file.events]);
        write(store, recorder, &cursor, key, text, file.records, file.last).await?;
        exported += file.lines;
    }
    Ok(exported)
}

/// What one file is made of.
struct Collected {
    first: (i64, String),
    /// Number of the last line.
    last: i64,
    lines: usize,
    /// Events, with commas between them.
    events: String,
    records: u64,
}

/// Takes the lines of one file, some at a time: all of them with their rows would be four times the
/// file.
async fn collect(
    store: &Store,
    realm: &Realm,
    mut after: i64,
) -> Result<Option<Collected>, ExportError> {
    let mut file: Option<Collected> = None;
    let mut left = EVENTS_IN_FILE;
    while left > 0 {
        let lines = store.audit().list(after, left.min(EVENTS_PER_READ)).await?;
        let [first, ..] = &lines[..] else { break };
        let file = file.get_or_insert_with(|| Collected {
            first: first.clone(),
            last: 0,
            lines: 0,
            events: String::new(),
            records: 0,
        });
        for (number, line) in &lines {
            if let Some(event) = event(line, realm) {
                if file.records > 0 {
                    file.events.push(',');
                }
                file.events.push_str(&text(&event));
                file.records += 1;
            }
            (after, file.last) = (*number, *number);
        }
        file.lines += lines.len();
        left -= i64::try_from(lines.len()).unwrap_or(left);
    }
    Ok(file)
}

/// The key holds time and number of the first line, so a repeated export has the same key. A node
/// with a name of its own adds it: after a restore the new part of the chain replaces no file that
/// the part before has signed.
fn key(
    prefix: &str,
    node: &str,
    realm: &Realm,
    (number, line): &(i64, String),
    now: UnixMillis,
) -> String {
    let parsed = serde_json::from_str::<Value>(line).ok();
    let told = parsed.as_ref().and_then(|line| line["eventTime"].as_str());
    let format = &time::format_description::well_known::Rfc3339;
    let at = told
        .and_then(|t| OffsetDateTime::parse(t, format).ok())
        .unwrap_or_else(|| now.to_datetime());
    let number = number.to_be_bytes();
    let node = if node == DEFAULT_NODE { "" } else { node };
    let unique = Digest::of(&[&number, node.as_bytes()]).to_string();
    layout::trail(prefix, &realm.account, &realm.region, at, &unique[..16])
}

/// The event of a line; `None` when the line is not an audit line.
#[must_use]
pub fn event(line: &str, realm: &Realm) -> Option<Event> {
    let line: Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let (source, name) = (text("eventSource"), text("eventName"));
    let device_event = text("requestID").is_empty();
    let mut asked = line["facts"].as_object().cloned().unwrap_or_default();
    let answered: Map<String, Value> = ["sessionId", "activationId", "accessKeyId"]
        .into_iter()
        .filter(|_| name.starts_with("Start") || name.starts_with("Create"))
        .filter_map(|fact| Some((fact.to_owned(), asked.remove(fact)?)))
        .collect();
    // An event of a device concerns that device.
    let own = asked.get("deviceId").and_then(Value::as_str).filter(|_| device_event);
    let own = own
        .map(|id| format!("arn:aws:ssm:{}:{}:managed-instance/{id}", realm.region, realm.account));
    let resources = line["resources"].as_array().map(Vec::as_slice).unwrap_or_default();
    let resources = resources
        .iter()
        .filter_map(Value::as_str)
        .filter(|arn| *arn != "*")
        .map(|arn| resource(arn, realm));
    let resources = resources.chain(own.iter().map(|arn| resource(arn, realm)));
    Some(Event {
        event_version: EVENT_VERSION.to_owned(),
        user_identity: identity(&line["userIdentity"], device_event, realm),
        event_time: whole_seconds(&text("eventTime")),
        event_source: source,
        aws_region: realm.region.clone(),
        source_ip_address: text("sourceIPAddress"),
        user_agent: text("userAgent"),
        error_code: line["errorCode"].as_str().map(str::to_owned),
        error_message: line["errorMessage"].as_str().map(str::to_owned),
        request_parameters: (!asked.is_empty()).then_some(asked),
        response_elements: (!answered.is_empty()).then_some(answered),
        additional_event_data: None,
        request_id: text("requestID"),
        event_id: text("eventID"),
        read_only: trail::is_read_only(&name),
        resources: resources.collect(),
        event_type: if device_event { "AwsServiceEvent" } else { "AwsApiCall" }.to_owned(),
        management_event: true,
        recipient_account_id: realm.account.clone(),
        event_category: "Management".to_owned(),
        event_name: name,
    })
}

/// The event as one line of JSON.
#[must_use]
pub fn text(event: &Event) -> String {
    serde_json::to_string(event).unwrap_or_default() // text, numbers and lists: cannot fail
}

fn identity(line: &Value, device_event: bool, realm: &Realm) -> UserIdentity {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let arn = text(&line["arn"]);
    // By the form of the whole ARN: a role may be called `user`.
    let resource = arn.rsplit(':').next().unwrap_or_default();
    let (kind, user_name) = match resource.split_once('/') {
        Some(("user", name)) if arn.starts_with("arn:aws:iam:") => ("IAMUser", name),
        Some(("assumed-role", rest)) => {
            ("AssumedRole", rest.split_once('/').map_or("", |(_, session)| session))
        }
        _ => ("Unknown", ""),
    };
    let user_name = user_name.to_owned();
    let behind = &line["onBehalfOf"];
    UserIdentity {
        kind: if device_event { "AWSService" } else { kind }.to_owned(),
        principal_id: line["principalId"].as_str().unwrap_or(&user_name).to_owned(),
        account_id: if user_name.is_empty() { String::new() } else { realm.account.clone() },
        access_key_id: text(&line["accessKeyId"]),
        on_behalf_of: behind
            .is_object()
            .then(|| OnBehalfOf { user_id: text(&behind["userId"]), arn: text(&behind["arn"]) }),
        user_name,
        arn,
    }
}

fn resource(arn: &str, realm: &Realm) -> Resource {
    let kind = [
        (":managed-instance/", "AWS::SSM::ManagedInstance"),
        (":instance/", "AWS::EC2::Instance"),
        (":session/", "AWS::SSM::Session"),
        (":document/", "AWS::SSM::Document"),
        (":command/", "AWS::SSM::Command"),
        (":user/", "AWS::IAM::User"),
    ];
    let kind = kind.iter().find(|(part, _)| arn.contains(part)).map_or("", |(_, kind)| kind);
    Resource { arn: arn.to_owned(), account_id: realm.account.clone(), kind: kind.to_owned() }
}

/// CloudTrail's times have no fraction.
fn whole_seconds(time: &str) -> String {
    match (time.split_once('.'), time.ends_with('Z')) {
        (Some((seconds, _)), true) => format!("{seconds}Z"),
        _ => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn realm() -> Realm {
        Realm { region: "xx-towline-1".into(), account: "000000000000".into() }
    }

    #[test]
    fn the_user_behind_a_role_stands_in_the_event_whatever_the_role_is_called() {
        let line = r#"{"eventName":"StartSession","requestID":"r-1","userIdentity":{
            "arn":"arn:aws:sts::000000000000:assumed-role/user/ann","principalId":"AROA1",
            "onBehalfOf":{"arn":"arn:aws:iam::000000000000:user/eve","userId":"AIDA2"}}}"#;
        let identity = event(line, &realm()).unwrap().user_identity;
        assert_eq!((&*identity.kind, &*identity.user_name), ("AssumedRole", "ann"));
        assert_eq!(identity.principal_id, "AROA1");
        let behind = identity.on_behalf_of.unwrap();
        assert_eq!(
            (&*behind.user_id, &*behind.arn),
            ("AIDA2", "arn:aws:iam::000000000000:user/eve")
        );
    }

    #[test]
    fn a_node_that_follows_another_replaces_no_file_of_it() {
        let line = (1, r#"{"eventTime":"2023-11-14T22:13:20Z"}"#.to_owned());
        let key = |node| key("", node, &realm(), &line, UnixMillis(0));
        let first = "AWSLogs/000000000000/CloudTrail/xx-towline-1/2023/11/14/\
                     000000000000_CloudTrail_xx-towline-1_20231114T2213Z_";
        let [default, second, third] = [DEFAULT_NODE, "gateway-2", "gateway-3"].map(key);
        assert_eq!(default, format!("{first}cd2662154e6d76b2.json.gz"), "as before");
        assert!(second.starts_with(first) && second.len() == default.len());
        assert!(default != second && second != third && default != third);
    }

    #[test]
    fn a_line_of_the_store_becomes_an_event_of_cloudtrail() {
        let line = r#"{"eventTime":"2023-11-14T22:13:20.123Z","eventID":"e-1","eventSource":"ssm.amazonaws.com",
            "eventName":"StartSession","sourceIPAddress":"192.0.2.7","userAgent":"aws-cli","requestID":"r-1",
            "userIdentity":{"arn":"arn:aws:iam::000000000000:user/ann","accessKeyId":"AKIA1"},
            "resources":["arn:aws:ssm:xx-towline-1:000000000000:managed-instance/mi-1"],
            "facts":{"target":"mi-1","sessionId":"ann-1"},"errorCode":"TargetNotConnected","errorMessage":"away"}"#;
        let event = event(line, &realm()).unwrap();
        assert_eq!(
            (event.event_time.as_str(), event.event_type.as_str()),
            ("2023-11-14T22:13:20Z", "AwsApiCall")
        );
        assert_eq!(
            (event.user_identity.kind.as_str(), event.user_identity.user_name.as_str()),
            ("IAMUser", "ann")
        );
        assert_eq!(event.request_parameters.unwrap()["target"], "mi-1");
        assert_eq!(event.response_elements.unwrap()["sessionId"], "ann-1");
        assert_eq!(event.resources[0].kind, "AWS::SSM::ManagedInstance");
        assert_eq!(
            (event.error_code.as_deref(), event.read_only),
            (Some("TargetNotConnected"), false)
        );
    }

    #[test]
    fn an_event_of_a_device_is_told_from_a_call() {
        let line = r#"{"eventSource":"towline","eventName":"DeviceConnected","facts":{"deviceId":"mi-1"}}"#;
        let event = event(line, &realm()).unwrap();
        assert_eq!(
            event.resources[0].arn,
            "arn:aws:ssm:xx-towline-1:000000000000:managed-instance/mi-1"
        );
        assert_eq!(
            (event.event_type.as_str(), event.user_identity.kind.as_str()),
            ("AwsServiceEvent", "AWSService")
        );
        assert!(super::event("no json", &realm()).is_none());
    }
}
