//! An address of mail.
//!
//! # Invariants
//! - It holds no space, no control character, no quote and no angle bracket: in a command and in a
//!   header it is one word.

use std::fmt;
use std::str::FromStr;

/// Longest part before `@`, bytes (RFC 5321, section 4.5.3.1.1).
const MAX_LOCAL: usize = 64;
/// Longest domain, bytes.
const MAX_DOMAIN: usize = 253;

/// `local@domain`, of ASCII, without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox(String);

/// A text that is no address of mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an address of mail is expected, such as oncall@corp.example")]
pub struct NotAMailbox;

impl Mailbox {
    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is behind `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.rsplit('@').next().unwrap_or_default()
    }

    /// The one address of a URL `mailto:`, without subject or other fields.
    ///
    /// # Errors
    /// [`NotAMailbox`].
    pub fn of_url(url: &str) -> Result<Self, NotAMailbox> {
        let address = url.strip_prefix("mailto:").filter(|rest| !rest.starts_with("//"));
        address.ok_or(NotAMailbox)?.parse()
    }
}

impl FromStr for Mailbox {
    type Err = NotAMailbox;

    fn from_str(text: &str) -> Result<Self, NotAMailbox> {
        // RFC 5322, section 3.2.3: dot-atom.
        let atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
        let label = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let whole = |part: &str, good: &dyn Fn(u8) -> bool| {
            part.split('.').all(|piece| !piece.is_empty() && piece.bytes().all(good))
        };
        let (local, domain) = text.split_once('@').ok_or(NotAMailbox)?;
        let fits = local.len() <= MAX_LOCAL && domain.len() <= MAX_DOMAIN;
        let good = fits && whole(local, &atom) && whole(domain, &label);
        if good { Ok(Self(text.to_owned())) } else { Err(NotAMailbox) }
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_word() {
        for good in ["ann@corp.example", "ann.lee+on-call@mail.corp.example", "a@localhost"] {
            assert_eq!(good.parse::<Mailbox>().unwrap().as_str(), good);
        }
        assert_eq!(Mailbox::of_url("mailto:a@b.example").unwrap().domain(), "b.example");
    }

    #[test]
    fn what_could_be_more_than_an_address_is_none() {
        let long = format!("{}@b.example", "a".repeat(MAX_LOCAL + 1));
        for bad in [
            "",
            "ann",
            "@b",
            "a@",
            "a@b@c",
            "a@b\r\nRCPT TO:<eve@e.example>",
            "a@b\nBcc: eve@e.example",
            "a b@c",
            "a@b c",
            "<a@b>",
            "\"a\"@b",
            "a@b>",
            "a@b,c@d",
            "a..b@c",
            ".a@b",
            "a@b.",
            "ü@b",
            "a@b\0",
            "a@[127.0.0.1]",
            &long,
        ] {
            assert!(bad.parse::<Mailbox>().is_err(), "{bad}");
        }
        for url in ["a@b", "mailto:a@b?cc=c@d", "mailto:a@b,c@d", "mailto://a@b", "MAILTO:a@b"] {
            assert!(Mailbox::of_url(url).is_err(), "{url}");
        }
    }
}
