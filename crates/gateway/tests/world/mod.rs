//! An API whose clock stands still, over a data plane that notes what it is told, with users, keys
//! and a device.
#![allow(dead_code)] // each test program uses its own part of this
#![allow(clippy::unwrap_used)] // a test that cannot set its scene has failed

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use towline_gateway::api::{self, Api};
use towline_gateway::plane::Peer;
use towline_gateway::vault::Vault;
use towline_host::clock::Clock;
use towline_ssm::ids::SecretAccessKey;
use towline_ssm::operation::{Operation, Service};
use towline_ssm::sigv4::{Credentials, RequestParts, sha256, sign};
use towline_store::{NewActivation, NewCommand, NewDevice, Store};

use crate::plane_of_notes::PlaneOfNotes;
use crate::still_api::{self, NOW};

pub(crate) const ACCOUNT: &str = "000000000000";
pub(crate) const DEVICE: &str = "mi-0123456789abcdef0";
pub(crate) const SECRET: &str = "a-secret-that-nobody-knows";
pub(crate) const EVERYTHING: &str = r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#;

/// The own account may assume a role.
pub(crate) const TRUST: &str =
    r#"{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}"#;

/// A key, and the token of temporary credentials.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

impl Key {
    /// Of credentials in an answer.
    pub(crate) fn of(answer: &Value) -> Self {
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        Self {
            id: text("AccessKeyId"),
            secret: text("SecretAccessKey"),
            token: Some(text("SessionToken")),
        }
    }
}

pub(crate) struct World {
    pub(crate) routes: Router,
    pub(crate) store: Store,
    pub(crate) vault: Arc<Vault>,
    pub(crate) clock: Clock,
    pub(crate) plane: Arc<PlaneOfNotes>,
    pub(crate) next_source: AtomicU16,
    pub(crate) admin: Key,
    _dir: tempfile::TempDir,
}

impl World {
    /// With `admin`, who may do everything, and a device with the tag Env=prod.
    pub(crate) async fn new() -> Self {
        Self::with(false).await
    }

    /// The same; with `ends`, the removal of rights ends sessions.
    pub(crate) async fn with(ends: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut parts = still_api::parts(dir.path()).await;
        parts.removal_ends_sessions = ends;
        let (store, vault, clock) =
            (parts.store.clone(), Arc::clone(&parts.vault), parts.clock.clone());
        let plane = Arc::new(PlaneOfNotes::new(store.clone()));
        (parts.sessions, parts.commands) = (plane.clone(), plane.clone());
        let api = Arc::new(Api::new(parts).unwrap());
        let routes = api::routes(api);
        let admin = Key { id: String::new(), secret: String::new(), token: None };
        let next_source = AtomicU16::new(1);
        let mut world = Self { routes, store, vault, clock, plane, next_source, admin, _dir: dir };
        world.admin = world.user("admin", &[EVERYTHING]).await;
        let activation =
            NewActivation::for_tests("a", 1, towline_host::clock::UnixMillis(i64::MAX));
        world.store.activations().create(&activation, NOW).await.unwrap();
        let device = NewDevice {
            tags: vec![("Env".into(), "prod".into())],
            ..NewDevice::for_tests(DEVICE, &[1; 44], "a")
        };
        world.store.devices().register(&device, NOW).await.unwrap();
        world
    }

    /// Makes a user with these statements and a key.
    pub(crate) async fn user(&self, name: &str, statements: &[&str]) -> Key {
        let principals = self.store.principals();
        principals.create(name, &[], NOW).await.unwrap();
        let document = policy(statements);
        principals.put_policy(name, "p", &document, NOW).await.unwrap();
        let letters: String = name.to_ascii_uppercase().chars().cycle().take(16).collect();
        let id = format!("AKIA{letters}");
        let sealed = self.vault.seal(&id, SECRET.as_bytes()).unwrap();
        principals.add_key(name, &id, &sealed, NOW).await.unwrap();
        Key { id, secret: SECRET.to_owned(), token: None }
    }

    pub(crate) async fn id_of(&self, name: &str) -> String {
        self.store.principals().get(name).await.unwrap().unwrap().unique_id
    }

    /// The answer to a request; for an error `__type` is its code.
    pub(crate) async fn ask(&self, operation: Operation, key: &Key, body: Value) -> Value {
        let (form, name) = (operation.service() == Service::Sts, operation.name());
        let text = if form { form_of(name, &body) } else { body.to_string() };
        let target = operation.target().unwrap_or_default();
        let content_type =
            if form { "application/x-www-form-urlencoded" } else { "application/x-amz-json-1.1" };
        let mut headers = vec![("host", "gw.test"), ("content-type", content_type)];
        if !form {
            headers.push(("x-amz-target", target.as_str()));
        }
        let secret = SecretAccessKey::new(key.secret.clone());
        let credentials = Credentials {
            access_key: &key.id,
            secret: &secret,
            session_token: key.token.as_deref(),
            region: "xx-towline-1",
            service: operation.service().signing_name(),
        };
        let parts = RequestParts { method: "POST", path: "/", query: "", headers: &headers };
        let seconds = self.clock.now().0 / 1000;
        let added = sign(&parts, &sha256(text.as_bytes()), &credentials, seconds).unwrap();
        let [high, low] = self.next_source.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let peer = SocketAddr::from(([10, 0, high, low], 1));
        let mut request = Request::post("/").extension(Peer(peer));
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        for (name, value) in &added {
            request = request.header(*name, value);
        }
        let request = request.body(Body::from(text)).unwrap();
        let response = self.routes.clone().oneshot(request).await.unwrap();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = std::str::from_utf8(&bytes).unwrap();
        if form { members_of(text) } else { serde_json::from_str(text).unwrap() }
    }

    /// The same, of which no error is expected.
    pub(crate) async fn done(&self, operation: Operation, key: &Key, body: Value) -> Value {
        let answer = self.ask(operation, key, body).await;
        assert_eq!(answer["__type"], Value::Null, "{}: {answer}", operation.name());
        answer
    }

    /// The same, which is to be refused.
    pub(crate) async fn denied(&self, operation: Operation, key: &Key, body: Value) {
        let answer = self.ask(operation, key, body).await;
        let code = answer["__type"].as_str().unwrap_or("done");
        assert!(code.starts_with("AccessDenied"), "{}: {answer}", operation.name());
    }

    /// A command of this person that has not ended.
    pub(crate) async fn open_command(&self, id: &str, person: &str) {
        self.open_command_by(id, person, "").await;
    }

    /// The same, sent under this ARN.
    pub(crate) async fn open_command_by(&self, id: &str, person: &str, arn: &str) {
        let (person_id, principal_arn) = (person.to_owned(), arn.to_owned());
        let new = NewCommand { person_id, principal_arn, ..NewCommand::for_tests(id, NOW) };
        let to = [DEVICE.to_owned()];
        self.store.run_commands().insert(&new, &to, |_| "[]").await.unwrap();
    }
}

pub(crate) fn policy(statements: &[&str]) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","))
}

pub(crate) fn deny(action: &str, condition: &str) -> String {
    format!(r#"{{"Effect":"Deny","Action":"{action}","Resource":"*","Condition":{condition}}}"#)
}

pub(crate) fn form_of(name: &str, fields: &Value) -> String {
    let mut form = format!("Action={name}&Version=2011-06-15");
    for (name, value) in fields.as_object().unwrap() {
        let value = value.as_str().unwrap().replace(':', "%3A").replace('/', "%2F");
        form.push_str(&format!("&{name}={value}"));
    }
    form
}

/// The members of an answer of STS that these tests look at.
pub(crate) fn members_of(xml: &str) -> Value {
    let member = |name: &str| {
        let (_, rest) = xml.split_once(&format!("<{name}>"))?;
        Some(rest.split_once('<')?.0.to_owned())
    };
    let mut found = json!({});
    for name in ["AccessKeyId", "SecretAccessKey", "SessionToken", "Arn"] {
        found[name] = json!(member(name));
    }
    found["__type"] = json!(member("Code"));
    found
}
