//! Receivers of notifications.
//!
//! Data flow: as in [`super`]; operations of ours. What is sent to a receiver is in
//! `docs/approvals.md`.
//!
//! # Invariants
//! - The address and the secret of a receiver are shown to nobody; the secret once, to who made it.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::{Request, Violations};
use crate::clock::EpochSeconds;
use crate::ids::is_plain_name;

/// How messages are written.
pub const FORMATS: [&str; 4] = ["Standard", "Slack", "Teams", MAIL];
/// The format of a receiver that has an address of mail.
pub const MAIL: &str = "Mail";
/// What a secret begins with, in the form of Standard Webhooks.
pub const SECRET_PREFIX: &str = "whsec_";

/// Makes a receiver.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateWebhookRequest {
    /// Its name.
    pub webhook_name: String,
    /// Its address: `https://…`, or `mailto:…` with the format `Mail`.
    pub url: String,
    /// `Standard`, `Slack`, `Teams` or `Mail`; `Standard` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// `whsec_` and 24 to 64 bytes in base64; one is made when absent. None for mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl fmt::Debug for CreateWebhookRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateWebhookRequest")
            .field("webhook_name", &self.webhook_name)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

impl Request for CreateWebhookRequest {
    fn check(&self, v: &mut Violations) {
        check_name(v, &self.webhook_name);
        v.length("Url", &self.url, 1, 2048);
        if let Some(format) = &self.format {
            v.one_of("Format", format, &FORMATS);
        }
        if let Some(secret) = &self.secret {
            v.require(secret.starts_with(SECRET_PREFIX), "Secret", "begin with whsec_");
            v.length("Secret", secret, 38, 94);
            let signed = self.format.as_deref() != Some(MAIL);
            v.require(
                signed,
                "Secret",
                "not be given with the format Mail, which has no signature",
            );
        }
    }
}

/// The answer to it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateWebhookResult {
    /// Its name.
    pub webhook_name: String,
    /// Its secret, for the receiver; empty for mail.
    pub secret: String,
}

impl fmt::Debug for CreateWebhookResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateWebhookResult")
            .field("webhook_name", &self.webhook_name)
            .finish_non_exhaustive()
    }
}

/// Names a receiver.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct WebhookRequest {
    /// Its name.
    pub webhook_name: String,
}

impl Request for WebhookRequest {
    fn check(&self, v: &mut Violations) {
        check_name(v, &self.webhook_name);
    }
}

fn check_name(v: &mut Violations, name: &str) {
    v.require(is_plain_name(name), "WebhookName", "be 3 to 128 letters, digits or any of _-.");
}

/// Lists receivers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListWebhooksRequest {}

impl Request for ListWebhooksRequest {
    fn check(&self, _: &mut Violations) {}
}

/// A receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Webhook {
    /// Its name.
    pub webhook_name: String,
    /// The host of its address.
    pub host: String,
    /// `Standard`, `Slack`, `Teams` or `Mail`.
    pub format: String,
    /// When it was made.
    pub created_date: EpochSeconds,
    /// Messages that wait for it.
    pub waiting: u64,
    /// Messages that were given up.
    pub dead: u64,
    /// Why the last attempt at the first waiting message failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// All receivers, by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListWebhooksResult {
    /// The receivers.
    pub webhooks: Vec<Webhook>,
}

/// A message that was given up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeadLetter {
    /// Its id, as the receiver sees it.
    pub message_id: String,
    /// What happened, such as `access_request.created`.
    pub kind: String,
    /// When it was written.
    pub created_date: EpochSeconds,
    /// Attempts.
    pub attempts: u64,
    /// Why the last one failed.
    pub error: String,
}

/// Messages that were given up, in their order; at most 1000.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListDeadLettersResult {
    /// The messages.
    pub dead_letters: Vec<DeadLetter>,
}

/// How many messages are sent again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ResendDeadLettersResult {
    /// How many.
    pub resent: u64,
}
