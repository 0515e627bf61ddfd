//! Tests of requests: what we write is read, and what is hostile or broken is refused in words.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use rcgen::{BasicConstraints, CustomExtension, IsCa, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

fn names() -> Vec<String> {
    vec!["b.example".into(), "*.b.example".into(), "192.0.2.7".into(), "2001:db8::7".into()]
}

/// A request with what else `change` asks for.
fn asked(change: impl FnOnce(&mut CertificateParams)) -> String {
    let mut params = CertificateParams::new(vec!["b.example".to_owned()]).unwrap();
    change(&mut params);
    params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
}

fn pem(der: &[u8]) -> String {
    let begin = "-----BEGIN CERTIFICATE REQUEST-----";
    format!("{begin}\n{}\n-----END CERTIFICATE REQUEST-----\n", STANDARD.encode(der))
}

fn der(pem: &str) -> Vec<u8> {
    CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

fn refused(pem: &str) -> String {
    Request::read(pem.as_bytes()).map(|request| request.names).unwrap_err().to_string()
}

#[test]
fn what_is_written_is_read_for_each_kind_of_key() {
    for kind in [&rcgen::PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384] {
        let key = KeyPair::generate_for(kind).unwrap();
        let request = Request::read(write(&names(), &key).unwrap().as_bytes()).unwrap();
        assert_eq!(request.names(), names());
        assert_eq!(request.key().subject_public_key_info(), key.subject_public_key_info());
    }
}

#[test]
fn requests_for_more_than_names_are_refused() {
    let authority = asked(|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert!(refused(&authority).contains("CA:TRUE"), "{}", refused(&authority));
    let mut unknown = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    unknown.set_criticality(true);
    let unknown = asked(|p| p.custom_extensions.push(unknown));
    assert!(refused(&unknown).contains("an extension that is not known"));
    let none = asked(|p| p.subject_alt_names.clear());
    assert!(refused(&none).contains("asks for 0 names"));
    let many: Vec<_> =
        (0..33).map(|n| certs::alternative_name(&format!("n{n}.example")).unwrap()).collect();
    assert!(refused(&asked(|p| p.subject_alt_names = many)).contains("asks for 33 names"));
    let mail = rcgen::SanType::Rfc822Name("a@b.example".try_into().unwrap());
    assert!(refused(&asked(|p| p.subject_alt_names.push(mail))).contains("kind 1"));
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    assert!(refused(&write(&names(), &key).unwrap()).contains("a key that is not taken"));
    let twice = |p: &mut CertificateParams| {
        let names = vec![0x30, 0x03, 0x82, 0x01, b'c'];
        let again = CustomExtension::from_oid_content(&[2, 5, 29, 17], names);
        p.custom_extensions.push(again);
    };
    assert!(refused(&asked(twice)).contains("damaged"));
}

#[test]
fn who_asks_has_the_key() {
    let (good, other) = (der(&asked(|_| {})), der(&asked(|_| {})));
    // The last bytes are the signature's.
    let mut altered = good.clone();
    let last = altered.last_mut().unwrap();
    *last ^= 1;
    assert!(refused(&pem(&altered)).contains("does not fit its key"));
    // The name of one, signed by another.
    let at = good.windows(9).position(|part| part == b"b.example").unwrap();
    let mut renamed = good.clone();
    renamed[at] = b'c';
    assert!(refused(&pem(&renamed)).contains("does not fit its key"));
    assert_ne!(good, other);
}

#[test]
fn garbage_is_refused_in_words() {
    let key = KeyPair::generate().unwrap();
    for (text, word) in [
        (String::new(), "expected PEM"),
        ("\u{0}\u{1}".repeat(4000), "expected PEM"),
        (key.serialize_pem(), "expected PEM"),
        (pem(b""), "no PKCS#10"),
        (pem(&[0x30, 0x80, 0, 0]), "no PKCS#10"),
        (pem(&[0x30; 12_000]), "no PKCS#10"),
        (pem(&[&der(&asked(|_| {}))[..], b"more"].concat()), "no PKCS#10"),
    ] {
        assert!(refused(&text).contains(word), "{}", refused(&text));
    }
    let good = der(&asked(|_| {}));
    for end in 0..good.len() {
        assert!(Request::read(pem(&good[..end]).as_bytes()).is_err(), "cut at {end}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = asked_names(&bytes);
        let _ = names_of(&bytes);
        prop_assert!(parts(&bytes).is_none_or(|parts| key(&parts).is_err()));
    }

    /// The lengths and kinds of one that is nearly right, where the signature is not asked.
    #[test]
    fn a_request_with_changed_bytes_is_refused(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4),
    ) {
        let good = der(&asked(|p| p.is_ca = IsCa::ExplicitNoCa));
        let mut bytes = good.clone();
        for (at, by) in edits {
            let at = at.index(bytes.len());
            bytes[at] = bytes[at].wrapping_add(by);
        }
        if let Some(parts) = parts(&bytes) {
            let _ = asked_names(parts.attributes);
        }
        prop_assert!(bytes == good || Request::read(pem(&bytes).as_bytes()).is_err());
    }
}
