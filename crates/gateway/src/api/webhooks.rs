//! Administration of receivers of notifications, and of messages that were given up.
//!
//! # Invariants
//! - Address and secret are stored sealed. The secret is shown once, to who made the receiver; the
//!   address never, also where it is refused: answers of refusals are audit lines.
//! - An address that the outbound client would refuse by its form, or because it is asked in plain
//!   text, is refused when it is given.

use towline_ssm::api::Empty;
use towline_ssm::api::webhook::{
    CreateWebhookRequest, CreateWebhookResult, DeadLetter, ListDeadLettersResult,
    ListWebhooksRequest, ListWebhooksResult, MAIL, ResendDeadLettersResult, Webhook,
    WebhookRequest,
};
use towline_ssm::clock::EpochSeconds;
use towline_ssm::error::ApiError;

use super::authz::Question;
use super::call::Call;
use super::internal::{OrInternal as _, internal};
use super::named::{made, missing};
use super::service::Api;
use crate::notifications::{Secrets, new_secret, secret_bytes};
use crate::outbound::mail::Mailbox;
use crate::outbound::{OutboundError, host_of};

/// Dead letters that are listed at once.
const MOST_LISTED: i64 = 1000;

type Row = towline_store::Webhook;

impl Api {
    pub(super) async fn create_webhook(
        &self,
        call: &Call,
        request: CreateWebhookRequest,
    ) -> Result<CreateWebhookResult, ApiError> {
        call.note("webhookName", &*request.webhook_name);
        self.authorize(call, &Question::anything()).await?;
        let is_mail = request.format.as_deref() == Some(MAIL);
        let host = self.host_of_receiver(&request.url, is_mail).await?;
        call.note("host", &*host);
        let secret = match request.secret {
            None if is_mail => String::new(),
            Some(secret) if secret_bytes(&secret).is_none() => {
                return Err(ApiError::validation(
                    "Secret must be whsec_ and 24 to 64 bytes in base64",
                ));
            }
            Some(secret) => secret,
            None => new_secret().or_internal("no secret")?,
        };
        let secrets = Secrets { url: request.url, secret: secret.clone() };
        let text = serde_json::to_vec(&secrets)
            .map_err(|error| internal("a webhook cannot be written", &error))?;
        let sealed = self.parts.vault.seal(&Secrets::sealed_for(&request.webhook_name), &text);
        let row = Row {
            name: request.webhook_name.clone(),
            unique_id: String::new(),
            host,
            format: request.format.unwrap_or_else(|| "Standard".to_owned()),
            sealed: sealed.or_internal("cannot seal a webhook")?,
            created_at: call.now,
        };
        let stored = self.store().notifications().create(&row).await;
        made(stored, &format!("webhook {}", row.name), "cannot store a webhook")?;
        Ok(CreateWebhookResult { webhook_name: request.webhook_name, secret })
    }

    /// The host of an address, if its form is one that can be sent to.
    async fn host_of_receiver(&self, url: &str, is_mail: bool) -> Result<String, ApiError> {
        let wrong = |error: &dyn std::fmt::Display| ApiError::validation(format!("Url: {error}"));
        if !is_mail {
            let may = self.parts.providers.client().may_ask(url).await;
            return may.and_then(|()| host_of(url)).map_err(|error| match error {
                // The error has the address, which may hold a secret (Slack, Teams).
                OutboundError::Url(_) => wrong(
                    &"a URL of https is expected, without user and password, such as \
                      https://hooks.example/path",
                ),
                error => wrong(&error),
            });
        }
        let address = Mailbox::of_url(url).map_err(|_| {
            wrong(
                &"mailto: and one address of mail is expected, such as mailto:oncall@corp.example",
            )
        })?;
        if self.parts.has_mail {
            Ok(address.domain().to_owned())
        } else {
            Err(wrong(&"the gateway has no server of mail: write [mail] in gateway.toml"))
        }
    }

    pub(super) async fn list_webhooks(
        &self,
        call: &Call,
        _: ListWebhooksRequest,
    ) -> Result<ListWebhooksResult, ApiError> {
        self.authorize(call, &Question::anything()).await?;
        let store = self.store().notifications();
        let mut webhooks = Vec::new();
        for row in store.webhooks().await.or_internal("cannot list webhooks")? {
            let (waiting, dead) =
                store.counts(&row.unique_id).await.or_internal("cannot count notifications")?;
            let first =
                store.first(&row.unique_id).await.or_internal("cannot read notifications")?;
            webhooks.push(Webhook {
                webhook_name: row.name,
                host: row.host,
                format: row.format,
                created_date: EpochSeconds::from_millis(row.created_at.0),
                waiting: u64::try_from(waiting).unwrap_or(0),
                dead: u64::try_from(dead).unwrap_or(0),
                last_error: first.map(|first| first.error).filter(|error| !error.is_empty()),
            });
        }
        Ok(ListWebhooksResult { webhooks })
    }

    pub(super) async fn delete_webhook(
        &self,
        call: &Call,
        request: WebhookRequest,
    ) -> Result<Empty, ApiError> {
        call.note("webhookName", &*request.webhook_name);
        self.authorize(call, &Question::anything()).await?;
        let gone = self.store().notifications().remove(&request.webhook_name).await;
        if gone.or_internal("cannot remove a webhook")? {
            Ok(Empty {})
        } else {
            Err(missing("webhook", &request.webhook_name))
        }
    }

    pub(super) async fn list_dead_letters(
        &self,
        call: &Call,
        request: WebhookRequest,
    ) -> Result<ListDeadLettersResult, ApiError> {
        let row = self.permitted_webhook(call, &request.webhook_name).await?;
        let rows = self.store().notifications().dead(&row.unique_id, MOST_LISTED).await;
        let shown = |row: towline_store::Notification| DeadLetter {
            message_id: row.message.id,
            kind: row.message.kind,
            created_date: EpochSeconds::from_millis(row.created_at.0),
            attempts: u64::try_from(row.attempts).unwrap_or(0),
            error: row.error,
        };
        let rows = rows.or_internal("cannot read notifications")?;
        Ok(ListDeadLettersResult { dead_letters: rows.into_iter().map(shown).collect() })
    }

    pub(super) async fn resend_dead_letters(
        &self,
        call: &Call,
        request: WebhookRequest,
    ) -> Result<ResendDeadLettersResult, ApiError> {
        let row = self.permitted_webhook(call, &request.webhook_name).await?;
        let resent = self.store().notifications().resend(&row.unique_id, call.now).await;
        let resent = resent.or_internal("cannot send notifications again")?;
        self.parts.bell.ring();
        Ok(ResendDeadLettersResult { resent })
    }

    /// A receiver, once policy has said yes.
    async fn permitted_webhook(&self, call: &Call, name: &str) -> Result<Row, ApiError> {
        call.note("webhookName", name);
        self.authorize(call, &Question::anything()).await?;
        let rows = self.store().notifications().webhooks().await;
        let rows = rows.or_internal("cannot list webhooks")?;
        rows.into_iter().find(|row| row.name == name).ok_or_else(|| missing("webhook", name))
    }
}
