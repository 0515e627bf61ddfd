//! The certificate that clients of HTTP get: the server's key and names, signed anew by the private
//! authority for at most [`LONGEST`].
//!
//! Data flow: `ca.pem`, `ca.key.pem`, the server's certificate -> [`make`] -> the HTTP side of
//! [`crate::listener::tls::TlsConfigs`]. It is made at the start and daily, and stored nowhere.
//!
//! # Invariants
//! - Only names of the server's own certificate, and only its key.
//! - A client that trusts `ca.pem` trusts it: [`make`] checks that before it returns.
//!
//! # Not here
//! - Devices: they get the server's own certificate, because their clocks may be years off
//!   (decision 8).

use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair,
    KeyUsagePurpose, SerialNumber,
};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use time::OffsetDateTime;
use towline_host::clock::UnixMillis;
use towline_host::files;
use zeroize::Zeroizing;

use super::der;
use crate::config::{self, Config};
use crate::init::certs;
use crate::limits::MAX_CONFIG_FILE;

/// Apple's systems refuse server certificates that hold longer: 825 days under an authority that
/// the user added, 398 under public ones (support.apple.com/102028, 103769).
const LONGEST: Duration = Duration::from_secs(397 * 86_400);
/// How far clocks of clients may be behind.
const BEFORE: Duration = Duration::from_secs(30 * 86_400);
/// 2.5.29.17, `subjectAltName`.
const SUBJECT_ALT_NAME: &[u64] = &[2, 5, 29, 17];
/// A name that each certificate of `init` has.
const OWN: &str = "localhost";

/// The certificate, or `None` where the server's one is not of the private authority, or where the
/// authority's key is kept elsewhere.
///
/// # Errors
/// Why it cannot be made, in words.
pub(super) fn make(
    config: &Config,
    now: UnixMillis,
) -> Result<Option<CertificateDer<'static>>, String> {
    let read = |path: &std::path::Path| {
        files::read(path, MAX_CONFIG_FILE).map(Zeroizing::new).map_err(|error| error.to_string())
    };
    let (authority, key) = (config.dir.join(config::CA), config.dir.join(config::CA_KEY));
    if !authority.exists() || !key.exists() {
        return Ok(None);
    }
    let roots = trust(&read(&authority)?)?;
    let served = CertificateDer::from_pem_slice(&read(&config.tls_certificate)?)
        .map_err(|error| error.to_string())?;
    if holds(&roots, &served, now).is_err() {
        return Ok(None);
    }
    let names = der::subject_alt_names(&served).ok_or("the certificate's names cannot be read")?;
    let pem = |path| -> Result<KeyPair, String> {
        let bytes = read(path)?;
        let text = std::str::from_utf8(&bytes).map_err(|error| error.to_string())?;
        KeyPair::from_pem(text).map_err(|error| format!("{}: {error}", path.display()))
    };
    let leaf = sign(names, &pem(&config.tls_key)?, pem(&key)?, now)?;
    holds(&roots, &leaf, now)?;
    Ok(Some(leaf))
}

fn sign(
    names: &[u8],
    key: &KeyPair,
    authority: KeyPair,
    now: UnixMillis,
) -> Result<CertificateDer<'static>, String> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Towline gateway");
    let from = now.minus(BEFORE);
    (params.not_before, params.not_after) = (date(from)?, date(from.plus(LONGEST))?);
    let mut serial = [0; 16];
    SystemRandom::new().fill(&mut serial).map_err(|_| "the system gives no random bytes")?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params
        .custom_extensions
        .push(CustomExtension::from_oid_content(SUBJECT_ALT_NAME, names.to_vec()));
    let signed = params.signed_by(key, &Issuer::new(certs::issuer(), authority));
    Ok(signed.map_err(|error| error.to_string())?.der().clone())
}

fn date(at: UnixMillis) -> Result<OffsetDateTime, String> {
    OffsetDateTime::from_unix_timestamp(at.0.div_euclid(1000)).map_err(|error| error.to_string())
}

fn trust(authority: &[u8]) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    let certificate =
        CertificateDer::from_pem_slice(authority).map_err(|error| error.to_string())?;
    roots.add(certificate).map_err(|error| error.to_string())?;
    Ok(Arc::new(roots))
}

fn holds(
    roots: &Arc<RootCertStore>,
    leaf: &CertificateDer<'_>,
    now: UnixMillis,
) -> Result<(), String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), provider)
        .build()
        .map_err(|error| error.to_string())?;
    let name = ServerName::try_from(OWN).map_err(|error| error.to_string())?;
    let seconds = u64::try_from(now.0.div_euclid(1000)).unwrap_or(0);
    let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    verifier
        .verify_server_cert(leaf, &[], &name, &[], now)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init;
    use std::path::Path;

    async fn made(dir: &Path) -> Config {
        let options = init::Options {
            hostnames: vec!["gateway.example".into(), "192.0.2.7".into()],
            ..init::Options::new(dir.to_owned(), "[::1]:0")
        };
        init::run(&options).await.unwrap();
        Config::load(dir).unwrap()
    }

    fn now() -> UnixMillis {
        UnixMillis(1_800_000_000_000)
    }

    #[tokio::test]
    async fn it_has_key_and_names_of_the_servers_certificate_and_397_days() {
        let dir = tempfile::tempdir().unwrap();
        let config = made(&dir.path().join("gw")).await;
        let leaf = make(&config, now()).unwrap().unwrap();
        let served = CertificateDer::from_pem_file(&config.tls_certificate).unwrap();
        let key = |der: &CertificateDer<'_>| {
            rustls::server::ParsedCertificate::try_from(der).unwrap().subject_public_key_info()
        };
        assert_eq!(key(&leaf), key(&served));
        assert_eq!(der::subject_alt_names(&leaf), der::subject_alt_names(&served));
        let (from, until) = der::validity(&leaf).unwrap();
        assert_eq!(until.0 - from.0, i64::try_from(LONGEST.as_millis()).unwrap());
        assert!(from < now() && now() < until);
        // Browsers refuse two certificates of one authority with one number.
        assert_ne!(leaf, make(&config, now()).unwrap().unwrap());
    }

    #[tokio::test]
    async fn without_the_authoritys_key_or_for_anothers_certificate_there_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let config = made(&dir.path().join("gw")).await;
        let other = made(&dir.path().join("other")).await;
        let mixed = Config {
            tls_certificate: other.tls_certificate,
            tls_key: other.tls_key,
            ..config.clone()
        };
        assert_eq!(make(&mixed, now()), Ok(None));
        std::fs::remove_file(config.dir.join(config::CA_KEY)).unwrap();
        assert_eq!(make(&config, now()), Ok(None));
    }

    #[tokio::test]
    async fn a_key_of_another_authority_is_told_in_words() {
        let dir = tempfile::tempdir().unwrap();
        let config = made(&dir.path().join("gw")).await;
        let other = made(&dir.path().join("other")).await;
        std::fs::copy(other.dir.join(config::CA_KEY), config.dir.join(config::CA_KEY)).unwrap();
        assert!(make(&config, now()).is_err());
    }
}
