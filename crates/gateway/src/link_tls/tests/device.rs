//! The other end of a link under test: a client of the library, and records that no client makes.

use std::io::Read as _;
use std::sync::Arc;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::crypto::ring::{cipher_suite, default_provider, sign::any_eddsa_type};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, ConnectionTrafficSecrets, Error, RootCertStore, ServerConfig,
    version,
};
use tokio::io::ReadBuf;

use crate::link_tls::records::Records;
use crate::listener::client_key::AnyEd25519Key;
use crate::listener::tls::AGENT_ALPN;

/// What both ends are configured with, as in service; one cipher, whose records tests can make.
pub(super) struct Configs {
    pub(super) server: Arc<ServerConfig>,
    pub(super) client: Arc<ClientConfig>,
}

impl Configs {
    pub(super) fn new() -> Self {
        let mut provider = default_provider();
        provider.cipher_suites = vec![cipher_suite::TLS13_AES_256_GCM_SHA384];
        let provider = Arc::new(provider);
        let made = rcgen::generate_simple_self_signed(vec!["gateway.test".to_owned()]).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&version::TLS13])
            .unwrap()
            .with_client_cert_verifier(AnyEd25519Key::new(&provider))
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        server.alpn_protocols = vec![AGENT_ALPN.to_vec()];
        server.send_tls13_tickets = 0;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key_of())));
        client.alpn_protocols = vec![AGENT_ALPN.to_vec()];
        client.enable_secret_extraction = true;
        Self { server: Arc::new(server), client: Arc::new(client) }
    }

    pub(super) fn ends(&self) -> (Records, ClientConnection) {
        let server = UnbufferedServerConnection::new(Arc::clone(&self.server)).unwrap();
        let client = ClientConnection::new(Arc::clone(&self.client), name()).unwrap();
        (Records::new(server), client)
    }

    /// Both ends after their handshake, whose bytes came `piece` at a time.
    pub(super) fn linked(&self, piece: usize) -> (Records, ClientConnection) {
        let (mut server, mut client) = self.ends();
        while client.is_handshaking() || server.session().is_handshaking() {
            assert_eq!(give(&mut server, &flight(&mut client), piece).unwrap(), b"");
            answer(&mut server, &mut client).unwrap();
        }
        (server, client)
    }

    /// A link, and a device that can make any record.
    pub(super) fn linked_to_a_liar(&self) -> (Records, Liar) {
        let (server, client) = self.linked(usize::MAX);
        let secrets = client.dangerous_extract_secrets().unwrap();
        let (number, ConnectionTrafficSecrets::Aes256Gcm { key, iv }) = secrets.tx else {
            panic!("another cipher")
        };
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).unwrap());
        (server, Liar { key, iv: iv.as_ref().try_into().unwrap(), number })
    }
}

pub(super) fn name() -> ServerName<'static> {
    ServerName::try_from("gateway.test").unwrap()
}

fn key_of() -> Arc<CertifiedKey> {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let signer = any_eddsa_type(&PrivatePkcs8KeyDer::from(pair.serialize_der())).unwrap();
    let spki = CertificateDer::from(signer.public_key().unwrap().to_vec());
    Arc::new(CertifiedKey::new(vec![spki], signer))
}

/// All that the client has to send.
pub(super) fn flight(client: &mut ClientConnection) -> Vec<u8> {
    let mut out = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut out).unwrap();
    }
    out
}

/// Gives the link bytes, so many at a time; returns what it decrypted.
pub(super) fn give(server: &mut Records, bytes: &[u8], piece: usize) -> Result<Vec<u8>, Error> {
    let mut plain = Vec::new();
    for part in bytes.chunks(piece) {
        let mut came = [server.held(), part].concat();
        server.receive(&mut came)?;
        let mut room = vec![0; 100_000];
        let mut buf = ReadBuf::new(&mut room);
        while server.take(&mut buf) {}
        plain.extend_from_slice(buf.filled());
    }
    Ok(plain)
}

/// Gives the client all that the link has to send; returns what it decrypted.
pub(super) fn answer(
    server: &mut Records,
    client: &mut ClientConnection,
) -> Result<Vec<u8>, Error> {
    let (sent, mut plain) = (server.to_send().to_vec(), Vec::new());
    server.sent(sent.len());
    let mut rest = &sent[..];
    while !rest.is_empty() {
        client.read_tls(&mut rest).unwrap();
        client.process_new_packets()?;
        let mut some = [0; 20_000];
        while let Ok(n @ 1..) = client.reader().read(&mut some) {
            plain.extend_from_slice(&some[..n]);
        }
    }
    Ok(plain)
}

/// A device that makes any record, rightly encrypted.
pub(super) struct Liar {
    key: LessSafeKey,
    iv: [u8; 12],
    number: u64,
}

impl Liar {
    /// A record of this content type (RFC 8446, section 5.1).
    pub(super) fn record(&mut self, content_type: u8, body: &[u8]) -> Vec<u8> {
        let mut nonce = self.iv;
        for (byte, of_number) in nonce[4..].iter_mut().zip(self.number.to_be_bytes()) {
            *byte ^= of_number;
        }
        self.number += 1;
        let length = u16::try_from(body.len() + 1 + 16).unwrap().to_be_bytes();
        let head = [23, 3, 3, length[0], length[1]];
        let mut inner = [body, &[content_type]].concat();
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce, Aad::from(head), &mut inner).unwrap();
        [&head[..], &inner].concat()
    }
}
