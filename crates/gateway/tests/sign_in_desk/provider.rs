//! An identity provider on loopback whose answers the test chooses. A code is the nonce of its
//! sign-in; its clock is the API's.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};
use towline_host::clock::Clock;

/// What it says.
#[derive(Default)]
pub(crate) struct Says {
    /// Claims besides the usual ones, or in their place; null: none.
    pub(crate) claims: Value,
    /// Answers of the token endpoint before the next right one.
    pub(crate) first: VecDeque<(u16, &'static str)>,
    /// Gives a refresh token.
    pub(crate) renews: bool,
    /// Answers of the token endpoint wait for [`Provider::go_on`].
    pub(crate) waits: bool,
    /// Its discovery document cannot be read.
    pub(crate) is_away: bool,
}

/// The provider.
pub(crate) struct Provider {
    pub(crate) issuer: String,
    key: Ed25519KeyPair,
    clock: Clock,
    says: Mutex<Says>,
    asked: Notify,
    go: Semaphore,
    /// Requests at the token endpoint.
    count: Mutex<u32>,
}

impl Provider {
    pub(crate) async fn start(clock: Clock) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = Arc::new(Self {
            issuer: format!("http://{}", listener.local_addr().unwrap()),
            key: Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap(),
            clock,
            says: Mutex::default(),
            asked: Notify::new(),
            go: Semaphore::new(0),
            count: Mutex::default(),
        });
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(Arc::clone(&provider));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        provider
    }

    /// Changes what it says.
    pub(crate) fn says(&self, change: impl FnOnce(&mut Says)) {
        change(&mut self.says.lock().unwrap());
    }

    /// Claims besides the usual ones.
    pub(crate) fn claims(&self, claims: Value) {
        self.says(|says| says.claims = claims);
    }

    /// Waits for the next request at its token endpoint.
    pub(crate) async fn is_asked(&self) {
        self.asked.notified().await;
    }

    /// Lets it answer one request.
    pub(crate) fn go_on(&self) {
        self.go.add_permits(1);
    }

    /// How often its token endpoint was asked.
    pub(crate) fn asked(&self) -> u32 {
        *self.count.lock().unwrap()
    }

    fn id_token(&self, nonce: Option<&str>) -> String {
        let now = self.clock.now().0.div_euclid(1000);
        let mut claims = json!({
            "iss": self.issuer, "sub": "ann", "aud": "towline", "iat": now, "exp": now + 300,
            "nonce": nonce, "preferred_username": "ann", "groups": ["ops"],
        });
        if let Some(more) = self.says.lock().unwrap().claims.as_object() {
            claims.as_object_mut().unwrap().extend(more.clone());
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&json!({ "alg": "EdDSA", "kid": "k" })), part(&claims));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// A token of a job.
    pub(crate) fn job(&self) -> String {
        self.id_token(None)
    }
}

type Answer = axum::response::Response;

async fn discovery(State(provider): State<Arc<Provider>>) -> Answer {
    if provider.says.lock().unwrap().is_away {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let issuer = &provider.issuer;
    json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys"),
            "authorization_endpoint": format!("{issuer}/auth"),
            "token_endpoint": format!("{issuer}/token") })
    .to_string()
    .into_response()
}

async fn keys(State(provider): State<Arc<Provider>>) -> Answer {
    let x = URL_SAFE_NO_PAD.encode(provider.key.public_key());
    json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x }] })
        .to_string()
        .into_response()
}

async fn token(State(provider): State<Arc<Provider>>, form: String) -> Answer {
    *provider.count.lock().unwrap() += 1;
    let (first, waits) = {
        let mut says = provider.says.lock().unwrap();
        (says.first.pop_front(), says.waits)
    };
    if waits {
        provider.asked.notify_one();
        provider.go.acquire().await.unwrap().forget();
    }
    if let Some((status, text)) = first {
        return (StatusCode::from_u16(status).unwrap(), text).into_response();
    }
    let nonce = form.split('&').find_map(|pair| pair.strip_prefix("code="));
    let mut answer = json!({ "access_token": "access", "id_token": provider.id_token(nonce) });
    if provider.says.lock().unwrap().renews {
        answer["refresh_token"] = json!("refresh");
    }
    answer.to_string().into_response()
}
