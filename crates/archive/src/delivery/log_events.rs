//! The calls of CloudWatch Logs that session logs and command outputs need.
//!
//! # Invariants
//! - Creating a group or a stream that exists succeeds: the first sender creates it.
//! - A call has at most [`LOG_EVENTS`](crate::limits::LOG_EVENTS) events of
//!   [`LOG_EVENT`](crate::limits::LOG_EVENT) bytes: together below the service's limit of 1 MiB,
//!   each below its limit of 256 KiB.
//!
//! # Not here
//! - Retries: `queue`.

use serde_json::{Value, json};

use super::aws_call::{Call, CallError, Client, Target};
use super::error::SinkError;
use crate::settings::CloudWatch;
use towline_host::clock::Clock;

/// A client for CloudWatch Logs.
pub(crate) struct LogEvents {
    client: Client,
    /// The region of the service.
    pub(crate) region: String,
}

impl LogEvents {
    /// A client with these settings.
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

    /// Creates a log group, unless it exists.
    pub(crate) async fn create_group(&self, group: &str) -> Result<(), CallError> {
        self.create("CreateLogGroup", json!({ "logGroupName": group })).await
    }

    /// Creates a log stream, unless it exists.
    pub(crate) async fn create_stream(&self, group: &str, stream: &str) -> Result<(), CallError> {
        self.create("CreateLogStream", json!({ "logGroupName": group, "logStreamName": stream }))
            .await
    }

    /// Sends events: times in milliseconds, and messages. No message may be empty.
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

    async fn create(&self, action: &str, body: Value) -> Result<(), CallError> {
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
