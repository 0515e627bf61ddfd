//! Tests of the certificate for clients of HTTP.

use super::super::private_ca::LONGEST;
use super::super::request::{Request, write};
use super::*;
use crate::init;
use std::path::Path;

async fn made(dir: &Path) -> Config {
    let options = init::Options {
        hostnames: vec!["gateway.example".into(), "192.0.2.7".into()],
        ..init::Options::new(dir.to_owned(), "[::1]:0")
    };
    init::run(&options).await.unwrap();
    Config::load(dir).unwrap()
}

fn now() -> UnixMillis {
    UnixMillis(1_800_000_000_000)
}

#[tokio::test]
async fn it_has_key_and_names_of_the_servers_certificate_and_397_days() {
    let dir = tempfile::tempdir().unwrap();
    let config = made(&dir.path().join("gw")).await;
    let leaf = make(&config, now()).unwrap().unwrap();
    let served = CertificateDer::from_pem_file(&config.tls_certificate).unwrap();
    let key = |der: &CertificateDer<'_>| {
        rustls::server::ParsedCertificate::try_from(der).unwrap().subject_public_key_info()
    };
    assert_eq!(key(&leaf), key(&served));
    assert_eq!(der::subject_alt_names(&leaf), der::subject_alt_names(&served));
    let (from, until) = der::validity(&leaf).unwrap();
    assert_eq!(until.0 - from.0, i64::try_from(LONGEST.as_millis()).unwrap());
    assert!(from < now() && now() < until);
    // Browsers refuse two certificates of one authority with one number.
    assert_ne!(leaf, make(&config, now()).unwrap().unwrap());
}

#[tokio::test]
async fn without_the_authoritys_key_or_for_anothers_certificate_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let config = made(&dir.path().join("gw")).await;
    let other = made(&dir.path().join("other")).await;
    let mixed =
        Config { tls_certificate: other.tls_certificate, tls_key: other.tls_key, ..config.clone() };
    assert_eq!(make(&mixed, now()), Ok(None));
    std::fs::remove_file(config.dir.join(config::CA_KEY)).unwrap();
    assert_eq!(make(&config, now()), Ok(None));
}

#[tokio::test]
async fn a_key_of_another_authority_is_told_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let config = made(&dir.path().join("gw")).await;
    let other = made(&dir.path().join("other")).await;
    std::fs::copy(other.dir.join(config::CA_KEY), config.dir.join(config::CA_KEY)).unwrap();
    assert!(make(&config, now()).is_err());
}

#[tokio::test]
async fn without_the_authoritys_key_the_files_second_certificate_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = made(&dir.path().join("gw")).await;
    let key = KeyPair::from_pem(&std::fs::read_to_string(&config.tls_key).unwrap()).unwrap();
    let request = write(&["gateway.example".to_owned()], &key).unwrap();
    let paths = (config.dir.join(config::CA), config.dir.join(config::CA_KEY));
    let authority = PrivateCa::read(&paths.0, &paths.1).unwrap();
    let signed = authority.sign(&Request::read(request.as_bytes()).unwrap(), now()).unwrap();
    std::fs::remove_file(paths.1).unwrap();
    config.tls_certificate = dir.path().join("both.pem");
    files::create_private(&config.tls_certificate, signed.pem.as_bytes()).unwrap();
    let (chain, second) = certificates(&config.tls_certificate).unwrap();
    assert_eq!(chain.len(), 1, "devices get the first alone");
    assert_eq!(make(&config, now()).unwrap(), second);
    assert!(make(&config, now()).unwrap().is_some());
    let over = signed.http_until.plus(std::time::Duration::from_secs(1));
    assert_eq!(make(&config, over), Ok(None), "then devices' one is for all");
    let facts = crate::certificate::Facts::of(&config).unwrap();
    assert_eq!(facts.http_not_after, Some(signed.http_until.whole_seconds()));
    let month = std::time::Duration::from_secs(29 * 86_400);
    assert!(facts.complaints(signed.http_until.minus(month * 2)).is_empty());
    let near = facts.complaints(signed.http_until.minus(month));
    assert!(near.len() == 1 && near[0].contains("cert request"), "{near:?}");
    assert!(facts.fault(over).is_none(), "the gateway goes on");
}
