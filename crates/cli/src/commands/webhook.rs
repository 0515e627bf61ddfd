//! `admin webhook`: who is told of requests for access, and messages that were not taken.
//!
//! # Invariants
//! - An address is read from a file or standard input: that of a chat is a secret.

use towline_ssm::Operation;
use towline_ssm::api::webhook::{
    CreateWebhookRequest, CreateWebhookResult, DeadLetter, ListDeadLettersResult,
    ListWebhooksRequest, ListWebhooksResult, ResendDeadLettersResult, Webhook, WebhookRequest,
};

use super::context::{Context, read_document, time_text};
use crate::args::admin::WebhookCommand;
use crate::exit::Failure;
use crate::output::Cell;

/// `admin webhook`.
pub(super) async fn run(context: &mut Context, command: WebhookCommand) -> Result<(), Failure> {
    match command {
        WebhookCommand::Create { name, url, format } => {
            let url = read_document(&url)?.trim().to_owned();
            let request = CreateWebhookRequest {
                webhook_name: name,
                url,
                format: Some(format),
                secret: None,
            };
            let answer: CreateWebhookResult =
                context.call(Operation::CreateWebhook, &request).await?;
            // Mail has none.
            let secret = Some(&answer.secret).filter(|secret| !secret.is_empty());
            let text = secret.map(|secret| format!("{secret}\n")).unwrap_or_default();
            context.output.answer(&answer, |_| text)
        }
        WebhookCommand::List => list(context).await,
        WebhookCommand::Dead { name } => dead(context, name).await,
        WebhookCommand::Resend { name } => {
            let request = WebhookRequest { webhook_name: name };
            let answer: ResendDeadLettersResult =
                context.call(Operation::ResendDeadLetters, &request).await?;
            context.output.answer(&answer, |_| format!("sent again: {}\n", answer.resent))
        }
        WebhookCommand::Delete { name } => {
            let request = WebhookRequest { webhook_name: name };
            context.done(Operation::DeleteWebhook, &request).await
        }
    }
}

async fn list(context: &mut Context) -> Result<(), Failure> {
    let answer: ListWebhooksResult =
        context.call(Operation::ListWebhooks, &ListWebhooksRequest {}).await?;
    let row = |webhook: &Webhook| -> Vec<Cell> {
        vec![
            webhook.webhook_name.clone().into(),
            webhook.host.clone().into(),
            webhook.format.clone().into(),
            webhook.waiting.to_string().into(),
            webhook.dead.to_string().into(),
            webhook.last_error.clone().unwrap_or_default().into(),
        ]
    };
    let rows: Vec<_> = answer.webhooks.iter().map(row).collect();
    let titles = ["WEBHOOK", "HOST", "FORMAT", "WAITING", "DEAD", "LAST ERROR"];
    context.output.answer(&answer, |output| output.table(&titles, &rows))
}

async fn dead(context: &mut Context, name: String) -> Result<(), Failure> {
    let request = WebhookRequest { webhook_name: name };
    let answer: ListDeadLettersResult = context.call(Operation::ListDeadLetters, &request).await?;
    let row = |letter: &DeadLetter| -> Vec<Cell> {
        vec![
            letter.message_id.clone().into(),
            letter.kind.clone().into(),
            time_text(Some(letter.created_date)).into(),
            letter.attempts.to_string().into(),
            letter.error.clone().into(),
        ]
    };
    let rows: Vec<_> = answer.dead_letters.iter().map(row).collect();
    let titles = ["MESSAGE", "EVENT", "SINCE", "ATTEMPTS", "ERROR"];
    context.output.answer(&answer, |output| output.table(&titles, &rows))
}
