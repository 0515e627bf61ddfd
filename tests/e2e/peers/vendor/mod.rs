//! amazon-ssm-agent, played by a test: registration, keys, health, control channel and sessions, in
//! the order and the form in which the real one was seen to do it.
//!
//! Data flow: [`VendorAgent::register`] -> [`VendorAgent::start`] (keys, health, control channel)
//! -> a thread for each session ([`session`]), over the numbered stream of [`stream`].
//!
//! # Not here
//! - Nothing of the product's own halves of the channel: only the frames' layout is shared. The
//!   signatures are made by [`signing`].

pub(crate) mod control;
pub(crate) mod job;
pub(crate) mod port;
pub(crate) mod session;
pub(crate) mod signing;
pub(crate) mod stream;

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ring::signature::RsaKeyPair;
use serde_json::{Value, json};
use towline_ssm::message::MessageId;
use towline_testkit::https::{self, Answer};
use towline_testkit::lab::{Activation, Lab};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble};
use tungstenite::WebSocket;
use tungstenite::client::IntoClientRequest;

use signing::{Headers, Signer};

/// Private keys of the peers, in PKCS#8.
pub(crate) const KEYS: [&[u8]; 2] = [
    include_bytes!("../../../../crates/testkit/data/device-rsa-1.pk8"),
    include_bytes!("../../../../crates/testkit/data/device-rsa-2.pk8"),
];
const JSON: &str = "application/x-amz-json-1.1";

/// A websocket of the agent.
pub(crate) type Socket = WebSocket<Connection>;

/// A connection of the agent.
pub(crate) type Connection = rustls::StreamOwned<rustls::ClientConnection, std::net::TcpStream>;

/// The system that an agent runs on, as it names it in health and in the control channel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Platform {
    pub(crate) health: &'static str,
    pub(crate) frame: &'static str,
}

pub(crate) const LINUX: Platform = Platform { health: "Linux", frame: "linux" };
pub(crate) const WINDOWS: Platform = Platform { health: "Windows", frame: "windows" };
pub(crate) const MACOS: Platform = Platform { health: "MacOS", frame: "macos" };

/// Keys that the gateway has issued.
#[derive(Clone, Default)]
pub(crate) struct Issued {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: String,
}

/// What goes wrong on the way to the gateway.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Each message of this number is lost; 0: none.
    pub(crate) lose: AtomicU32,
    /// Each message of this number is sent twice; 0: none.
    pub(crate) double: AtomicU32,
    /// Beside each message of this number go frames that are none, or say what is not so; 0: none.
    pub(crate) false_frames: AtomicU32,
    /// So many jobs are dropped without a word, as by an agent that starts.
    pub(crate) drop_jobs: AtomicU32,
    /// It sends without waiting for acknowledgements, and repeats the oldest message alone, as the
    /// real agent does.
    pub(crate) hurried: AtomicBool,
    /// It leaves without the exit code.
    pub(crate) no_exit_code: AtomicBool,
    /// Input is taken, and never acknowledged.
    pub(crate) no_acknowledgements: AtomicBool,
    /// Terminals begin with a handshake, too, and ignore what comes before it.
    pub(crate) shakes_hands: AtomicBool,
    /// They do so when so many bytes have come.
    pub(crate) ignores: AtomicU32,
    /// Bytes of a message; 0: as many as the real agent's.
    pub(crate) piece: AtomicU32,
    /// The test itself speaks on the data channels of sessions.
    pub(crate) by_hand: AtomicBool,
    /// It opens its control channel again when it was lost, as the real agent does.
    pub(crate) comes_back: AtomicBool,
    /// Seconds by which its clock is wrong.
    pub(crate) clock: AtomicI64,
}

/// One agent.
pub(crate) struct VendorAgent {
    pub(crate) host: String,
    /// Where its data channels go, if elsewhere: a balancer sends each connection where it likes.
    pub(crate) data_host: Mutex<Option<String>>,
    pub(crate) ca: PathBuf,
    pub(crate) region: String,
    pub(crate) platform: Platform,
    pub(crate) fingerprint: String,
    pub(crate) faults: Faults,
    pub(crate) stop: AtomicBool,
    /// Last replies of jobs that were sent.
    pub(crate) replies: AtomicU32,
    /// Ids of last replies, by job.
    pub(crate) last: Mutex<std::collections::HashMap<String, MessageId>>,
    /// Where replies go: the control channel of now.
    up: Mutex<Option<std::sync::mpsc::SyncSender<control::Up>>>,
    pair: Mutex<Arc<RsaKeyPair>>,
    id: Mutex<String>,
    issued: Mutex<Issued>,
    seen: Mutex<Vec<String>>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl VendorAgent {
    /// An agent that nobody knows yet.
    pub(crate) fn new(lab: &Lab, key: &[u8], platform: Platform) -> Outcome<Arc<Self>> {
        Self::at(lab, &lab.gateway.address().to_string(), key, platform)
    }

    /// The same, that reaches the gateway at this address.
    pub(crate) fn at(lab: &Lab, host: &str, key: &[u8], platform: Platform) -> Outcome<Arc<Self>> {
        let pair = RsaKeyPair::from_pkcs8(key).map_err(|e| Trouble::new(e.to_string()))?;
        Ok(Arc::new(Self {
            host: host.to_owned(),
            data_host: Mutex::default(),
            ca: lab.gateway.ca().to_owned(),
            region: lab.gateway.region().to_owned(),
            platform,
            fingerprint: format!("f0000000-0000-4000-8000-{:012}", key[100]),
            faults: Faults::default(),
            stop: AtomicBool::new(false),
            replies: AtomicU32::new(0),
            last: Mutex::default(),
            up: Mutex::default(),
            pair: Mutex::new(Arc::new(pair)),
            id: Mutex::default(),
            issued: Mutex::default(),
            seen: Mutex::default(),
        }))
    }

    /// An agent that is registered and connected.
    pub(crate) fn connected(lab: &Lab, platform: Platform) -> Outcome<Arc<Self>> {
        let agent = Self::new(lab, KEYS[0], platform)?;
        agent.join(lab)?;
        Ok(agent)
    }

    /// Registers with a fresh activation, and connects.
    pub(crate) fn join(self: &Arc<Self>, lab: &Lab) -> Outcome {
        let answer = self.register(&lab.activation(1)?)?;
        ensure(answer.status == 200, || format!("{answer:?}"))?;
        self.start()
    }

    pub(crate) fn id(&self) -> String {
        lock(&self.id).clone()
    }

    /// Takes another device's name.
    pub(crate) fn is(&self, id: &str) {
        id.clone_into(&mut lock(&self.id));
    }

    pub(crate) fn issued(&self) -> Issued {
        lock(&self.issued).clone()
    }

    /// Uses other keys from now on.
    pub(crate) fn use_keys(&self, keys: Issued) {
        *lock(&self.issued) = keys;
    }

    /// Sends something up by the control channel of now. False: there is none.
    pub(crate) fn send_up(&self, what: control::Up) -> bool {
        lock(&self.up).as_ref().is_some_and(|up| up.send(what).is_ok())
    }

    /// The control channel is this one from now on.
    pub(crate) fn goes_up(&self, up: std::sync::mpsc::SyncSender<control::Up>) {
        *lock(&self.up) = Some(up);
    }

    pub(crate) fn note(&self, what: impl Into<String>) {
        lock(&self.seen).push(what.into());
    }

    /// What it was told, in order.
    pub(crate) fn seen(&self) -> Vec<String> {
        lock(&self.seen).clone()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Base64 of the public key as it is registered.
    pub(crate) fn public_key(&self) -> String {
        signing::public_key(&lock(&self.pair))
    }

    /// RegisterManagedInstance: unsigned, with a length.
    pub(crate) fn register(&self, activation: &Activation) -> Outcome<Answer> {
        let body = json!({
            "ActivationCode": activation.code, "ActivationId": activation.id,
            "Fingerprint": self.fingerprint, "PublicKey": self.public_key(),
            "PublicKeyType": "Rsa",
        });
        let answer = self.send_unsigned("AmazonSSM.RegisterManagedInstance", &body.to_string())?;
        if let Ok(made) = serde_json::from_str::<Value>(&answer.body)
            && let Some(id) = made["InstanceId"].as_str()
        {
            *lock(&self.id) = id.to_owned();
        }
        Ok(answer)
    }

    fn signer<'a>(&'a self, service: &'a str) -> Signer<'a> {
        self.signer_at(&self.host, service)
    }

    fn signer_at<'a>(&'a self, host: &'a str, service: &'a str) -> Signer<'a> {
        let clock = self.faults.clock.load(Ordering::Relaxed);
        Signer { host, region: &self.region, service, clock }
    }

    /// An unsigned request.
    pub(crate) fn send_unsigned(&self, target: &str, body: &str) -> Outcome<Answer> {
        let headers = vec![header("content-type", JSON), header("x-amz-target", target)];
        self.post("/", &headers, body, false)
    }

    /// A request that is signed by the agent's own key: chunked, without content-length among the
    /// signed headers.
    pub(crate) fn by_own_key(&self, target: &str, body: &Value) -> Outcome<Answer> {
        let (headers, body) = self.signed_by_own_key(target, body)?;
        self.post("/", &headers, &body, true)
    }

    /// The same request twice, as somebody who has copied it sends it.
    pub(crate) fn by_own_key_twice(&self, target: &str, body: &Value) -> Outcome<[Answer; 2]> {
        let (headers, body) = self.signed_by_own_key(target, body)?;
        let send = || self.post("/", &headers, &body, true);
        Ok([send()?, send()?])
    }

    fn signed_by_own_key(&self, target: &str, body: &Value) -> Outcome<(Headers, String)> {
        let (body, id) = (body.to_string(), self.id());
        let mut headers = vec![header("content-type", JSON), header("x-amz-target", target)];
        let signer = self.signer("ssm");
        signer.by_rsa(&lock(&self.pair), &id, "/", body.as_bytes(), &mut headers)?;
        // Added when the list of signed headers is made already.
        headers.push(header("x-amz-content-sha256", &signing::sha256(body.as_bytes())));
        Ok((headers, body))
    }

    /// Asks for keys, and takes them.
    pub(crate) fn renew(&self) -> Outcome<Answer> {
        let body = json!({ "Fingerprint": self.fingerprint });
        let answer = self.by_own_key("AmazonSSM.RequestManagedInstanceRoleToken", &body)?;
        if answer.status == 200 {
            let keys: Value = serde_json::from_str(&answer.body)?;
            let text = |name: &str| keys[name].as_str().unwrap_or_default().to_owned();
            self.use_keys(Issued {
                id: text("AccessKeyId"),
                secret: text("SecretAccessKey"),
                token: text("SessionToken"),
            });
            if keys["UpdateKeyPair"] == true {
                self.note("asked for a new key");
            }
        }
        Ok(answer)
    }

    /// Replaces its own key.
    pub(crate) fn rotate(&self, key: &[u8]) -> Outcome<Answer> {
        let pair = RsaKeyPair::from_pkcs8(key).map_err(|e| Trouble::new(e.to_string()))?;
        let body = json!({ "NewPublicKey": signing::public_key(&pair), "NewPublicKeyType": "Rsa" });
        let answer = self.by_own_key("AmazonSSM.UpdateManagedInstancePublicKey", &body)?;
        if answer.status == 200 {
            *lock(&self.pair) = Arc::new(pair);
        }
        Ok(answer)
    }

    /// Asks the older message service, and reads no answer: the connection.
    pub(crate) fn poll(&self) -> Outcome<Connection> {
        let body = json!({ "Destination": self.id(), "MessagesRequestId": "r" }).to_string();
        let headers =
            self.by_keys("EC2WindowsMessageDeliveryService.GetMessages", "ec2messages", &body);
        let mut connection = https::connect(&self.host, &self.ca, None)?;
        connection.write_all(self.request("/", &headers, &body, false).as_bytes())?;
        Ok(connection)
    }

    /// A request on `POST /` by the keys that were issued.
    pub(crate) fn call(&self, target: &str, service: &str, body: &Value) -> Outcome<Answer> {
        let body = body.to_string();
        let headers = self.by_keys(target, service, &body);
        self.post("/", &headers, &body, false)
    }

    fn by_keys(&self, target: &str, service: &str, body: &str) -> Headers {
        let mut headers = vec![
            header("content-length", &body.len().to_string()),
            header("content-type", JSON),
            header("x-amz-target", target),
        ];
        let signer = self.signer(service);
        signer.by_keys(&self.issued(), ("POST", "/", ""), body.as_bytes(), &mut headers);
        headers
    }

    /// What it says about itself: the bare report, and the whole one.
    pub(crate) fn report(&self) -> Outcome {
        let bare = json!({
            "AgentName": "amazon-ssm-agent", "AgentVersion": "3.3.0.0", "InstanceId": self.id(),
            "PlatformType": self.platform.health,
        });
        let mut whole = bare.clone();
        for (name, value) in [
            ("AgentStatus", "Active"),
            ("AvailabilityZone", ""),
            ("ComputerName", "vendor-box"),
            ("IPAddress", "192.0.2.7"),
            ("PlatformName", "Some System"),
            ("PlatformVersion", "7"),
            ("SSMConnectionChannel", "ssmmessages"),
        ] {
            whole[name] = json!(value);
        }
        for body in [bare, whole] {
            let answer = self.call("AmazonSSM.UpdateInstanceInformation", "ssm", &body)?;
            ensure(answer.status == 200, || format!("{answer:?}"))?;
        }
        let body = json!({ "InstanceId": self.id(), "MaxResults": 20 });
        let answer = self.call("AmazonSSM.ListInstanceAssociations", "ssm", &body)?;
        ensure(answer.body == r#"{"Associations":[]}"#, || format!("{answer:?}"))
    }

    /// The gateway that a channel goes to.
    fn host_of(&self, path: &str) -> String {
        let data = lock(&self.data_host).clone().filter(|_| path.starts_with("/v1/data-channel/"));
        data.unwrap_or_else(|| self.host.clone())
    }

    /// The `POST` before a websocket; the answer has the token.
    pub(crate) fn ask_channel(&self, path: &str, body: &Value) -> Outcome<Answer> {
        let (body, host) = (body.to_string(), self.host_of(path));
        let mut headers = vec![header("content-type", "application/json")];
        let signer = self.signer_at(&host, "ssmmessages");
        signer.by_keys(&self.issued(), ("POST", path, ""), body.as_bytes(), &mut headers);
        self.post(path, &headers, &body, false)
    }

    /// Opens a websocket, and says nothing yet.
    pub(crate) fn upgrade(&self, path: &str, query: &str) -> Outcome<Socket> {
        let (mut headers, host) = (Vec::new(), self.host_of(path));
        let signer = self.signer_at(&host, "ssmmessages");
        signer.by_keys(&self.issued(), ("GET", path, query), b"", &mut headers);
        let mut request = format!("wss://{host}{path}?{query}").into_client_request()?;
        for (name, value) in &headers {
            let name = tungstenite::http::HeaderName::from_bytes(name.as_bytes())?;
            request.headers_mut().insert(name, value.parse()?);
        }
        let stream = https::connect(&host, &self.ca, None)?;
        let (socket, _) = tungstenite::client(request, stream)
            .map_err(|e| Trouble::new(format!("no websocket: {e}")))?;
        Ok(socket)
    }

    fn post(&self, path: &str, headers: &Headers, body: &str, chunked: bool) -> Outcome<Answer> {
        let request = self.request(path, headers, body, chunked);
        https::exchange(&self.host_of(path), &self.ca, None, request.as_bytes())
    }

    /// A request with its body.
    fn request(&self, path: &str, headers: &Headers, body: &str, chunked: bool) -> String {
        let host = self.host_of(path);
        let mut head = format!("POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if chunked {
            head.push_str("transfer-encoding: chunked\r\n\r\n");
            head.push_str(&format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()));
        } else {
            if !headers.iter().any(|(name, _)| name == "content-length") {
                head.push_str(&format!("content-length: {}\r\n", body.len()));
            }
            head.push_str(&format!("\r\n{body}"));
        }
        head
    }
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// The token in the answer before a websocket.
pub(crate) fn token_of(answer: &Answer) -> Outcome<String> {
    ensure(answer.status == 201, || format!("{answer:?}"))?;
    let (_, rest) = answer.body.split_once("<TokenValue>").unwrap_or_default();
    let (token, _) = rest.split_once("</TokenValue>").unwrap_or_default();
    ensure(!token.is_empty(), || format!("no token: {answer:?}"))?;
    Ok(token.to_owned())
}
