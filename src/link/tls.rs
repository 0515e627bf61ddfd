//! TLS to the gateway: the device shows a raw public key (RFC 7250), the gateway a certificate.
//!
//! TLS 1.3 only, ALPN `towline/1`. The handshake proves the identity of the device. The gateway
//! is verified by the [`Trust`] that the enrollment fixed.
//!
//! # Invariants
//! - A pin is compared with the server's key alone: no clock, no name, no authority.
//! - With a CA the time is [`clock::reckon`]'s: a device without a clock can connect, and a
//!   device with a clock refuses an expired certificate.

use crate::clock;
use crate::logger;
use crate::state::enrollment::{Address, Trust, certificates};
use crate::state::key::{DeviceKey, hex};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    AlwaysResolvesClientRawPublicKeys, Resumption, verify_server_cert_signed_by_trust_anchor,
    verify_server_name,
};
use rustls::crypto::{CryptoProvider, KeyProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use towline_wire::text::connection_error;

/// Why TLS cannot be set up at all. Only what the administrator gave can be wrong.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The CA file has no usable certificate.
    #[error("cannot use the CA of the gateway: {0}")]
    Ca(String),
    /// The TLS library refuses.
    #[error("cannot set up TLS: {0}")]
    Library(#[from] rustls::Error),
    /// The host is neither a name nor an address.
    #[error("\"{0}\" is not a host name or IP address")]
    Host(String),
}

/// The last time that an authority signed, seconds since the epoch, until 2106; 0 for none yet.
/// Shared with the verifier. 32 bits: ARMv5 has no atomic of 64.
pub type SignedSeconds = Arc<AtomicU32>;

/// The pins of a gateway: of the key in use, and of the next one where the authority named it.
/// Shared with the verifier. Empty where certificates are judged.
#[derive(Debug, Clone, Default)]
pub struct Pins(Arc<Mutex<PinsInside>>);

#[derive(Debug, Default)]
struct PinsInside {
    current: Option<[u8; 32]>,
    next: Option<[u8; 32]>,
    met_next: bool,
    /// The gateway's at the last handshake, if no pin was right.
    strange: Option<[u8; 32]>,
}

impl Pins {
    fn lock(&self) -> MutexGuard<'_, PinsInside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the gateway is judged by a pin.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.lock().current.is_some()
    }

    /// This pin counts beside the one in use.
    pub fn expect(&self, next: Option<[u8; 32]>) {
        self.lock().next = next;
    }

    /// This pin alone counts.
    pub fn replace(&self, pin: [u8; 32]) {
        let mut inside = self.lock();
        if inside.next == Some(pin) {
            inside.next = None;
        }
        (inside.current, inside.met_next) = (Some(pin), false);
    }

    /// Whether the gateway showed the next key at the last handshake.
    #[must_use]
    pub fn has_met_next(&self) -> bool {
        self.lock().met_next
    }

    /// The pins: of the key in use, and of the next one.
    #[must_use]
    pub fn both(&self) -> (Option<[u8; 32]>, Option<[u8; 32]>) {
        let inside = self.lock();
        (inside.current, inside.next)
    }

    /// Another process did the handshake, and says this of it.
    pub fn tell_met_next(&self, met_next: bool) {
        let mut inside = self.lock();
        inside.met_next = met_next && inside.next.is_some();
    }

    /// What to say of a gateway whose key no pin matched at the last handshake; empty otherwise.
    #[must_use]
    pub fn strange(&self) -> String {
        let inside = self.lock();
        let (Some(seen), Some(expected)) = (inside.strange, inside.current) else {
            return String::new();
        };
        let (seen, expected) = (hex(&seen), hex(&expected));
        format!("the gateway shows a key with pin {seen}, {expected} is expected")
    }

    fn meet(&self, seen: &[u8]) -> bool {
        let mut inside = self.lock();
        let is = |pin: Option<[u8; 32]>| pin.is_some_and(|pin| pin == seen);
        inside.met_next = is(inside.next) && !is(inside.current);
        let known = inside.met_next || is(inside.current);
        inside.strange = if known { None } else { seen.try_into().ok() };
        known
    }
}

/// The TLS settings for dialling.
///
/// # Errors
/// [`TlsError`]: what the administrator gave cannot be used.
pub fn client_config(
    trust: &Trust,
    key: Arc<CertifiedKey>,
    signed: &SignedSeconds,
    pins: &Pins,
) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(provider());
    let verifier = Verifier {
        judge: Judge::new(trust, pins)?,
        provider: provider.clone(),
        signed: signed.clone(),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key)));
    config.alpn_protocols = vec![towline_wire::ALPN.to_vec()];
    // A link lives for days: tickets would cost memory and save one signature a week.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The algorithms of the library, without its readers for RSA and ECDSA keys: the agent shows its
/// Ed25519 key by a resolver and reads no other. They are 16 KB of the program.
fn provider() -> CryptoProvider {
    CryptoProvider { key_provider: &NoKeys, ..rustls::crypto::ring::default_provider() }
}

/// Reads no private key.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(
        &self,
        _: PrivateKeyDer<'static>,
    ) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General("the agent reads no private key by the library".to_owned()))
    }
}

/// The same settings, showing another key.
///
/// # Errors
/// The library does not take the key.
pub fn with_key(
    config: &ClientConfig,
    key: &DeviceKey,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut config = config.clone();
    config.client_auth_cert_resolver =
        Arc::new(AlwaysResolvesClientRawPublicKeys::new(key.for_tls()?));
    Ok(Arc::new(config))
}

/// Why a handshake failed, with what to do about the usual reasons.
#[must_use]
pub fn explain(error: &io::Error) -> String {
    use CertificateError as Bad;
    use rustls::{Error, InvalidMessage};
    let clock = |at: &UnixTime| clock::utc(at.as_secs());
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        // A bad signature: the trusted CA has the name of its issuer, and another key.
        Some(Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature)) => {
            "this device does not trust the CA of its certificate: give the gateway's CA (--ca, \
             gateway.ca_file) or pin (--pin, gateway.pin)"
                .to_owned()
        }
        Some(Error::InvalidCertificate(Bad::ApplicationVerificationFailure)) => {
            "its key is not the pinned one, the warning in the log shows both: check the address \
             and the pin (--pin, gateway.pin)"
                .to_owned()
        }
        Some(Error::InvalidCertificate(Bad::ExpiredContext { time, not_after })) => format!(
            "its certificate ended at {}, and here it is {}: check the clock, or renew the \
             certificate",
            clock(not_after),
            clock(time)
        ),
        Some(Error::InvalidCertificate(Bad::NotValidYetContext { time, not_before })) => format!(
            "its certificate begins at {}, and here it is {}: check the clock",
            clock(not_before),
            clock(time)
        ),
        Some(Error::InvalidCertificate(Bad::NotValidForNameContext { presented, .. })) => {
            format!("its certificate has other names: {}", presented.join(", "))
        }
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "what listens there does not speak TLS: check the port".to_owned()
        }
        _ => connection_error(error),
    }
}

/// The name the server has to prove.
///
/// # Errors
/// [`TlsError::Host`].
pub fn server_name(gateway: &Address) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(gateway.host.clone()).map_err(|_| TlsError::Host(gateway.host.clone()))
}

#[derive(Debug)]
enum Judge {
    Roots(RootCertStore),
    Pin(Pins),
}

impl Judge {
    fn new(trust: &Trust, pins: &Pins) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        match trust {
            Trust::Pin(pin) => {
                pins.replace(*pin);
                return Ok(Self::Pin(pins.clone()));
            }
            Trust::Public => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Trust::Ca(pem) => {
                for certificate in certificates(pem).map_err(TlsError::Ca)? {
                    roots.add(certificate).map_err(|error| TlsError::Ca(error.to_string()))?;
                }
            }
        }
        Ok(Self::Roots(roots))
    }
}

#[derive(Debug)]
struct Verifier {
    judge: Judge,
    provider: Arc<CryptoProvider>,
    signed: SignedSeconds,
}

impl Verifier {
    fn now(&self) -> UnixTime {
        let signed = Some(self.signed.load(Ordering::Relaxed)).filter(|seconds| *seconds > 0);
        let signed = signed.map(|seconds| Duration::from_secs(u64::from(seconds)));
        UnixTime::since_unix_epoch(clock::reckon(clock::system_time(), clock::build_time(), signed))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _believed_by_the_library: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.judge {
            // As the library's own verifier without revocation lists, whose readers are 10 KB of
            // the program.
            Judge::Roots(roots) => {
                let shown = ParsedCertificate::try_from(end_entity)?;
                let algorithms = self.provider.signature_verification_algorithms.all;
                verify_server_cert_signed_by_trust_anchor(
                    &shown,
                    roots,
                    intermediates,
                    self.now(),
                    algorithms,
                )?;
                verify_server_name(&shown, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            Judge::Pin(pins) => {
                let spki = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
                let seen = ring::digest::digest(&ring::digest::SHA256, &spki);
                if pins.meet(seen.as_ref()) {
                    return Ok(ServerCertVerified::assertion());
                }
                logger::warning!("{}", pins.strange());
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

    /// A CA: its certificate, and what signs by it.
    fn authority() -> (String, Issuer<'static, KeyPair>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.self_signed(&key).unwrap().pem(), Issuer::new(params, key))
    }

    fn leaf(by: &Issuer<'_, KeyPair>, (from, until): (i32, i32)) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["gw.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        params.signed_by(&KeyPair::generate().unwrap(), by).unwrap().der().clone()
    }

    fn verdict(
        ca: &str,
        shown: &CertificateDer<'_>,
        name: &str,
    ) -> Result<ServerCertVerified, rustls::Error> {
        verdict_through(ca, shown, &[], name)
    }

    fn verdict_through(
        ca: &str,
        shown: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &str,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verifier = Verifier {
            judge: Judge::new(&Trust::Ca(ca.to_owned()), &Pins::default()).unwrap(),
            provider: Arc::new(provider()),
            signed: SignedSeconds::default(),
        };
        let name = ServerName::try_from(name).unwrap();
        verifier.verify_server_cert(shown, between, &name, &[], UnixTime::now())
    }

    #[test]
    fn a_certificate_needs_the_ca_the_name_and_the_time() {
        let ((ca, issuer), (other_ca, _)) = (authority(), authority());
        let shown = leaf(&issuer, (2020, 2090));
        verdict(&ca, &shown, "gw.example").unwrap();
        for (ca, shown, name) in [
            (&other_ca, &shown, "gw.example"),
            (&ca, &shown, "another.example"),
            (&ca, &shown, "192.0.2.1"),
            (&ca, &leaf(&issuer, (2020, 2021)), "gw.example"),
            (&ca, &leaf(&issuer, (2089, 2090)), "gw.example"),
            (&ca, &CertificateDer::from(vec![0x30, 0]), "gw.example"),
        ] {
            let refused = verdict(ca, shown, name).unwrap_err();
            assert!(matches!(refused, rustls::Error::InvalidCertificate(_)), "{refused:?}");
        }
    }

    #[test]
    fn a_certificate_of_a_ca_below_the_trusted_one_is_taken_with_that_ca_alone() {
        let (ca, issuer) = authority();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let between = params.signed_by(&key, &issuer).unwrap().der().clone();
        let shown = leaf(&Issuer::new(params, key), (2020, 2090));
        verdict_through(&ca, &shown, &[between], "gw.example").unwrap();
        verdict(&ca, &shown, "gw.example").unwrap_err();
        let not_a_ca = leaf(&issuer, (2020, 2090));
        verdict_through(&ca, &shown, &[not_a_ca], "gw.example").unwrap_err();
    }

    #[test]
    fn a_refused_certificate_is_told_with_what_to_do() {
        let ((ca, issuer), (other_ca, _)) = (authority(), authority());
        let shown = leaf(&issuer, (2020, 2090));
        for (ca, shown, name, words) in [
            (&other_ca, &shown, "gw.example", "does not trust the CA"),
            (&ca, &shown, "another.example", "other names: DnsName(\"gw.example\")"),
            (&ca, &leaf(&issuer, (2020, 2021)), "gw.example", "ended at 2021-01-01T00:00:00Z"),
            (&ca, &leaf(&issuer, (2089, 2090)), "gw.example", "begins at 2089-01-01T00:00:00Z"),
        ] {
            let told = explain(&io::Error::other(verdict(ca, shown, name).unwrap_err()));
            assert!(told.contains(words), "{told}");
        }
        let pinned = rustls::Error::from(CertificateError::ApplicationVerificationFailure);
        assert!(explain(&io::Error::other(pinned)).contains("not the pinned one"));
        let plain = rustls::Error::from(rustls::InvalidMessage::InvalidContentType);
        assert!(explain(&io::Error::other(plain)).contains("does not speak TLS"));
    }

    #[test]
    fn both_pins_count_until_the_next_one_is_settled_and_then_it_alone() {
        let pins = Pins::default();
        assert!(!pins.is_pinned() && !pins.meet(&[0; 32]));
        pins.replace([1; 32]);
        assert!(pins.meet(&[1; 32]) && !pins.meet(&[2; 32]));
        pins.expect(Some([2; 32]));
        assert!(pins.meet(&[1; 32]) && !pins.has_met_next());
        assert!(pins.meet(&[2; 32]) && pins.has_met_next());
        pins.replace([2; 32]);
        assert!(pins.meet(&[2; 32]) && !pins.has_met_next() && !pins.meet(&[1; 32]));
    }
}
