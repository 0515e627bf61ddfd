//! The scripted gateway: its listener, its agent, its operators.

use rcgen::{CertifiedKey, generate_simple_self_signed};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use towline_wire::epoch::BootNonce;
use towline_wire::frame::{Frame, FrameReader, MAX_DATA, StreamId};
use towline_wire::grant::{Grant, SignedGrant, SignedTime};
use towline_wire::lane::Lanes;
use towline_wire::message::{
    FromAgent, Hello, Launch, Open, Size, Terminal, ToAgent, Welcome, decode, encode,
};
use towline_wire::mux::{Incoming, Mux};
use towline_wire::stream::{Receiver, Sender};

pub(crate) const DEVICE: &str = "mi-0123456789abcdef0";
/// The authority's clock: any time will do, the device's own plays no part.
pub(crate) const NOW_MS: u64 = 1_234_567_890_000;
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn story<F: AsyncFnOnce()>(tell: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(PATIENCE, tell()).await.expect("the story takes too long")
    });
}

/// The operator's end of one session.
pub(crate) struct Operator {
    pub(crate) io: StreamId,
    pub(crate) err: Option<StreamId>,
    pub(crate) output: Vec<u8>,
    pub(crate) errors: Vec<u8>,
    pub(crate) output_ended: bool,
}

pub(crate) struct Gateway {
    pub(crate) temp: TempDir,
    pub(crate) listener: TcpListener,
    acceptor: TlsAcceptor,
    pub(crate) authority: Ed25519KeyPair,
    pub(crate) pin: String,
    /// What is started as the agent.
    pub(crate) program: PathBuf,
    agent: Option<Child>,
    pub(crate) link: Option<TlsStream<TcpStream>>,
    reader: FrameReader,
    pub(crate) mux: Mux,
    pub(crate) operators: Vec<Operator>,
    pub(crate) inbox: Vec<FromAgent>,
    pub(crate) boot: BootNonce,
    pub(crate) challenge: [u8; 16],
    pub(crate) grace: u32,
    /// The wire version that it speaks.
    pub(crate) version: u16,
    /// The authority's time.
    pub(crate) now_ms: u64,
    next_stream: StreamId,
    attachment: u32,
    /// The end of the last batch of the command log that came.
    pub(crate) logged_to: Option<([u8; 16], u64)>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }
}

/// Takes any key: which one it was is the test's to judge.
#[derive(Debug)]
struct AnyRawKey;

impl ClientCertVerifier for AnyRawKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 only".into()))
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        let key = SubjectPublicKeyInfoDer::from(cert.as_ref());
        rustls::crypto::verify_tls13_signature_with_raw_key(message, &key, dss, &algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl Gateway {
    /// A gateway that listens, and an agent enrolled with it that was not started yet.
    pub(crate) async fn new() -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let temp = tempfile::tempdir().unwrap();
        std::fs::File::create_new(temp.path().join("ca.pem")).unwrap();
        let pem = cert.pem();
        towline_agent::state::atomic::replace(&temp.path().join("ca.pem"), pem.as_bytes(), 0o600)
            .unwrap();
        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(Arc::new(AnyRawKey))
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![towline_wire::ALPN.to_vec()];
        let parsed = rustls::server::ParsedCertificate::try_from(cert.der()).unwrap();
        let pin = digest(&SHA256, &parsed.subject_public_key_info());
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self {
            temp,
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
            authority: Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap(),
            pin: towline_agent::state::key::hex(pin.as_ref()),
            program: PathBuf::from(env!("CARGO_BIN_EXE_towline-agent")),
            agent: None,
            link: None,
            reader: FrameReader::new(),
            mux: Mux::new(64, 64 << 20),
            operators: Vec::new(),
            inbox: Vec::new(),
            boot: [0; 16],
            challenge: [0; 16],
            grace: 600,
            version: 1,
            now_ms: NOW_MS,
            next_stream: 1,
            attachment: 0,
            logged_to: None,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    pub(crate) fn configure(&self, more: &str) {
        let runtime = self.path("run").display().to_string();
        let text = format!("log = \"debug\"\nruntime_dir = \"{runtime}\"\n{more}");
        towline_agent::state::atomic::replace(&self.path("agent.toml"), text.as_bytes(), 0o600)
            .unwrap();
    }

    /// The agent's binary with this world's settings, in an empty environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().args(arguments).arg("--config").arg(self.path("agent.toml"));
        command.arg("--state-dir").arg(self.path("state")).stdin(Stdio::null());
        command
    }

    /// Enrolls and starts an agent with these settings, and welcomes its first link.
    pub(crate) async fn with_agent(settings: &str) -> Self {
        let mut gateway = Self::new().await;
        gateway.configure(settings);
        gateway.enroll(&[]).await;
        gateway.start();
        gateway.welcome().await;
        gateway
    }

    /// Runs `enroll` against this gateway, which agrees.
    pub(crate) async fn enroll(&mut self, more: &[&str]) -> Output {
        if !self.path("agent.toml").exists() {
            self.configure("");
        }
        let address = format!("localhost:{}", self.port());
        let ca = self.path("ca.pem").display().to_string();
        let mut arguments = vec!["enroll", "--gateway", &address, "--activation-id", "id"];
        if !more.contains(&"--pin") {
            arguments.extend(["--ca", &ca]);
        }
        arguments.extend(more);
        let mut command = self.command(&arguments);
        command
            .env("TOWLINE_ACTIVATION_CODE", "hunter2")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let waiting = std::thread::spawn(move || child.wait_with_output().unwrap());
        self.accept().await;
        let FromAgent::Enroll(enroll) = self.next_message().await else {
            panic!("not an enrollment")
        };
        assert_eq!(
            (enroll.activation_id.as_str(), enroll.activation_code.as_str()),
            ("id", "hunter2")
        );
        let authority = self.authority.public_key().as_ref().try_into().unwrap();
        self.send(&ToAgent::Enrolled { device: DEVICE.into(), authority, pending: false }).await;
        self.cut();
        waiting.join().unwrap()
    }

    /// Starts the agent.
    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
    }

    /// Starts the agent with these variables.
    pub(crate) fn start_with(&mut self, variables: &[(&str, &str)]) {
        let mut command = self.command(&["run"]);
        command.envs(variables.iter().copied());
        if std::env::var_os("SHOW_AGENT").is_none() {
            command.stderr(
                std::fs::File::options().append(true).create(true).open(self.path("log")).unwrap(),
            );
        }
        self.agent = Some(command.spawn().unwrap());
    }

    pub(crate) fn agent_pid(&self) -> i32 {
        self.agent.as_ref().unwrap().id().cast_signed()
    }

    /// Kills the agent at once.
    pub(crate) fn kill_agent(&mut self) {
        let mut agent = self.agent.take().unwrap();
        agent.kill().unwrap();
        agent.wait().unwrap();
    }

    /// Waits for the agent's own end, off the runtime's thread.
    pub(crate) async fn agent_exit(&mut self) -> Option<i32> {
        let mut agent = self.agent.take().unwrap();
        tokio::task::spawn_blocking(move || agent.wait().unwrap().code()).await.unwrap()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Waits until the agent's log says something.
    pub(crate) async fn logged(&self, text: &str) {
        while !self.log().contains(text) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn accept_tcp(&self) -> (TcpStream, SocketAddr) {
        self.listener.accept().await.unwrap()
    }

    /// Accepts the agent's next connection.
    pub(crate) async fn accept(&mut self) {
        let (tcp, _) = self.accept_tcp().await;
        tcp.set_nodelay(true).unwrap();
        let link = self.acceptor.accept(tcp).await.unwrap();
        assert_eq!(link.get_ref().1.peer_certificates().unwrap()[0].len(), 44, "a raw Ed25519 key");
        self.link = Some(link);
        self.reader = FrameReader::new();
        self.send_frame(&Frame::Version { min: 1, max: self.version }).await;
    }

    /// A handshake that the agent breaks off.
    pub(crate) async fn handshake_fails(&mut self, tcp: TcpStream) {
        if let Ok(mut stream) = self.acceptor.accept(tcp).await {
            let _ = stream.read_u8().await;
        }
    }

    /// Accepts a link, says welcome, and takes what the agent says to that.
    pub(crate) async fn welcome(&mut self) -> Vec<FromAgent> {
        self.accept().await;
        let FromAgent::Hello(hello) = self.next_message().await else { panic!("no hello") };
        self.greet(&hello).await;
        let mut held = Vec::new();
        loop {
            match self.next_message().await {
                FromAgent::HeldEnd => return held,
                other => held.push(other),
            }
        }
    }

    /// Welcomes the first link that the agent does not leave again at once; what it says it holds.
    pub(crate) async fn welcome_in_the_end(&mut self) -> Vec<FromAgent> {
        'links: loop {
            self.cut();
            self.inbox.clear();
            let (tcp, _) = self.accept_tcp().await;
            let Ok(link) = self.acceptor.accept(tcp).await else { continue };
            (self.link, self.reader) = (Some(link), FrameReader::new());
            self.send_frame(&Frame::Version { min: 1, max: self.version }).await;
            let mut held = Vec::new();
            loop {
                match self.inbox.pop() {
                    Some(FromAgent::Hello(hello)) => self.greet(&hello).await,
                    Some(FromAgent::HeldEnd) => return held,
                    Some(other) => held.push(other),
                    None if self.step().await => {}
                    None => continue 'links,
                }
            }
        }
    }

    pub(crate) async fn greet(&mut self, hello: &Hello) {
        assert_eq!(hello.device, DEVICE);
        (self.boot, self.challenge) = (hello.epoch.boot, hello.challenge);
        let time = self.time(&self.challenge);
        self.send(&ToAgent::Welcome(Welcome { time, longest_ping: 300, grace: self.grace })).await;
    }

    /// The authority's time, for this challenge.
    pub(crate) fn time(&self, challenge: &[u8; 16]) -> SignedTime {
        let unix_ms = self.now_ms;
        let signed = self.authority.sign(&SignedTime::signed_bytes(challenge, unix_ms));
        SignedTime { unix_ms, signature: signed.as_ref().to_vec() }
    }

    /// Breaks the link without a word.
    pub(crate) fn cut(&mut self) {
        self.link = None;
        self.mux.link_lost();
    }

    pub(crate) async fn send(&mut self, message: &ToAgent) {
        let body = encode(message).unwrap();
        self.send_frame(&Frame::Control(&body)).await;
    }

    pub(crate) async fn send_frame(&mut self, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes).unwrap();
        self.send_bytes(&bytes).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        let link = self.link.as_mut().expect("no link");
        // A link that the agent has left is noticed by the next read.
        let _ = link.write_all(bytes).await;
        let _ = link.flush().await;
    }

    /// A grant for a launch, as the authority would give it, after `change`.
    pub(crate) fn open(
        &mut self,
        session: &str,
        launch: &Launch,
        change: impl FnOnce(&mut Grant),
    ) -> Open {
        let launch_bytes = encode(launch).unwrap();
        let mut nonce = [0; 16];
        SystemRandom::new().fill(&mut nonce).unwrap();
        let mut grant = Grant {
            device: DEVICE.into(),
            session: session.into(),
            principal: "arn:aws:iam::000000000000:user/ann".into(),
            document: "SSM-SessionManagerRunShell".into(),
            launch: digest(&SHA256, &launch_bytes).as_ref().try_into().unwrap(),
            run_as: None,
            boot: self.boot,
            nonce,
            issued_at: self.now_ms,
            not_after: self.now_ms + 120_000,
        };
        change(&mut grant);
        let sign = |bytes: &[u8]| self.authority.sign(bytes).as_ref().try_into().unwrap();
        let grant = SignedGrant::sign(&grant, sign).unwrap();
        let size = Size { rows: 24, cols: 80 };
        let terminal = launch.wants_terminal().then(|| Terminal { term: "xterm".into(), size });
        let io = self.next_stream;
        let err = (!launch.wants_terminal()).then_some(io + 1);
        self.next_stream += 2;
        Open { session: session.into(), grant, launch: launch_bytes, terminal, io, err }
    }

    /// Opens a session and attaches to it; the number of its operator.
    pub(crate) async fn session(&mut self, name: &str, launch: &Launch) -> usize {
        let open = self.open(name, launch, |_| ());
        let (io, err) = (open.io, open.err);
        self.send(&ToAgent::Open(open)).await;
        let answer = self.next_message().await;
        assert!(
            matches!(&answer, FromAgent::Opened { session } if session == name),
            "{answer:?}\n{}",
            self.log()
        );
        for id in [Some(io), err].into_iter().flatten() {
            self.mux.add(id, Sender::new(1 << 20), Receiver::new(1 << 18)).unwrap();
        }
        self.operators.push(Operator {
            io,
            err,
            output: Vec::new(),
            errors: Vec::new(),
            output_ended: false,
        });
        let operator = self.operators.len() - 1;
        self.attach(name, operator).await;
        operator
    }

    /// Attaches an operator to its session, with what it has.
    pub(crate) async fn attach(&mut self, name: &str, operator: usize) {
        assert!(self.try_attach(name, operator).await, "the agent closed the link\n{}", self.log());
    }

    /// The same; false when the agent leaves the link before it answers.
    pub(crate) async fn try_attach(&mut self, name: &str, operator: usize) -> bool {
        self.attachment += 1;
        let (attachment, session) = (self.attachment, name.to_owned());
        let ids = [Some(self.operators[operator].io), self.operators[operator].err];
        let mut has = [(0, 0); 2];
        for (has, id) in has.iter_mut().zip(ids) {
            if let Some((stream, _)) = id.and_then(|id| self.mux.stream(id)) {
                *has = (stream.rx.received(), stream.rx.room());
            }
        }
        let received = Some(Lanes::new(has[0].0, has[1].0));
        self.send(&ToAgent::Attach {
            session,
            attachment,
            received,
            room: Lanes::new(has[0].1, has[1].1),
        })
        .await;
        let mut others = Vec::new();
        loop {
            match self.inbox.pop() {
                Some(FromAgent::Attached { attachment: answered, input, room, output, .. }) => {
                    assert_eq!((answered, output), (attachment, Lanes::new(has[0].0, has[1].0)));
                    let (stream, budget) = self.mux.stream(self.operators[operator].io).unwrap();
                    stream.tx.attach(Some(input), room, budget).unwrap();
                    self.inbox.extend(others.into_iter().rev());
                    return true;
                }
                Some(other) => others.push(other),
                None if self.step().await => {}
                None => return false,
            }
        }
    }

    pub(crate) async fn type_in(&mut self, operator: usize, text: &str) {
        let (stream, budget) = self.mux.stream(self.operators[operator].io).unwrap();
        assert_eq!(stream.tx.push(text.as_bytes(), budget), text.len());
        self.flush().await;
    }

    pub(crate) async fn end_input(&mut self, operator: usize) {
        self.mux.stream(self.operators[operator].io).unwrap().0.tx.finish();
        self.flush().await;
    }

    /// Sends what the operators have to send.
    pub(crate) async fn flush(&mut self) {
        let mut bytes = Vec::new();
        while self.mux.next_frame(MAX_DATA, |frame| frame.encode(&mut bytes).unwrap()) {}
        if !bytes.is_empty() {
            self.send_bytes(&bytes).await;
        }
    }

    /// The next message of the agent; what else comes goes to the operators.
    pub(crate) async fn next_message(&mut self) -> FromAgent {
        loop {
            if let Some(message) = self.inbox.pop() {
                return message;
            }
            assert!(self.step().await, "the agent closed the link\n{}", self.log());
        }
    }

    /// Waits for a message of a kind; others are dropped.
    pub(crate) async fn message<T>(&mut self, wanted: impl Fn(&FromAgent) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(&self.next_message().await) {
                return found;
            }
        }
    }

    /// Waits until an operator's screen holds `text`.
    pub(crate) async fn until(&mut self, operator: usize, text: &str) {
        while !String::from_utf8_lossy(&self.operators[operator].output).contains(text) {
            assert!(self.step().await, "the agent closed the link\n{}", self.log());
        }
    }

    /// Waits until the session's output is over.
    pub(crate) async fn until_end(&mut self, operator: usize) {
        while !self.operators[operator].output_ended {
            assert!(self.step().await, "the agent closed the link\n{}", self.log());
        }
    }

    /// Reads once, and handles all frames that came. False when the agent closed the link.
    pub(crate) async fn step(&mut self) -> bool {
        let link = self.link.as_mut().expect("no link");
        match link.read(self.reader.spare()).await {
            Ok(0) | Err(_) => return false,
            Ok(n) => self.reader.filled(n),
        }
        let mut pong = false;
        while let Some(frame) = self.reader.next().unwrap() {
            match self.mux.on_frame(frame).unwrap() {
                Incoming::Control(body) => match decode(body).unwrap() {
                    // Never confirmed, unless a test does it.
                    FromAgent::Log(batch) => self.logged_to = Some((batch.boot, batch.next)),
                    message => self.inbox.insert(0, message),
                },
                Incoming::Data(id, bytes) => {
                    for operator in &mut self.operators {
                        if operator.io == id {
                            operator.output.extend_from_slice(bytes);
                        } else if operator.err == Some(id) {
                            operator.errors.extend_from_slice(bytes);
                        }
                    }
                    let n = bytes.len();
                    self.mux.stream(id).unwrap().0.rx.consumed(n);
                }
                Incoming::End(id) => {
                    self.operators
                        .iter_mut()
                        .filter(|o| o.io == id)
                        .for_each(|o| o.output_ended = true);
                }
                Incoming::Ping(_) => pong = true,
                Incoming::Credit(_) | Incoming::Pong | Incoming::Nothing => {}
            }
        }
        if pong {
            self.send_frame(&Frame::Pong).await;
        }
        self.flush().await;
        true
    }
}

/// Whether a process is there and no zombie.
pub(crate) fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}
