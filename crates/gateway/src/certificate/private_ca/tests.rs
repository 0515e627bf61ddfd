//! Tests of the private authority at work.

use super::super::der;
use super::super::request::write;
use super::*;

/// An authority for `gateway.example` and what is permitted beside, in files.
fn made(permit: &[&str]) -> (tempfile::TempDir, PrivateCa) {
    let permit: Vec<String> = permit.iter().map(|name| (*name).to_owned()).collect();
    let fresh = certs::make(&["gateway.example".to_owned()], &permit).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("ca.pem"), dir.path().join("ca.key.pem"));
    files::create_private(&certificate, fresh.ca_pem.as_bytes()).unwrap();
    files::create_private(&key, fresh.ca_key_pem.as_bytes()).unwrap();
    let authority = PrivateCa::read(&certificate, &key).unwrap();
    (dir, authority)
}

fn asked(names: &[&str]) -> Request {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let pem = write(&names, &KeyPair::generate().unwrap()).unwrap();
    Request::read(pem.as_bytes()).unwrap()
}

fn now() -> UnixMillis {
    UnixMillis(1_800_000_000_000)
}

fn read(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().unwrap()
}

#[test]
fn two_certificates_over_the_asked_key_are_trusted_for_each_name() {
    let (_dir, authority) = made(&["fleet.example", "10.0.0.0/8"]);
    let names = ["b.fleet.example", "*.fleet.example", "10.0.0.2", "gateway.example", "localhost"];
    let signed = authority.sign(&asked(&names), now()).unwrap();
    let both = read(&signed.pem);
    assert_eq!(both.len(), 2);
    for (leaf, name) in both.iter().flat_map(|leaf| names.map(move |name| (leaf, name))) {
        trusts(&authority.roots, leaf, name, now()).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    assert!(trusts(&authority.roots, &both[0], "c.example", now()).is_err());
    // A device whose clock stands at its build time, and a client in a year and more.
    trusts(&authority.roots, &both[0], names[0], UnixMillis(1_735_700_000_000)).unwrap();
    let (from, until) = der::validity(&both[1]).unwrap();
    assert_eq!(until.0 - from.0, i64::try_from(LONGEST.as_millis()).unwrap());
    assert_eq!(until, signed.http_until.whole_seconds());
    let other = read(&authority.sign(&asked(&names), now()).unwrap().pem);
    assert_ne!(both[1], other[1]);
}

#[test]
fn a_name_outside_of_the_authoritys_constraints_is_refused_and_named() {
    let (_dir, authority) = made(&["fleet.example", "10.0.0.0/8"]);
    let foreign = ["bank.example", "*.example", "xfleet.example", "11.0.0.1", "2001:db8::1"];
    for name in foreign {
        let error = authority.sign(&asked(&["gateway.example", name]), now()).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, SignError::NotPermitted { .. }), "{name}: {text}");
        assert!(text.contains(&format!("may not certify {name}")), "{text}");
        assert!(text.contains("fleet.example") && text.contains("10.0.0.0/8"), "{text}");
    }
}

#[test]
fn an_authority_without_its_key_or_beyond_its_dates_signs_nothing() {
    let (dir, authority) = made(&[]);
    let (other, _) = made(&[]);
    let at = |dir: &tempfile::TempDir, name: &str| dir.path().join(name);
    let mixed = PrivateCa::read(&at(&dir, "ca.pem"), &at(&other, "ca.key.pem")).err().unwrap();
    assert!(mixed.to_string().contains("is not the key of the authority in"), "{mixed}");
    let beyond = UnixMillis(2_600_000_000_000); // 2052
    let error = authority.sign(&asked(&["gateway.example"]), beyond).unwrap_err().to_string();
    assert!(error.contains("is the clock right?"), "{error}");
}
