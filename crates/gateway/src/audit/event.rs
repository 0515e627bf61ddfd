//! One event of the audit trail, and its line.
//!
//! # Invariants
//! - No secret: what is written is named field by field, a request's body never. Every text is cut
//!   at its bound.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use towline_host::clock::UnixMillis;
use towline_host::entropy;
use towline_store::{AuditRow, TrailRoom};
use towline_wire::text::is_plain;
use tracing::info;

use crate::limits;
use crate::limits::MAX_AUDIT_TEXT;

/// Error code of a request whose gateway was killed before it noted the outcome.
const UNKNOWN: &str = "OutcomeUnknown";
const UNKNOWN_MESSAGE: &str =
    "the gateway was killed before it noted the outcome: the request may have been done";

/// Something that happened.
#[derive(Debug, Clone, Default)]
pub struct Event {
    /// The service, such as `ssm.amazonaws.com`, or `towline` for events of devices.
    pub source: &'static str,
    /// The operation or event.
    pub name: String,
    /// Id of the request, as the client got it; empty for events of devices.
    pub request_id: String,
    /// ARN of the principal; empty when not proven.
    pub principal: String,
    /// Id of the principal; empty when not proven.
    pub principal_id: String,
    /// In a role: ARN and id of the user behind it.
    pub on_behalf_of: Option<(String, String)>,
    /// The access key as claimed; empty when there was none.
    pub access_key: String,
    /// Where it came from.
    pub source_ip: String,
    /// What the client calls itself.
    pub user_agent: String,
    /// ARNs that policy was asked about.
    pub resources: Vec<String>,
    /// Further facts, none secret.
    pub facts: Vec<(&'static str, String)>,
    /// Error code and sentence; `None` when it was done.
    pub error: Option<(String, String)>,
    /// Whether it leaves everything as it is.
    pub reads: bool,
    /// Whose share of the trail it takes, where no id above says it.
    pub share_of: String,
}

impl Event {
    fn line(&self, at: UnixMillis) -> String {
        let facts: Map<String, Value> = self
            .facts
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(cut(value))))
            .collect();
        let mut line = json!({
            "eventTime": at.to_rfc3339(),
            "eventID": entropy::uuid().unwrap_or_default(),
            "eventSource": self.source,
            "eventName": cut(&self.name),
            "sourceIPAddress": self.source_ip,
            "userAgent": cut(&self.user_agent),
            "userIdentity": { "arn": self.principal, "accessKeyId": cut(&self.access_key) },
            "requestID": self.request_id,
            "resources": self.resources.iter().map(|r| cut(r)).collect::<Vec<_>>(),
        });
        if !self.principal_id.is_empty() {
            line["userIdentity"]["principalId"] = Value::from(&*self.principal_id);
        }
        if let Some((arn, id)) = &self.on_behalf_of {
            line["userIdentity"]["onBehalfOf"] = json!({ "arn": arn, "userId": id });
        }
        if !facts.is_empty() {
            line["facts"] = Value::Object(facts);
        }
        if let Some((code, message)) = &self.error {
            line["errorCode"] = Value::from(cut(code));
            line["errorMessage"] = Value::from(cut(message));
        }
        let text = plain(&line);
        if text.len() <= limits::AUDIT_LINE {
            return text;
        }
        // Many long resources: the line stays valid JSON and says that it is not whole.
        line["resources"] = json!([]);
        line["facts"] = json!({ "truncated": "true" });
        plain(&line)
    }
}

impl Event {
    /// Its line, written to stderr here, and still to be kept.
    pub(crate) fn row(self, at: UnixMillis) -> AuditRow {
        let row = self.unprinted(at);
        info!(target: "audit", "{}", row.line);
        row
    }

    /// The row of a request that begins, for the case that no other one follows. It is written to
    /// stderr when that is known.
    pub(crate) fn unknown(&self, at: UnixMillis) -> AuditRow {
        let (code, message) = (UNKNOWN.to_owned(), UNKNOWN_MESSAGE.to_owned());
        let row = Self { error: Some((code, message)), ..self.clone() }.unprinted(at);
        AuditRow { room: TrailRoom::Changes, ..row }
    }

    fn unprinted(self, at: UnixMillis) -> AuditRow {
        let line = self.line(at);
        let outcome = self.error.as_ref().map_or("Done", |(code, _)| code).to_owned();
        let action = format!("{}:{}", self.source, self.name);
        let room = match self.reads || self.error.is_some() {
            true => TrailRoom::Reads,
            false => TrailRoom::Changes,
        };
        let whose = self.whose();
        AuditRow { at, principal: self.principal, action, outcome, line, room, whose }
    }

    /// Whose share of the trail it takes: the person behind it, whatever her role and her session
    /// are called; else the device that it is about, or the provider. What nobody outside causes is
    /// nobody's.
    fn whose(&self) -> String {
        let behind = self.on_behalf_of.as_ref().map(|(_, person)| person);
        let device = self.facts.iter().find(|(name, _)| *name == "deviceId").map(|(_, id)| id);
        let known = [Some(&self.share_of), behind, Some(&self.principal_id), device];
        let known = known.into_iter().flatten().find(|whose| !whose.is_empty());
        known.unwrap_or(&self.principal).clone()
    }
}

/// JSON that is safe to print: what controls a terminal, hides or reorders text is escaped. Tools
/// print a line of the trail as it is.
fn plain(line: &Value) -> String {
    let mut text = String::new();
    for c in line.to_string().chars() {
        if is_plain(c) {
            text.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    text
}

/// A text as far as there is room for it in a line: by characters, and by what [`plain`] makes of
/// them.
fn cut(text: &str) -> String {
    let mut bytes = 0;
    let fits = |c: &char| {
        bytes += if is_plain(*c) { c.len_utf8() } else { 6 * c.len_utf16() };
        bytes <= 4 * MAX_AUDIT_TEXT
    };
    let kept: String = text.chars().take(MAX_AUDIT_TEXT).take_while(fits).collect();
    if kept.len() == text.len() { kept } else { kept + "…" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_takes_the_share_of_the_person_behind_a_role_and_reads_take_no_room_of_changes() {
        let known = Event { principal_id: "AROA:s".into(), ..Event::default() };
        let behind = Some(("arn:ann".to_owned(), "AIDA1".to_owned()));
        let of_role = Event { on_behalf_of: behind, ..known.clone() };
        let of_device = Event { facts: vec![("deviceId", "mi-1".into())], ..Event::default() };
        let taken = |event: Event| {
            let row = event.row(UnixMillis(0));
            (row.room, row.whose)
        };
        assert_eq!(taken(known), (TrailRoom::Changes, "AROA:s".into()));
        assert_eq!(taken(of_role.clone()), (TrailRoom::Changes, "AIDA1".into()));
        assert_eq!(taken(of_device), (TrailRoom::Changes, "mi-1".into()));
        let read = Event { reads: true, ..of_role.clone() };
        assert_eq!(taken(read), (TrailRoom::Reads, "AIDA1".into()));
        let refused = Event { error: Some(("E".into(), "no".into())), ..of_role.clone() };
        assert_eq!(taken(refused), (TrailRoom::Reads, "AIDA1".into()));
        let of_tunnel = Event { principal: "arn".into(), share_of: "p".into(), ..Event::default() };
        assert_eq!(taken(of_tunnel.clone()), (TrailRoom::Changes, "p".into()));
        let of_provider = Event { share_of: String::new(), ..of_tunnel };
        assert_eq!(taken(of_provider), (TrailRoom::Changes, "arn".into()));
        assert_eq!(of_role.unknown(UnixMillis(0)).room, TrailRoom::Changes, "it may be done");
    }

    #[test]
    fn a_line_that_is_printed_as_it_is_controls_no_terminal() {
        let hostile = "\x1b]52;c;aGk=\x07\u{9b}31m\u{202e}x\u{e0041}";
        let event = Event { facts: vec![("path", hostile.into())], ..Event::default() };
        let line = event.line(UnixMillis(0));
        assert!(line.chars().all(is_plain), "{line:?}");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["facts"]["path"], hostile);
    }

    #[test]
    fn a_line_is_one_line_of_json_and_bounded_whatever_the_client_sends() {
        for text in ["r", "\n\"", "m\u{0}", "\u{e0041}", "\u{202e}é"] {
            let event = Event {
                name: text.repeat(10_000),
                user_agent: text.repeat(100_000),
                resources: vec![text.repeat(10_000); 100],
                error: Some(("E".into(), text.repeat(9_000))),
                ..Event::default()
            };
            let line = event.line(UnixMillis(0));
            assert!(!line.contains('\n'));
            assert!(line.len() <= 4 * limits::AUDIT_LINE, "{text:?}: {}", line.len());
            let read: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(read["facts"]["truncated"], "true", "{text:?}");
        }
    }
}
