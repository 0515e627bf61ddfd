//! The TLS port: which protocol a client gets by ALPN, and what becomes of clients that do not
//! behave.
// also outside of the test functions: all of this is a test
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod scene;

use std::sync::Arc;

use ring::signature::{Ed25519KeyPair, KeyPair};
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, version};
use scene::{Scene, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use towline_gateway::limits;

/// A raw Ed25519 key as an agent has it, and its `SubjectPublicKeyInfo`.
fn raw_key() -> (Arc<CertifiedKey>, Vec<u8>) {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
    let public = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    let mut spki = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    spki.extend_from_slice(public.public_key().as_ref());
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pkcs8.as_ref().to_vec()));
    let signer = rustls::crypto::ring::sign::any_eddsa_type(match &private {
        PrivateKeyDer::Pkcs8(key) => key,
        _ => unreachable!("made above"),
    });
    (Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki.clone())], signer.unwrap())), spki)
}

fn client(
    scene: &Scene,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(scene.roots())
}

fn agent(scene: &Scene, key: Arc<CertifiedKey>) -> ClientConfig {
    let resolver = AlwaysResolvesClientRawPublicKeys::new(key);
    let mut config =
        client(scene, &[&version::TLS13]).with_client_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![b"towline/1".to_vec()];
    config
}

/// Whether the gateway let this client through its handshake: TLS 1.3 tells a client of a refusal
/// with its first read.
async fn is_let_in(scene: &Scene, config: ClientConfig) -> bool {
    let Ok(mut stream) = soon(scene.connect(config)).await else { return false };
    let mut byte = [0];
    soon(stream.read(&mut byte)).await.is_ok()
}

async fn until_end(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut all = Vec::new();
    let _ = soon(stream.read_to_end(&mut all)).await;
    all
}

#[tokio::test]
async fn an_agent_with_a_raw_key_comes_in_under_that_key() {
    let mut scene = Scene::start().await;
    let (key, spki) = raw_key();
    let stream = scene.connect(agent(&scene, key)).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"towline/1"[..]));
    assert_eq!(soon(scene.agents.recv()).await.unwrap(), spki);
}

#[tokio::test]
async fn an_agent_without_a_key_or_with_an_old_protocol_stays_out() {
    let mut scene = Scene::start().await;
    let mut keyless = client(&scene, &[&version::TLS13]).with_no_client_auth();
    keyless.alpn_protocols = vec![b"towline/1".to_vec()];
    assert!(!is_let_in(&scene, keyless).await);

    let mut old = client(&scene, &[&version::TLS12]).with_no_client_auth();
    old.alpn_protocols = vec![b"towline/1".to_vec()];
    assert!(!is_let_in(&scene, old).await);

    // A certificate in place of a key, as an agent of another product would show.
    let own = rcgen::generate_simple_self_signed(vec!["device".into()]).unwrap();
    let private = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let mut certified = client(&scene, &[&version::TLS13])
        .with_client_auth_cert(vec![own.cert.der().clone()], private)
        .unwrap();
    certified.alpn_protocols = vec![b"towline/1".to_vec()];
    assert!(!is_let_in(&scene, certified).await);
    assert!(scene.agents.try_recv().is_err(), "nobody of these came through");
}

#[tokio::test]
async fn http_is_served_with_and_without_its_protocol_name_and_by_both_versions() {
    let scene = Scene::start().await;
    for versions in [&[&version::TLS13][..], &[&version::TLS12][..]] {
        for protocols in
            [vec![], vec![b"http/1.1".to_vec()], vec![b"h2".to_vec(), b"http/1.1".to_vec()]]
        {
            let mut config = client(&scene, versions).with_no_client_auth();
            config.alpn_protocols = protocols;
            let mut stream = scene.connect(config).await.unwrap();
            stream
                .write_all(b"GET /no HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                .await
                .unwrap();
            let answer = String::from_utf8(until_end(&mut stream).await).unwrap();
            assert!(
                answer.starts_with("HTTP/1.1 404") && answer.contains("UnknownOperationException"),
                "{answer}"
            );
        }
    }
}

#[tokio::test]
async fn a_websocket_reaches_the_data_channels() {
    let scene = Scene::start().await;
    let mut stream =
        scene.connect(client(&scene, &[&version::TLS13]).with_no_client_auth()).await.unwrap();
    let request = "GET /v1/data-channel/admin-x?role=publish_subscribe HTTP/1.1\r\nHost: \
                   x\r\nConnection: Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
                   dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = until_end(&mut stream).await;
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 101") && text.contains("admin-x"), "{text}");
}

#[tokio::test]
async fn a_data_channel_that_is_no_websocket_gets_an_error_that_clients_can_read() {
    let scene = Scene::start().await;
    let mut stream =
        scene.connect(client(&scene, &[&version::TLS13]).with_no_client_auth()).await.unwrap();
    let request = "GET /v1/data-channel/x?a=%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = String::from_utf8(until_end(&mut stream).await).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.contains("ValidationException"),
        "{answer}"
    );
}

#[tokio::test]
async fn garbage_in_place_of_a_handshake_is_shown_the_door() {
    let scene = Scene::start().await;
    for garbage in
        [&b"GET / HTTP/1.0\r\n\r\n"[..], &[0xff; 4096][..], &[0x16, 3, 1, 0xff, 0xff, 1][..]]
    {
        let mut stream = TcpStream::connect(scene.address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        until_end(&mut stream).await;
    }
    // It still serves.
    assert!(scene.connect(client(&scene, &[&version::TLS13]).with_no_client_auth()).await.is_ok());
}

#[tokio::test]
async fn a_slow_handshake_is_cut_off() {
    let scene = Scene::start().await;
    let mut stream = TcpStream::connect(scene.address).await.unwrap();
    stream.write_all(&[0x16, 3, 1]).await.unwrap();
    // Time flies only once the gateway waits: with nothing to do, the paused clock jumps to the
    // next deadline.
    tokio::time::pause();
    let mut byte = [0];
    let read = tokio::time::timeout(limits::HANDSHAKE_TIMEOUT * 2, stream.read(&mut byte)).await;
    assert!(matches!(read.expect("the gateway cuts it off first"), Ok(0) | Err(_)));
}

#[tokio::test]
async fn a_slow_request_head_is_cut_off() {
    let scene = Scene::start().await;
    let mut stream =
        scene.connect(client(&scene, &[&version::TLS13]).with_no_client_auth()).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
    tokio::time::pause();
    let mut all = Vec::new();
    let read = tokio::time::timeout(limits::HEAD_TIMEOUT * 2, stream.read_to_end(&mut all)).await;
    assert!(read.is_ok(), "the gateway cuts it off first");
}

#[tokio::test]
async fn a_request_head_has_a_bound() {
    let scene = Scene::start().await;
    let mut stream =
        scene.connect(client(&scene, &[&version::TLS13]).with_no_client_auth()).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n",
        "x".repeat(limits::MAX_HEAD * 2)
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let answer = until_end(&mut stream).await;
    assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
}

#[tokio::test]
async fn stopping_closes_idle_connections_and_ends() {
    let mut scene = Scene::start().await;
    let mut idle =
        scene.connect(client(&scene, &[&version::TLS13]).with_no_client_auth()).await.unwrap();
    idle.write_all(b"GET /no HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut some = [0; 64];
    soon(idle.read(&mut some)).await.unwrap();
    scene.stop();
    until_end(&mut idle).await;
    soon(&mut scene.serving).await.unwrap();
    assert!(TcpStream::connect(scene.address).await.is_err());
}

#[tokio::test]
async fn the_monitoring_listener_tells_health_and_counters() {
    let scene = Scene::start().await;
    scene.device(1, "dev").await;
    for (path, wanted) in [
        ("/healthz", "ok"),
        ("/readyz", "200 OK"),
        ("/metrics", "towline_ready 1"),
        ("/metrics", "towline_devices{status=\"active\"} 1"),
        ("/", "404"),
    ] {
        let mut stream = TcpStream::connect(scene.monitor).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = String::from_utf8(until_end(&mut stream).await).unwrap();
        assert!(answer.contains(wanted), "{path}: {answer}");
    }
}

/// Names of metrics in a text.
fn metric_names(text: &str) -> std::collections::BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("towline_"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn each_metric_of_the_dashboard_and_of_the_alerts_exists() {
    let scene = Scene::start().await;
    let mut stream = TcpStream::connect(scene.monitor).await.unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let answer = String::from_utf8(until_end(&mut stream).await).unwrap();
    let served: std::collections::BTreeSet<String> = answer
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next().map(str::to_owned))
        .collect();
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let dashboard = std::fs::read_to_string(docs.join("grafana-dashboard.json")).unwrap();
    let whole: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert!(whole["panels"].as_array().is_some_and(|panels| panels.len() >= 10));
    let named = metric_names(&dashboard);
    assert!(named.len() >= 10, "{named:?}");
    let alerts = metric_names(&std::fs::read_to_string(docs.join("operations.md")).unwrap());
    for name in named.iter().chain(&alerts) {
        assert!(served.contains(name), "{name} is not among {served:?}");
    }
}
