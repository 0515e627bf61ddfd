//! Which certificates are trusted: those of the CA file of the settings, else the public CAs.
//!
//! # Invariants
//! - A CA file replaces the public CAs: a private gateway needs no others.
//! - The check cannot be disabled.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio_rustls::TlsConnector;
use towline_ssm::clock::format_iso8601;
use towline_wire::text::connection_error;

use super::error::CallError;
use crate::limits::MAX_CA_FILE;

/// A connector that trusts the CAs in the file `ca`, or the public ones.
///
/// # Errors
/// [`CallError::CaFile`].
pub(super) fn connector(ca: Option<&Path>) -> Result<TlsConnector, CallError> {
    let roots = match ca {
        Some(path) => {
            let bad = |why: String| CallError::CaFile { path: path.display().to_string(), why };
            from_pem(&read(path).map_err(|error| bad(error.to_string()))?).map_err(bad)?
        }
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| CallError::CaFile { path: String::new(), why: error.to_string() })?
        .with_root_certificates(roots);
    let mut config = config.with_no_client_auth();
    // The gateway serves agents on the same port by another protocol name.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut pem = Vec::new();
    std::fs::File::open(path)?.take(MAX_CA_FILE).read_to_end(&mut pem)?;
    Ok(pem)
}

fn from_pem(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("it is not PEM: {error:?}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("it contains an invalid certificate: {error}"))?;
    }
    if roots.is_empty() { Err("it contains no certificate".to_owned()) } else { Ok(roots) }
}

/// The error of a handshake, with what to do about the usual ones. `ca`: the CA file that was used.
pub(super) fn explain(error: &std::io::Error, ca: Option<&Path>) -> String {
    use rustls::{Error, InvalidMessage};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(why)) => {
            of_certificate(why, ca).unwrap_or_else(|| connection_error(error))
        }
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "what listens there does not speak TLS: check the port".to_owned()
        }
        _ => connection_error(error),
    }
}

/// What is wrong with a certificate, where an operator can do something about it.
fn of_certificate(why: &rustls::CertificateError, ca: Option<&Path>) -> Option<String> {
    use rustls::CertificateError as Bad;
    let clock = |at: &UnixTime| format_iso8601(i64::try_from(at.as_secs()).unwrap_or(i64::MAX));
    Some(match why {
        // A bad signature: a trusted CA has the name of its issuer, and another key. Private CAs of
        // all gateways have one name.
        Bad::UnknownIssuer | Bad::BadSignature => match ca {
            Some(file) => format!(
                "the CA file {} does not contain the issuer of its certificate: name the \
                 gateway's CA file with --ca or TOWLINE_CA",
                file.display()
            ),
            None => "its certificate was issued by a private CA; set the CA file with --ca or \
                     TOWLINE_CA"
                .to_owned(),
        },
        Bad::ExpiredContext { time, not_after } => format!(
            "its certificate ended at {}, and the clock here says {}: check the clock, or renew \
             the certificate",
            clock(not_after),
            clock(time)
        ),
        Bad::NotValidYetContext { time, not_before } => format!(
            "its certificate begins at {}, and the clock here says {}: check the clock",
            clock(not_before),
            clock(time)
        ),
        Bad::NotValidForNameContext { expected, presented } => format!(
            "its certificate is not for {}, but for {}: use one of these names",
            expected.to_str(),
            presented.iter().map(|name| bare(name)).collect::<Vec<_>>().join(", ")
        ),
        _ => return None,
    })
}

/// A name without the kind that the library writes around it: `DnsName("gw.example")`.
fn bare(name: &str) -> &str {
    let inside = name.split_once('(').and_then(|(_, inside)| inside.strip_suffix(')'));
    inside.unwrap_or(name).trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_without_certificates_is_an_error() {
        assert!(from_pem(b"").unwrap_err().contains("no certificate"));
        assert!(from_pem(b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n").is_err());
        let error = connector(Some(Path::new("/nonexistent"))).err().unwrap();
        assert!(error.to_string().contains("/nonexistent"), "{error}");
    }

    #[test]
    fn a_handshake_that_failed_says_what_to_do() {
        use rustls::{CertificateError as Bad, Error, InvalidMessage};
        let said = |error: Error, ca| explain(&std::io::Error::other(error), ca);
        let unknown = || Error::InvalidCertificate(Bad::UnknownIssuer);
        let ca = Some(Path::new("/etc/ssl/ca.pem"));
        assert!(said(unknown(), ca).starts_with("the CA file /etc/ssl/ca.pem does not contain"));
        assert!(said(unknown(), None).contains("issued by a private CA"));
        assert_eq!(said(Bad::BadSignature.into(), ca), said(unknown(), ca));
        let at = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let early = Bad::NotValidYetContext { time: at(0), not_before: at(86_400) };
        assert_eq!(
            said(early.into(), None),
            "its certificate begins at 1970-01-02T00:00:00Z, and the clock here says \
             1970-01-01T00:00:00Z: check the clock"
        );
        let late = Bad::ExpiredContext { time: at(86_400), not_after: at(0) };
        assert!(said(late.into(), None).contains("ended at 1970-01-01T00:00:00Z"));
        let other = Bad::NotValidForNameContext {
            expected: "gw.example".try_into().unwrap(),
            presented: vec!["DnsName(\"localhost\")".into(), "IpAddress(127.0.0.1)".into()],
        };
        assert_eq!(
            said(other.into(), None),
            "its certificate is not for gw.example, but for localhost, 127.0.0.1: use one of \
             these names"
        );
        let plain = Error::InvalidMessage(InvalidMessage::InvalidContentType);
        assert!(said(plain, None).contains("does not speak TLS"));
    }
}
