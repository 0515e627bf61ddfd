//! Keys of a provider that changes them, with a server on loopback that counts what it is asked.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use towline_host::clock::UnixMillis;
use towline_oidc::{Claims, Expected, Token, TokenError};

use super::{NotVerified, ProviderKeys};
use crate::limits::KEYS_REFETCH;
use crate::lock::lock;
use crate::outbound::{Guard, Outbound};

const START: UnixMillis = UnixMillis(1_800_000_000_000);

/// A provider with one key.
struct Provider {
    issuer: String,
    key: Mutex<(Ed25519KeyPair, Option<&'static str>)>,
    asked: AtomicUsize,
    /// It answers with nothing that can be read.
    is_away: AtomicBool,
}

fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

impl Provider {
    async fn start(id: Option<&'static str>) -> Arc<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let provider = Arc::new(Self {
            issuer,
            key: Mutex::new((key(1), id)),
            asked: AtomicUsize::new(0),
            is_away: AtomicBool::new(false),
        });
        let served = Arc::clone(&provider);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                served.answer(stream).await;
            }
        });
        provider
    }

    async fn answer(&self, mut stream: TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let body = if head.starts_with(b"GET /keys ") {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let (key, id) = &*lock(&self.key);
            let x = URL_SAFE_NO_PAD.encode(key.public_key());
            json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": x }] })
        } else {
            json!({ "issuer": self.issuer, "jwks_uri": format!("{}/keys", self.issuer) })
        };
        let body =
            if self.is_away.load(Ordering::Relaxed) { String::new() } else { body.to_string() };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    }

    fn token(&self) -> String {
        let (key, id) = &*lock(&self.key);
        let now = START.0 / 1000;
        let claims =
            json!({ "iss": self.issuer, "sub": "ann", "aud": "t", "iat": now, "exp": now + 3600 });
        let header = json!({ "alg": "EdDSA", "kid": id });
        let header = match id {
            Some(_) => header,
            None => json!({ "alg": "EdDSA" }),
        };
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = key.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    async fn verify(
        &self,
        by: &ProviderKeys,
        text: &str,
        at: UnixMillis,
    ) -> Result<Claims, NotVerified> {
        let audiences = ["t".to_owned()];
        let expected =
            Expected { issuer: &self.issuer, audiences: &audiences, nonce: None, now: at.0 / 1000 };
        by.verify("p", Token::parse(text).unwrap(), &expected, at).await
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn keys() -> ProviderKeys {
    let guard = Guard::parse(&["127.0.0.1".to_owned()]).unwrap();
    ProviderKeys::new(Outbound::new(guard, None).unwrap(), Arc::default())
}

#[tokio::test]
async fn each_new_key_under_the_same_id_or_none_counts_after_one_fetch() {
    for id in [Some("k"), None] {
        let (provider, keys) = (Provider::start(id).await, keys());
        provider.verify(&keys, &provider.token(), START).await.unwrap();
        let mut later = START;
        for (seed, asked) in [(2, 2), (3, 3)] {
            lock(&provider.key).0 = key(seed);
            later = later.plus(KEYS_REFETCH);
            provider.verify(&keys, &provider.token(), later).await.unwrap();
            assert_eq!(provider.asked(), asked, "{id:?}");
        }
    }
}

#[tokio::test]
async fn forged_tokens_cost_a_provider_one_fetch_in_a_minute() {
    let (provider, keys) = (Provider::start(Some("k")).await, keys());
    let good = provider.token();
    provider.verify(&keys, &good, START).await.unwrap();
    let forged = format!("{}AAAA", &good[..good.len() - 4]);
    for seconds in 0..90 {
        let at = START.plus(std::time::Duration::from_secs(seconds));
        let judged = provider.verify(&keys, &forged, at).await;
        assert_eq!(judged, Err(NotVerified::Token(TokenError::Signature)));
        provider.verify(&keys, &good, at).await.unwrap();
    }
    assert_eq!(provider.asked(), 2);
}

#[tokio::test]
async fn a_failure_before_the_clock_was_set_back_keeps_no_provider_away() {
    let (provider, keys) = (Provider::start(Some("k")).await, keys());
    let token = provider.token();
    let ahead = START.plus(std::time::Duration::from_secs(365 * 24 * 3600));
    provider.is_away.store(true, Ordering::Relaxed);
    keys.of("p", &provider.issuer, Some("k"), ahead).await.unwrap_err();
    provider.is_away.store(false, Ordering::Relaxed);
    provider.verify(&keys, &token, START).await.unwrap();
}
