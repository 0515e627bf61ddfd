//! Who a simulated device is: id and key by its number.

use std::path::Path;
use std::sync::Arc;

use ring::signature::{Ed25519KeyPair, KeyPair as _};
use rustls::RootCertStore;
use rustls::crypto::ring::sign::any_eddsa_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::{Outcome, Trouble};

/// What stands before the 32 bytes of an Ed25519 public key in its `SubjectPublicKeyInfo`, and
/// before those of a private one in PKCS#8 (RFC 8410, sections 4 and 7).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The id of a device.
#[must_use]
pub fn id(number: usize) -> String {
    format!("mi-{:017x}", number * 7919 + 1)
}

/// A line for each device of these numbers: its id, and its public key in hexadecimal digits.
///
/// # Errors
/// A key that cannot be made.
pub(super) fn rows(numbers: std::ops::Range<usize>) -> Outcome<String> {
    use std::fmt::Write as _;
    let mut text = String::new();
    for number in numbers {
        let spki: String = public(number)?.iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = writeln!(text, "{} {spki}", id(number)); // text takes everything
    }
    Ok(text)
}

fn seed(number: usize) -> [u8; 32] {
    let mut seed = [0x5a; 32];
    seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
    seed
}

fn public(number: usize) -> Outcome<Vec<u8>> {
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed(number))
        .map_err(|_| Trouble::new("not a seed"))?;
    Ok([&SPKI[..], pair.public_key().as_ref()].concat())
}

/// The key as TLS shows it.
pub(super) fn certified(number: usize) -> Outcome<Arc<CertifiedKey>> {
    let private = PrivatePkcs8KeyDer::from([&PKCS8[..], &seed(number)].concat());
    let signer = any_eddsa_type(&private)?;
    Ok(Arc::new(CertifiedKey::new(vec![CertificateDer::from(public(number)?)], signer)))
}

/// The certificate authorities of a file.
pub(super) fn roots(ca: &Path) -> Outcome<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    for found in CertificateDer::pem_file_iter(ca).map_err(|e| Trouble::new(e.to_string()))? {
        roots.add(found.map_err(|e| Trouble::new(e.to_string()))?)?;
    }
    Ok(Arc::new(roots))
}
