//! A request for a certificate (PKCS#10, RFC 2986): written where the authority's key is not, read
//! where it is.
//!
//! Data flow: names and a key -> [`write()`] -> PEM, carried by a person -> [`Request::read`] ->
//! the private authority.
//!
//! # Invariants
//! - Total: bytes of any kind are a request or refused, in words.
//! - A request is read only if its signature holds: who asks has the key.
//! - Only names and key are taken from it. One that asks to be an authority, or for what is not
//!   known, is refused: nothing that was asked for is left out silently.
//!
//! # Not here
//! - Which names may be certified: the private authority.

use rcgen::{CertificateParams, KeyPair, PublicKeyData, SignatureAlgorithm};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{AlgorithmIdentifier, CertificateSigningRequestDer, alg_id};

use super::der::{SEQUENCE, SUBJECT_ALT_NAME, element, kind_and_value, whole};
use super::names::{NameError, names_of};
use crate::init::certs;

/// Bytes of the file of a request.
pub const MAX_REQUEST: u64 = 16 * 1024;
/// Names of a certificate.
const MAX_NAMES: usize = 32;
/// Bytes of them together.
const MAX_NAME_BYTES: usize = 2048;
const BIT_STRING: u8 = 0x03;
const INTEGER: u8 = 0x02;
const BOOLEAN: u8 = 0x01;
/// `[0]`, the attributes; SET, the values of one.
const ATTRIBUTES: u8 = 0xa0;
const SET: u8 = 0x31;
/// 1.2.840.113549.1.9.14, `extensionRequest` (RFC 2985, section 5.4.2).
const EXTENSION_REQUEST: &[u8] =
    &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
/// 2.5.29.19, `basicConstraints`.
const BASIC_CONSTRAINTS: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x13];
/// What tools ask for beside names, and what each server certificate says anyway: `keyUsage`,
/// `extKeyUsage`, `subjectKeyIdentifier`.
const UNHEEDED: [&[u8]; 3] = [
    &[0x06, 0x03, 0x55, 0x1d, 0x0f],
    &[0x06, 0x03, 0x55, 0x1d, 0x25],
    &[0x06, 0x03, 0x55, 0x1d, 0x0e],
];

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Not PEM.
    #[error(
        "this is no request for a certificate: expected PEM with BEGIN CERTIFICATE REQUEST, as \
         `towline-gateway cert request` writes it"
    )]
    Pem,
    /// Not PKCS#10.
    #[error("the request is damaged: it is no PKCS#10; make it anew")]
    Form,
    /// A kind of key.
    #[error("the request has a key that is not taken: expected ECDSA P-256 or P-384, or RSA")]
    Key,
    /// The signature.
    #[error(
        "the request's signature does not fit its key: it was changed on its way, or is damaged \
         (RSA: 2048 bits at the least, SHA-256); make it anew"
    )]
    Signature,
    /// CA:TRUE.
    #[error("the request asks for the rights of an authority (CA:TRUE): no gateway gets these")]
    Authority,
    /// Another extension.
    #[error(
        "the request asks for an extension that is not known: ask for names (subjectAltName) alone"
    )]
    Extension,
    /// The names.
    #[error("the request is refused: {0}")]
    Name(#[from] NameError),
    /// None, or too many.
    #[error(
        "the request asks for {0} names: expected 1 to {MAX_NAMES}, of {MAX_NAME_BYTES} letters \
         together, in subjectAltName"
    )]
    Names(usize),
    /// It could not be made.
    #[error("the request cannot be made: {0}")]
    Make(String),
}

/// Writes a request of this key for these names, as PEM.
///
/// # Errors
/// [`RequestError`]: a name that cannot be, or too many.
pub fn write(names: &[String], key: &KeyPair) -> Result<String, RequestError> {
    let make = |error: &dyn std::fmt::Display| RequestError::Make(error.to_string());
    within_bounds(names)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for name in names {
        let name = certs::alternative_name(name).map_err(|error| make(&error))?;
        params.subject_alt_names.push(name);
    }
    let request = params.serialize_request(key).map_err(|error| make(&error))?;
    request.pem().map_err(|error| make(&error))
}

fn within_bounds(names: &[String]) -> Result<(), RequestError> {
    let bytes: usize = names.iter().map(String::len).sum();
    match names.len() {
        1..=MAX_NAMES if bytes <= MAX_NAME_BYTES => Ok(()),
        number => Err(RequestError::Names(number)),
    }
}

/// A request whose signature holds.
#[derive(Debug)]
pub struct Request {
    names: Vec<String>,
    key: AskedKey,
}

impl Request {
    /// Reads a request in PEM.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn read(pem: &[u8]) -> Result<Self, RequestError> {
        let der = CertificateSigningRequestDer::from_pem_slice(pem);
        let der = der.map_err(|_| RequestError::Pem)?;
        let parts = parts(&der).ok_or(RequestError::Form)?;
        let key = key(&parts)?;
        let names = asked_names(parts.attributes)?;
        within_bounds(&names)?;
        Ok(Self { names, key })
    }

    /// The names that it asks for.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The key that it is for.
    pub(super) const fn key(&self) -> &AskedKey {
        &self.key
    }
}

/// A key of which only the public half is here.
#[derive(Debug)]
pub(super) struct AskedKey {
    bits: Vec<u8>,
    algorithm: &'static SignatureAlgorithm,
}

impl PublicKeyData for AskedKey {
    fn der_bytes(&self) -> &[u8] {
        &self.bits
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

/// What a request is made of.
struct Parts<'a> {
    /// What is signed.
    signed: &'a [u8],
    key_algorithm: &'a [u8],
    key: &'a [u8],
    attributes: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

fn parts(der: &[u8]) -> Option<Parts<'_>> {
    let (request, after) = content(SEQUENCE, der)?;
    let (signed, rest) = whole(request)?;
    let (algorithm, rest) = content(SEQUENCE, rest)?;
    let (signature, end) = content(BIT_STRING, rest)?;
    let (info, _) = content(SEQUENCE, signed)?;
    let (version, rest) = content(INTEGER, info)?;
    let (_subject, rest) = content(SEQUENCE, rest)?;
    let (key, rest) = content(SEQUENCE, rest)?;
    let (key_algorithm, bits) = content(SEQUENCE, key)?;
    let (bits, beyond) = content(BIT_STRING, bits)?;
    let (attributes, last): (&[u8], &[u8]) =
        if rest.is_empty() { (&[], &[]) } else { content(ATTRIBUTES, rest)? };
    let ends = [after, end, beyond, last].iter().all(|rest| rest.is_empty());
    (ends && version == [0]).then_some(())?;
    // The first octet of a BIT STRING: how many bits of the last one are unused.
    let (signature, key) = (signature.strip_prefix(&[0])?, bits.strip_prefix(&[0])?);
    Some(Parts { signed, key_algorithm, key, attributes, algorithm, signature })
}

/// The content of the first element, if it has this tag, and what follows.
fn content(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, content, after) = element(der)?;
    (found == tag).then_some((content, after))
}

/// The key, if the signature is its own.
fn key(parts: &Parts<'_>) -> Result<AskedKey, RequestError> {
    let is = |known: AlgorithmIdentifier| known.as_ref() == parts.key_algorithm;
    let algorithm: &'static SignatureAlgorithm = if is(alg_id::ECDSA_P256) {
        &rcgen::PKCS_ECDSA_P256_SHA256
    } else if is(alg_id::ECDSA_P384) {
        &rcgen::PKCS_ECDSA_P384_SHA384
    } else if is(alg_id::RSA_ENCRYPTION) {
        &rcgen::PKCS_RSA_SHA256
    } else {
        return Err(RequestError::Key);
    };
    let known = default_provider().signature_verification_algorithms.all;
    let holds = known.iter().any(|known| {
        known.public_key_alg_id().as_ref() == parts.key_algorithm
            && known.signature_alg_id().as_ref() == parts.algorithm
            && known.verify_signature(parts.key, parts.signed, parts.signature).is_ok()
    });
    if !holds {
        return Err(RequestError::Signature);
    }
    Ok(AskedKey { bits: parts.key.to_vec(), algorithm })
}

/// The names among the attributes. Nothing else may be asked for.
fn asked_names(mut attributes: &[u8]) -> Result<Vec<String>, RequestError> {
    let mut extensions = None;
    while !attributes.is_empty() {
        let (attribute, after) = content(SEQUENCE, attributes).ok_or(RequestError::Form)?;
        let (kind, values) = whole(attribute).ok_or(RequestError::Form)?;
        // Others (a password for the authority, remarks) ask for nothing in the certificate.
        if kind == EXTENSION_REQUEST {
            let list = content(SET, values).and_then(|(set, _)| content(SEQUENCE, set));
            let (list, more) = list.ok_or(RequestError::Form)?;
            if extensions.replace(list).is_some() || !more.is_empty() {
                return Err(RequestError::Form);
            }
        }
        attributes = after;
    }
    let (mut rest, mut names) = (extensions.unwrap_or_default(), None);
    while !rest.is_empty() {
        let (extension, after) = content(SEQUENCE, rest).ok_or(RequestError::Form)?;
        let (kind, value) = kind_and_value(extension).ok_or(RequestError::Form)?;
        match kind {
            SUBJECT_ALT_NAME if names.is_some() => return Err(RequestError::Form),
            SUBJECT_ALT_NAME => names = Some(names_of(value)?),
            BASIC_CONSTRAINTS if is_authority(value) => return Err(RequestError::Authority),
            BASIC_CONSTRAINTS => {}
            _ if UNHEEDED.contains(&kind) => {}
            _ => return Err(RequestError::Extension),
        }
        rest = after;
    }
    Ok(names.unwrap_or_default())
}

/// Whether `basicConstraints` says anything else than that there is no authority.
fn is_authority(constraints: &[u8]) -> bool {
    match content(SEQUENCE, constraints) {
        Some(([], _)) => false,
        Some((inner, _)) => content(BOOLEAN, inner).is_none_or(|(value, _)| value != [0]),
        None => true,
    }
}

#[cfg(test)]
mod tests;
