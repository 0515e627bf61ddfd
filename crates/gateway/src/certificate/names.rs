//! Names as certificates write them (RFC 5280, sections 4.2.1.6 and 4.2.1.10), as text.
//!
//! # Invariants
//! - Total: bytes of any kind give names or the reason why not.
//! - A name that is neither of DNS nor an address is an error where names are asked for, never left
//!   out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustls::pki_types::DnsName;

use super::der::{self, NAME_CONSTRAINTS, SEQUENCE, element};

/// `[2]`, `dNSName`.
const DNS: u8 = 0x82;
/// `[7]`, `iPAddress`.
const ADDRESS: u8 = 0x87;
/// `[0]`, `permittedSubtrees`.
const PERMITTED: u8 = 0xa0;

/// Why names cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The bytes are no list of names.
    #[error("its names cannot be read")]
    Form,
    /// A name of another kind.
    #[error(
        "it asks for a name that is neither of DNS nor an IP address (kind {0} of RFC 5280): ask \
         for names of DNS and addresses alone"
    )]
    Kind(u8),
    /// A name that cannot be.
    #[error("{0:?} is neither a DNS name nor an IP address (without scheme and port)")]
    Text(String),
}

/// The names of a `subjectAltName`, in their order.
pub(super) fn names_of(subject_alt_names: &[u8]) -> Result<Vec<String>, NameError> {
    let (tag, mut rest, after) = element(subject_alt_names).ok_or(NameError::Form)?;
    if tag != SEQUENCE || !after.is_empty() {
        return Err(NameError::Form);
    }
    let mut names = Vec::new();
    while !rest.is_empty() {
        let (tag, content, after) = element(rest).ok_or(NameError::Form)?;
        names.push(match tag {
            DNS => dns(content)?,
            ADDRESS => address(content).ok_or(NameError::Form)?.to_string(),
            other => return Err(NameError::Kind(other & 0x1f)),
        });
        rest = after;
    }
    Ok(names)
}

fn dns(content: &[u8]) -> Result<String, NameError> {
    let text = String::from_utf8_lossy(content).to_ascii_lowercase();
    let bare = text.strip_prefix("*.").unwrap_or(&text);
    if DnsName::try_from(bare).is_err() {
        return Err(NameError::Text(text.chars().take(253).collect()));
    }
    Ok(text)
}

fn address(content: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(content) {
        return Some(Ipv4Addr::from(four).into());
    }
    <[u8; 16]>::try_from(content).ok().map(|bytes| Ipv6Addr::from(bytes).into())
}

/// What an authority may certify, for people; `None`: it does not say.
pub(super) fn permitted(authority: &[u8]) -> Option<Vec<String>> {
    let (_, constraints, _) = element(der::extension(authority, NAME_CONSTRAINTS)?)?;
    let (tag, mut rest, _) = element(constraints)?;
    (tag == PERMITTED).then_some(())?;
    let mut all = Vec::new();
    while !rest.is_empty() {
        let (_, subtree, after) = element(rest)?;
        let (tag, base, _) = element(subtree)?;
        all.push(match tag {
            DNS => String::from_utf8_lossy(base).into_owned(),
            ADDRESS => range(base)?,
            _ => "another kind of name".to_owned(),
        });
        rest = after;
    }
    Some(all)
}

fn range(base: &[u8]) -> Option<String> {
    let (first, mask) = base.split_at_checked(base.len() / 2)?;
    let first = address(first)?;
    let bits: u32 = mask.iter().map(|byte| byte.leading_ones()).sum();
    let most = if first.is_ipv4() { 32 } else { 128 };
    Some(if bits == most { first.to_string() } else { format!("{first}/{bits}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::certs;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    fn made() -> (CertificateDer<'static>, CertificateDer<'static>) {
        let permit = ["fleet.example".to_owned(), "10.0.0.0/8".to_owned()];
        let names = ["Gateway.example".to_owned(), "*.gw.example".to_owned()];
        let fresh = certs::make(&names, &permit).unwrap();
        let read = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        (read(&fresh.ca_pem), read(&fresh.chain_pem))
    }

    #[test]
    fn names_of_a_certificate_are_read_as_text() {
        let (_, leaf) = made();
        let names = names_of(der::subject_alt_names(&leaf).unwrap()).unwrap();
        let expected = ["gateway.example", "*.gw.example", "localhost", "127.0.0.1", "::1"];
        assert_eq!(names, expected);
    }

    #[test]
    fn names_of_other_kinds_and_broken_ones_are_refused() {
        let list = |name: &[u8]| {
            let length = u8::try_from(name.len()).unwrap();
            names_of(&[&[SEQUENCE, length], name].concat())
        };
        assert_eq!(list(b"\x81\x03a@b"), Err(NameError::Kind(1)));
        assert_eq!(list(b"\x87\x03abc"), Err(NameError::Form));
        assert_eq!(list(b"\x82\x05a"), Err(NameError::Form));
        for wrong in ["a b", "", "*.*.a", "a.*", "1.2.3.4", "a\0b", "-a", "é.example"] {
            let name = [&[DNS, u8::try_from(wrong.len()).unwrap()], wrong.as_bytes()].concat();
            assert!(matches!(list(&name), Err(NameError::Text(_))), "{wrong:?}");
        }
    }

    #[test]
    fn what_an_authority_may_certify_is_told() {
        let (authority, leaf) = made();
        let all = permitted(&authority).unwrap();
        assert!(all.contains(&"fleet.example".to_owned()), "{all:?}");
        assert!(all.contains(&"10.0.0.0/8".to_owned()) && all.contains(&"::1".to_owned()));
        assert_eq!(permitted(&leaf), None);
    }
}
