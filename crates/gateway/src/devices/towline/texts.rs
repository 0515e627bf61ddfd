//! Texts of a device, at the edge of the wire: made harmless before anything stores, logs or shows
//! them.
//!
//! Data flow: hello, enrollment, or report of an agent -> one of these -> store, log, caller.
//!
//! # Invariants
//! - No text of an agent is used as it came, except by the command log: there it is evidence, and
//!   is made harmless where it is shown.

use towline_wire::message::FromAgent;
use towline_wire::text::plain;

use crate::limits::{MAX_DEVICE_REPORT, MAX_DEVICE_SENTENCE};

/// What a device says about itself.
pub(super) fn reported(text: &str) -> String {
    plain(text, MAX_DEVICE_REPORT)
}

/// A report with harmless sentences.
pub(super) fn harmless(message: FromAgent) -> FromAgent {
    let sentence = |text: String| plain(&text, MAX_DEVICE_SENTENCE);
    match message {
        FromAgent::NotOpened { session, code, text } => {
            FromAgent::NotOpened { session, code, text: sentence(text) }
        }
        FromAgent::NotConnected { session, text } => {
            FromAgent::NotConnected { session, text: sentence(text) }
        }
        FromAgent::NoNewKey { text } => FromAgent::NoNewKey { text: sentence(text) },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use towline_wire::message::RefusalCode;

    use super::*;

    const HOSTILE: &str = "no\u{1b}]52;c;aGk=\u{7}\u{9b}2J\u{202e}";

    #[test]
    fn every_sentence_of_a_device_is_made_harmless() {
        let (session, text, code) = ("s".to_owned(), HOSTILE.to_owned(), RefusalCode::Spawn);
        for message in [
            FromAgent::NotOpened { session: session.clone(), code, text: text.clone() },
            FromAgent::NotConnected { session, text: text.clone() },
            FromAgent::NoNewKey { text },
        ] {
            let text = match harmless(message) {
                FromAgent::NotOpened { text, .. }
                | FromAgent::NotConnected { text, .. }
                | FromAgent::NoNewKey { text } => text,
                other => panic!("{other:?}"),
            };
            assert_eq!(text, "no ]52;c;aGk=  2J ");
        }
    }

    #[test]
    fn what_a_device_says_about_itself_is_bounded() {
        assert_eq!(reported(&"x".repeat(10_000)).len(), MAX_DEVICE_REPORT);
        assert_eq!(reported(HOSTILE), "no ]52;c;aGk=  2J ");
    }
}
