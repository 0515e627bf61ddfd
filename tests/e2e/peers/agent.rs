//! A false agent: it has a key and the gateway's CA, and says what the test wants.

use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::crypto::ring::sign::any_eddsa_type;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use towline_testkit::lab::{Activation, Lab};
use towline_testkit::{Outcome, Trouble, https};
use towline_wire::epoch::Epoch;
use towline_wire::frame::Frame;
use towline_wire::message::{Enroll, FromAgent, Hello, Platform, ToAgent, decode, encode};

use super::line::Line;

/// What stands before the 32 bytes of an Ed25519 key in its `SubjectPublicKeyInfo` (RFC 8410,
/// section 4).
const SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// How long a gateway may take for an answer, or for hanging up: its own greeting takes 15 s at
/// most.
const PATIENCE: Duration = Duration::from_secs(25);

pub(crate) type AgentLine = Line<StreamOwned<ClientConnection, TcpStream>>;

/// A fresh key (PKCS#8).
pub(crate) fn fresh_key() -> Outcome<Vec<u8>> {
    let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .map_err(|_| Trouble::new("no random bytes"))?;
    Ok(made.as_ref().to_vec())
}

/// Connects as an agent with this key, from this source.
pub(crate) fn connect(lab: &Lab, key: &[u8], source: Option<IpAddr>) -> Outcome<AgentLine> {
    let mut roots = RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(lab.gateway.ca()).map_err(|e| Trouble::new(e.to_string()))?
    {
        roots.add(certificate.map_err(|e| Trouble::new(e.to_string()))?)?;
    }
    let pair = Ed25519KeyPair::from_pkcs8(key).map_err(|_| Trouble::new("not a key"))?;
    let spki = [&SPKI_PREFIX[..], pair.public_key().as_ref()].concat();
    let signer = any_eddsa_type(&PrivatePkcs8KeyDer::from(key.to_vec()))?;
    let shown = Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki)], signer));
    let mut config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(shown)));
    config.alpn_protocols = vec![towline_wire::ALPN.to_vec()];
    let address = lab.gateway.address();
    let socket = https::dial(&address.to_string(), source)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let session = ClientConnection::new(Arc::new(config), ServerName::from(address.ip()))?;
    Ok(Line::new(StreamOwned::new(session, socket)))
}

/// The first words: the version, and a hello in the name of `device`.
pub(crate) fn say_hello(line: &mut AgentLine, device: &str) -> Outcome {
    say_hello_again(line, device, 1)
}

/// The same on a later connection of the same agent.
pub(crate) fn say_hello_again(line: &mut AgentLine, device: &str, connection: u32) -> Outcome {
    send_hello(line, device, connection, Platform::default())
}

/// The same of a device that has this name for itself.
pub(crate) fn say_hello_as(line: &mut AgentLine, device: &str, hostname: &str) -> Outcome {
    send_hello(line, device, 1, Platform { hostname: hostname.into(), ..Platform::default() })
}

fn send_hello(line: &mut AgentLine, device: &str, connection: u32, platform: Platform) -> Outcome {
    let hello = Hello {
        device: device.to_owned(),
        epoch: Epoch { boot: [9; 16], connection },
        challenge: [7; 16],
        platform,
    };
    line.send(&Frame::Version { min: 1, max: 1 })?;
    line.send(&Frame::Control(&encode(&FromAgent::Hello(hello))?))
}

/// The first words of a stranger with an activation.
pub(crate) fn ask_to_enroll(line: &mut AgentLine, activation: &Activation) -> Outcome {
    let enroll = Enroll {
        activation_id: activation.id.clone(),
        activation_code: activation.code.clone(),
        name: String::new(),
        tags: Vec::new(),
        platform: Platform::default(),
    };
    line.send(&Frame::Version { min: 1, max: 1 })?;
    line.send(&Frame::Control(&encode(&FromAgent::Enroll(enroll))?))
}

/// The gateway's next message.
pub(crate) fn answer(line: &mut AgentLine) -> Outcome<ToAgent> {
    line.hear_message(|body| decode(body).ok())
}
