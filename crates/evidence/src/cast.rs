//! asciicast v2: one header line, then one line an event, `[seconds, code, text]`.
//!
//! Source of the form: docs.asciinema.org/manual/asciicast/v2. Codes `o` (output), `i` (input), `r`
//! (resize, `COLSxROWS`) and `m` (marker) are the format's own; `z` is ours (see [`crate::seal`]),
//! and players pass over codes they do not know.
//!
//! # Invariants
//! - A line never holds a newline, whatever the text is: JSON escapes it.
//! - Seconds have six digits behind the point and come from whole microseconds: the same event is
//!   the same line.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// Longest line that is read or written, bytes. An event of [`crate::recording::MAX_TEXT`] bytes of
/// control characters, six bytes each in JSON, stays below it.
pub const MAX_LINE: usize = 512 * 1024;

/// A line that is not of this format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a line of asciicast v2: {0}")]
pub struct NotCast(String);

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Always 2.
    pub version: u8,
    /// Columns at the start.
    pub width: u16,
    /// Rows at the start.
    pub height: u16,
    /// Start, seconds since 1970.
    pub timestamp: i64,
    /// The session, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// `TERM` of the session, if known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Facts of ours; players pass over keys they do not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towline: Option<Facts>,
}

/// Who, where, how: fixed at the start of a session.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// The session's id.
    pub session: String,
    /// The device's id.
    pub device: String,
    /// ARN of its owner.
    pub principal: String,
    /// Id of its owner: a user, or the role that was assumed; no other principal ever gets it.
    /// Empty: of an older version, the owner is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub principal_id: String,
    /// The user whose access key is behind it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub person: String,
    /// Id of that user.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub person_id: String,
    /// The session document.
    pub document: String,
    /// User on the device, if one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<String>,
    /// The owner's reason, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where the owner's request came from.
    pub source_ip: String,
    /// Whether input is recorded, as far as it was echoed ([`crate::typed`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub input: bool,
}

impl Facts {
    /// Whose share of the gateway the session takes: the id of the user behind it. A user cannot
    /// have more shares by roles. Of an older version: the owner's ARN.
    #[must_use]
    pub fn share_of(&self) -> &str {
        if self.person_id.is_empty() { &self.principal } else { &self.person_id }
    }
}

/// What an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Output: `o`.
    Output,
    /// Input: `i`.
    Input,
    /// New size: `r`.
    Resize,
    /// Marker: `m`.
    Marker,
    /// A seal of ours: `z`.
    Seal,
    /// Any other; passed over.
    Other,
}

impl Code {
    const fn letter(self) -> &'static str {
        match self {
            Self::Output => "o",
            Self::Input => "i",
            Self::Resize => "r",
            Self::Marker => "m",
            Self::Seal => "z",
            Self::Other => "x",
        }
    }

    fn of(letter: &str) -> Self {
        match letter {
            "o" => Self::Output,
            "i" => Self::Input,
            "r" => Self::Resize,
            "m" => Self::Marker,
            "z" => Self::Seal,
            _ => Self::Other,
        }
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Time since the start, microseconds.
    pub at: u64,
    /// What it is.
    pub code: Code,
    /// Its text.
    pub text: String,
}

impl Header {
    /// The line, without newline.
    #[must_use]
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() // text and numbers: cannot fail
    }

    /// Reads a first line.
    ///
    /// # Errors
    /// [`NotCast`] with the reason.
    pub fn parse(line: &[u8]) -> Result<Self, NotCast> {
        let header: Self = serde_json::from_slice(line).map_err(|e| NotCast(e.to_string()))?;
        if header.version == 2 {
            Ok(header)
        } else {
            Err(NotCast(format!("version {}", header.version)))
        }
    }
}

impl Event {
    /// The line, without newline.
    #[must_use]
    pub fn line(&self) -> String {
        event_line(self.at, self.code, &self.text)
    }

    /// Reads an event's line.
    ///
    /// # Errors
    /// [`NotCast`] with the reason.
    pub fn parse(line: &[u8]) -> Result<Self, NotCast> {
        let (seconds, code, text): (f64, String, String) =
            serde_json::from_slice(line).map_err(|e| NotCast(e.to_string()))?;
        if !seconds.is_finite() || seconds < 0.0 {
            return Err(NotCast("a time before the start".to_owned()));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // checked above; `as` stops at the end
        let at = (seconds * 1e6).round() as u64;
        Ok(Self { at, code: Code::of(&code), text })
    }
}

/// The line of an event, without newline.
#[must_use]
pub fn event_line(at: u64, code: Code, text: &str) -> String {
    let mut line = String::with_capacity(text.len() + text.len() / 8 + 24);
    // into a String: cannot fail
    let _ = write!(line, "[{}.{:06},\"{}\",", at / 1_000_000, at % 1_000_000, code.letter());
    line.push_str(&serde_json::to_string(text).unwrap_or_default());
    line.push(']');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_its_golden_line_and_reads_back() {
        let event = Event { at: 1_000_250, code: Code::Output, text: "a\r\n\u{1b}[1m\"é".into() };
        assert_eq!(event.line(), r#"[1.000250,"o","a\r\n\u001b[1m\"é"]"#);
        assert_eq!(Event::parse(event.line().as_bytes()), Ok(event));
    }

    #[test]
    fn a_code_of_a_later_version_is_kept_apart() {
        assert_eq!(Event::parse(br#"[0.5, "q", "?"]"#).unwrap().code, Code::Other);
        assert!(Event::parse(br#"[-1, "o", ""]"#).is_err());
        assert!(Event::parse(b"[1]").is_err());
    }

    #[test]
    fn a_header_of_another_recorder_is_read_without_our_facts() {
        let header = Header::parse(
            br#"{"version": 2, "width": 80, "height": 24, "timestamp": 5, "theme": {}}"#,
        )
        .unwrap();
        assert_eq!((header.width, header.towline), (80, None));
        assert!(
            Header::parse(br#"{"version": 3, "width": 80, "height": 24, "timestamp": 5}"#).is_err()
        );
    }
}
