//! The gateway's configuration: read once, checked once; after [`Config::load`] nothing invalid is
//! left.
//!
//! Data flow: `gateway.toml` -> [`RawConfig`] -> [`Config`]. Flags of `serve` win over the file.
//!
//! # Not here
//! - What changes while the gateway runs (session time-outs): the store's settings.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use towline_host::files::{self, FileError};

use super::cluster::Cluster;
use super::console::Console;
use super::mail::MailSettings;
use super::outbound::OutboundSettings;
use super::place::StorePlace;
use super::raw::RawConfig;
use crate::limits::{FEWEST_CONNECTIONS, MAX_CONFIG_FILE, MOST_CONNECTIONS};
use crate::listener::Proxies;

/// Name of the configuration file in the gateway's directory.
pub const FILE: &str = "gateway.toml";
/// Name of the authority's key file.
pub const AUTHORITY_KEY: &str = "authority.key";
/// Name of the store's key file.
pub const STORE_KEY: &str = "store.key";
/// Name of the private CA's certificate.
pub const CA: &str = "ca.pem";
/// Name of the private CA's key.
pub const CA_KEY: &str = "ca.key.pem";
/// Name of the server's key that `init` writes.
pub const SERVER_KEY: &str = "server.key.pem";
/// Name of the key that proves this gateway to others.
pub const NODE_KEY: &str = "node.key";
/// Name of the embedded store.
pub const STORE: &str = "towline.db";

/// Why a configuration does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or cannot be read.
    #[error("{0} (was this directory made by `towline-gateway init`?)")]
    File(#[from] FileError),
    /// Not TOML, an unknown key, a missing key.
    #[error("{}:{line}: {why}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The number of the line.
        line: usize,
        /// The reason. Not what stands there: it may be a password.
        why: String,
    },
    /// The address of the store.
    #[error("store in gateway.toml, or --store: {0}")]
    Store(#[from] towline_store::StoreError),
    /// A key has a value that cannot be.
    #[error("{key} = {value:?}: expected {want}")]
    Value {
        /// The key in the file, or the flag.
        key: &'static str,
        /// What it says.
        value: String,
        /// What it should be.
        want: &'static str,
    },
}

/// What a parser says of a text, with the names of types as people call them.
fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let why = error.message().trim();
    let why = why
        .replace("expected f64", "expected a number")
        .replace("expected u64", "expected a whole number, 0 or more")
        .replace("expected usize", "expected a whole number, 0 or more");
    ConfigError::Syntax { path: path.to_owned(), line: before.matches('\n').count() + 1, why }
}

/// A configuration that holds.
#[derive(Debug, Clone)]
pub struct Config {
    /// The gateway's directory.
    pub dir: PathBuf,
    /// Where the store is.
    pub store: StorePlace,
    /// Region name in ARNs and signatures.
    pub region: String,
    /// Account in ARNs: twelve digits.
    pub account_id: String,
    /// Address of the TLS port.
    pub listen: SocketAddr,
    /// URL that `init` told its caller.
    pub endpoint: String,
    /// Host of the `StreamUrl`; `None`: the host the client itself used.
    pub stream_url_host: Option<String>,
    /// Address of the monitoring listener, if there is to be one.
    pub metrics: Option<SocketAddr>,
    /// Balancers, whose connections begin with a header of the PROXY protocol.
    pub proxies: Proxies,
    /// Connections open at once, if the file sets a number.
    pub max_connections: Option<usize>,
    /// How long a session waits for a lost device or a lost client.
    pub session_grace: Duration,
    /// Idle time-out of sessions, if the file sets one.
    pub session_idle: Option<Duration>,
    /// Maximum duration of sessions, if the file sets one.
    pub session_max: Option<Duration>,
    /// Whether the removal of rights ends sessions.
    pub removal_ends_sessions: bool,
    /// Whether sessions that granted access permits end with it.
    pub access_ends_sessions: bool,
    /// The server's certificate chain.
    pub tls_certificate: PathBuf,
    /// The server's private key.
    pub tls_key: PathBuf,
    /// Recordings and audit files.
    pub evidence: towline_archive::settings::Settings,
    /// The web console.
    pub console: Console,
    /// Requests to identity providers.
    pub outbound: OutboundSettings,
    /// The server of mail, if there is one.
    pub mail: Option<MailSettings>,
    /// Membership among several gateways.
    pub cluster: Option<Cluster>,
}

impl Config {
    /// Reads and checks the configuration in `dir`.
    ///
    /// # Errors
    /// [`ConfigError`] names the file, key and what it should be.
    pub fn load(dir: &Path) -> Result<Self, ConfigError> {
        let path = dir.join(FILE);
        let bytes = files::read(&path, MAX_CONFIG_FILE)?;
        let text = String::from_utf8_lossy(&bytes);
        let raw: RawConfig = toml::from_str(&text).map_err(|error| syntax(&path, &text, &error))?;
        let mut config = Self::new(dir, raw)?;
        let home = config.evidence.home.clone();
        config.evidence.take_part().map_err(|source| FileError {
            doing: "cannot read the part of the chain in",
            path: home,
            source,
        })?;
        Ok(config)
    }

    /// The names that clients use, without ports: from the endpoint and the host of `StreamUrl`.
    #[must_use]
    pub fn public_names(&self) -> Vec<String> {
        let endpoint = self.endpoint.strip_prefix("https://").unwrap_or(&self.endpoint);
        let mut names: Vec<String> = [Some(endpoint), self.stream_url_host.as_deref()]
            .into_iter()
            .flatten()
            .map(|host| bare_host(host).to_owned())
            .collect();
        names.dedup();
        names
    }

    /// Checks what a file says.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for the first key that cannot be.
    pub fn new(dir: &Path, raw: RawConfig) -> Result<Self, ConfigError> {
        let value =
            |key, value: &str, want| ConfigError::Value { key, value: value.to_owned(), want };
        let wrong = |(key, value, want)| ConfigError::Value { key, value, want };
        check_names(&raw).map_err(|(key, text, want)| value(key, text, want))?;
        let evidence = raw.evidence.clone().unwrap_or_default();
        let evidence = evidence.settings(dir).map_err(wrong)?;
        let proxies = Proxies::parse(&raw.proxy_protocol_from).map_err(|wrong| {
            value("proxy_protocol_from", &wrong, "an address or a range such as 10.0.0.0/8")
        })?;
        let range = FEWEST_CONNECTIONS..=MOST_CONNECTIONS;
        if let Some(wrong) = raw.max_connections.filter(|number| !range.contains(number)) {
            let want = "a number from 64 to 1000000";
            return Err(value("max_connections", &wrong.to_string(), want));
        }
        let console = raw.console.clone().unwrap_or_default();
        let console = console.settings(&raw.endpoint).map_err(wrong)?;
        let outbound = raw.outbound.clone().unwrap_or_default();
        let outbound = outbound.settings(dir).map_err(wrong)?;
        let mail = raw.mail.clone().map(|mail| mail.settings(dir)).transpose();
        let node = raw.evidence.as_ref().and_then(|evidence| evidence.node.as_deref());
        let cluster = raw.cluster.clone();
        let cluster = cluster.map(|cluster| cluster.settings(node, raw.store.is_some()));
        let cluster = cluster.transpose().map_err(wrong)?;
        Ok(Self {
            cluster,
            store: StorePlace::read(dir, raw.store.as_deref(), raw.store_password_file.as_deref())?,
            outbound,
            mail: mail.map_err(wrong)?,
            proxies,
            evidence,
            console,
            max_connections: raw.max_connections,
            session_grace: minutes("session_grace_minutes", raw.session_grace_minutes)?
                .unwrap_or(DEFAULT_GRACE),
            session_idle: minutes("session_idle_minutes", raw.session_idle_minutes)?,
            session_max: minutes("session_max_minutes", raw.session_max_minutes)?,
            removal_ends_sessions: raw.removal_ends_sessions.unwrap_or(false),
            access_ends_sessions: raw.access_ends_sessions.unwrap_or(false),
            dir: dir.to_owned(),
            listen: address("listen", &raw.listen)?,
            metrics: raw.metrics.as_deref().map(|m| address("metrics", m)).transpose()?,
            tls_certificate: dir.join(&raw.tls_certificate),
            tls_key: dir.join(&raw.tls_key),
            region: raw.region,
            endpoint: raw.endpoint,
            account_id: raw.account_id,
            stream_url_host: raw.stream_url_host,
        })
    }
}

/// Checks what names the gateway: region, account, and where clients reach it.
///
/// # Errors
/// The first key that cannot be, its value, and what was expected.
fn check_names(raw: &RawConfig) -> Result<(), (&'static str, &str, &'static str)> {
    if !is_region(&raw.region) {
        return Err(("region", &raw.region, "a region name such as xx-towline-1"));
    }
    if raw.account_id.len() != 12 || !raw.account_id.bytes().all(|b| b.is_ascii_digit()) {
        return Err(("account_id", &raw.account_id, "twelve digits"));
    }
    if !is_endpoint(&raw.endpoint) {
        return Err(("endpoint", &raw.endpoint, "https://HOST or https://HOST:PORT"));
    }
    match raw.stream_url_host.as_deref() {
        Some(host) if !is_host(host) => {
            Err(("stream_url_host", host, "a host name or HOST:PORT, without a scheme or path"))
        }
        _ => Ok(()),
    }
}

/// How long a session waits for a lost device or client when nothing is set: a roaming device, a
/// closed laptop lid.
const DEFAULT_GRACE: Duration = Duration::from_secs(600);
/// Most minutes of any session setting: a day, what AWS allows for the maximum duration.
const MAX_MINUTES: f64 = 1440.0;

fn minutes(key: &'static str, value: Option<f64>) -> Result<Option<Duration>, ConfigError> {
    match value {
        None => Ok(None),
        Some(minutes) if minutes > 0.0 && minutes <= MAX_MINUTES => {
            Ok(Some(Duration::from_secs_f64(minutes * 60.0)))
        }
        Some(wrong) => Err(ConfigError::Value {
            key,
            value: wrong.to_string(),
            want: "minutes, more than 0 and at most 1440",
        }),
    }
}

/// Reads an address such as `[::]:8443`.
///
/// # Errors
/// [`ConfigError::Value`] with the name of `key`.
pub fn address(key: &'static str, text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| ConfigError::Value {
        key,
        value: text.to_owned(),
        want: "an address with a port, such as [::]:8443 or 127.0.0.1:8443",
    })
}

/// Whether `text` has the form that AWS tools take for a region: `xx-word-1`, with more words if
/// one likes.
#[must_use]
pub fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [area, words @ .., number] = parts.as_slice() else { return false };
    text.len() <= 32
        && area.len() == 2
        && area.bytes().all(|b| b.is_ascii_lowercase())
        && !words.is_empty()
        && words.iter().all(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase()))
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
}

/// Whether `text` is the URL of a gateway: names for clients and for the console come from it.
fn is_endpoint(text: &str) -> bool {
    text.strip_prefix("https://").is_some_and(|rest| is_host(rest.trim_end_matches('/')))
}

/// A host without its port, path and brackets.
fn bare_host(text: &str) -> &str {
    let text = text.split('/').next().unwrap_or(text);
    match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => text.split_once(':').map_or(text, |(host, _)| host),
    }
}

/// Whether `text` can stand between `wss://` and `/v1/...`.
fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 260
        && text.bytes().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw() -> RawConfig {
        RawConfig {
            evidence: None,
            proxy_protocol_from: vec!["10.0.0.0/8".into()],
            max_connections: Some(1000),
            session_grace_minutes: None,
            session_idle_minutes: None,
            session_max_minutes: None,
            removal_ends_sessions: None,
            access_ends_sessions: None,
            region: "xx-towline-1".into(),
            account_id: "000000000000".into(),
            listen: "[::]:8443".into(),
            endpoint: "https://localhost:8443".into(),
            stream_url_host: None,
            metrics: None,
            console: None,
            outbound: None,
            mail: None,
            cluster: None,
            store: None,
            store_password_file: None,
            tls_certificate: "server.pem".into(),
            tls_key: "/elsewhere/key.pem".into(),
        }
    }

    #[track_caller]
    fn refuses(change: impl FnOnce(&mut RawConfig), complaint: &str) {
        let mut raw = raw();
        change(&mut raw);
        let error = Config::new(Path::new("/gw"), raw).unwrap_err().to_string();
        assert!(error.starts_with(complaint), "{error}");
    }

    #[test]
    fn files_are_looked_for_beside_the_configuration_unless_their_path_is_whole() {
        let config = Config::new(Path::new("/gw"), raw()).unwrap();
        assert_eq!(config.tls_certificate, Path::new("/gw/server.pem"));
        assert_eq!(config.tls_key, Path::new("/elsewhere/key.pem"));
    }

    #[test]
    fn the_public_names_have_no_port() {
        let with = |endpoint: &str, stream: Option<&str>| {
            let raw = RawConfig {
                endpoint: endpoint.into(),
                stream_url_host: stream.map(str::to_owned),
                ..raw()
            };
            Config::new(Path::new("/gw"), raw).unwrap().public_names()
        };
        assert_eq!(with("https://gw.example:8443", None), ["gw.example"]);
        assert_eq!(with("https://[::1]:8443", Some("a.example:1")), ["::1", "a.example"]);
        assert_eq!(with("https://gw.example", Some("gw.example")), ["gw.example"]);
    }

    #[test]
    fn a_value_that_cannot_be_is_refused_by_its_key() {
        refuses(|r| r.region = "Europe".into(), "region = \"Europe\"");
        refuses(|r| r.account_id = "12345".into(), "account_id = \"12345\"");
        refuses(|r| r.listen = "8443".into(), "listen = \"8443\"");
        refuses(|r| r.max_connections = Some(5), "max_connections = \"5\"");
        refuses(|r| r.metrics = Some("here".into()), "metrics = \"here\"");
        refuses(|r| r.proxy_protocol_from = vec!["lb".into()], "proxy_protocol_from = \"lb\"");
        refuses(|r| r.stream_url_host = Some("wss://x/".into()), "stream_url_host");
        for wrong in ["gw.example", "http://gw.example", "https://", "https://gw/console"] {
            refuses(|r| r.endpoint = wrong.into(), &format!("endpoint = \"{wrong}\": expected h"));
        }
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let text = format!("{}\nlissten = \"x\"\n", toml::to_string(&raw()).unwrap());
        assert!(toml::from_str::<RawConfig>(&text).is_err());
    }

    #[test]
    fn a_wrong_type_is_told_without_the_names_of_the_language() {
        for (line, words) in [
            ("session_idle_minutes = \"x\"", "expected a number"),
            ("max_connections = -1", "expected a whole number, 0 or more"),
            ("[evidence]\nmax_staged_mib = -1", "expected a whole number, 0 or more"),
        ] {
            let mut plain = raw();
            plain.max_connections = None;
            let text = format!("{}{line}\n", toml::to_string(&plain).unwrap());
            let error = toml::from_str::<RawConfig>(&text).unwrap_err();
            let told = syntax(Path::new("gateway.toml"), &text, &error).to_string();
            assert!(told.contains(words), "{told}");
        }
    }

    #[test]
    fn a_fault_is_told_by_its_line_and_not_by_what_stands_there() {
        for (text, told) in [
            ("a = 1\n[mail]\npassword = \"s3cret\"\n", "gateway.toml:1: unknown field `a`"),
            ("\nstore = \"postgres://u:s3cret@h/d\n", "gateway.toml:2: invalid basic string"),
            ("\n\nstore = postgres://u:s3cret@h/d\n", "gateway.toml:3: "),
        ] {
            let error = toml::from_str::<RawConfig>(text).unwrap_err();
            let error = syntax(Path::new("gateway.toml"), text, &error).to_string();
            assert!(error.starts_with(told) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn what_init_writes_is_what_serve_reads() {
        assert_eq!(toml::from_str::<RawConfig>(&toml::to_string(&raw()).unwrap()).unwrap(), raw());
    }
}
