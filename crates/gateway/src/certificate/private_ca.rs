//! The private authority of `init` at work: certificates for the server's key, and for keys that
//! other gateways ask with.
//!
//! Data flow: `ca.pem` and its key -> [`PrivateCa::read`] -> [`PrivateCa::sign`]: a request -> two
//! certificates over its key, one for devices and one for clients of HTTP.
//!
//! # Invariants
//! - What it gives is checked as a client checks it, for each name by itself: a name outside of the
//!   authority's constraints is refused, and named.
//! - A certificate for clients of HTTP holds [`LONGEST`] at the most; the one for devices as long
//!   as that of `init`, because their clocks may be years off (decision 8).
//!
//! # Not here
//! - Who may order it: who can read the key.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    Certificate, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, SerialNumber, date_time_ymd,
};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};
use time::OffsetDateTime;
use towline_host::clock::UnixMillis;
use towline_host::files;
use zeroize::Zeroizing;

use super::names::permitted;
use super::request::Request;
use crate::init::certs::{self, NOT_AFTER, NOT_BEFORE};
use crate::limits::MAX_CONFIG_FILE;

/// Apple's systems refuse server certificates that hold longer: 825 days under an authority that
/// the user added, 398 under public ones (support.apple.com/102028, 103769).
pub(super) const LONGEST: Duration = Duration::from_secs(397 * 86_400);
/// How far clocks of clients may be behind.
const BEFORE: Duration = Duration::from_secs(30 * 86_400);
/// 2.5.29.17, `subjectAltName`.
const SUBJECT_ALT_NAME: &[u64] = &[2, 5, 29, 17];

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// Certificate or key of the authority.
    #[error("{0}")]
    Authority(String),
    /// A name.
    #[error(
        "the authority may not certify {name}: it may certify {permitted}. Ask for names of these, \
         or let another authority sign that clients and devices trust, too (--ca and --ca-key)"
    )]
    NotPermitted {
        /// The name.
        name: String,
        /// What it may certify.
        permitted: String,
    },
    /// Signing failed.
    #[error("the certificate cannot be made: {0}")]
    Make(String),
}

/// What was signed.
#[derive(Debug)]
pub struct Signed {
    /// Two certificates over one key, as PEM: for devices first, for clients of HTTP second.
    pub pem: String,
    /// When the second ends.
    pub http_until: UnixMillis,
}

/// The authority, with its key.
pub struct PrivateCa {
    certificate: CertificateDer<'static>,
    roots: Arc<RootCertStore>,
    issuer: Issuer<'static, KeyPair>,
}

/// For which names a certificate is.
pub(super) enum Names<'a> {
    /// Each as text.
    Text(&'a [String]),
    /// A whole `subjectAltName`.
    Der(&'a [u8]),
}

impl PrivateCa {
    /// Of these two files.
    ///
    /// # Errors
    /// [`SignError::Authority`] says which file, or that they do not belong together.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, SignError> {
        let bad = |path: &Path, why: &dyn std::fmt::Display| {
            SignError::Authority(format!("{}: {why}", path.display()))
        };
        let read = |path: &Path| {
            let bytes = files::read(path, MAX_CONFIG_FILE).map(Zeroizing::new);
            bytes.map_err(|error| SignError::Authority(error.to_string()))
        };
        let der = CertificateDer::from_pem_slice(&read(certificate)?);
        let der = der.map_err(|error| bad(certificate, &error))?;
        let text = read(key)?;
        let text = std::str::from_utf8(&text).map_err(|error| bad(key, &error))?;
        let pair = KeyPair::from_pem(text).map_err(|error| bad(key, &error))?;
        let parsed = ParsedCertificate::try_from(&der).map_err(|error| bad(certificate, &error))?;
        if parsed.subject_public_key_info().to_vec() != pair.subject_public_key_info() {
            let why = format!("it is not the key of the authority in {}", certificate.display());
            return Err(bad(key, &why));
        }
        let roots = trust(&der).map_err(|why| bad(certificate, &why))?;
        Ok(Self { certificate: der, roots, issuer: Issuer::new(certs::issuer(), pair) })
    }

    /// Two certificates for what a request asks for.
    ///
    /// # Errors
    /// [`SignError::NotPermitted`] names the first name that the authority may not certify.
    pub fn sign(&self, request: &Request, now: UnixMillis) -> Result<Signed, SignError> {
        let (key, names) = (request.key(), request.names());
        for name in names {
            let alone = self.of_a_year(key, &Names::Text(std::slice::from_ref(name)), now);
            let alone = alone.map_err(SignError::Make)?;
            let judged = trusts(&self.roots, alone.der(), name, now);
            judged.map_err(|error| self.refusal(name, &error))?;
        }
        let whole = || -> Result<_, String> {
            let from = date_time_ymd(NOT_BEFORE.0, NOT_BEFORE.1, NOT_BEFORE.2);
            let until = date_time_ymd(NOT_AFTER.0, NOT_AFTER.1, NOT_AFTER.2);
            let devices = self.leaf(key, &Names::Text(names), from, until)?;
            Ok([devices, self.of_a_year(key, &Names::Text(names), now)?])
        };
        let both = whole().map_err(SignError::Make)?;
        for (leaf, name) in both.iter().flat_map(|leaf| names.iter().map(move |n| (leaf, n))) {
            let judged = trusts(&self.roots, leaf.der(), name, now);
            judged.map_err(|error| self.refusal(name, &error))?;
        }
        let pem = both.iter().map(Certificate::pem).collect();
        Ok(Signed { pem, http_until: now.minus(BEFORE).plus(LONGEST) })
    }

    fn refusal(&self, name: &str, error: &Error) -> SignError {
        use CertificateError as Bad;
        match error {
            Error::InvalidCertificate(
                Bad::UnknownIssuer
                | Bad::Expired
                | Bad::ExpiredContext { .. }
                | Bad::NotValidYet
                | Bad::NotValidYetContext { .. },
            ) => SignError::Authority(format!(
                "clients would not trust what the authority signs: {error}; is it one that \
                 `towline-gateway init` made, and is the clock right?"
            )),
            _ => {
                let all = permitted(&self.certificate).unwrap_or_default();
                let permitted = if all.is_empty() { "nothing".into() } else { all.join(", ") };
                SignError::NotPermitted { name: name.to_owned(), permitted }
            }
        }
    }

    /// A certificate for clients of HTTP.
    pub(super) fn of_a_year(
        &self,
        key: &impl PublicKeyData,
        names: &Names<'_>,
        now: UnixMillis,
    ) -> Result<Certificate, String> {
        let from = now.minus(BEFORE);
        self.leaf(key, names, date(from)?, date(from.plus(LONGEST))?)
    }

    fn leaf(
        &self,
        key: &impl PublicKeyData,
        names: &Names<'_>,
        from: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<Certificate, String> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Towline gateway");
        (params.not_before, params.not_after) = (from, until);
        // Browsers refuse two certificates of one authority with one number.
        let mut serial = [0; 16];
        SystemRandom::new().fill(&mut serial).map_err(|_| "the system gives no random bytes")?;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // Strict verifiers (Python from 3.13 on) refuse a leaf that does not name its authority's
        // key.
        params.use_authority_key_identifier_extension = true;
        match names {
            Names::Text(names) => {
                let names = names.iter().map(|name| certs::alternative_name(name));
                let names = names.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
                params.subject_alt_names = names;
            }
            Names::Der(names) => {
                let names = CustomExtension::from_oid_content(SUBJECT_ALT_NAME, names.to_vec());
                params.custom_extensions.push(names);
            }
        }
        params.signed_by(key, &self.issuer).map_err(|error| error.to_string())
    }
}

fn date(at: UnixMillis) -> Result<OffsetDateTime, String> {
    OffsetDateTime::from_unix_timestamp(at.0.div_euclid(1000)).map_err(|error| error.to_string())
}

/// Trust in this authority alone.
pub(super) fn trust(authority: &CertificateDer<'_>) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone().into_owned()).map_err(|error| error.to_string())?;
    Ok(Arc::new(roots))
}

/// Whether who trusts `roots` takes this certificate for `name`, which may be one with `*`.
pub(super) fn trusts(
    roots: &Arc<RootCertStore>,
    leaf: &CertificateDer<'_>,
    name: &str,
    now: UnixMillis,
) -> Result<(), Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), provider)
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    let one = name.strip_prefix("*.").map_or_else(|| name.to_owned(), |rest| format!("x.{rest}"));
    let name = ServerName::try_from(one).map_err(|error| Error::General(error.to_string()))?;
    let seconds = u64::try_from(now.0.div_euclid(1000)).unwrap_or(0);
    let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    verifier.verify_server_cert(leaf, &[], &name, &[], now).map(|_| ())
}

#[cfg(test)]
mod tests;
