//! What a certificate says about itself, and what is wrong with it.
//!
//! Data flow: file -> [`Facts`] (dates and names of the leaf) -> complaints for log, health and
//! metrics.
//!
//! # Not here
//! - When it is judged: the watcher.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use towline_host::clock::UnixMillis;
use towline_host::files;

use super::der;
use crate::config::{self, Config};
use crate::limits::MAX_CONFIG_FILE;
use crate::listener::tls::certificates;

/// How long before its end a certificate is complained about.
const SOON: Duration = Duration::from_secs(30 * 86_400);

/// What a certificate says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// From when it holds.
    pub not_before: UnixMillis,
    /// Until when.
    pub not_after: UnixMillis,
    /// Until when the one for clients of HTTP holds, where a file has it: nothing renews it by
    /// itself.
    pub http_not_after: Option<UnixMillis>,
    /// Names that the gateway is reached by and that the certificate does not have.
    pub missing_names: Vec<String>,
}

impl Facts {
    /// Of the certificates that this configuration names.
    ///
    /// # Errors
    /// Why the file cannot be read, in words.
    pub fn of(config: &Config) -> Result<Self, String> {
        let mut facts = Self::read(&config.tls_certificate, &config.public_names())?;
        if config.dir.join(config::CA_KEY).exists() {
            facts.http_not_after = None; // it is signed anew each day
        }
        Ok(facts)
    }

    /// Of the file `path`. `names` are those that clients use.
    ///
    /// # Errors
    /// Why the file cannot be read, in words.
    pub fn read(path: &Path, names: &[String]) -> Result<Self, String> {
        let bad = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        let (chain, second) = certificates(path).map_err(|e| e.to_string())?;
        let leaf = chain.first().ok_or_else(|| bad(&"no certificate in it"))?;
        let parsed = ParsedCertificate::try_from(leaf).map_err(|e| bad(&e))?;
        let (not_before, not_after) =
            der::validity(leaf).ok_or_else(|| bad(&"its dates cannot be read"))?;
        let has = |name: &str| {
            ServerName::try_from(name)
                .is_ok_and(|name| rustls::client::verify_server_name(&parsed, &name).is_ok())
        };
        let missing_names = names.iter().filter(|name| !has(name)).cloned().collect();
        let http_not_after = second.and_then(|der| der::validity(&der)).map(|(_, until)| until);
        Ok(Self { not_before, not_after, http_not_after, missing_names })
    }

    /// What is wrong with it at `now`, if clients will refuse it.
    #[must_use]
    pub fn fault(&self, now: UnixMillis) -> Option<String> {
        if now < self.not_before {
            let from = self.not_before.to_rfc3339();
            return Some(format!("the server's certificate is not valid before {from}"));
        }
        if now > self.not_after {
            let at = self.not_after.to_rfc3339();
            return Some(format!("the server's certificate expired on {at}"));
        }
        None
    }

    /// All that an administrator should know at `now`: faults, an end that is near, wrong names.
    #[must_use]
    pub fn complaints(&self, now: UnixMillis) -> Vec<String> {
        let mut all: Vec<String> = self.fault(now).into_iter().collect();
        if all.is_empty() && now.plus(SOON) > self.not_after {
            all.push(format!(
                "the server's certificate expires on {}",
                self.not_after.to_rfc3339()
            ));
        }
        if let Some(until) = self.http_not_after.filter(|until| now.plus(SOON) > *until) {
            all.push(format!(
                "the certificate for browsers, towline and AWS tools ends on {}: have it signed \
                 anew by `towline-gateway cert request`, `cert sign` and `cert install`; after \
                 that day they get the one for devices, which Apple's systems refuse",
                until.to_rfc3339()
            ));
        }
        for name in &self.missing_names {
            all.push(format!(
                "the server's certificate has no name {name}: clients that use it will refuse"
            ));
        }
        all
    }
}

/// Whether any browser trusts this chain for each of these names: they are names of DNS, certified
/// by an authority that browsers know.
#[must_use]
pub fn is_public(chain: &Path, names: &[String], now: UnixMillis) -> bool {
    let Ok(bytes) = files::read(chain, MAX_CONFIG_FILE) else { return false };
    let chain: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(&bytes).flatten().collect();
    let Some((leaf, between)) = chain.split_first() else { return false };
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let (Ok(verifier), Ok(seconds)) = (verifier, u64::try_from(now.0 / 1000)) else { return false };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let is_trusted = |name: &String| match ServerName::try_from(name.as_str()) {
        Ok(name @ ServerName::DnsName(_)) => {
            verifier.verify_server_cert(leaf, between, &name, &[], now).is_ok()
        }
        _ => false,
    };
    !names.is_empty() && names.iter().all(is_trusted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::certs;

    fn facts(names: &[&str]) -> Facts {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.pem");
        let fresh = certs::make(&["gateway.example".into()], &[]).unwrap();
        files::create_private(&path, fresh.chain_pem.as_bytes()).unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Facts::read(&path, &names).unwrap()
    }

    #[test]
    fn dates_and_names_are_those_of_the_certificate() {
        let facts = facts(&["gateway.example", "127.0.0.1", "other.example"]);
        assert_eq!(facts.not_before.to_rfc3339(), "2024-01-01T00:00:00Z");
        assert_eq!(facts.not_after.to_rfc3339(), "2049-12-31T00:00:00Z");
        assert_eq!(facts.missing_names, ["other.example"]);
    }

    #[test]
    fn a_certificate_is_complained_about_before_between_and_after_its_dates() {
        let facts = facts(&["gateway.example"]);
        let day = Duration::from_secs(86_400);
        assert!(facts.fault(facts.not_before.minus(day)).unwrap().contains("not valid before"));
        assert!(facts.complaints(facts.not_before.plus(day)).is_empty());
        let near = facts.not_after.minus(day);
        assert!(facts.fault(near).is_none() && facts.complaints(near)[0].contains("expires on"));
        assert!(facts.fault(facts.not_after.plus(day)).unwrap().contains("expired on"));
    }

    #[test]
    fn a_certificate_of_a_private_authority_is_not_public() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.pem");
        let names = ["gateway.example".to_owned()];
        let fresh = certs::make(&names, &[]).unwrap();
        files::create_private(&path, fresh.chain_pem.as_bytes()).unwrap();
        let now = Facts::read(&path, &names).unwrap().not_before.plus(Duration::from_secs(86_400));
        assert!(!is_public(&path, &names, now));
        assert!(!is_public(&dir.path().join("absent.pem"), &names, now));
    }
}
