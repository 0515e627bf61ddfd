//! The calls of CloudWatch Logs that sessions and outputs of commands need, and the sizes that go
//! with them.
//!
//! # Invariants
//! - What is there already is made: a stream is made once, by whoever comes first.
//! - A call has at most [`EVENTS`] events of [`EVENT`] bytes: together under the service's 1 MiB,
//!   each under its 256 KiB.
//!
//! # Not here
//! - Trying again: `queue`.

use serde_json::{Value, json};

use crate::delivery::aws_call::{Call, CallError, Client, Target};
use crate::delivery::sink::SinkError;
use crate::settings::CloudWatch;
use towline_host::clock::Clock;

/// Text in one event, bytes; what Session Manager sends at the end of a session.
pub(crate) const EVENT: usize = 200_000;
/// Events of one call; what Session Manager sends.
pub(crate) const EVENTS: usize = 4;

/// The service.
pub(crate) struct LogEvents {
    client: Client,
    /// Its region.
    pub(crate) region: String,
}

impl LogEvents {
    /// A client for the service.
    pub(crate) fn new(settings: &CloudWatch, clock: &Clock) -> Result<Self, SinkError> {
        let region = settings.region.clone().unwrap_or_else(|| "us-east-1".to_owned());
        let endpoint = settings
            .endpoint
            .clone()
            .unwrap_or_else(|| format!("https://logs.{region}.amazonaws.com"));
        let key = settings.access_key_id.as_deref().zip(settings.secret_access_key_file.as_deref());
        let client = Client::new(&Target { endpoint, region: &region, key }, clock)?;
        Ok(Self { client, region })
    }

    /// Makes a group, unless it is there.
    pub(crate) async fn make_group(&self, group: &str) -> Result<(), CallError> {
        self.make("CreateLogGroup", json!({ "logGroupName": group })).await
    }

    /// Makes a stream, unless it is there.
    pub(crate) async fn make_stream(&self, group: &str, stream: &str) -> Result<(), CallError> {
        self.make("CreateLogStream", json!({ "logGroupName": group, "logStreamName": stream }))
            .await
    }

    /// Sends events: times in milliseconds, and messages, of which none may be empty.
    pub(crate) async fn put(
        &self,
        group: &str,
        stream: &str,
        events: &[(i64, String)],
    ) -> Result<(), CallError> {
        let events: Vec<Value> = events
            .iter()
            .map(|(at, message)| json!({ "timestamp": at, "message": message }))
            .collect();
        let body = json!({ "logGroupName": group, "logStreamName": stream, "logEvents": events });
        self.call("PutLogEvents", &body).await
    }

    async fn make(&self, action: &str, body: Value) -> Result<(), CallError> {
        match self.call(action, &body).await {
            Err(error) if error.is("ResourceAlreadyExistsException") => Ok(()),
            result => result,
        }
    }

    async fn call(&self, action: &str, body: &Value) -> Result<(), CallError> {
        let headers = [
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("x-amz-target", format!("Logs_20140328.{action}")),
        ];
        let (method, body) = (reqwest::Method::POST, body.to_string().into_bytes());
        let call = Call { service: "logs", method, path: "/", query: "", headers: &headers, body };
        self.client.call(call).await.map(drop)
    }
}
