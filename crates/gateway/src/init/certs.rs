//! The private certificate authority that `init` makes when no certificate is given, and the
//! server's certificate under it.
//!
//! # Invariants
//! - Both are valid from [`NOT_BEFORE`], long before they were made: a device whose clock stands at
//!   its build time must still trust them.
//! - Both live until [`NOT_AFTER`]: no headless box is stranded by a date. Clients of HTTP get
//!   another certificate over the same key, of a year: [`crate::certificate`].
//! - The authority is bound to the gateway's names (RFC 5280, section 4.2.1.10): anyone who steals
//!   its key can pose as no other host.
//!
//! # Not here
//! - What the authority signs later: [`crate::certificate`].

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType,
    date_time_ymd,
};
use zeroize::Zeroizing;

/// Year, month, day from which the certificates hold. Earlier than the first build of the agent.
pub const NOT_BEFORE: (i32, u8, u8) = (2024, 1, 1);

/// Year, month, day on which they end. Below 2050, where X.509 changes its time format.
pub const NOT_AFTER: (i32, u8, u8) = (2049, 12, 31);

/// Names that every server certificate carries, so that a gateway can be tried on its own machine.
pub const ALWAYS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// PEM files of a fresh authority and server.
pub struct Fresh {
    /// Certificate of the authority: what clients are given to trust.
    pub ca_pem: String,
    /// Private key of the authority.
    pub ca_key_pem: Zeroizing<String>,
    /// The server's chain.
    pub chain_pem: String,
    /// The server's private key.
    pub key_pem: Zeroizing<String>,
}

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// A `--hostname` is no DNS name and no address.
    #[error("{0:?} is neither a DNS name nor an IP address (without scheme and port)")]
    Hostname(String),
    /// A `--ca-permit` is no domain and no range.
    #[error("{0:?} is neither a domain nor a range of addresses such as 10.0.0.0/8")]
    Permit(String),
    /// Key generation or signing failed.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// Makes an authority and a server certificate for `hostnames` and the names of this machine
/// itself. The authority may certify these, and the domains and ranges of `permit`.
///
/// # Errors
/// [`CertError::Hostname`] names the offending one.
pub fn make(hostnames: &[String], permit: &[String]) -> Result<Fresh, CertError> {
    let ca_key = KeyPair::generate()?;
    let ca = authority_params(hostnames, permit)?;
    let ca_cert = ca.self_signed(&ca_key)?;
    let key = KeyPair::generate()?;
    let server = server_params(hostnames)?.signed_by(&key, &Issuer::from_params(&ca, &ca_key))?;
    Ok(Fresh {
        ca_pem: ca_cert.pem(),
        ca_key_pem: Zeroizing::new(ca_key.serialize_pem()),
        chain_pem: server.pem(),
        key_pem: Zeroizing::new(key.serialize_pem()),
    })
}

fn authority_params(
    hostnames: &[String],
    permit: &[String],
) -> Result<CertificateParams, CertError> {
    let (mut params, issuer) = (dated(), issuer());
    let mut permitted_subtrees = Vec::new();
    for name in hostnames.iter().map(String::as_str).chain(ALWAYS) {
        alternative_name(name)?;
        permitted_subtrees.push(match name.parse::<IpAddr>() {
            Ok(ip) => GeneralSubtree::IpAddress(one_address(ip)),
            Err(_) => GeneralSubtree::DnsName(name.trim_start_matches("*.").to_owned()),
        });
    }
    for text in permit {
        permitted_subtrees.push(subtree(text)?);
    }
    params.name_constraints =
        Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    (params.distinguished_name, params.key_usages) = (issuer.distinguished_name, issuer.key_usages);
    Ok(params)
}

/// The authority as far as certificates under it say who signed them.
#[must_use]
pub fn issuer() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Towline private CA");
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

const fn one_address(ip: IpAddr) -> CidrSubnet {
    match ip {
        IpAddr::V4(ip) => CidrSubnet::V4(ip.octets(), [0xff; 4]),
        IpAddr::V6(ip) => CidrSubnet::V6(ip.octets(), [0xff; 16]),
    }
}

/// A domain with all below it, an address, or a range.
fn subtree(text: &str) -> Result<GeneralSubtree, CertError> {
    let wrong = || CertError::Permit(text.to_owned());
    if let Some((address, bits)) = text.split_once('/') {
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits: u8 = bits.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        if bits == 0 || bits > most {
            return Err(wrong());
        }
        return Ok(GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, bits)));
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(GeneralSubtree::IpAddress(one_address(ip)));
    }
    let bare = text.trim_start_matches("*.");
    rustls_pki_types::DnsName::try_from(bare).map_err(|_| wrong())?;
    Ok(GeneralSubtree::DnsName(bare.to_owned()))
}

fn server_params(hostnames: &[String]) -> Result<CertificateParams, CertError> {
    let mut params = dated();
    let first = hostnames.first().map_or(ALWAYS[0], String::as_str);
    params.distinguished_name.push(DnType::CommonName, first);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Strict verifiers (Python from 3.13 on) refuse a leaf that does not name its authority's key.
    params.use_authority_key_identifier_extension = true;
    for name in hostnames.iter().map(String::as_str).chain(ALWAYS) {
        let san = alternative_name(name)?;
        if !params.subject_alt_names.contains(&san) {
            params.subject_alt_names.push(san);
        }
    }
    Ok(params)
}

fn dated() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = date_time_ymd(NOT_BEFORE.0, NOT_BEFORE.1, NOT_BEFORE.2);
    params.not_after = date_time_ymd(NOT_AFTER.0, NOT_AFTER.1, NOT_AFTER.2);
    params
}

/// A name or an address as certificates have it.
///
/// # Errors
/// [`CertError::Hostname`].
pub fn alternative_name(name: &str) -> Result<SanType, CertError> {
    if let Ok(ip) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(ip));
    }
    let bare = name.strip_prefix("*.").unwrap_or(name);
    rustls_pki_types::DnsName::try_from(bare).map_err(|_| CertError::Hostname(name.to_owned()))?;
    Ok(SanType::DnsName(name.try_into().map_err(|_| CertError::Hostname(name.to_owned()))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
    use std::{sync::Arc, time::Duration};

    fn verifies(fresh: &Fresh, name: &str, at: u64) -> Result<(), rustls::Error> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(fresh.ca_pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .unwrap();
        let leaf = CertificateDer::from_pem_slice(fresh.chain_pem.as_bytes()).unwrap();
        let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
        use rustls::client::danger::ServerCertVerifier;
        verifier
            .verify_server_cert(
                &leaf,
                &[],
                &ServerName::try_from(name.to_owned()).unwrap(),
                &[],
                at,
            )
            .map(|_| ())
    }

    #[test]
    fn the_server_certificate_is_trusted_under_its_authority_for_each_of_its_names() {
        let fresh =
            make(&["gateway.example".into(), "192.0.2.7".into(), "localhost".into()], &[]).unwrap();
        for name in ["gateway.example", "192.0.2.7", "localhost", "127.0.0.1", "::1"] {
            verifies(&fresh, name, 1_800_000_000).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        assert!(verifies(&fresh, "other.example", 1_800_000_000).is_err());
    }

    #[test]
    fn a_device_whose_clock_stands_at_its_build_time_still_trusts_it() {
        let fresh = make(&[], &[]).unwrap();
        verifies(&fresh, "localhost", 1_735_700_000).unwrap(); // January 2025
        // January 2046, beyond the 32-bit clock
        verifies(&fresh, "localhost", 2_400_000_000).unwrap();
    }

    /// What someone with the authority's key could do: a certificate for `name`.
    fn forged(name: &str, permit: &[String]) -> Fresh {
        let ca_key = KeyPair::generate().unwrap();
        let ca = authority_params(&["gateway.example".into()], permit).unwrap();
        let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
        let key = KeyPair::generate().unwrap();
        let mut params = server_params(&[]).unwrap();
        params.subject_alt_names = vec![alternative_name(name).unwrap()];
        let server = params.signed_by(&key, &Issuer::from_params(&ca, &ca_key)).unwrap();
        Fresh {
            ca_pem,
            ca_key_pem: Zeroizing::new(String::new()),
            chain_pem: server.pem(),
            key_pem: Zeroizing::new(String::new()),
        }
    }

    #[test]
    fn the_authority_cannot_certify_a_foreign_name_unless_it_was_permitted() {
        let at = 1_800_000_000;
        for name in ["bank.example", "192.0.2.9"] {
            assert!(verifies(&forged(name, &[]), name, at).is_err(), "{name}");
        }
        let permit = ["fleet.example".to_owned(), "192.0.2.0/28".to_owned()];
        for name in ["gateway.example", "n1.fleet.example", "192.0.2.9"] {
            verifies(&forged(name, &permit), name, at).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        for wrong in ["no good", "10.0.0.0/0", "10.0.0.0/33", "/8"] {
            assert!(matches!(make(&[], &[wrong.into()]), Err(CertError::Permit(_))), "{wrong}");
        }
    }

    #[test]
    fn a_name_that_is_none_is_called_by_name() {
        assert_eq!(
            make(&["no good".into()], &[]).err().unwrap().to_string(),
            "\"no good\" is neither a DNS name nor an IP address (without scheme and port)"
        );
    }
}
