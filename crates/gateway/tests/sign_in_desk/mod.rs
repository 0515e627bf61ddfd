//! An API whose clock stands still, and an identity provider on loopback that does what the test
//! says.
//!
//! # Not here
//! - A gateway with a port: `scene`.
#![allow(clippy::panic)] // of a test that cannot go on
#![allow(dead_code)] // each test program uses its own part of this
#![allow(clippy::unwrap_used)] // a test that cannot set its scene has failed

pub(crate) mod provider;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use towline_gateway::api::{self, Api, Parts, SignInSettings};
use towline_gateway::federation::ProviderKeys;
use towline_gateway::origins::Origins;
use towline_gateway::outbound::{Guard, Outbound};
use towline_gateway::plane::Peer;
use towline_host::clock::Clock;
use towline_ssm::ids::SecretAccessKey;
use towline_ssm::sigv4::{Credentials, RequestParts, sha256, sign};
use towline_store::Store;

use provider::Provider;

const ORIGIN: &str = "https://gw.test";
const ADMIN: &str = "AKIAAAAAAAAAAAAAAAAA";
const SECRET: &str = "a-secret-that-nobody-knows";
/// Verifier of all programs of these tests.
const VERIFIER: &str = "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv";
/// The name of the provider here.
pub(crate) const CORP: &str = "corp";

/// What a browser or a program gets.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) location: String,
    pub(crate) text: String,
    pub(crate) cookies: Vec<String>,
}

impl Page {
    /// A value in the query of where it leads.
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        let query = self.location.split_once('?')?.1;
        let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
        Some(decoded(found))
    }

    /// The words of a refusal that the waiting program is told.
    #[track_caller]
    pub(crate) fn told(&self) -> String {
        assert!(self.location.starts_with("http://127.0.0.1:9/callback?error="), "{self:?}");
        self.value("error_description").unwrap()
    }

    /// The words and the link of a page after which the program waits on.
    #[track_caller]
    pub(crate) fn again(&self) -> String {
        self.link("Try again")
    }

    /// The link of a page that leads nowhere by itself.
    #[track_caller]
    pub(crate) fn link(&self, words: &str) -> String {
        assert_eq!(self.location, "", "the program is told nothing: {self:?}");
        let link = self.text.split("href=\"").nth(1).and_then(|rest| rest.split('"').next());
        assert!(self.text.contains(&format!(">{words}</a>")), "{self:?}");
        link.unwrap().to_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// The error code of the API; `done` without one.
    pub(crate) fn code(&self) -> String {
        self.json()["__type"].as_str().unwrap_or("done").to_owned()
    }
}

fn decoded(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let pair = [rest.next().unwrap(), rest.next().unwrap()];
        let pair = std::str::from_utf8(&pair).unwrap().to_owned();
        bytes.push(u8::from_str_radix(&pair, 16).unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

/// A sign-in that was begun: what the browser keeps, and what the provider was asked.
#[derive(Debug, Clone)]
pub(crate) struct Begun {
    pub(crate) cookie: String,
    pub(crate) state: String,
    pub(crate) nonce: String,
    /// The path that the provider was told to answer at.
    pub(crate) callback: String,
}

/// Temporary credentials.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    key: String,
    secret: String,
    token: String,
    /// Renews them.
    pub(crate) refresh: Option<String>,
}

impl Keys {
    pub(crate) fn of(given: &Value) -> Self {
        let text = |name: &str| given[name].as_str().unwrap_or_default().to_owned();
        Self {
            key: text("AccessKeyId"),
            secret: text("SecretAccessKey"),
            token: text("SessionToken"),
            refresh: given["RefreshToken"].as_str().map(str::to_owned),
        }
    }
}

/// The API.
pub(crate) struct Desk {
    pub(crate) routes: Router,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    signed: AtomicU32,
    sources: AtomicU32,
    /// Folders of further gateways.
    others: Vec<tempfile::TempDir>,
    _dir: tempfile::TempDir,
}

impl Desk {
    /// With the role `operator`, which may do all with SSM, and the provider [`CORP`], whose group
    /// `ops` gives it.
    pub(crate) async fn open(parts: impl AsyncFnOnce(&Path) -> Parts) -> (Self, Arc<Provider>) {
        let dir = tempfile::tempdir().unwrap();
        let parts = for_sign_ins(parts(dir.path()).await);
        let (store, clock) = (parts.store.clone(), parts.clock.clone());
        let now = clock.now();
        store.principals().create("admin", &[], now).await.unwrap();
        let sealed = parts.vault.seal(ADMIN, SECRET.as_bytes()).unwrap();
        store.principals().add_key("admin", ADMIN, &sealed, now).await.unwrap();
        let all = r#"{"Version":"2012-10-17",
            "Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
        store.principals().put_policy("admin", "p", all, now).await.unwrap();
        let routes = api::routes(Arc::new(Api::new(parts).unwrap()));
        let (signed, sources) = (AtomicU32::new(0), AtomicU32::new(0));
        let desk = Self { routes, store, clock, signed, sources, others: Vec::new(), _dir: dir };
        let provider = Provider::start(desk.clock.clone()).await;
        desk.role("operator", &["ssm:*", "towline:*"]).await;
        let mut new = desk.settings(&[("ops", "operator")]);
        new["Issuer"] = json!(provider.issuer);
        desk.admin("CreateIdentityProvider", &new).await;
        (desk, provider)
    }

    /// From here on, requests go to another gateway of the same store.
    pub(crate) async fn move_on(&mut self, parts: impl AsyncFnOnce(&Path) -> Parts) {
        let dir = tempfile::tempdir().unwrap();
        let mut parts = for_sign_ins(parts(dir.path()).await);
        (parts.store, parts.clock) = (self.store.clone(), self.clock.clone());
        self.routes = api::routes(Arc::new(Api::new(parts).unwrap()));
        self.others.push(dir);
    }

    /// A role that nobody assumes, with these actions.
    pub(crate) async fn role(&self, name: &str, actions: &[&str]) {
        let trust = r#"{"Version":"2012-10-17","Statement":[
            {"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole"}]}"#;
        self.admin(
            "CreatePrincipal",
            &json!({ "PrincipalName": name, "PrincipalType": "Role",
                     "TrustPolicyDocument": trust }),
        )
        .await;
        let allow = json!({ "Effect": "Allow", "Action": actions, "Resource": "*" });
        self.policy(name, &json!([allow])).await;
    }

    /// Replaces the policy of a role.
    pub(crate) async fn policy(&self, role: &str, statements: &Value) {
        let policy = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
        self.admin(
            "PutPrincipalPolicy",
            &json!({ "PrincipalName": role, "PrincipalType": "Role", "PolicyName": "p",
                     "PolicyDocument": policy }),
        )
        .await;
    }

    /// Settings of [`CORP`] with these groups and roles.
    pub(crate) fn settings(&self, groups: &[(&str, &str)]) -> Value {
        let roles: Vec<Value> =
            groups.iter().map(|(group, role)| json!({ "Group": group, "Role": role })).collect();
        json!({ "ProviderName": CORP, "ClientId": "towline", "ClientSecret": "hush",
                "NameClaim": "preferred_username", "GroupsClaim": "groups",
                "SecondFactors": ["mfa"], "GroupRoles": roles })
    }

    /// The administrator does something that must be done.
    #[track_caller]
    pub(crate) fn admin<'d>(
        &'d self,
        operation: &'d str,
        body: &'d Value,
    ) -> impl Future<Output = Value> + 'd {
        let at = std::panic::Location::caller();
        async move {
            let page = self.call(None, operation, body).await;
            assert_eq!(page.code(), "done", "{operation} at {at}: {}", page.text);
            page.json()
        }
    }

    /// An operation of the API, signed by `keys`, else by the administrator.
    pub(crate) async fn call(&self, keys: Option<&Keys>, operation: &str, body: &Value) -> Page {
        self.call_with(keys, operation, body, &[]).await
    }

    async fn call_with(
        &self,
        keys: Option<&Keys>,
        operation: &str,
        body: &Value,
        more: &[(&str, &str)],
    ) -> Page {
        let target = match operation {
            "StartAccessRequest" | "GetAccessToken" | "DescribeSessions" | "CreateDocument" => {
                format!("AmazonSSM.{operation}")
            }
            _ => format!("Towline.{operation}"),
        };
        let service = if target.starts_with("Towline") { "towline" } else { "ssm" };
        let number = self.signed.fetch_add(1, Ordering::Relaxed).to_string();
        let headers = [
            ("host", "gw.test"),
            ("x-amz-target", target.as_str()),
            ("content-type", "application/x-amz-json-1.1"),
            ("amz-sdk-invocation-id", number.as_str()),
        ];
        let parts = RequestParts { method: "POST", path: "/", query: "", headers: &headers };
        let secret = SecretAccessKey::new(keys.map_or(SECRET, |keys| &keys.secret).into());
        let credentials = Credentials {
            access_key: keys.map_or(ADMIN, |keys| &keys.key),
            secret: &secret,
            session_token: keys.map(|keys| keys.token.as_str()),
            region: "xx-towline-1",
            service,
        };
        let body = body.to_string();
        let added = sign(&parts, &sha256(body.as_bytes()), &credentials, self.clock.now().0 / 1000);
        let added = added.unwrap();
        let all: Vec<(&str, &str)> = headers
            .iter()
            .copied()
            .chain(added.iter().map(|(name, value)| (*name, value.as_str())))
            .chain(more.iter().copied())
            .collect();
        self.send(Method::POST, "/", &all, body, "192.0.2.1:1").await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
        from: &str,
    ) -> Page {
        let peer = Peer(from.parse::<SocketAddr>().unwrap());
        let mut request = Request::builder().method(method).uri(path).extension(peer);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body)).unwrap();
        let response = self.routes.clone().oneshot(request).await.unwrap();
        let text = |name| {
            let values = response.headers().get_all(name).iter();
            values.map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let (location, cookies) = (text(header::LOCATION).concat(), text(header::SET_COOKIE));
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Page { status, location, text, cookies }
    }

    async fn get(&self, path: &str, cookie: &str, from: &str) -> Page {
        let headers = [("host", "gw.test"), ("cookie", cookie)];
        self.send(Method::GET, path, &headers, String::new(), from).await
    }

    /// Posts JSON without a signature, as `towline` does.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Page {
        let headers = [("host", "gw.test")];
        self.send(Method::POST, path, &headers, body.to_string(), "192.0.2.1:1").await
    }

    /// Where `towline login` sends a browser.
    pub(crate) async fn start(&self, more: &str) -> Page {
        self.start_from("none", more).await
    }

    /// The same from a page of another site, or of none, as browsers say it.
    pub(crate) async fn start_from(&self, site: &str, more: &str) -> Page {
        let challenge = towline_oidc::challenge(VERIFIER);
        let redirect = "http%3A%2F%2F127.0.0.1%3A9%2Fcallback";
        let path =
            format!("/sign-in/start?redirect={redirect}&challenge={challenge}&state=s{more}");
        let headers = [("host", "gw.test"), ("sec-fetch-site", site)];
        self.send(Method::GET, &path, &headers, String::new(), "192.0.2.1:1").await
    }

    /// Follows a link of a page.
    pub(crate) async fn follow(&self, link: &str) -> Begun {
        begun(&self.get(&link.replace("&amp;", "&"), "", "192.0.2.1:1").await)
    }

    /// A browser that was sent to the provider.
    pub(crate) async fn begin(&self, more: &str) -> Begun {
        begun(&self.start(more).await)
    }

    /// A browser that was sent to the provider from a page of the console.
    pub(crate) async fn begin_console(&self, to: &str) -> Page {
        self.get(&format!("/console/sign-in/{CORP}?to={to}"), "", "192.0.2.1:1").await
    }

    /// The provider's answer: a code that stands for the attempt's nonce.
    pub(crate) async fn answer(&self, begun: &Begun) -> Page {
        // A source of its own: what fails too often from one address is throttled.
        let number = self.sources.fetch_add(1, Ordering::Relaxed);
        let from = format!("198.51.{}.{}:1", number / 250, number % 250);
        self.answer_with(begun, &format!("code={}", begun.nonce), &from).await
    }

    pub(crate) async fn answer_with(&self, begun: &Begun, query: &str, from: &str) -> Page {
        self.answer_at(&begun.callback, begun, query, from).await
    }

    /// An answer at some path.
    pub(crate) async fn answer_at(
        &self,
        path: &str,
        begun: &Begun,
        query: &str,
        from: &str,
    ) -> Page {
        let path = format!("{path}?state={}&{query}", begun.state);
        self.get(&path, &begun.cookie, from).await
    }

    /// What the program gets for the code that came to where it listens.
    pub(crate) async fn redeem(&self, page: &Page) -> Page {
        let code = page.value("code").unwrap_or_else(|| panic!("no code: {page:?}"));
        self.post("/sign-in/token", &json!({ "Code": code, "Verifier": VERIFIER })).await
    }

    /// The credentials of a whole sign-in.
    pub(crate) async fn sign_in(&self, more: &str) -> Keys {
        let page = self.answer(&self.begin(more).await).await;
        Keys::of(&self.redeem(&page).await.json())
    }

    /// A program without a browser: its request, with the mark of its page.
    pub(crate) async fn ask_by_code(&self, provider: Option<&str>) -> Value {
        let challenge = towline_oidc::challenge(VERIFIER);
        let body = json!({ "Challenge": challenge, "Provider": provider, "Client": "towline" });
        self.post("/sign-in/requests", &body).await.json()
    }

    pub(crate) async fn poll(&self, asked: &Value) -> Value {
        let body = json!({ "RequestCode": asked["RequestCode"], "Verifier": VERIFIER });
        let page = self.post("/sign-in/requests/token", &body).await;
        page.json()
    }

    /// An operation by the cookie of a browser that is signed in to the console.
    pub(crate) async fn by_cookie(&self, cookie: &str, operation: &str, body: &Value) -> Page {
        let target = format!("Towline.{operation}");
        let csrf = if operation == "GetSignIn" {
            String::new()
        } else {
            let page = Box::pin(self.by_cookie(cookie, "GetSignIn", &json!({}))).await;
            page.json()["CsrfToken"].as_str().unwrap_or_default().to_owned()
        };
        let headers = [
            ("host", "gw.test"),
            ("x-amz-target", target.as_str()),
            ("content-type", "application/x-amz-json-1.1"),
            ("origin", ORIGIN),
            ("cookie", cookie),
            ("x-towline-csrf", csrf.as_str()),
        ];
        self.send(Method::POST, "/", &headers, body.to_string(), "192.0.2.1:1").await
    }

    /// The cookie of a browser that is signed in to the console.
    pub(crate) async fn browser(&self) -> String {
        cookie_of(&self.answer(&begun(&self.begin_console("%2F").await)).await)
    }

    /// The same for the administrator, by an access key.
    pub(crate) async fn admins_browser(&self) -> String {
        let origin = [("origin", ORIGIN)];
        cookie_of(&self.call_with(None, "CreateSignIn", &json!({}), &origin).await)
    }
}

/// With people of providers on loopback.
fn for_sign_ins(mut parts: Parts) -> Parts {
    parts.sign_in = SignInSettings {
        gateway_id: "0123456789abcdef".into(),
        origins: Origins::new(vec![ORIGIN.into()]),
        idle: std::time::Duration::from_secs(12 * 3600),
        max: std::time::Duration::from_secs(12 * 3600),
    };
    let guard = Guard::parse(&["127.0.0.1".to_owned()]).unwrap();
    parts.providers = ProviderKeys::new(Outbound::new(guard, None).unwrap(), Arc::default());
    parts
}

#[track_caller]
fn cookie_of(page: &Page) -> String {
    let cookie = page.cookies.iter().find(|one| one.contains("SameSite=Strict"));
    let cookie = cookie.unwrap_or_else(|| panic!("no sign-in: {page:?}"));
    cookie.split(';').next().unwrap().to_owned()
}

#[track_caller]
pub(crate) fn begun(page: &Page) -> Begun {
    assert_eq!(page.status, 303, "{page:?}");
    let cookie = page.cookies.first().unwrap().split(';').next().unwrap().to_owned();
    let value = |name| page.value(name).unwrap();
    let callback = value("redirect_uri").strip_prefix(ORIGIN).unwrap().to_owned();
    Begun { cookie, state: value("state"), nonce: value("nonce"), callback }
}
