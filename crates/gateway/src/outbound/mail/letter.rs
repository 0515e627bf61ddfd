//! A mail as text (RFC 5322).
//!
//! # Invariants
//! - A header is one line of ASCII, whatever it is made of: no text adds a header or a second body.
//! - The body is base64: none of its lines begins with a dot, and no byte of it is read as a
//!   header.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use towline_host::clock::UnixMillis;

use super::mailbox::Mailbox;

/// Longest subject, characters: with its name it fits into one line (RFC 5322, section 2.1.1).
const MAX_SUBJECT: usize = 200;
/// Bytes of one line of base64 (RFC 2045, section 6.8).
const LINE: usize = 76;

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub struct Mail<'a> {
    /// Who gets it.
    pub to: &'a Mailbox,
    /// Its id, the same for each attempt.
    pub id: &'a str,
    /// When what it tells happened.
    pub at: UnixMillis,
    /// In one line.
    pub subject: &'a str,
    /// Lines of text.
    pub text: &'a str,
}

impl Mail<'_> {
    /// Headers and body, with the ends of lines that mail has.
    pub(super) fn letter(&self, from: &Mailbox) -> String {
        let at = OffsetDateTime::from_unix_timestamp(self.at.0.div_euclid(1000)).ok();
        let at = at.and_then(|at| at.format(&Rfc2822).ok()).unwrap_or_default();
        let headers = [
            ("From", format!("Towline <{from}>")),
            ("To", self.to.to_string()),
            ("Subject", one_line(self.subject)),
            ("Date", at),
            ("Message-ID", format!("<{}@{}>", word(self.id), from.domain())),
            ("Auto-Submitted", "auto-generated".to_owned()),
            ("MIME-Version", "1.0".to_owned()),
            ("Content-Type", "text/plain; charset=utf-8".to_owned()),
            ("Content-Transfer-Encoding", "base64".to_owned()),
        ];
        let mut letter = String::new();
        for (name, value) in headers {
            letter.push_str(&format!("{name}: {value}\r\n"));
        }
        letter.push_str("\r\n");
        let body = STANDARD.encode(self.text.replace('\n', "\r\n"));
        for line in body.as_bytes().chunks(LINE) {
            letter.extend(line.iter().map(|byte| char::from(*byte)));
            letter.push_str("\r\n");
        }
        letter
    }
}

/// A text as the value of a header.
fn one_line(text: &str) -> String {
    let shown = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    text.chars().map(shown).take(MAX_SUBJECT).collect()
}

/// A text as a part of an id.
fn word(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(id: &str, subject: &str, text: &str) -> String {
        let to: Mailbox = "oncall@corp.example".parse().unwrap();
        let at = UnixMillis(1_800_000_000_000);
        let mail = Mail { to: &to, id, at, subject, text };
        mail.letter(&"towline@gw.example".parse().unwrap())
    }

    #[test]
    fn a_mail_has_its_headers_and_a_body() {
        let text = "access is asked for\nreason: die Pumpe ist undicht, ü\n";
        let letter = letter("msg_01", "[Towline] access is asked for: oi-1", text);
        let (head, body) = letter.split_once("\r\n\r\n").unwrap();
        for line in [
            "From: Towline <towline@gw.example>",
            "To: oncall@corp.example",
            "Subject: [Towline] access is asked for: oi-1",
            "Date: Fri, 15 Jan 2027 08:00:00 +0000",
            "Message-ID: <msg_01@gw.example>",
        ] {
            assert!(head.lines().any(|one| one == line), "{line} in {head}");
        }
        let decoded = STANDARD.decode(body.replace("\r\n", "")).unwrap();
        assert_eq!(String::from_utf8(decoded).unwrap(), text.replace('\n', "\r\n"));
        assert!(letter.lines().all(|line| line.len() <= LINE), "{letter}");
    }

    #[test]
    fn no_text_adds_a_header_or_ends_the_mail() {
        let evil = "x\r\nBcc: eve@e.example\r\n\r\n.\r\nMAIL FROM:<eve@e.example>\r\n\u{2028}ü";
        let letter = letter(evil, evil, evil);
        let (head, body) = letter.split_once("\r\n\r\n").unwrap();
        assert_eq!(head.lines().count(), 9, "{head}");
        assert!(letter.is_ascii() && !letter.contains("\r\n.") && !letter.contains("\nBcc"));
        assert!(!letter.replace("\r\n", "").contains(['\r', '\n']));
        assert!(!body.trim_end().contains("\r\n\r\n"));
    }
}
