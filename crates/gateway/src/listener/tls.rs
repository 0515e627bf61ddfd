//! The TLS configurations behind one port, and the choice between them.
//!
//! The `ClientHello` is read first; the protocol it offers decides: `towline/1` is an agent (TLS
//! 1.3, raw public key), `towline-peer/1` another gateway where several work together (raw public
//! keys on both sides), anything else is HTTPS. So neither side can meet the other's rules by
//! accident.
//!
//! # Invariants
//! - A client that offers `towline/1` together with something else is an agent or nothing.
//! - 0-RTT is off: early data can be replayed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ParsedCertificate};
use rustls::{ServerConfig, version};
use towline_host::files::{self, FileError};

use super::client_key::AnyEd25519Key;
use crate::limits::MAX_CONFIG_FILE;

/// The protocol name of the agents' link in the TLS handshake.
pub const AGENT_ALPN: &[u8] = b"towline/1";
/// The protocol name of calls between gateways in the TLS handshake.
pub const PEER_ALPN: &[u8] = b"towline-peer/1";
/// The protocol name of HTTP/1.1 in the TLS handshake.
pub const HTTP_ALPN: &[u8] = b"http/1.1";

/// Why the server has no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file holds no certificate or key.
    #[error("{path}: {why}")]
    Pem {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// Certificate and key do not belong together, or are of a kind that cannot be used.
    #[error("the certificate and its key cannot be used: {0}")]
    Pair(#[from] rustls::Error),
    /// They are of two keys.
    #[error(
        "the certificate {} and the key {} do not belong together: name a pair with \
         tls_certificate and tls_key in gateway.toml",
        .chain.display(), .key.display()
    )]
    TwoKeys {
        /// The file of the certificate.
        chain: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
}

/// The configurations. Clones share them: [`TlsConfigs::replace`] counts for all.
#[derive(Clone)]
pub struct TlsConfigs {
    pair: Arc<RwLock<Pair>>,
    /// For other gateways, where several work together.
    peers: Option<Arc<ServerConfig>>,
}

#[derive(Clone)]
struct Pair {
    agents: Arc<ServerConfig>,
    http: Arc<ServerConfig>,
}

/// Who dials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerKind {
    /// A device.
    Agent,
    /// Another gateway.
    Gateway,
    /// A client of the API, or a websocket.
    Http,
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = zeroize::Zeroizing::new(files::read(path, MAX_CONFIG_FILE)?);
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| TlsError::Pem {
        path: path.display().to_string(),
        why: in_words(&error, "private key"),
    })
}

fn in_words(error: &pem::Error, wanted: &str) -> String {
    match error {
        pem::Error::NoItemsFound => format!("no {wanted} in it, expected PEM"),
        other => other.to_string(),
    }
}

fn for_http(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let mut http = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    http.alpn_protocols = vec![HTTP_ALPN.to_vec()];
    Ok(http)
}

/// The chain in a file, and the certificate for clients of HTTP in it, if there is one: another one
/// over the key of the first.
///
/// # Errors
/// [`TlsError`] names the file.
pub fn certificates(path: &Path) -> Result<(Chain, Option<CertificateDer<'static>>), TlsError> {
    let bad = |why: String| TlsError::Pem { path: path.display().to_string(), why };
    let mut chain = CertificateDer::pem_slice_iter(&files::read(path, MAX_CONFIG_FILE)?)
        .collect::<Result<Chain, _>>()
        .map_err(|error| bad(error.to_string()))?;
    let Some((first, others)) = chain.split_first() else {
        return Err(bad("no certificate in it".to_owned()));
    };
    let key_of = |der: &CertificateDer<'_>| {
        ParsedCertificate::try_from(der).ok().map(|one| one.subject_public_key_info().to_vec())
    };
    let key = key_of(first);
    let second = others.iter().position(|other| key.is_some() && key_of(other) == key);
    let second = second.map(|at| chain.remove(at + 1));
    Ok((chain, second))
}

/// Certificates in the order in which they are shown.
pub type Chain = Vec<CertificateDer<'static>>;

impl TlsConfigs {
    /// From a certificate chain and its key, both PEM.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub fn load(chain: &Path, key: &Path) -> Result<Self, TlsError> {
        let made = Self::new(certificates(chain)?.0, private_key(key)?);
        made.map_err(|error| match error {
            TlsError::Pair(rustls::Error::InconsistentKeys(_)) => {
                TlsError::TwoKeys { chain: chain.to_owned(), key: key.to_owned() }
            }
            other => other,
        })
    }

    /// The same with `leaf` for clients of HTTP. It is of the key in the file `key`.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub fn with_http_certificate(
        self,
        leaf: CertificateDer<'static>,
        key: &Path,
    ) -> Result<Self, TlsError> {
        let http = Arc::new(for_http(vec![leaf], private_key(key)?)?);
        self.pair.write().unwrap_or_else(PoisonError::into_inner).http = http;
        Ok(self)
    }

    /// SHA-256 of the server key's `SubjectPublicKeyInfo` (RFC 7469, section 2.4), 64 hexadecimal
    /// digits: what `towline-agent enroll --pin` takes. It stays the same when a certificate is
    /// renewed with its key.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub fn pin(chain: &Path) -> Result<String, TlsError> {
        let bad = |why: String| TlsError::Pem { path: chain.display().to_string(), why };
        let leaf = CertificateDer::from_pem_slice(&files::read(chain, MAX_CONFIG_FILE)?)
            .map_err(|error| bad(in_words(&error, "certificate")))?;
        let spki = ParsedCertificate::try_from(&leaf)
            .map_err(|e| bad(e.to_string()))?
            .subject_public_key_info();
        let digest = ::ring::digest::digest(&::ring::digest::SHA256, &spki);
        Ok(digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, TlsError> {
        let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
        let mut agents = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&version::TLS13])?
            .with_client_cert_verifier(AnyEd25519Key::new(&provider))
            .with_single_cert(chain.clone(), key.clone_key())?;
        agents.alpn_protocols = vec![AGENT_ALPN.to_vec()];
        // An agent's link lives for days: a stored ticket would hardly be used, and each costs
        // memory.
        agents.send_tls13_tickets = 0;
        let pair = Pair { agents: Arc::new(agents), http: Arc::new(for_http(chain, key)?) };
        Ok(Self { pair: Arc::new(RwLock::new(pair)), peers: None })
    }

    /// The same, and other gateways are answered with this configuration.
    #[must_use]
    pub fn with_peers(self, peers: Arc<ServerConfig>) -> Self {
        Self { peers: Some(peers), ..self }
    }

    /// Answers handshakes from now on with the configurations of `new`. Open connections go on.
    pub fn replace(&self, new: &Self) {
        let pair = new.pair();
        *self.pair.write().unwrap_or_else(PoisonError::into_inner) = pair;
    }

    fn pair(&self) -> Pair {
        self.pair.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Who says hello, and the configuration that answers.
    #[must_use]
    pub fn choose(&self, hello: &ClientHello<'_>) -> (PeerKind, Arc<ServerConfig>) {
        let offers =
            |name| hello.alpn().is_some_and(|mut offered| offered.any(|protocol| protocol == name));
        let pair = self.pair();
        match &self.peers {
            _ if offers(AGENT_ALPN) => (PeerKind::Agent, pair.agents),
            Some(peers) if offers(PEER_ALPN) => (PeerKind::Gateway, Arc::clone(peers)),
            _ => (PeerKind::Http, pair.http),
        }
    }
}
