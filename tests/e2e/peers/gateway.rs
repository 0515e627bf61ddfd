//! A false gateway: it has the real one's certificate and sits where the agent's relay leads. What
//! it lacks, or has, is the authority's key: that is what the tests are about.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::signature::Ed25519KeyPair;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, ServerConfig, ServerConnection,
    SignatureScheme, StreamOwned,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer, UnixTime};
use towline_testkit::lab::Lab;
use towline_testkit::{Outcome, Trouble, eventually};
use towline_wire::frame::Frame;
use towline_wire::grant::{Grant, SignedGrant, SignedTime};
use towline_wire::message::{
    FromAgent, Hello, Launch, Open, RefusalCode, ToAgent, Welcome, decode, encode,
};

use super::line::Line;

/// How long an agent may take for an answer.
const PATIENCE: Duration = Duration::from_secs(25);

/// Listens in the gateway's place.
pub(crate) struct FalseGateway {
    listener: TcpListener,
    config: Arc<ServerConfig>,
    authority: Ed25519KeyPair,
}

/// One agent's link at a false gateway.
pub(crate) struct AgentAtFalseGateway {
    line: Line<StreamOwned<ServerConnection, TcpStream>>,
    /// What the agent said first.
    pub(crate) hello: Hello,
}

impl FalseGateway {
    /// With the certificate of the lab's gateway, and its authority's key, or another one.
    pub(crate) fn start(lab: &Lab, authority: Option<&[u8]>) -> Outcome<Self> {
        let folder = lab.gateway.directory();
        let pem = |e: rustls_pki_types::pem::Error| {
            Trouble::new(format!("the gateway's certificate: {e}"))
        };
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_file_iter(folder.join("server.pem"))
                .map_err(pem)?
                .collect::<Result<_, _>>()
                .map_err(pem)?;
        let key = PrivateKeyDer::from_pem_file(folder.join("server.key.pem")).map_err(pem)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let anybody = Arc::new(Anybody(provider.signature_verification_algorithms));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(anybody)
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![towline_wire::ALPN.to_vec()];
        let own = std::fs::read(folder.join("authority.key"))?;
        let authority = Ed25519KeyPair::from_pkcs8(authority.unwrap_or(&own))
            .map_err(|_| Trouble::new("not an authority's key"))?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        // So that nobody waits for ever for an agent that does not come.
        listener.set_nonblocking(true)?;
        Ok(Self { listener, config: Arc::new(config), authority })
    }

    pub(crate) fn address(&self) -> Outcome<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// The next agent, greeted and ready.
    pub(crate) fn accept(&self) -> Outcome<AgentAtFalseGateway> {
        let (mut line, hello) = self.accept_ungreeted()?;
        let now = now_ms();
        let signed = SignedTime::signed_bytes(&hello.challenge, now);
        let welcome = Welcome {
            time: SignedTime {
                unix_ms: now,
                signature: self.authority.sign(&signed).as_ref().to_vec(),
            },
            longest_ping: 60,
            grace: 600,
        };
        line.send(&Frame::Version { min: 1, max: 1 })?;
        line.send(&Frame::Control(&encode(&ToAgent::Welcome(welcome))?))?;
        Ok(AgentAtFalseGateway { line, hello })
    }

    fn accept_ungreeted(&self) -> Outcome<(Line<StreamOwned<ServerConnection, TcpStream>>, Hello)> {
        let socket = eventually("an agent dials the false gateway", PATIENCE, || {
            match self.listener.accept() {
                Ok((socket, _)) => Some(Ok(socket)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => None,
                Err(e) => Some(Err(e)),
            }
        })??;
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut line =
            Line::new(StreamOwned::new(ServerConnection::new(Arc::clone(&self.config))?, socket));
        let hello = line.hear_message(|body| match decode(body) {
            Ok(FromAgent::Hello(hello)) => Some(hello),
            _ => None,
        })?;
        Ok((line, hello))
    }

    /// Answers the next agent with bytes that are no greeting.
    pub(crate) fn accept_with_garbage(&self, bytes: &[u8]) -> Outcome {
        let (mut line, _) = self.accept_ungreeted()?;
        line.send_bytes(bytes)?;
        line.hear_the_end()
    }

    /// Answers the next agent with a refusal: it may come back after so many seconds.
    pub(crate) fn accept_and_send_away(&self, retry_after: u32) -> Outcome {
        let (mut line, _) = self.accept_ungreeted()?;
        let refusal =
            ToAgent::Refuse { code: RefusalCode::RateLimited, text: "not now".into(), retry_after };
        line.send(&Frame::Version { min: 1, max: 1 })?;
        line.send(&Frame::Control(&encode(&refusal)?))?;
        line.hear_the_end()
    }

    /// A grant that is right in everything, for `agent` and `session`, and what it is for.
    pub(crate) fn grant(
        &self,
        agent: &AgentAtFalseGateway,
        session: &str,
    ) -> Outcome<(Grant, Vec<u8>)> {
        let launch = encode(&Launch::Exec { argv: vec!["true".into()] })?;
        let mut digest = [0; 32];
        digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, &launch).as_ref());
        let mut nonce = [0; 16];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut nonce)
            .map_err(|_| Trouble::new("no random bytes"))?;
        let grant = Grant {
            device: agent.hello.device.clone(),
            session: session.to_owned(),
            principal: "arn:aws:iam::000000000000:user/test".into(),
            document: "Towline-Exec".into(),
            launch: digest,
            run_as: None,
            boot: agent.hello.epoch.boot,
            nonce,
            issued_at: now_ms(),
            not_after: now_ms() + 60_000,
        };
        Ok((grant, launch))
    }

    /// Signs it with this gateway's idea of the authority.
    pub(crate) fn sign(&self, grant: &Grant) -> Outcome<SignedGrant> {
        let mut signature = [0; 64];
        Ok(SignedGrant::sign(grant, |bytes| {
            signature.copy_from_slice(self.authority.sign(bytes).as_ref());
            signature
        })?)
    }
}

impl AgentAtFalseGateway {
    /// Orders a session; gives the agent's answer to it.
    pub(crate) fn order(
        &mut self,
        session: &str,
        grant: SignedGrant,
        launch: Vec<u8>,
        stream: u32,
    ) -> Outcome<FromAgent> {
        let session = session.to_owned();
        let open = Open {
            session: session.clone(),
            grant,
            launch,
            terminal: None,
            io: stream,
            err: Some(stream + 1),
        };
        self.line.send(&Frame::Control(&encode(&ToAgent::Open(open))?))?;
        self.line.hear_message(|body| match decode(body).ok()? {
            FromAgent::Opened { session: opened } if opened == session => {
                Some(FromAgent::Opened { session: opened })
            }
            FromAgent::NotOpened { session: refused, code, text } if refused == session => {
                Some(FromAgent::NotOpened { session: refused, code, text })
            }
            _ => None,
        })
    }

    /// Tells the agent that a session is over and done with.
    pub(crate) fn forget(&mut self, session: &str) -> Outcome {
        self.line.send(&Frame::Control(&encode(&ToAgent::Forget { session: session.to_owned() })?))
    }
}

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(0))
}

/// Takes any key.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature_with_raw_key(
            message,
            &SubjectPublicKeyInfoDer::from(cert.as_ref()),
            dss,
            &self.0,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
