//! What the audit trail says of a request that was signed or refused.
//!
//! # Not here
//! - The event of a certificate that a gateway signs for itself each day: there is none.

use serde::{Deserialize, Serialize};
use towline_host::clock::UnixMillis;

use crate::audit::Event;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signing {
    /// The names that it asked for; none of one that could not be read.
    pub names: Vec<String>,
    /// When the certificate for clients of HTTP ends.
    pub until: Option<i64>,
    /// Why it was refused.
    pub refused: Option<String>,
}

impl Signing {
    /// The line. `uid`: who ordered it at the server.
    #[must_use]
    pub fn event(&self, uid: u32) -> Event {
        let mut facts = vec![("names", self.names.join(" ")), ("uid", uid.to_string())];
        if let Some(until) = self.until {
            facts.push(("until", UnixMillis(until).to_rfc3339()));
        }
        Event {
            source: "towline",
            name: "SignCertificate".to_owned(),
            source_ip: "local".to_owned(),
            facts,
            error: self.refused.clone().map(|why| ("Refused".to_owned(), why)),
            ..Event::default()
        }
    }
}
