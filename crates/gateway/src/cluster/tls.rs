//! TLS between nodes: version 1.3, raw Ed25519 keys on both sides.
//!
//! # Invariants
//! - A node dials another one by the digest of its key: no name and no certificate authority
//!   counts.

use std::sync::Arc;

use ::ring::digest::{SHA256, digest};
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
    version,
};

use super::node_key::NodeKey;
use crate::listener::client_key::AnyEd25519Key;
use crate::listener::tls::PEER_ALPN;

/// The configuration that answers other nodes.
///
/// # Errors
/// The library's.
pub fn server_config(key: &NodeKey) -> Result<Arc<ServerConfig>, Error> {
    let provider = Arc::new(ring::default_provider());
    let shown = Arc::new(AlwaysResolvesServerRawPublicKeys::new(key.pair()));
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&version::TLS13])?
        .with_client_cert_verifier(AnyEd25519Key::new(&provider))
        .with_cert_resolver(shown);
    config.alpn_protocols = vec![PEER_ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The digest of a key.
pub(super) fn digest_of(spki: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, spki).as_ref()); // SHA-256 has 32 bytes
    bytes
}

/// The configuration for dialling the node whose key has this digest.
///
/// # Errors
/// The library's.
pub(super) fn client_config(key: &NodeKey, wanted: [u8; 32]) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let verifier = Arc::new(ExactKey { wanted, algorithms });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key.pair())));
    config.alpn_protocols = vec![PEER_ALPN.to_vec()];
    Ok(Arc::new(config))
}

/// Takes one key, and no other.
#[derive(Debug)]
struct ExactKey {
    wanted: [u8; 32],
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for ExactKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime, // a key has no dates
    ) -> Result<ServerCertVerified, Error> {
        if digest_of(end_entity) == self.wanted {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("nodes speak TLS 1.3".to_owned()))
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
