//! Tests of certificates that another gateway signed.

use super::super::private_ca::PrivateCa;
use super::super::request::{Request, write};
use super::*;
use crate::init;

/// A gateway with its authority, and one that has joined it without the authority's key.
async fn two(dir: &Path) -> (Config, Config) {
    let (a, b) = (dir.join("a"), dir.join("b"));
    let options = init::Options {
        hostnames: vec!["a.example".into()],
        ca_permit: vec!["fleet.example".into()],
        ..init::Options::new(a.clone(), "[::1]:0")
    };
    init::run(&options).await.unwrap();
    std::fs::create_dir(&b).unwrap();
    for name in ["gateway.toml", "ca.pem", "server.pem", "server.key.pem"] {
        std::fs::copy(a.join(name), b.join(name)).unwrap();
    }
    (Config::load(&a).unwrap(), Config::load(&b).unwrap())
}

fn now() -> UnixMillis {
    UnixMillis(1_800_000_000_000)
}

/// Has `a` sign what `b` asks for, into a file.
fn signed(a: &Config, b: &Config, name: &str, new_key: bool) -> PathBuf {
    let names = asked_names(b, &[name.to_owned()]);
    let request = write(&names, &key_to_ask_with(b, new_key).unwrap()).unwrap();
    let authority = PrivateCa::read(&a.dir.join(config::CA), &a.dir.join(config::CA_KEY)).unwrap();
    let made = authority.sign(&Request::read(request.as_bytes()).unwrap(), now()).unwrap();
    let path = b.dir.join("given");
    let _ = std::fs::remove_file(&path); // of an earlier request
    files::create_private(&path, made.pem.as_bytes()).unwrap();
    path
}

fn served(config: &Config) -> (Vec<u8>, Vec<u8>) {
    (std::fs::read(&config.tls_certificate).unwrap(), std::fs::read(&config.tls_key).unwrap())
}

#[tokio::test]
async fn a_certificate_for_the_key_in_use_takes_the_place_of_the_other_gateways() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = two(dir.path()).await;
    let (given, before) = (signed(&a, &b, "B.fleet.example", false), served(&b));
    let done = install(&b, &given, now()).unwrap();
    assert_eq!(done.names[..2], ["b.fleet.example", "a.example"]);
    assert!(!done.has_new_key && done.complaints.is_empty(), "{:?}", done.complaints);
    let after = served(&b);
    assert!(after.0 == std::fs::read(given).unwrap() && after.1 == before.1);
    assert_eq!(done.pin, TlsConfigs::pin(&a.tls_certificate).unwrap(), "pins hold");
    super::super::watch::configs(&b, now()).unwrap();
}

#[tokio::test]
async fn a_new_key_waits_for_its_certificate_and_is_given_to_no_other_gateway() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = two(dir.path()).await;
    let before = served(&b);
    let given = signed(&a, &b, "b.fleet.example", true);
    assert_eq!(served(&b), before);
    assert!(matches!(key_to_ask_with(&b, true), Err(InstallError::Waits(_))));
    let done = install(&b, &given, now()).unwrap();
    assert!(done.has_new_key && served(&b).1 != before.1 && !waiting(&b).exists());
    super::super::watch::configs(&b, now()).unwrap();
    assert!(install(&b, &given, now()).is_ok(), "the same once more");
}

/// Certificate and key in their places fit, whatever of the two files is there.
#[tokio::test]
async fn a_command_that_is_killed_at_any_step_leaves_a_pair_that_fits() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = two(dir.path()).await;
    let given = signed(&a, &b, "b.fleet.example", true);
    let (old, new_key) = (served(&b), std::fs::read(waiting(&b)).unwrap());
    super::super::watch::configs(&b, now()).unwrap();
    assert_eq!(served(&b), old, "before the first file");

    let new = std::fs::read(&given).unwrap();
    config::replace(&b.tls_certificate, &new).unwrap();
    let report = crate::checkup::look(&b.dir, now()).await;
    assert!(!report.faults.iter().any(|fault| fault.contains("server.")), "{:?}", report.faults);
    super::super::watch::configs(&b, now()).unwrap();
    assert_eq!(served(&b), (new, new_key), "between the two files");
    assert!(!waiting(&b).exists());
    super::super::watch::configs(&b, now()).unwrap();
    assert!(install(&b, &given, now()).is_ok(), "after both, the command once more");
}

#[tokio::test]
async fn what_clients_would_refuse_is_not_installed() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = two(dir.path()).await;
    let (other, _) = two(&dir.path().join("elsewhere")).await;
    let before = served(&b);
    let refused = |given: &Path, at: UnixMillis, word: &str| {
        let text = install(&b, given, at).unwrap_err().to_string();
        assert!(text.contains(word), "{text}");
        assert_eq!(served(&b), before);
    };
    refused(&other.tls_certificate, now(), "is for another key");
    refused(&signed(&other, &b, "b.fleet.example", false), now(), "would refuse the certificate");
    let given = signed(&a, &b, "b.fleet.example", false);
    refused(&given, UnixMillis(2_600_000_000_000), "would refuse the certificate");
    config::replace(&given, "nothing").unwrap();
    refused(&given, now(), "no certificate in it");
}
