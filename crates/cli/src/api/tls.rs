//! Which certificates are trusted: those of the CA file of the settings, else the public CAs.
//!
//! # Invariants
//! - A CA file replaces the public CAs: a private gateway needs no others.
//! - The check cannot be disabled.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio_rustls::TlsConnector;
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

/// The error of a handshake, with what to do about the usual ones.
pub(super) fn explain(error: &std::io::Error, has_ca: bool) -> String {
    use rustls::{CertificateError, Error};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) if has_ca => {
            "the CA file does not contain the issuer of its certificate; check that the file \
             belongs to this gateway"
                .to_owned()
        }
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "its certificate was issued by a private CA; set the CA file with --ca or TOWLINE_CA"
                .to_owned()
        }
        Some(error) => connection_error(error),
        None => connection_error(error),
    }
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
}
