//! What `gateway.toml` says, word for word. [`super::Config`] is what it means.
//!
//! Unknown keys are refused: a mistyped setting of a gateway must not be a setting that silently is
//! not there.

use serde::{Deserialize, Serialize};

/// The file's content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    /// Region name in ARNs and signatures.
    pub region: String,
    /// Twelve digits, the account in ARNs.
    pub account_id: String,
    /// Address of the TLS port.
    pub listen: String,
    /// URL that `init` told its caller; informative.
    pub endpoint: String,
    /// Host, with port if it is not 443, of the `StreamUrl`; without it, the host the client itself
    /// used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_url_host: Option<String>,
    /// Address of the monitoring listener; without it there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<String>,
    /// Addresses and ranges of balancers: their connections must begin with a header of the PROXY
    /// protocol (version 1 or 2), which says where they come from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proxy_protocol_from: Vec<String>,
    /// Connections open at once, devices and clients together. What memory and the limit of open
    /// files allow when not given; the limit of open files holds in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<usize>,
    /// Minutes that a session waits for a lost device or a lost client; fractions allowed. 10 when
    /// not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_grace_minutes: Option<f64>,
    /// Minutes after which a session in which nothing moves is ended; fractions allowed. 20 when
    /// not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_idle_minutes: Option<f64>,
    /// Minutes after which any session is ended; fractions allowed. Never when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_max_minutes: Option<f64>,
    /// Whether the removal of rights (of a user, key, policy, membership, approved access) ends the
    /// sessions of who loses them. `false` when not given: the answer counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removal_ends_sessions: Option<bool>,
    /// Whether sessions that granted access permits end with it. `false` when not given: they go
    /// on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_ends_sessions: Option<bool>,
    /// Recordings and the audit trail's files: where they go, what happens when they cannot be
    /// written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<towline_archive::settings::RawEvidence>,
    /// The web console: which pages may use it, how long a sign-in lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<super::console::RawConsole>,
    /// Requests that the gateway makes itself, to identity providers: addresses and CAs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbound: Option<super::outbound::RawOutbound>,
    /// The server that takes mail for receivers of notifications.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<super::mail::RawMail>,
    /// This gateway works together with others on one store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<super::cluster::RawCluster>,
    /// Address of a PostgreSQL database for the store, without a password:
    /// `postgres://USER@HOST/DATABASE`. A file in the directory when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// File with the password for it; relative to the folder of this file. `PGPASSWORD` or
    /// `.pgpass` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_password_file: Option<std::path::PathBuf>,
    /// The server's certificate chain, PEM; relative to the folder of this file.
    pub tls_certificate: String,
    /// The server's private key, PEM; relative to the folder of this file.
    pub tls_key: String,
}

#[cfg(test)]
mod tests {
    use super::RawConfig;

    /// The keys of a section, which the parser lists when it refuses an unknown one.
    fn keys(section: &str) -> Vec<String> {
        let refused = toml::from_str::<RawConfig>(&format!("{section}\nzzz = 1\n")).unwrap_err();
        let listed = refused.message().split_once("expected one of ").unwrap().1.to_owned();
        listed.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn each_key_is_in_the_page_of_the_settings() {
        let page = include_str!("../../../../docs/settings.md");
        let sections = ["", "[evidence]", "[evidence.s3]", "[evidence.cloudwatch]", "[console]"];
        for section in sections.into_iter().chain(["[mail]"]) {
            let keys = keys(section);
            assert!(keys.len() > 2, "{section}: {keys:?}");
            for key in keys {
                let sections = ["evidence", "console", "outbound", "mail", "cluster"];
                let is_there = page.contains(&format!("`{key}`"))
                    || (sections.contains(&key.as_str()) && page.contains(&format!("`[{key}]`")));
                assert!(is_there, "docs/settings.md has no `{key}` of {section:?}");
            }
        }
    }
}
