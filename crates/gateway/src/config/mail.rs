//! The section `[mail]` of `gateway.toml`: the server that takes the gateway's mail, and its
//! sender.
//!
//! # Invariants
//! - The password stands in a file of its own, and is read when the gateway starts.
//! - A user without a password, or the reverse, is refused.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use towline_host::files;
use zeroize::Zeroizing;

use crate::outbound::Outbound;
use crate::outbound::mail::{LogIn, MailServer, Mailbox, ServerAddress};

/// Largest file of a password, bytes.
const MAX_PASSWORD: u64 = 4096;

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawMail {
    /// `smtps://HOST`, or `smtp://HOST` for STARTTLS; a port may follow.
    pub server: String,
    /// The address that sends.
    pub from: String,
    /// The user at the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The file with its password; relative to the folder of this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<String>,
}

/// What it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailSettings {
    server: ServerAddress,
    from: Mailbox,
    log_in: Option<(String, PathBuf)>,
}

impl RawMail {
    /// Checks the section.
    ///
    /// # Errors
    /// Key and value of the first one that cannot be, and what it should be.
    pub fn settings(
        self,
        dir: &Path,
    ) -> Result<MailSettings, (&'static str, String, &'static str)> {
        let want = "smtps://HOST, or smtp://HOST for STARTTLS, without user and password";
        let server = ServerAddress::parse(&self.server);
        let server = server.ok_or(("mail.server", self.server, want))?;
        let want = "an address such as towline@corp.example";
        let from = self.from.parse().map_err(|_| ("mail.from", self.from.clone(), want))?;
        let log_in = match (self.user, self.password_file) {
            (None, None) => None,
            (Some(user), Some(file)) if !user.is_empty() => Some((user, dir.join(file))),
            (user, file) => {
                let value = user.or(file).unwrap_or_default();
                return Err(("mail.user", value, "user and password_file, or none of them"));
            }
        };
        Ok(MailSettings { server, from, log_in })
    }
}

impl MailSettings {
    /// The server, dialled by this client.
    ///
    /// # Errors
    /// Why the password cannot be used, in words without it.
    pub fn server(&self, client: Outbound) -> Result<MailServer, String> {
        let log_in = self.log_in.as_ref().map(|(user, file)| {
            let read = files::read(file, MAX_PASSWORD).map(Zeroizing::new);
            let read = read.map_err(|error| error.to_string())?;
            let text = std::str::from_utf8(&read).unwrap_or_default();
            let text = text.trim_end_matches(['\r', '\n']);
            if text.is_empty() || text.contains(['\r', '\n', '\0']) {
                return Err(format!("{} holds no password in one line of UTF-8", file.display()));
            }
            let password = Zeroizing::new(text.to_owned());
            Ok::<_, String>(LogIn { user: user.clone(), password })
        });
        let log_in = log_in.transpose()?;
        Ok(MailServer::new(client, self.server.clone(), self.from.clone(), log_in))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<MailSettings, String> {
        let raw: RawMail = toml::from_str(text).map_err(|error| error.to_string())?;
        raw.settings(Path::new("/d")).map_err(|(key, value, want)| format!("{key} {value} {want}"))
    }

    #[test]
    fn a_server_and_a_sender_are_enough() {
        let read = settings("server = 'smtps://mail.example'\nfrom = 'a@b.example'").unwrap();
        assert_eq!(read.server, ServerAddress::parse("smtps://mail.example:465").unwrap());
        assert_eq!(read.log_in, None);
        let text = "server = 'smtp://mail.example'\nfrom = 'a@b'\nuser = 'u'\npassword_file = 'p'";
        let read = settings(text).unwrap();
        assert_eq!(read.server, ServerAddress::parse("smtp://mail.example:587/").unwrap());
        assert_eq!(read.log_in, Some(("u".into(), "/d/p".into())));
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (text, key) in [
            ("server = 'mail.example'\nfrom = 'a@b'", "mail.server"),
            ("server = 'http://mail.example'\nfrom = 'a@b'", "mail.server"),
            ("server = 'smtps://u:p@mail.example'\nfrom = 'a@b'", "mail.server"),
            ("server = 'smtps://mail.example/x?y'\nfrom = 'a@b'", "mail.server"),
            ("server = 'smtps://mail.example'\nfrom = 'Ann <a@b>'", "mail.from"),
            ("server = 'smtps://mail.example'\nfrom = 'a@b'\nuser = 'u'", "mail.user"),
            ("server = 'smtps://mail.example'\nfrom = 'a@b'\npassword_file = 'p'", "mail.user"),
            ("server = 'smtps://mail.example'\nfrom = 'a@b'\npassword = 'p'", "password"),
        ] {
            let error = settings(text).unwrap_err();
            assert!(error.contains(key), "{text}: {error}");
        }
    }
}
