//! The server's certificate over time: judged at the start and daily, loaded anew when its files
//! change.
//!
//! Data flow: files -> [`Facts`] (validity, from the leaf's DER) -> [`Watched`], which the log,
//! `/metrics` and `/readyz` read. SIGHUP or a changed file -> [`TlsConfigs::replace`].
//!
//! # Invariants
//! - Files that do not hold (half-written, key of another certificate) change nothing: the old pair
//!   serves on, and the log says why.
//! - Links that are open are not cut by a new certificate.
//!
//! # Not here
//! - Renewal: an external tool writes the files.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use time::{Date, Month, OffsetDateTime, Time};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use towline_host::clock::{Clock, UnixMillis};
use towline_host::files;

use crate::config::Config;
use crate::limits::MAX_CONFIG_FILE;
use crate::listener::stopped;
use crate::listener::tls::TlsConfigs;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How often the certificate is judged without a change.
const DAY: Duration = Duration::from_secs(86_400);
/// How long before its end a certificate is complained about.
const SOON: Duration = Duration::from_secs(30 * 86_400);

/// What a certificate says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// From when it holds.
    pub not_before: UnixMillis,
    /// Until when.
    pub not_after: UnixMillis,
    /// Names that the gateway is reached by and that the certificate does not have.
    pub missing_names: Vec<String>,
}

impl Facts {
    /// Of the first certificate in `chain`. `names` are those that clients use.
    ///
    /// # Errors
    /// Why the file cannot be read, in words.
    pub fn read(chain: &Path, names: &[String]) -> Result<Self, String> {
        let bad = |why: &dyn std::fmt::Display| format!("{}: {why}", chain.display());
        let bytes = files::read(chain, MAX_CONFIG_FILE).map_err(|e| e.to_string())?;
        let leaf = CertificateDer::from_pem_slice(&bytes).map_err(|e| bad(&e))?;
        let parsed = ParsedCertificate::try_from(&leaf).map_err(|e| bad(&e))?;
        let (not_before, not_after) =
            validity(&leaf).ok_or_else(|| bad(&"its dates cannot be read"))?;
        let has = |name: &str| {
            ServerName::try_from(name)
                .is_ok_and(|name| rustls::client::verify_server_name(&parsed, &name).is_ok())
        };
        let missing_names = names.iter().filter(|name| !has(name)).cloned().collect();
        Ok(Self { not_before, not_after, missing_names })
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
        for name in &self.missing_names {
            all.push(format!(
                "the server's certificate has no name {name}: clients that use it will refuse"
            ));
        }
        all
    }
}

/// Whether any browser trusts this chain for each of these names: they are names of DNS, certified by
/// an authority that browsers know.
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

/// The certificate in use.
#[derive(Debug)]
pub struct Watched(Mutex<Facts>);

impl Watched {
    /// With what is known at the start.
    #[must_use]
    pub const fn new(facts: Facts) -> Self {
        Self(Mutex::new(facts))
    }

    /// What is known now.
    #[must_use]
    pub fn facts(&self) -> Facts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// See [`Facts::fault`].
    #[must_use]
    pub fn fault(&self, now: UnixMillis) -> Option<String> {
        self.facts().fault(now)
    }

    fn set(&self, facts: Facts) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = facts;
    }
}

/// Logs what is wrong with the certificate, or that nothing is.
pub fn log(facts: &Facts, now: UnixMillis) {
    let complaints = facts.complaints(now);
    for complaint in &complaints {
        tracing::warn!("{complaint}");
    }
    if complaints.is_empty() {
        tracing::info!(until = facts.not_after.to_rfc3339(), "the server's certificate is valid");
    }
}

/// Keeps the certificate current until `stop`.
pub async fn keep(
    config: Config,
    tls: TlsConfigs,
    watched: Arc<Watched>,
    clock: Clock,
    mut stop: watch::Receiver<bool>,
) {
    let Ok(mut hang_up) = signal(SignalKind::hangup()) else {
        tracing::error!("SIGHUP cannot be heard: the certificate is loaded at the next start only");
        return;
    };
    let mut seen = stamps(&config);
    let mut judged = tokio::time::Instant::now();
    loop {
        let asked = tokio::select! {
            _ = hang_up.recv() => true,
            () = tokio::time::sleep(LOOK) => false,
            () = stopped(&mut stop) => return,
        };
        let now = stamps(&config);
        if asked || now != seen {
            seen = now;
            load(&config, &tls, &watched);
            log(&watched.facts(), clock.now());
            judged = tokio::time::Instant::now();
        } else if judged.elapsed() >= DAY {
            log(&watched.facts(), clock.now());
            judged = tokio::time::Instant::now();
        }
    }
}

fn load(config: &Config, tls: &TlsConfigs, watched: &Watched) {
    let loaded = TlsConfigs::load(&config.tls_certificate, &config.tls_key)
        .map_err(|error| error.to_string())
        .and_then(|new| Ok((new, Facts::read(&config.tls_certificate, &config.public_names())?)));
    match loaded {
        Ok((new, facts)) => {
            tls.replace(&new);
            watched.set(facts);
            tracing::info!("the server's certificate was loaded anew");
        }
        Err(error) => tracing::error!(error, "the new certificate is not used, the old one stays"),
    }
}

/// When the two files were last changed, and how long they are.
fn stamps(config: &Config) -> Vec<Option<(SystemTime, u64)>> {
    let stamp = |path: &PathBuf| {
        let known = std::fs::metadata(path).ok()?;
        Some((known.modified().ok()?, known.len()))
    };
    [&config.tls_certificate, &config.tls_key].into_iter().map(stamp).collect()
}

/// `notBefore` and `notAfter` of an X.509 certificate (RFC 5280, section 4.1): the fifth field of
/// the first field, after an optional version.
fn validity(der: &[u8]) -> Option<(UnixMillis, UnixMillis)> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    let (tag, certificate, _) = element(der)?;
    let (inner, tbs, _) = element(certificate)?;
    if (tag, inner) != (SEQUENCE, SEQUENCE) {
        return None;
    }
    let mut rest = tbs;
    if element(rest)?.0 == VERSION {
        rest = element(rest)?.2;
    }
    for _ in ["serialNumber", "signature", "issuer"] {
        rest = element(rest)?.2;
    }
    let (tag, dates, _) = element(rest)?;
    let (kind, from, rest) = element(dates)?;
    let (other, until, _) = element(rest)?;
    (tag == SEQUENCE).then_some(())?;
    Some((date(kind, from)?, date(other, until)?))
}

/// Tag, content and what follows of the first DER element.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if bytes.len() > 4 {
            return None;
        }
        length = bytes.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
        rest = after;
    }
    let (content, after) = rest.split_at_checked(length)?;
    Some((tag, content, after))
}

/// `UTCTime` (two digits of the year, 1950 to 2049) or `GeneralizedTime` (four), both in UTC.
fn date(tag: u8, text: &[u8]) -> Option<UnixMillis> {
    let digits = text.strip_suffix(b"Z")?;
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse::<u16>().ok();
    let (year, rest) = match tag {
        0x17 => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year = number(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        0x18 => {
            let (year, rest) = digits.split_at_checked(4)?;
            (number(year)?, rest)
        }
        _ => return None,
    };
    let parts: Vec<u8> =
        rest.chunks(2).map(|two| u8::try_from(number(two)?).ok()).collect::<Option<_>>()?;
    let [month, day, hour, minute, second] = parts.as_slice() else { return None };
    let day = Date::from_calendar_date(year.into(), Month::try_from(*month).ok()?, *day).ok()?;
    let time = Time::from_hms(*hour, *minute, *second).ok()?;
    Some(UnixMillis::from(OffsetDateTime::new_utc(day, time)))
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
        let now = Facts::read(&path, &names).unwrap().not_before.plus(DAY);
        assert!(!is_public(&path, &names, now));
        assert!(!is_public(&dir.path().join("absent.pem"), &names, now));
    }

    #[test]
    fn dates_of_both_forms_are_read_and_others_are_none() {
        let shown = |tag, text: &[u8]| date(tag, text).map(UnixMillis::to_rfc3339);
        assert_eq!(shown(0x17, b"491231235959Z").unwrap(), "2049-12-31T23:59:59Z");
        assert_eq!(shown(0x17, b"500101000000Z").unwrap(), "1950-01-01T00:00:00Z");
        assert_eq!(shown(0x18, b"20500101000000Z").unwrap(), "2050-01-01T00:00:00Z");
        for bad in [&b"4912312359Z"[..], b"491331235959Z", b"", b"Z", b"49123123595+Z"] {
            assert_eq!(shown(0x17, bad), None, "{bad:?}");
        }
        assert!(validity(&[0x30, 0x84, 0xff]).is_none());
    }
}
