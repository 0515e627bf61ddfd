//! The access matrix: every operation, asked without a key, with a wrong key, with the right key
//! without the right, with the right on another tag, and with the right.
//!
//! The rows are one `match` over [`Operation`] without a `_` arm: an operation without a row does
//! not compile.
#![allow(clippy::unwrap_used)] // also outside of the test functions: all of this is a test

mod malformed;
mod still_api;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use towline_gateway::api::{self, Api, SignInSettings};
use towline_gateway::origins::Origins;
use towline_gateway::plane::Peer;
use towline_gateway::vault::Vault;
use towline_host::clock::UnixMillis;
use towline_ssm::api::sts::error_from_xml;
use towline_ssm::error::ErrorCode;
use towline_ssm::ids::SecretAccessKey;
use towline_ssm::operation::{Operation, ResourceKind, Service};
use towline_ssm::sigv4::{Credentials, RequestParts, sha256, sign};
use towline_store::{
    AccessRequest, DocumentText, NewActivation, NewDevice, NewDocument, NewSession, Role, Store,
    Terms,
};

use still_api::NOW;

const KEY: &str = "AKIAAAAAAAAAAAAAAAAA";
const OTHER_KEY: &str = "AKIABBBBBBBBBBBBBBBB";
const SECRET: &str = "a-secret-that-nobody-knows";
const REGION: &str = "xx-towline-1";
const ACCOUNT: &str = "000000000000";
const DEVICE: &str = "mi-0123456789abcdef0";
const SESSION: &str = "ann-00000000000000001";
const ACTIVATION: &str = "01234567-89ab-cdef-0123-456789abcdef";
const REQUEST: &str = "oi-0123456789ab";
const POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ssm:*","Resource":"*"}]}"#;
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}]}"#;
const DOCUMENT: &str = r#"{"schemaVersion":"1.0","sessionType":"Standard_Stream"}"#;

/// How an operation is asked, and what a permitted caller gets.
struct Row {
    /// A JSON object, or for STS the fields of a form.
    body: Value,
    /// Whether the thing it is about is there with the tag Environment=dev; else it has no tags to
    /// be permitted by.
    tagged: bool,
    /// What comes of it with the right: `done`, or the code of what is missing in this small world.
    right: &'static str,
}

fn row(body: Value, tagged: bool, right: &'static str) -> Row {
    Row { body, tagged, right }
}

/// One row for each operation.
#[allow(clippy::too_many_lines)] // one line each
fn row_of(operation: Operation) -> Row {
    const TAGGED: bool = true;
    const PLAIN: bool = false;
    let device = || json!({ "InstanceId": DEVICE });
    let target = || json!({ "Target": DEVICE });
    let tags = || json!([{ "Key": "Site", "Value": "a" }]);
    let on_device = |more: Value| {
        merged(json!({ "ResourceType": "ManagedInstance", "ResourceId": DEVICE }), more)
    };
    let user = |more: Value| merged(json!({ "PrincipalName": "target" }), more);
    let policy = || json!({ "PolicyName": "p" });
    let document = |more: Value| merged(json!({ "Name": "Target-Doc" }), more);
    match operation {
        Operation::StartSession => row(target(), TAGGED, "TargetNotConnected"),
        Operation::ResumeSession | Operation::TerminateSession => {
            row(json!({ "SessionId": SESSION }), PLAIN, "done")
        }
        Operation::DescribeSessions => row(json!({ "State": "Active" }), PLAIN, "done"),
        Operation::GetConnectionStatus => row(target(), TAGGED, "done"),
        Operation::DescribeInstanceInformation
        | Operation::SearchDevices
        | Operation::DescribeActivations
        | Operation::ListPrincipals
        | Operation::LookupEvents
        | Operation::ListDocuments
        | Operation::GetInventory
        | Operation::GetHealth
        | Operation::ListCommands
        | Operation::ListCommandInvocations
        | Operation::ListWebhooks
        | Operation::ListAccessRequests => row(json!({}), PLAIN, "done"),
        // A user's own second factor alone; and the target has none.
        Operation::CreateSecondFactor => row(user(json!({})), TAGGED, "ValidationException"),
        Operation::EnableSecondFactor => {
            row(user(json!({ "TokenCode": "123456" })), TAGGED, "ValidationException")
        }
        Operation::DeleteSecondFactor => row(user(json!({})), TAGGED, "ResourceNotFoundException"),
        Operation::CreateWebhook => {
            let url = "https://hooks.example/secret";
            row(json!({ "WebhookName": "target", "Url": url }), PLAIN, "done")
        }
        Operation::DeleteWebhook | Operation::ListDeadLetters | Operation::ResendDeadLetters => {
            row(json!({ "WebhookName": "target" }), PLAIN, "ResourceNotFoundException")
        }
        // Both document and device must be allowed; the one document here that has a tag is not one
        // of commands.
        Operation::SendCommand => row(
            json!({ "DocumentName": "Target-Doc", "InstanceIds": [DEVICE] }),
            TAGGED,
            "InvalidDocument",
        ),
        Operation::GetCommandInvocation => row(
            json!({ "CommandId": ACTIVATION, "InstanceId": DEVICE }),
            TAGGED,
            "InvocationDoesNotExist",
        ),
        Operation::GetCommandOutput => row(
            json!({ "CommandId": ACTIVATION, "InstanceId": DEVICE }),
            TAGGED,
            "InvocationDoesNotExist",
        ),
        Operation::CancelCommand => {
            row(json!({ "CommandId": ACTIVATION }), PLAIN, "InvalidCommandId")
        }
        Operation::CreateActivation => row(json!({ "IamRole": "x" }), PLAIN, "done"),
        Operation::DeleteActivation => row(json!({ "ActivationId": ACTIVATION }), PLAIN, "done"),
        Operation::AddTagsToResource => row(on_device(json!({ "Tags": tags() })), TAGGED, "done"),
        Operation::RemoveTagsFromResource => {
            row(on_device(json!({ "TagKeys": ["Site"] })), TAGGED, "done")
        }
        Operation::ListTagsForResource => row(on_device(json!({})), TAGGED, "done"),
        Operation::DeregisterManagedInstance
        | Operation::RevokeDeviceKey
        | Operation::ListDeviceKeys
        | Operation::ApproveDevice
        | Operation::ListDeviceAccess => row(device(), TAGGED, "done"),
        Operation::RenameDevice => {
            row(json!({"InstanceId": DEVICE, "Name": "renamed"}), TAGGED, "done")
        }
        Operation::RotateDeviceKey => row(device(), TAGGED, "TargetNotConnected"),
        Operation::GetSignIn | Operation::DeleteSignIn | Operation::RedeemSignInLink => {
            row(json!({}), PLAIN, "ValidationException") // proved by a cookie, or by a link
        }
        Operation::ProveSecondFactor => {
            row(json!({ "TokenCode": "123456" }), PLAIN, "ValidationException")
        }
        Operation::GetSignInRequest => {
            row(json!({ "UserCode": "BCDF-GHJK" }), PLAIN, "ValidationException")
        }
        Operation::DecideSignInRequest => row(
            json!({ "UserCode": "BCDF-GHJK", "Decision": "Approve" }),
            PLAIN,
            "ValidationException",
        ),
        Operation::CreateSignIn | Operation::GetCallerIdentity | Operation::GetSessionToken => {
            row(json!({}), PLAIN, "done")
        }
        Operation::AssumeRole => {
            let arn = format!("arn:aws:iam::{ACCOUNT}:role/target");
            row(json!({ "RoleArn": arn, "RoleSessionName": "shift" }), TAGGED, "done")
        }
        Operation::AssumeRoleWithWebIdentity => {
            row(json!({}), PLAIN, "ValidationError") // proved by its token alone
        }
        Operation::CreateIdentityProvider => row(
            json!({ "ProviderName": "fresh", "Issuer": "https://id.example", "Audiences": ["a"] }),
            PLAIN,
            "done",
        ),
        Operation::ListIdentityProviders => row(json!({}), PLAIN, "done"),
        Operation::GetIdentityProvider
        | Operation::DeleteIdentityProvider
        | Operation::ListFederatedPeople => {
            row(json!({ "ProviderName": "none" }), PLAIN, "ResourceNotFoundException")
        }
        Operation::UpdateIdentityProvider => row(
            json!({ "ProviderName": "none", "Audiences": ["a"] }),
            PLAIN,
            "ResourceNotFoundException",
        ),
        Operation::UpdateIdentityProviderStatus => row(
            json!({ "ProviderName": "none", "Status": "Disabled" }),
            PLAIN,
            "ResourceNotFoundException",
        ),
        Operation::UpdateFederatedPerson => row(
            json!({ "ProviderName": "none", "Subject": "ann", "Status": "Blocked" }),
            PLAIN,
            "ResourceNotFoundException",
        ),
        Operation::CreatePrincipal => row(json!({ "PrincipalName": "fresh" }), PLAIN, "done"),
        Operation::DeletePrincipal
        | Operation::CreateAccessKey
        | Operation::ListAccessKeys
        | Operation::ListPrincipalPolicies
        | Operation::GetPrincipalBoundary
        | Operation::DeletePrincipalBoundary => row(user(json!({})), TAGGED, "done"),
        Operation::UpdateAccessKey => {
            row(user(json!({ "AccessKeyId": OTHER_KEY, "Status": "Inactive" })), TAGGED, "done")
        }
        Operation::DeleteAccessKey => {
            row(user(json!({ "AccessKeyId": OTHER_KEY })), TAGGED, "done")
        }
        Operation::PutPrincipalPolicy => {
            row(user(merged(policy(), json!({ "PolicyDocument": POLICY }))), TAGGED, "done")
        }
        Operation::GetPrincipalPolicy | Operation::DeletePrincipalPolicy => {
            row(user(policy()), TAGGED, "done")
        }
        Operation::PutPrincipalBoundary => {
            row(user(json!({ "PolicyDocument": POLICY })), TAGGED, "done")
        }
        Operation::UpdateRole => row(user(json!({ "MaxSessionDuration": 7200 })), TAGGED, "done"),
        Operation::AddGroupMember => row(user(json!({ "GroupName": "target" })), TAGGED, "done"),
        Operation::RemoveGroupMember => {
            row(user(json!({ "GroupName": "target" })), TAGGED, "ResourceNotFoundException")
        }
        Operation::ListSessionCommands => row(json!({ "SessionId": SESSION }), PLAIN, "done"),
        // ann's own: taken up by ResumeSession.
        Operation::JoinSession => {
            row(json!({ "SessionId": SESSION }), TAGGED, "ValidationException")
        }
        Operation::SendSessionMessage => {
            let message = json!({ "SessionId": SESSION, "Message": "hello" });
            row(message, TAGGED, "DoesNotExistException")
        }
        Operation::WatchSession => {
            row(json!({ "SessionId": SESSION }), TAGGED, "DoesNotExistException")
        }
        Operation::SearchSessionCommands => row(json!({ "Query": "ls" }), PLAIN, "done"),
        Operation::GetRecording | Operation::GetRecordingIndex | Operation::VerifyRecording => {
            row(json!({ "SessionId": SESSION }), PLAIN, "DoesNotExistException")
        }
        Operation::CreateDocument => row(
            json!({ "Name": "Fresh-Doc", "DocumentType": "Session", "Content": DOCUMENT }),
            PLAIN,
            "done",
        ),
        Operation::UpdateDocument => row(
            document(json!({ "Content": DOCUMENT.replace("1.0", "1.0\",\"description\":\"2") })),
            TAGGED,
            "done",
        ),
        Operation::UpdateDocumentDefaultVersion => {
            row(document(json!({ "DocumentVersion": "1" })), TAGGED, "done")
        }
        Operation::GetDocument
        | Operation::DescribeDocument
        | Operation::ListDocumentVersions
        | Operation::DeleteDocument => row(document(json!({})), TAGGED, "done"),
        Operation::DescribeDocumentPermission => {
            row(document(json!({ "PermissionType": "Share" })), TAGGED, "done")
        }
        Operation::StartAccessRequest => {
            let targets = json!([{ "Key": "InstanceIds", "Values": [DEVICE] }]);
            row(json!({ "Reason": "r", "Targets": targets }), TAGGED, "done")
        }
        Operation::BreakGlass => {
            let targets = json!([{ "Key": "InstanceIds", "Values": [DEVICE] }]);
            row(json!({ "Reason": "r", "Targets": targets }), TAGGED, "done")
        }
        Operation::GetAccessToken => {
            row(json!({ "AccessRequestId": REQUEST }), TAGGED, "ResourceNotFoundException")
        }
        Operation::ApproveAccessRequest => {
            row(json!({ "AccessRequestId": REQUEST }), TAGGED, "done")
        }
        Operation::ExplainAccess => row(
            json!({ "Principal": "target", "Action": "ssm:StartSession", "Resource": DEVICE }),
            PLAIN,
            "done",
        ),
    }
}

fn merged(mut base: Value, more: Value) -> Value {
    if let (Value::Object(base), Value::Object(more)) = (&mut base, more) {
        base.extend(more);
    }
    base
}

/// A store with one of everything, tagged Environment=dev; and `ann`, who may do nothing yet. Each
/// [`World`] begins with a copy of it, which costs less than the steps of its schema.
struct Template {
    dir: tempfile::TempDir,
}

impl Template {
    const FILE: &str = "template.db";

    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let parts = still_api::parts(dir.path()).await;
        populate(&parts.store, &parts.vault).await;
        parts.store.snapshot(&dir.path().join(Self::FILE)).await.unwrap();
        Self { dir }
    }

    async fn world(&self) -> World {
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(self.dir.path().join(Self::FILE), dir.path().join(still_api::STORE)).unwrap();
        let mut parts = still_api::parts(dir.path()).await;
        parts.sign_in = SignInSettings {
            gateway_id: "gw".into(),
            origins: Origins::default(),
            idle: Duration::from_secs(60),
            max: Duration::from_secs(600),
        };
        let store = parts.store.clone();
        let routes = api::routes(Arc::new(Api::new(parts).unwrap()));
        World { routes, store, next_source: AtomicU16::new(1), _dir: dir }
    }
}

/// An API whose clock stands still, over a copy of the [`Template`].
struct World {
    routes: Router,
    store: Store,
    next_source: AtomicU16,
    _dir: tempfile::TempDir,
}

impl World {
    /// Lets `ann` do this operation, under a condition or none. The store is written behind the
    /// API, before its first request.
    async fn permit(&self, operation: Operation, condition: Option<Value>) {
        let mut statement =
            json!({ "Effect": "Allow", "Action": operation.iam_action(), "Resource": "*" });
        if let Some(condition) = condition {
            statement["Condition"] = condition;
        }
        let document = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
        self.store.principals().put_policy("ann", "p", &document, NOW).await.unwrap();
    }

    /// The error code of the answer, or `done`. `secret`: `None` does not sign.
    async fn ask(
        &self,
        operation: Operation,
        body: &Value,
        key: &str,
        secret: Option<&str>,
    ) -> String {
        let form = operation.service() == Service::Sts;
        let content_type =
            if form { "application/x-www-form-urlencoded" } else { "application/x-amz-json-1.1" };
        let text = if form { form_of(operation, body) } else { body.to_string() };
        let target = operation.target().unwrap_or_default();
        let mut headers = vec![("host", "gw.test"), ("content-type", content_type)];
        if !form {
            headers.push(("x-amz-target", target.as_str()));
        }
        let mut all: Vec<(String, String)> =
            headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        if let Some(secret) = secret {
            let secret = SecretAccessKey::new(secret.to_owned());
            let parts = RequestParts { method: "POST", path: "/", query: "", headers: &headers };
            let service = operation.service().signing_name();
            let credentials = Credentials {
                access_key: key,
                secret: &secret,
                session_token: None,
                region: REGION,
                service,
            };
            let added = sign(&parts, &sha256(text.as_bytes()), &credentials, NOW.0 / 1000).unwrap();
            all.extend(added.into_iter().map(|(name, value)| (name.to_owned(), value)));
        }
        // Each from an address of its own: it is not the throttle that is asked here.
        let [high, low] = self.next_source.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let peer = SocketAddr::from(([10, 0, high, low], 1));
        let mut request = Request::post("/").extension(Peer(peer));
        for (name, value) in all {
            request = request.header(name, value);
        }
        let response =
            self.routes.clone().oneshot(request.body(Body::from(text)).unwrap()).await.unwrap();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        if form {
            return error_from_xml(std::str::from_utf8(&bytes).unwrap())
                .map_or("done".into(), |refused| refused.code);
        }
        let answer: Value = serde_json::from_slice(&bytes).unwrap();
        answer["__type"].as_str().unwrap_or("done").to_owned()
    }
}

fn form_of(operation: Operation, fields: &Value) -> String {
    let mut form = format!("Action={}&Version=2011-06-15", operation.name());
    for (name, value) in fields.as_object().unwrap() {
        let value = value.as_str().unwrap().replace(':', "%3A").replace('/', "%2F");
        form.push_str(&format!("&{name}={value}"));
    }
    form
}

async fn populate(store: &Store, vault: &Vault) {
    let dev = [("Environment".to_owned(), "dev".to_owned())];
    let principals = store.principals();
    principals.create("ann", &[], NOW).await.unwrap();
    principals
        .add_key("ann", KEY, &vault.seal(KEY, SECRET.as_bytes()).unwrap(), NOW)
        .await
        .unwrap();
    for name in ["target", "group/target"] {
        principals.create(name, &dev, NOW).await.unwrap();
    }
    principals
        .add_key("target", OTHER_KEY, &vault.seal(OTHER_KEY, b"x").unwrap(), NOW)
        .await
        .unwrap();
    principals.put_policy("target", "p", POLICY, NOW).await.unwrap();
    let mut change = store.change().await.unwrap();
    change.set_boundary("target", POLICY).await.unwrap();
    change.commit().await.unwrap();
    let role =
        Role { unique_id: "AROAAAAAAAAAAAAAAAAA".into(), trust: TRUST.into(), max_seconds: 3600 };
    store.roles().create("role/target", &role, &dev, NOW).await.unwrap();
    let text = DocumentText {
        format: "JSON".into(),
        content: DOCUMENT.into(),
        hash: "0".into(),
        schema_version: "1.0".into(),
        ..DocumentText::default()
    };
    let document = NewDocument {
        name: "Target-Doc".into(),
        kind: "Session".into(),
        text,
        ..NewDocument::default()
    };
    store.documents().create(&document, &dev, NOW).await.unwrap();
    things_of_devices(store, &dev).await;
    let request = AccessRequest {
        id: REQUEST.into(),
        principal: "target".into(),
        principal_id: principals.get("target").await.unwrap().unwrap().unique_id,
        principal_arn: format!("arn:aws:iam::{ACCOUNT}:user/target"),
        reason: "r".into(),
        targets: "[]".into(),
        tags: serde_json::to_string(&BTreeMap::from(dev)).unwrap(),
        status: "Pending".into(),
        decided_by: String::new(),
        created_at: NOW,
        expires_at: UnixMillis(i64::MAX),
        terms: Terms::default(),
        minutes: 0,
    };
    store.access_requests().create(&request, None, NOW).await.unwrap();
}

async fn things_of_devices(store: &Store, dev: &[(String, String)]) {
    let activation = NewActivation::for_tests(ACTIVATION, 1, UnixMillis(i64::MAX));
    store.activations().create(&activation, NOW).await.unwrap();
    let device = NewDevice {
        name: "box".into(),
        tags: dev.to_vec(),
        ..NewDevice::for_tests(DEVICE, &[1; 44], ACTIVATION)
    };
    store.devices().register(&device, NOW).await.unwrap();
    let ann = store.principals().get("ann").await.unwrap().unwrap().unique_id;
    let session = NewSession {
        id: SESSION.into(),
        device_id: DEVICE.into(),
        principal_arn: format!("arn:aws:iam::{ACCOUNT}:user/ann"),
        principal_name: "ann".into(),
        principal_id: ann.clone(),
        person_id: ann,
        document: "SSM-SessionManagerRunShell".into(),
        reason: String::new(),
        run_as: String::new(),
        source_ip: String::new(),
        just_in_time: false,
        access_request: String::new(),
        session_type: String::new(),
        output_url: String::new(),
        input_recorded: false,
        idle: std::time::Duration::from_secs(60),
        max: None,
        start_facts: String::new(),
    };
    store.sessions().insert(&session, NOW).await.unwrap();
}

/// The code as this operation's clients see it.
fn code(operation: Operation, code: ErrorCode) -> String {
    if operation.service() == Service::Sts { code.query_str() } else { code.as_str() }.to_owned()
}

fn environment(value: &str) -> Option<Value> {
    Some(json!({ "StringEquals": { "aws:ResourceTag/Environment": value } }))
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_without_a_proven_key_gets_anything() {
    let world = Template::new().await.world().await;
    for operation in Operation::ALL.iter().copied() {
        let body = row_of(operation).body;
        let name = operation.name();
        world.permit(operation, None).await;
        let missing = code(operation, ErrorCode::MissingAuthenticationTokenException);
        assert_eq!(world.ask(operation, &body, KEY, None).await, missing, "{name} without a key");
        let wrong = code(operation, ErrorCode::InvalidSignatureException);
        assert_eq!(
            world.ask(operation, &body, KEY, Some("a guess")).await,
            wrong,
            "{name} with a wrong secret"
        );
        let unknown = code(operation, ErrorCode::UnrecognizedClientException);
        let stranger = world.ask(operation, &body, "AKIACCCCCCCCCCCCCCCC", Some(SECRET)).await;
        assert_eq!(stranger, unknown, "{name} with an unknown key");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proven_key_without_the_right_gets_nothing() {
    let world = Template::new().await.world().await;
    for operation in Operation::ALL.iter().copied() {
        let open = operation.resource_kind() == ResourceKind::None;
        let denied = if open {
            row_of(operation).right.to_owned()
        } else {
            code(operation, ErrorCode::AccessDeniedException)
        };
        let answer = world.ask(operation, &row_of(operation).body, KEY, Some(SECRET)).await;
        assert_eq!(answer, denied, "{}", operation.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_on_another_tag_is_none_and_a_right_is_enough() {
    let template = Template::new().await;
    for operation in Operation::ALL.iter().copied() {
        let Row { body, tagged, right } = row_of(operation);
        let name = operation.name();
        let open = operation.resource_kind() == ResourceKind::None;
        let denied = if open {
            row_of(operation).right.to_owned()
        } else {
            code(operation, ErrorCode::AccessDeniedException)
        };
        let world = template.world().await;
        world.permit(operation, environment("prod")).await;
        assert_eq!(
            world.ask(operation, &body, KEY, Some(SECRET)).await,
            denied,
            "{name} with a right on another tag"
        );
        let world = template.world().await;
        world.permit(operation, tagged.then(|| environment("dev")).flatten()).await;
        assert_eq!(
            world.ask(operation, &body, KEY, Some(SECRET)).await,
            right,
            "{name} with the right"
        );
    }
}
