//! What is told: the events, and their text for each kind of receiver.
//!
//! # Invariants
//! - A text for people names what happened, who did it, why, and where to decide. It holds no
//!   secret.
//! - A link opens the console. Nothing is decided by opening it.
//! - What users wrote cannot become a mention or a link of a chat.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use towline_host::clock::UnixMillis;
use towline_host::entropy::{self, NoRandom};
use towline_ssm::ids::hex_lower;
use towline_store::Message;
use towline_wire::text::is_plain;

/// Address and secret of a receiver, as they are sealed.
#[derive(Serialize, Deserialize)]
pub struct Secrets {
    /// The address.
    pub url: String,
    /// The secret with its prefix.
    pub secret: String,
}

impl Secrets {
    /// What they are sealed for.
    #[must_use]
    pub fn sealed_for(name: &str) -> String {
        format!("webhook {name}")
    }
}

/// Something that happened to a request for access.
#[derive(Debug, Clone)]
pub struct Letter<'a> {
    /// `access_request.created`, and so on.
    pub kind: &'a str,
    /// What happened, for people.
    pub title: &'a str,
    /// The request.
    pub request: &'a str,
    /// ARN of the requester.
    pub requester: &'a str,
    /// ARN of who did it.
    pub by: &'a str,
    /// Why access is asked for.
    pub reason: &'a str,
    /// JSON of the targets.
    pub targets: &'a str,
    /// The console's address, if there is one.
    pub origin: Option<&'a str>,
}

impl Letter<'_> {
    /// The message.
    ///
    /// # Errors
    /// [`NoRandom`].
    pub fn message(&self, now: UnixMillis) -> Result<Message, NoRandom> {
        let random: [u8; 12] = entropy::random()?;
        let link =
            self.origin.map(|origin| format!("{origin}/console/#/access?request={}", self.request));
        let body = json!({
            "type": self.kind,
            "timestamp": rfc3339(now),
            "data": {
                "title": self.title,
                "accessRequestId": self.request,
                "requester": self.requester,
                "by": self.by,
                "reason": self.reason,
                "targets": serde_json::from_str::<Value>(self.targets).unwrap_or_default(),
                "link": link,
            }
        });
        let id = format!("msg_{}", hex_lower(&random));
        Ok(Message { id, kind: self.kind.to_owned(), body: body.to_string() })
    }
}

fn rfc3339(now: UnixMillis) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(now.0) * 1_000_000);
    at.ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

/// The body of a message for a receiver of this format.
#[must_use]
pub fn body_for(format: &str, body: &str) -> String {
    let read: Value = serde_json::from_str(body).unwrap_or_default();
    let text = || text(&read["data"]);
    match format {
        "Slack" => json!({ "text": text() }).to_string(),
        "Teams" => json!({
            "type": "message",
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "body": [{ "type": "TextBlock", "wrap": true, "text": text() }],
                }
            }]
        })
        .to_string(),
        _ => body.to_owned(),
    }
}

fn text(data: &Value) -> String {
    let of = |key: &str| plain(data[key].as_str().unwrap_or_default());
    let mut text = format!("{}: {}", of("title"), of("accessRequestId"));
    for (name, key) in [("requester", "requester"), ("by", "by"), ("reason", "reason")] {
        if !of(key).is_empty() {
            text.push_str(&format!("\n{name}: {}", of(key)));
        }
    }
    if let Some(link) = data["link"].as_str() {
        text.push_str(&format!("\n{link}"));
    }
    text
}

/// Subject and text of a message for a receiver of mail.
pub(super) fn mail_for(body: &str) -> (String, String) {
    let read: Value = serde_json::from_str(body).unwrap_or_default();
    let data = &read["data"];
    let of = |key: &str| unlinked(data[key].as_str().unwrap_or_default());
    let subject = format!("[Towline] {}: {}", of("title"), of("accessRequestId"));
    let mut text = format!("{}: {}\n\n", of("title"), of("accessRequestId"));
    for key in ["requester", "by", "reason"] {
        text.push_str(&format!("{key}: {}\n", of(key)));
    }
    for target in data["targets"].as_array().into_iter().flatten() {
        let values = target["Values"].as_array().into_iter().flatten();
        let values: Vec<&str> = values.filter_map(Value::as_str).collect();
        let key = target["Key"].as_str().unwrap_or_default();
        text.push_str(&format!("{}: {}\n", unlinked(key), unlinked(&values.join(" "))));
    }
    if let Some(link) = data["link"].as_str() {
        text.push_str(&format!(
            "\nThe console shows it, and decides nothing when it opens:\n{link}\n"
        ));
    }
    (subject, text)
}

/// One line, without what reorders or hides text, and without `://` and `www.`, of which a program
/// for mail makes a link.
fn unlinked(text: &str) -> String {
    let text: String = text.chars().map(|c| if is_plain(c) { c } else { ' ' }).collect();
    let mut text = text.replace("://", ": //");
    let small = text.to_ascii_lowercase();
    for (at, _) in small.rmatch_indices("www.") {
        text.insert(at + "www".len(), ' ');
    }
    text
}

/// Without what a chat takes for markup or for an address, and without what reorders or hides text.
fn plain(text: &str) -> String {
    let good = |c: char| if is_plain(c) && !"<>&*_~`[]()@|".contains(c) { c } else { ' ' };
    // ARNs and titles have none of these but in names.
    unlinked(&text.chars().map(good).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(reason: &str) -> Message {
        let letter = Letter {
            kind: "access_request.created",
            title: "access is asked for",
            request: "oi-000000000001",
            requester: "arn:aws:iam::000000000000:user/ann",
            by: "arn:aws:iam::000000000000:user/ann",
            reason,
            targets: r#"[{"Key":"InstanceIds","Values":["mi-1"]}]"#,
            origin: Some("https://gw.example"),
        };
        letter.message(UnixMillis(1_800_000_000_000)).unwrap()
    }

    #[test]
    fn a_message_tells_what_happened_and_where_to_decide() {
        let message = letter("pump 7 leaks");
        assert!(message.id.starts_with("msg_"));
        let body: Value = serde_json::from_str(&message.body).unwrap();
        assert_eq!(body["type"], "access_request.created");
        assert_eq!(body["timestamp"], "2027-01-15T08:00:00Z");
        assert_eq!(body["data"]["targets"][0]["Values"][0], "mi-1");
        let link = "https://gw.example/console/#/access?request=oi-000000000001";
        assert_eq!(body["data"]["link"], link);
        assert_eq!(body_for("Standard", &message.body), message.body);
    }

    #[test]
    fn a_mail_names_the_devices_and_holds_one_link() {
        let message =
            letter("leaks\r\nBcc: x@evil.example\u{2028}https://evil.example www.evil.example");
        let (subject, text) = mail_for(&message.body);
        assert_eq!(subject, "[Towline] access is asked for: oi-000000000001");
        assert!(
            text.contains("\nInstanceIds: mi-1\n") && text.contains("\nreason: leaks"),
            "{text}"
        );
        assert_eq!(text.matches("://").count(), 1, "{text}");
        assert!(!text.contains("\nBcc") && !text.contains("www.evil"), "{text}");
    }

    #[test]
    fn what_a_user_wrote_is_no_markup_of_a_chat() {
        let reason = "<!channel> [x](http://evil.example) @all https://evil.example \u{202e}x";
        let message = letter(reason);
        for format in ["Slack", "Teams"] {
            let body = body_for(format, &message.body);
            assert!(!body.contains("<!channel>") && !body.contains("](") && !body.contains("@all"));
            assert!(!body.contains("://evil") && !body.contains('\u{202e}'));
            assert!(body.contains("oi-000000000001") && body.contains("https://gw.example/"));
        }
    }
}
