//! Client authentication of agents: an RFC 7250 raw public key in place of a certificate.
//!
//! The handshake proves that the peer holds the private half of an Ed25519 key. Whether that key is
//! known, pending or revoked is asked afterwards, by the data plane: an unknown key must be able to
//! come in to be enrolled.
//!
//! # Invariants
//! - TLS 1.3 only, Ed25519 only: any other key type or version ends the handshake.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use crate::authority::is_ed25519;

/// Lets any Ed25519 key in that signs the handshake.
#[derive(Debug)]
pub struct AnyEd25519Key {
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyEd25519Key {
    /// With the signature checks of `provider`.
    #[must_use]
    pub fn new(provider: &CryptoProvider) -> Arc<Self> {
        Arc::new(Self { algorithms: provider.signature_verification_algorithms })
    }
}

impl ClientCertVerifier for AnyEd25519Key {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime, // a key has no dates
    ) -> Result<ClientCertVerified, Error> {
        if is_ed25519(end_entity) && intermediates.is_empty() {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(CertificateError::BadEncoding.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("an agent speaks TLS 1.3".to_owned())) // never asked: the agents' side offers 1.3 only
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let spki = SubjectPublicKeyInfoDer::from(cert.as_ref());
        verify_tls13_signature_with_raw_key(message, &spki, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
