//! Signed requests against the clock: skew, replay, and sources that fail too often. Time is moved
//! by hand.
#![allow(clippy::unwrap_used)] // also outside of the test functions: all of this is a test

mod still_api;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use futures_util::stream;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::sync::Notify;
use tower::ServiceExt as _;
use towline_gateway::api::{self, Api};
use towline_gateway::limits;
use towline_gateway::metrics::Metrics;
use towline_gateway::plane::Peer;
use towline_host::clock::Clock;
use towline_ssm::ids::SecretAccessKey;
use towline_ssm::sigv4::{ALLOWED_SKEW_SECS, Credentials, RequestParts, sha256, sign};

const KEY: &str = "AKIAAAAAAAAAAAAAAAAA";
const SECRET: &str = "a-secret-that-nobody-knows";
const READ: (&str, &str) = ("AmazonSSM.DescribeSessions", r#"{"State":"Active"}"#);
const WRITE: (&str, &str) = ("AmazonSSM.CreateActivation", r#"{"IamRole":"x"}"#);
const HERE: &str = "192.0.2.1:1000";
const SKEW: Duration = Duration::from_secs(ALLOWED_SKEW_SECS as u64);
const MINUTE: Duration = Duration::from_secs(60);

/// An API whose clock stands still, with one administrator.
struct Desk {
    routes: Router,
    clock: Clock,
    metrics: Arc<Metrics>,
    _dir: tempfile::TempDir,
}

impl Desk {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let parts = still_api::parts(dir.path()).await;
        let (clock, metrics) = (parts.clock.clone(), Arc::clone(&parts.metrics));
        let principals = parts.store.principals();
        principals.create("admin", &[], clock.now()).await.unwrap();
        let everything = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
        principals.put_policy("admin", "p", everything, clock.now()).await.unwrap();
        let sealed = parts.vault.seal(KEY, SECRET.as_bytes()).unwrap();
        principals.add_key("admin", KEY, &sealed, clock.now()).await.unwrap();
        Self { routes: api::routes(Arc::new(Api::new(parts).unwrap())), clock, metrics, _dir: dir }
    }

    /// A request signed now, to be sent when and as often as the test likes.
    fn signed(&self, (target, body): (&str, &str), secret: &str) -> Vec<(String, String)> {
        let headers = [
            ("host", "gw.test"),
            ("x-amz-target", target),
            ("content-type", "application/x-amz-json-1.1"),
        ];
        self.signed_as(&headers, body, "ssm", (KEY, secret, None))
    }

    /// The same with any headers, for any service, by access key, secret and session token.
    fn signed_as(
        &self,
        headers: &[(&str, &str)],
        body: &str,
        service: &str,
        (access_key, secret, session_token): (&str, &str, Option<&str>),
    ) -> Vec<(String, String)> {
        let parts = RequestParts { method: "POST", path: "/", query: "", headers };
        let secret = SecretAccessKey::new(secret.into());
        let credentials = Credentials {
            access_key,
            secret: &secret,
            session_token,
            region: "xx-towline-1",
            service,
        };
        let added = sign(&parts, &sha256(body.as_bytes()), &credentials, self.clock.now().0 / 1000)
            .unwrap();
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        headers.chain(added.into_iter().map(|(name, value)| (name.to_owned(), value))).collect()
    }

    /// The error code of the answer, or "done".
    async fn send(&self, headers: &[(String, String)], body: &str, from: &str) -> String {
        self.send_body(headers, Body::from(body.to_owned()), from).await
    }

    async fn send_body(&self, headers: &[(String, String)], body: Body, from: &str) -> String {
        let bytes = self.ask(headers, body, from).await;
        let answer: Value = serde_json::from_slice(&bytes).unwrap();
        answer["__type"].as_str().unwrap_or("done").to_owned()
    }

    /// Temporary credentials of the administrator, for so many seconds.
    async fn temporary(&self, seconds: u32) -> (String, String, String) {
        let body = format!("Action=GetSessionToken&Version=2011-06-15&DurationSeconds={seconds}");
        let headers = [("host", "gw.test"), ("content-type", "application/x-www-form-urlencoded")];
        let request = self.signed_as(&headers, &body, "sts", (KEY, SECRET, None));
        let answer = self.ask(&request, Body::from(body), HERE).await;
        let answer = String::from_utf8(answer.to_vec()).unwrap();
        let part = |name: &str| {
            let (_, rest) = answer.split_once(&format!("<{name}>")).unwrap();
            rest.split_once('<').unwrap().0.to_owned()
        };
        (part("AccessKeyId"), part("SecretAccessKey"), part("SessionToken"))
    }

    async fn ask(&self, headers: &[(String, String)], body: Body, from: &str) -> bytes::Bytes {
        let mut request = Request::post("/").extension(Peer(from.parse::<SocketAddr>().unwrap()));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let response = self.routes.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        response.into_body().collect().await.unwrap().to_bytes()
    }
}

#[tokio::test]
async fn a_session_token_holds_to_its_last_second_and_is_expired_then() {
    let desk = Desk::open().await;
    let (key, secret, token) = desk.temporary(900).await;
    let signed = |token: &str| {
        let headers = [
            ("host", "gw.test"),
            ("x-amz-target", READ.0),
            ("content-type", "application/x-amz-json-1.1"),
        ];
        desk.signed_as(&headers, READ.1, "ssm", (&key, &secret, Some(token)))
    };
    assert_eq!(desk.send(&signed(&token), READ.1, HERE).await, "done");
    desk.clock.advance(MINUTE * 15 - Duration::from_secs(1));
    assert_eq!(desk.send(&signed(&token), READ.1, HERE).await, "done");
    desk.clock.advance(Duration::from_secs(1));
    assert_eq!(desk.send(&signed(&token), READ.1, HERE).await, "ExpiredTokenException");
    // Another token of the same key, or one that was changed, is no token at all.
    let changed: String = token.chars().rev().collect();
    assert_eq!(desk.send(&signed(&changed), READ.1, HERE).await, "UnrecognizedClientException");
}

#[tokio::test]
async fn a_signature_holds_for_the_allowed_skew_and_not_a_second_longer() {
    let desk = Desk::open().await;
    let request = desk.signed(READ, SECRET);
    desk.clock.advance(SKEW);
    assert_eq!(desk.send(&request, READ.1, HERE).await, "done");
    desk.clock.advance(Duration::from_secs(1));
    assert_eq!(desk.send(&request, READ.1, HERE).await, "InvalidSignatureException");
}

#[tokio::test]
async fn a_captured_request_that_changes_something_cannot_be_sent_again() {
    let desk = Desk::open().await;
    let request = desk.signed(WRITE, SECRET);
    assert_eq!(desk.send(&request, WRITE.1, HERE).await, "done");
    assert_eq!(
        desk.send(&request, WRITE.1, HERE).await,
        "done",
        "the same second: a script that means it twice"
    );
    desk.clock.advance(MINUTE);
    assert_eq!(desk.send(&request, WRITE.1, HERE).await, "InvalidSignatureException");
    assert_eq!(desk.send(&desk.signed(WRITE, SECRET), WRITE.1, HERE).await, "done", "signed anew");
}

#[tokio::test]
async fn a_signature_is_for_its_own_body() {
    let desk = Desk::open().await;
    let request = desk.signed(WRITE, SECRET);
    assert_eq!(desk.send(&request, r#"{"IamRole":"y"}"#, HERE).await, "InvalidSignatureException");
}

#[tokio::test]
async fn a_source_that_fails_too_often_gets_no_reason_and_a_right_signature_passes() {
    let desk = Desk::open().await;
    let (good, bad) = (desk.signed(READ, SECRET), desk.signed(READ, "a-guess"));
    for _ in 0..limits::MAX_FAILURES {
        assert_eq!(desk.send(&bad, READ.1, HERE).await, "InvalidSignatureException");
    }
    assert_eq!(desk.send(&bad, READ.1, HERE).await, "ThrottlingException");
    assert_eq!(desk.metrics.throttled.get(), 1);
    assert_eq!(desk.send(&good, READ.1, HERE).await, "done", "an office shares its address");
    assert_eq!(desk.send(&bad, READ.1, "192.0.2.2:1000").await, "InvalidSignatureException");
    desk.clock.advance(limits::FAILURE_WINDOW);
    assert_eq!(desk.send(&bad, READ.1, HERE).await, "InvalidSignatureException");
}

#[tokio::test]
async fn every_failure_before_authentication_counts() {
    let old = Desk::open().await;
    let (expired, length) = (old.signed(READ, SECRET), limits::MAX_BODY + 1);
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let unsigned = vec![header("host", "gw.test"), header("x-amz-target", READ.0)];
    let no_operation = vec![header("host", "gw.test"), header("x-amz-target", "AmazonSSM.X")];
    let mut too_large = old.signed(READ, SECRET);
    too_large.push(header("content-length", &length.to_string()));
    let changed = old.signed(WRITE, "a-guess");
    let mut of_nobody = old.signed(READ, SECRET);
    for (_, value) in &mut of_nobody {
        *value = value.replace(KEY, "AKIAAAAAAAAAAAAAAAAA");
    }
    for request in [expired, unsigned, no_operation, too_large, changed, of_nobody] {
        let desk = Desk::open().await;
        desk.clock.advance(if request == old.signed(READ, SECRET) { SKEW * 2 } else { SKEW });
        for _ in 0..limits::MAX_FAILURES {
            let answer = desk.send(&request, READ.1, HERE).await;
            assert!(answer != "done" && answer != "ThrottlingException", "{answer}: {request:?}");
        }
        assert_eq!(desk.send(&request, READ.1, HERE).await, "ThrottlingException", "{request:?}");
        assert_eq!(desk.send(&desk.signed(READ, SECRET), READ.1, HERE).await, "done");
    }
}

#[tokio::test]
async fn what_is_proven_to_be_a_users_is_never_throttled_as_a_strangers() {
    let desk = Desk::open().await;
    let unknown = ("AmazonSSM.NoSuchOperation", "{}");
    for _ in 0..limits::MAX_FAILURES * 2 {
        let request = desk.signed(unknown, SECRET);
        assert_eq!(desk.send(&request, unknown.1, HERE).await, "UnknownOperationException");
    }
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_answered_in_time() {
    let desk = Desk::open().await;
    let asked = Arc::new(Notify::new());
    let never = stream::poll_fn({
        let asked = Arc::clone(&asked);
        move |_| -> Poll<Option<Result<bytes::Bytes, std::io::Error>>> {
            asked.notify_one();
            Poll::Pending
        }
    });
    let request = desk.signed(READ, SECRET);
    let mut answer = pin!(desk.send_body(&request, Body::from_stream(never), HERE));
    // The request waits for its body before time moves: the store must not run out of time.
    tokio::select! {
        answer = &mut answer => panic!("{answer}"),
        () = asked.notified() => {}
    }
    tokio::time::pause();
    tokio::time::advance(limits::BODY_TIMEOUT).await;
    tokio::time::resume();
    let answer = tokio::time::timeout(MINUTE, answer).await;
    assert_eq!(answer.as_deref(), Ok("SerializationException"));
}
