//! The audit trail: one JSON object a line for every request and for what devices do, to stderr and
//! to the store.
//!
//! Data flow: [`AuditLog::write`] -> stderr (target `audit`) -> a bounded queue -> one transaction for
//! many lines -> the caller goes on. So an answer that a client has seen has its line on the disk.
//!
//! # Invariants
//! - A full queue makes requests wait; no line is dropped. Only when the store itself fails is a
//!   line on stderr alone.
//! - No secret: what is written is named field by field, a request's body never. Every text is cut
//!   at its bound.
//! - Requests turned away unread by the rate limit have one line for the whole window, not one
//!   each.
//!
//! # Not here
//! - Sealing, files, sinks: the evidence module's.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};
use towline_host::clock::{Clock, UnixMillis};
use towline_host::entropy;
use towline_store::{AuditRow, Store};
use tracing::{error, info};

use crate::limits;
use crate::limits::MAX_AUDIT_TEXT;

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
        let text = line.to_string();
        if text.len() <= limits::AUDIT_LINE {
            return text;
        }
        // Many long resources: the line stays valid JSON and says that it is not whole.
        line["resources"] = json!([]);
        line["facts"] = json!({ "truncated": "true" });
        line.to_string()
    }
}

impl Event {
    /// Its line, written to stderr here, and still to be kept.
    pub(crate) fn row(self, at: UnixMillis) -> AuditRow {
        let line = self.line(at);
        info!(target: "audit", "{line}");
        let outcome = self.error.as_ref().map_or("Done", |(code, _)| code).to_owned();
        let action = format!("{}:{}", self.source, self.name);
        AuditRow { at, principal: self.principal, action, outcome, line }
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_AUDIT_TEXT {
        return text.to_owned();
    }
    text.chars().take(MAX_AUDIT_TEXT).chain("…".chars()).collect()
}

/// A row, or none for somebody who only waits for those before; and who waits.
type Waiting = (Option<AuditRow>, oneshot::Sender<()>);

/// Writes events. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AuditLog {
    queue: mpsc::Sender<Waiting>,
    clock: Clock,
}

impl AuditLog {
    /// A log over `store`; the task behind it ends when the last clone is gone.
    #[must_use]
    pub fn start(store: Store, clock: Clock) -> (Self, tokio::task::JoinHandle<()>) {
        let (queue, waiting) = mpsc::channel(limits::AUDIT_QUEUE);
        let task = tokio::spawn(keep(store, clock.clone(), waiting));
        (Self { queue, clock }, task)
    }

    /// Writes an event; returns when it is in the store (or the store has failed, which is logged).
    pub async fn write(&self, event: Event) {
        self.kept(Some(event.row(self.clock.now()))).await;
    }

    /// Waits until all that was written so far is in the store.
    pub async fn settle(&self) {
        self.kept(None).await;
    }

    async fn kept(&self, row: Option<AuditRow>) {
        let (kept, done) = oneshot::channel();
        if self.queue.send((row, kept)).await.is_ok() {
            let _ = done.await;
        }
    }
}

async fn keep(store: Store, clock: Clock, mut waiting: mpsc::Receiver<Waiting>) {
    let mut since_prune = limits::AUDIT_PRUNE_EVERY; // prune at the first batch after a start
    let mut batch: Vec<Waiting> = Vec::with_capacity(limits::AUDIT_BATCH);
    while waiting.recv_many(&mut batch, limits::AUDIT_BATCH).await > 0 {
        let (rows, callers): (Vec<Option<AuditRow>>, Vec<_>) = batch.drain(..).unzip();
        let rows: Vec<AuditRow> = rows.into_iter().flatten().collect();
        if let Err(error) = store.audit().append(&rows).await {
            error!(%error, lines = rows.len(), "audit lines are on stderr only");
        }
        for caller in callers {
            let _ = caller.send(()); // a caller whose client has gone no longer waits
        }
        since_prune = since_prune.saturating_add(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        if since_prune >= limits::AUDIT_PRUNE_EVERY {
            since_prune = 0;
            let oldest = clock
                .now()
                .minus(Duration::from_secs(limits::AUDIT_MAX_DAYS.unsigned_abs() * 86_400));
            if let Err(error) = store.audit().prune(oldest, limits::AUDIT_MAX_ROWS).await {
                error!(%error, "cannot prune the audit table");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use towline_store::testing::scratch;

    #[tokio::test]
    async fn an_event_is_in_the_store_when_write_returns() {
        let (store, _dir) = scratch().await;
        let (log, task) =
            AuditLog::start(store.clone(), Clock::manual(UnixMillis(1_700_000_000_000)));
        let event =
            Event { source: "ssm.amazonaws.com", name: "StartSession".into(), ..Event::default() };
        log.write(event).await;
        let lines = store.audit().list(0, 10).await.unwrap();
        let line: Value = serde_json::from_str(&lines[0].1).unwrap();
        assert_eq!(line["eventName"], "StartSession");
        assert_eq!(line["eventTime"], "2023-11-14T22:13:20Z");
        drop(log);
        task.await.unwrap();
    }

    #[test]
    fn a_line_is_one_line_of_json_and_bounded_whatever_the_client_sends() {
        let event = Event {
            name: "x\n\"".repeat(10_000),
            user_agent: "u".repeat(100_000),
            resources: vec!["r".repeat(10_000); 100],
            error: Some(("E".into(), "m\u{0}".repeat(9_000))),
            ..Event::default()
        };
        let line = event.line(UnixMillis(0));
        assert!(!line.contains('\n'));
        assert!(line.len() <= 4 * limits::AUDIT_LINE, "{}", line.len());
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["facts"]["truncated"], "true");
    }
}
