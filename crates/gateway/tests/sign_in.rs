//! Sign-ins of browsers: what a cookie proves, what it does not, and when it ends. Time is moved by
//! hand.
#![allow(clippy::unwrap_used)] // also outside of the test functions: all of this is a test

mod still_api;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use towline_gateway::api::{self, Api, SignInSettings};
use towline_gateway::limits;
use towline_gateway::origins::Origins;
use towline_gateway::plane::Peer;
use towline_host::clock::Clock;
use towline_ssm::ids::SecretAccessKey;
use towline_ssm::sigv4::{Credentials, RequestParts, sha256, sign};
use towline_store::Store;

const KEYS: [(&str, &str); 2] = [("ann", "AKIAAAAAAAAAAAAAAAAA"), ("bob", "AKIABBBBBBBBBBBBBBBB")];
const SECRET: &str = "a-secret-that-nobody-knows";
const ORIGIN: &str = "https://gw.test";
const COOKIE: &str = "__Host-towline-0123456789abcdef";
const CREATE: &str = "Towline.CreateSignIn";
const GET: &str = "Towline.GetSignIn";
const DELETE: &str = "Towline.DeleteSignIn";
const READ: &str = "AmazonSSM.DescribeInstanceInformation";
const OVER: &str = "ExpiredTokenException";
const UNKNOWN: &str = "UnrecognizedClientException";
const DENIED: &str = "AccessDeniedException";
const IDLE: Duration = Duration::from_secs(3600);
const MAX: Duration = Duration::from_secs(12 * 3600);

/// An answer: `done` or its error code, its body, the cookie that it sets.
struct Answer {
    code: String,
    body: Value,
    set_cookie: Option<String>,
}

/// A browser's sign-in.
#[derive(Clone)]
struct Browser {
    cookie: String,
    csrf: String,
}

/// An API whose clock stands still, with `ann`, who may do everything, and `bob`, who may do
/// nothing.
struct Desk {
    routes: Router,
    store: Store,
    clock: Clock,
    /// Requests that were signed.
    signed: AtomicU32,
    _dir: tempfile::TempDir,
}

impl Desk {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut parts = still_api::parts(dir.path()).await;
        parts.sign_in = SignInSettings {
            gateway_id: "0123456789abcdef".into(),
            origins: Origins::new(vec![ORIGIN.into()]),
            idle: IDLE,
            max: MAX,
        };
        let (store, clock) = (parts.store.clone(), parts.clock.clone());
        for (name, key) in KEYS {
            store.principals().create(name, &[], clock.now()).await.unwrap();
            let sealed = parts.vault.seal(key, SECRET.as_bytes()).unwrap();
            store.principals().add_key(name, key, &sealed, clock.now()).await.unwrap();
        }
        let all = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
        store.principals().put_policy("ann", "p", all, clock.now()).await.unwrap();
        let routes = api::routes(Arc::new(Api::new(parts).unwrap()));
        Self { routes, store, clock, signed: AtomicU32::new(0), _dir: dir }
    }

    async fn send(&self, target: &str, headers: &[(&str, &str)], from: &str) -> Answer {
        self.send_with(target, headers, from, "{}").await
    }

    async fn send_with(
        &self,
        target: &str,
        headers: &[(&str, &str)],
        from: &str,
        body: &str,
    ) -> Answer {
        let mut request = Request::post("/")
            .extension(Peer(from.parse::<SocketAddr>().unwrap()))
            .header("host", "gw.test")
            .header("x-amz-target", target)
            .header("content-type", "application/x-amz-json-1.1");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.routes.clone().oneshot(request).await.unwrap();
        let set_cookie = response.headers().get(header::SET_COOKIE);
        let set_cookie = set_cookie.map(|value| value.to_str().unwrap().to_owned());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&bytes).unwrap();
        let code = body["__type"].as_str().unwrap_or("done").to_owned();
        Answer { code, body, set_cookie }
    }

    /// A request that an access key signs, with more headers. No two have one signature.
    async fn signed(&self, target: &str, key: &str, more: &[(&str, &str)]) -> Answer {
        let number = self.signed.fetch_add(1, Ordering::Relaxed).to_string();
        let signature = self.signature(target, key, &number);
        let own = signature.iter().map(|(name, value)| (&**name, &**value));
        let all: Vec<(&str, &str)> = own.chain(more.iter().copied()).collect();
        self.send(target, &all, "192.0.2.1:1").await
    }

    /// The headers of a signature; `invocation` is signed, too.
    fn signature(&self, target: &str, key: &str, invocation: &str) -> Vec<(String, String)> {
        let headers = [
            ("host", "gw.test"),
            ("x-amz-target", target),
            ("content-type", "application/x-amz-json-1.1"),
            ("amz-sdk-invocation-id", invocation),
        ];
        let parts = RequestParts { method: "POST", path: "/", query: "", headers: &headers };
        let secret = SecretAccessKey::new(SECRET.into());
        let credentials = Credentials {
            access_key: key,
            secret: &secret,
            session_token: None,
            region: "xx-towline-1",
            service: target.split('.').next().map_or("", |of| match of {
                "Towline" => "towline",
                _ => "ssm",
            }),
        };
        let now = self.clock.now().0 / 1000;
        let added = sign(&parts, &sha256(b"{}"), &credentials, now).unwrap();
        let mut all = vec![("amz-sdk-invocation-id".to_owned(), invocation.to_owned())];
        all.extend(added.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        all
    }

    async fn sign_in(&self, (_, key): (&str, &str)) -> Browser {
        let answer = self.signed(CREATE, key, &[("origin", ORIGIN)]).await;
        let cookie = answer.set_cookie.unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Browser { cookie, csrf: answer.body["CsrfToken"].as_str().unwrap().to_owned() }
    }

    /// The code of a request of a page of ours.
    async fn asks(&self, browser: &Browser, target: &str) -> String {
        let headers =
            [("origin", ORIGIN), ("cookie", &browser.cookie), ("x-towline-csrf", &browser.csrf)];
        self.send(target, &headers, "192.0.2.1:1").await.code
    }
}

#[tokio::test]
async fn a_sign_in_sets_a_cookie_that_only_this_host_gets_and_no_script_sees() {
    let desk = Desk::open().await;
    let answer = desk.signed(CREATE, KEYS[0].1, &[("origin", ORIGIN)]).await;
    let cookie = answer.set_cookie.unwrap();
    let (value, attributes) = cookie.split_once("; ").unwrap();
    assert!(value.starts_with(&format!("{COOKIE}=")), "{cookie}");
    assert!(value.len() < limits::MAX_SIGN_IN_COOKIE, "{cookie}");
    assert_eq!(attributes, "Path=/; Max-Age=43200; Secure; HttpOnly; SameSite=Strict");
    assert_eq!(answer.body["PrincipalName"], "ann");
    assert_eq!(answer.body["IdleSeconds"], 3600);
    assert_eq!(answer.body["RemainingSeconds"], 43_200);
}

#[tokio::test]
async fn policy_is_asked_for_a_cookie_as_for_a_signature() {
    let desk = Desk::open().await;
    let (ann, bob) = (desk.sign_in(KEYS[0]).await, desk.sign_in(KEYS[1]).await);
    assert_eq!(desk.asks(&ann, READ).await, "done");
    assert_eq!(desk.asks(&bob, READ).await, DENIED);
    assert_eq!(desk.asks(&bob, GET).await, "done", "who may do nothing may ask who she is");
    // Another sign-in is not made by a sign-in.
    assert_eq!(desk.asks(&ann, CREATE).await, "ValidationException");
}

#[tokio::test]
async fn policies_tell_the_console_by_its_cookie_and_other_programs_by_the_name_they_give() {
    let desk = Desk::open().await;
    let bob = desk.sign_in(KEYS[1]).await;
    let only = |client: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow",
            "Action":"ssm:DescribeInstanceInformation","Resource":"*",
            "Condition":{{"StringEquals":{{"towline:Client":"{client}"}}}}}}]}}"#
        )
    };
    let now = desk.clock.now();
    desk.store.principals().put_policy("bob", "p", &only("console"), now).await.unwrap();
    assert_eq!(desk.asks(&bob, READ).await, "done");
    for agent in ["console", "towline/1", "Mozilla/5.0"] {
        let signed = desk.signed(READ, KEYS[1].1, &[("user-agent", agent)]).await;
        assert_eq!(signed.code, DENIED, "a signature of {agent} is not the console");
    }
    let desk = Desk::open().await;
    desk.store.principals().put_policy("bob", "p", &only("cli"), now).await.unwrap();
    let cli = desk.signed(READ, KEYS[1].1, &[("user-agent", "towline/0.1.0")]).await;
    assert_eq!(cli.code, "done");
    let aws = desk.signed(READ, KEYS[1].1, &[("user-agent", "Boto3/1.40")]).await;
    assert_eq!(aws.code, DENIED);
}

#[tokio::test]
async fn the_audit_line_names_the_key_and_the_kind_of_proof() {
    let desk = Desk::open().await;
    let ann = desk.sign_in(KEYS[0]).await;
    desk.asks(&ann, READ).await;
    let lines = desk.store.audit().list(0, 100).await.unwrap();
    let line = lines.iter().find(|(_, line)| line.contains("DescribeInstanceInformation"));
    let line: Value = serde_json::from_str(&line.unwrap().1).unwrap();
    assert_eq!(line["userIdentity"]["accessKeyId"], KEYS[0].1);
    assert_eq!(line["facts"]["proof"], "cookie");
    let all: String = lines.iter().map(|(_, line)| line.as_str()).collect();
    assert!(!all.contains(&ann.csrf) && !all.contains(&ann.cookie), "{all}");
}

#[tokio::test]
async fn a_request_without_the_csrf_value_of_its_sign_in_does_nothing() {
    let desk = Desk::open().await;
    let (ann, bob) = (desk.sign_in(KEYS[0]).await, desk.sign_in(KEYS[1]).await);
    let headers = [("origin", ORIGIN), ("cookie", ann.cookie.as_str())];
    for target in [READ, DELETE] {
        assert_eq!(desk.send(target, &headers, "192.0.2.1:1").await.code, UNKNOWN);
    }
    let mixed = Browser { csrf: bob.csrf, ..ann.clone() };
    assert_eq!(desk.asks(&mixed, READ).await, UNKNOWN);
    let told = desk.send(GET, &headers, "192.0.2.1:1").await;
    assert_eq!(told.body["CsrfToken"], ann.csrf, "a reloaded page gets the value again");
    assert_eq!(desk.asks(&ann, READ).await, "done");
}

#[tokio::test]
async fn a_page_of_another_origin_or_of_none_does_nothing() {
    let desk = Desk::open().await;
    let ann = desk.sign_in(KEYS[0]).await;
    let ours = [("cookie", ann.cookie.as_str()), ("x-towline-csrf", &ann.csrf)];
    for target in [GET, READ, DELETE] {
        assert_eq!(desk.send(target, &ours, "192.0.2.1:1").await.code, DENIED, "no origin");
        for origin in ["https://evil.test", "https://gw.test:444", "http://gw.test", "null"] {
            let headers: Vec<_> = ours.iter().copied().chain([("origin", origin)]).collect();
            let answer = desk.send(target, &headers, "192.0.2.1:1").await;
            assert_eq!(answer.code, DENIED, "{origin}");
            assert!(answer.body.to_string().contains("https://gw.test/console/"));
        }
    }
    let login = desk.signed(CREATE, KEYS[0].1, &[("origin", "https://evil.test")]).await;
    assert_eq!(
        (login.code.as_str(), login.set_cookie),
        (DENIED, None),
        "no sign-in from elsewhere"
    );
}

#[tokio::test]
async fn a_sign_in_that_is_left_alone_ends_and_an_open_page_does_not_keep_it() {
    let desk = Desk::open().await;
    let ann = desk.sign_in(KEYS[0]).await;
    desk.clock.advance(IDLE - Duration::from_secs(1));
    assert_eq!(desk.asks(&ann, READ).await, "done");
    for _ in 0..2 {
        desk.clock.advance(IDLE / 2 - Duration::from_secs(1));
        let page = [
            ("origin", ORIGIN),
            ("cookie", ann.cookie.as_str()),
            ("x-towline-csrf", &ann.csrf),
            ("x-towline-background", "1"),
        ];
        assert_eq!(desk.send(READ, &page, "192.0.2.1:1").await.code, "done");
    }
    desk.clock.advance(Duration::from_secs(2));
    assert_eq!(desk.asks(&ann, READ).await, OVER);
}

#[tokio::test]
async fn a_sign_in_in_use_ends_after_its_longest_time() {
    let desk = Desk::open().await;
    let ann = desk.sign_in(KEYS[0]).await;
    for _ in 0..23 {
        desk.clock.advance(MAX / 24);
        assert_eq!(desk.asks(&ann, READ).await, "done");
    }
    desk.clock.advance(MAX / 24);
    assert_eq!(desk.asks(&ann, READ).await, OVER);
}

#[tokio::test]
async fn sign_out_voids_the_cookie_and_so_does_the_end_of_its_key() {
    let desk = Desk::open().await;
    let (ann, again) = (desk.sign_in(KEYS[0]).await, desk.sign_in(KEYS[0]).await);
    let headers = [("origin", ORIGIN), ("cookie", &ann.cookie), ("x-towline-csrf", &ann.csrf)];
    let out = desk.send(DELETE, &headers, "192.0.2.1:1").await;
    assert_eq!(out.code, "done");
    assert!(out.set_cookie.unwrap().starts_with(&format!("{COOKIE}=; Path=/; Max-Age=0")));
    assert_eq!(desk.asks(&ann, READ).await, OVER);
    assert_eq!(desk.asks(&again, READ).await, "done", "the other browser's sign-in goes on");
    let mut change = desk.store.change().await.unwrap();
    assert!(change.set_key_active("ann", KEYS[0].1, false, desk.clock.now()).await.unwrap());
    change.commit().await.unwrap();
    assert_eq!(desk.asks(&again, READ).await, OVER);
    let mut change = desk.store.change().await.unwrap();
    assert!(change.set_key_active("ann", KEYS[0].1, true, desk.clock.now()).await.unwrap());
    change.commit().await.unwrap();
    assert_eq!(desk.asks(&again, READ).await, OVER, "also when the key is enabled again");
    desk.clock.advance(std::time::Duration::from_secs(1));
    let ann = desk.sign_in(KEYS[0]).await;
    assert_eq!(desk.asks(&ann, READ).await, "done", "the key itself signs in anew");
}

#[tokio::test]
async fn a_new_sign_in_has_a_new_id_and_voids_the_one_of_this_browser() {
    let desk = Desk::open().await;
    let ann = desk.sign_in(KEYS[0]).await;
    let headers = [("origin", ORIGIN), ("cookie", ann.cookie.as_str())];
    let bob = desk.signed(CREATE, KEYS[1].1, &headers).await;
    assert_eq!(bob.body["PrincipalName"], "bob", "the signature counts, not the cookie");
    assert!(!bob.set_cookie.unwrap().contains(&ann.cookie));
    assert_eq!(desk.asks(&ann, READ).await, OVER);
}

#[tokio::test]
async fn a_sign_in_is_taken_once_although_equal_requests_of_one_second_may_be_meant() {
    let desk = Desk::open().await;
    let send = async |target: &str| {
        let signature = desk.signature(target, KEYS[0].1, "once");
        let mut headers: Vec<(&str, &str)> =
            signature.iter().map(|(name, value)| (&**name, &**value)).collect();
        headers.push(("origin", ORIGIN));
        desk.send(target, &headers, "192.0.2.1:1").await
    };
    let first = send(CREATE).await;
    assert_eq!(first.code, "done");
    let cookie = first.set_cookie.unwrap().split(';').next().unwrap().to_owned();
    for _ in 0..3 {
        let again = send(CREATE).await;
        assert_eq!((again.code.as_str(), again.set_cookie), ("InvalidSignatureException", None));
    }
    let csrf = first.body["CsrfToken"].as_str().unwrap().to_owned();
    assert_eq!(desk.asks(&Browser { cookie, csrf }, READ).await, "done", "nothing displaced it");
    for _ in 0..2 {
        assert_eq!(send(READ).await.code, "done", "what only reads is taken again");
    }
}

#[tokio::test]
async fn a_made_up_cookie_counts_as_a_failure_of_its_source() {
    let desk = Desk::open().await;
    let ann = desk.sign_in(KEYS[0]).await;
    let forged = format!("{COOKIE}=bm90IGEgc2VhbGVkIGlkIG9mIHRoaXMgZ2F0ZXdheSwgbm90IGF0IGFsbA");
    let headers = [("origin", ORIGIN), ("cookie", forged.as_str())];
    for _ in 0..limits::MAX_FAILURES {
        assert_eq!(desk.send(GET, &headers, "192.0.2.9:1").await.code, UNKNOWN);
    }
    assert_eq!(desk.send(GET, &headers, "192.0.2.9:1").await.code, "ThrottlingException");
    assert_eq!(desk.asks(&ann, READ).await, "done", "other sources are not slowed");
    // Another gateway's cookie on the same host is not looked at.
    let other = [("origin", ORIGIN), ("cookie", "__Host-towline-ffffffffffffffff=x")];
    let answer = desk.send(GET, &other, "192.0.2.1:1").await;
    assert_eq!(answer.code, "MissingAuthenticationTokenException");
}

#[tokio::test]
async fn a_page_that_is_loaded_before_anybody_signs_in_is_no_failed_attempt() {
    let desk = Desk::open().await;
    let headers = [("origin", ORIGIN)];
    for _ in 0..=limits::MAX_FAILURES {
        let answer = desk.send(GET, &headers, "192.0.2.1:1").await;
        assert_eq!(answer.code, "MissingAuthenticationTokenException");
    }
    assert_eq!(desk.signed(CREATE, KEYS[0].1, &headers).await.code, "done");
}

/// The code of a secret at this time (RFC 6238).
fn code_of(secret: &str, millis: i64) -> String {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits: String = secret.chars().map(|c| format!("{:05b}", DIGITS.find(c).unwrap())).collect();
    let key: Vec<u8> = (0..bits.len() / 8)
        .map(|at| u8::from_str_radix(&bits[at * 8..at * 8 + 8], 2).unwrap())
        .collect();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
    let step = u64::try_from(millis / 30_000).unwrap();
    let tag = ring::hmac::sign(&key, &step.to_be_bytes());
    let at = usize::from(tag.as_ref()[19] & 15);
    let four: [u8; 4] = tag.as_ref()[at..at + 4].try_into().unwrap();
    format!("{:06}", (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000)
}

#[tokio::test]
async fn a_code_proves_a_second_factor_for_the_sign_in_until_the_same_end() {
    const PROVE: &str = "Towline.ProveSecondFactor";
    let desk = Desk::open().await;
    let strict = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":["towline:CreateSecondFactor","towline:EnableSecondFactor"],
         "Resource":"*"},
        {"Effect":"Allow","Action":"ssm:DescribeInstanceInformation","Resource":"*",
         "Condition":{"NumericLessThan":{"aws:MultiFactorAuthAge":"600"}}}]}"#;
    desk.store.principals().put_policy("bob", "p", strict, desk.clock.now()).await.unwrap();
    let bob = desk.sign_in(KEYS[1]).await;
    let asks = async |browser: &Browser, target: &str, body: Value| {
        let headers =
            [("origin", ORIGIN), ("cookie", &browser.cookie), ("x-towline-csrf", &browser.csrf)];
        desk.send_with(target, &headers, "192.0.2.1:1", &body.to_string()).await
    };
    let code = |steps: i64| desk.clock.now().0 + steps * 30_000;
    let none = asks(&bob, PROVE, json!({ "TokenCode": "123456" })).await;
    assert_eq!(none.code, DENIED, "bob has no codes yet");
    let made = asks(&bob, "Towline.CreateSecondFactor", json!({ "PrincipalName": "bob" })).await;
    let secret = made.body["Secret"].as_str().unwrap().to_owned();
    let enable = json!({ "PrincipalName": "bob", "TokenCode": code_of(&secret, code(-1)) });
    assert_eq!(asks(&bob, "Towline.EnableSecondFactor", enable).await.code, "done");
    let refused = asks(&bob, READ, json!({})).await;
    assert_eq!(refused.body["TowlineRemedy"], "SecondFactor", "{}", refused.body);

    desk.clock.advance(Duration::from_secs(3600 / 2));
    let proved = asks(&bob, PROVE, json!({ "TokenCode": code_of(&secret, code(0)) })).await;
    assert_eq!(proved.code, "done", "{}", proved.body);
    assert_eq!(proved.body["SecondFactorProved"], true);
    assert_eq!(proved.body["RemainingSeconds"], 43_200 - 1800, "it ends when it would have");
    let cookie = proved.set_cookie.unwrap().split(';').next().unwrap().to_owned();
    let now = Browser { cookie, csrf: proved.body["CsrfToken"].as_str().unwrap().to_owned() };
    assert_eq!(asks(&now, READ, json!({})).await.code, "done");
    assert_eq!(asks(&bob, READ, json!({})).await.code, OVER, "the sign-in before is void");
    let again = asks(&now, PROVE, json!({ "TokenCode": code_of(&secret, code(0)) })).await;
    assert_eq!(again.code, DENIED, "a code is taken once");

    desk.clock.advance(Duration::from_secs(601));
    assert_eq!(asks(&now, READ, json!({})).await.code, DENIED, "the proof is too old");
    let proved = asks(&now, PROVE, json!({ "TokenCode": code_of(&secret, code(0)) })).await;
    assert_eq!(proved.code, "done", "it is proved again: {}", proved.body);
}
