//! Requests to the gateway: signed, one after the other, on one connection.
//!
//! Data flow: a shape of `towline-ssm` -> [`Client::call`] -> signature -> HTTP/1.1 over TLS ->
//! answer or [`CallError`]. The same connection becomes the session's websocket
//! ([`Client::upgrade`]) when the stream is served by the same host and port: a session costs one
//! TCP and one TLS handshake.
//!
//! # Invariants
//! - Nothing is sent before the gateway's certificate is verified.
//! - An answer is at most [`MAX_ANSWER`] bytes, and waited for at most [`ANSWER_TIMEOUT`].
//!
//! # Not here
//! - No repetition: a command fails at once; a session has its own patience (`crate::session`).

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use towline_ssm::Operation;
use towline_ssm::api::sts::{self, CallerIdentity};
use towline_ssm::api::sts_tokens::TemporaryCredentials;
use towline_ssm::api::{error_from_answer, from_answer, to_json};
use towline_ssm::error::Refused;
use towline_ssm::operation::Service;
use towline_ssm::sigv4::{Credentials, RequestParts, sha256, sign};
use towline_wire::client::{SUBPROTOCOL, SUBPROTOCOL_2};
use towline_wire::text::connection_error;

use super::error::CallError;
use super::{dial, tls};
use crate::config::{Endpoint, Identity, Settings};
use crate::limits::{
    ANSWER_TIMEOUT, MAX_ANSWER, MAX_MESSAGE, MAX_WEBSOCKET_QUEUED, SOCKET_READ, TLS_TIMEOUT,
    WEBSOCKET_READ,
};

/// How the gateway's audit trail sees this program.
const USER_AGENT: &str = concat!("towline/", env!("CARGO_PKG_VERSION"));
/// Content type of AWS JSON 1.1.
const JSON: &str = "application/x-amz-json-1.1";

/// A header with a random value, as AWS's tools send it. Signatures count whole seconds: without it
/// two equal requests of one second would have one signature, and a gateway takes each once.
const INVOCATION: &str = "amz-sdk-invocation-id";

/// A connection to the gateway, encrypted.
pub(crate) type Stream = TlsStream<BufReader<TcpStream>>;
/// A session's stream.
pub(crate) type Socket = WebSocketStream<Stream>;

/// What is spoken on a session's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Our own: the gateway took the subprotocol that was offered.
    Towline,
    /// That of AWS, which offers none: the gateway took no notice of ours.
    Aws,
}

/// A client of the gateway with one connection, which is made when it is needed.
pub(crate) struct Client {
    settings: Settings,
    connector: Option<TlsConnector>,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Client {
    /// A client without a connection yet.
    #[must_use]
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, connector: None, connection: None }
    }

    /// The settings.
    #[must_use]
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Signs further requests with these credentials.
    pub(crate) fn sign_as(&mut self, identity: Identity) {
        self.settings.identity = Some(identity);
    }

    /// Asks for an operation and reads the answer.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) async fn call<A: DeserializeOwned>(
        &mut self,
        operation: Operation,
        request: &impl Serialize,
    ) -> Result<A, CallError> {
        let target = operation.target().unwrap_or_default();
        let headers = [("content-type", JSON), ("x-amz-target", target.as_str())];
        let (status, body) = self.post(operation.service(), &headers, to_json(request)).await?;
        if status != StatusCode::OK {
            return Err(self.refusal(status, error_from_answer(&body)));
        }
        from_answer(&body).map_err(|error| self.not_a_gateway(error.message))
    }

    /// The identity of the access key, as the gateway knows it.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) async fn caller_identity(&mut self) -> Result<CallerIdentity, CallError> {
        let body =
            format!("Action={}&Version={}", Operation::GetCallerIdentity.name(), sts::VERSION);
        let headers = [("content-type", sts::FORM_CONTENT_TYPE)];
        let (status, body) = self.post(Service::Sts, &headers, body.into_bytes()).await?;
        let text = String::from_utf8_lossy(&body);
        if status != StatusCode::OK {
            return Err(self.refusal(status, sts::error_from_xml(&text)));
        }
        CallerIdentity::from_xml(&text)
            .ok_or_else(|| self.not_a_gateway("the answer contains no identity".to_owned()))
    }

    /// Temporary credentials of the access key, with a second factor.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) async fn session_token(
        &mut self,
        serial: &str,
        code: &str,
    ) -> Result<TemporaryCredentials, CallError> {
        let (name, version) = (Operation::GetSessionToken.name(), sts::VERSION);
        // Both values consist of characters that a form takes as they are, but for the colons and
        // slash.
        let serial = serial.replace(':', "%3A").replace('/', "%2F");
        let body =
            format!("Action={name}&Version={version}&SerialNumber={serial}&TokenCode={code}");
        let headers = [("content-type", sts::FORM_CONTENT_TYPE)];
        let (status, body) = self.post(Service::Sts, &headers, body.into_bytes()).await?;
        let text = String::from_utf8_lossy(&body);
        if status != StatusCode::OK {
            return Err(self.refusal(status, sts::error_from_xml(&text)));
        }
        TemporaryCredentials::from_xml(&text)
            .map(|(credentials, _)| credentials)
            .ok_or_else(|| self.not_a_gateway("the answer contains no credentials".to_owned()))
    }

    /// Opens the websocket at `url`, on the connection that is there already if it may serve.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) async fn upgrade(&mut self, url: &str) -> Result<(Socket, Dialect), CallError> {
        let to = Endpoint::parse(url)
            .map_err(|why| self.not_a_gateway(format!("its stream URL is invalid: {why}")))?;
        let kept = self
            .connection
            .take()
            .filter(|c| !c.is_closed() && to.same_server(&self.settings.endpoint));
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect(&to).await?,
        };
        let key = generate_key();
        let request = Request::get(&to.path)
            .header(header::HOST, to.authority())
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, &key)
            .header(header::SEC_WEBSOCKET_PROTOCOL, format!("{SUBPROTOCOL_2}, {SUBPROTOCOL}"))
            .body(Full::default())
            .map_err(|error| broken(&to, &error))?;
        let response = exchange(&mut connection, request, &to).await?;
        accept(response, &key, &to).await
    }

    /// Sends a request without a signature, of a sign-in: there is no key yet.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) async fn post_unsigned<A: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<A, CallError> {
        let to = self.settings.endpoint.clone();
        let request = Request::post(path)
            .header(header::HOST, to.authority())
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::CONTENT_TYPE, JSON)
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(|error| broken(&to, &error))?;
        let mut connection = self.connect(&to).await?;
        let response = exchange(&mut connection, request, &to).await?;
        let status = response.status();
        let reading = Limited::new(response.into_body(), MAX_ANSWER).collect();
        let body = timeout(ANSWER_TIMEOUT, reading).await.map_err(|_| late(&to))?;
        let body = body.map_err(|error| broken(&to, &error))?.to_bytes();
        if status != StatusCode::OK {
            return Err(self.refusal(status, error_from_answer(&body)));
        }
        from_answer(&body).map_err(|error| self.not_a_gateway(error.message))
    }

    async fn post(
        &mut self,
        service: Service,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), CallError> {
        let to = self.settings.endpoint.clone();
        let host = to.authority();
        let id = generate_key();
        let mut all = vec![("host", host.as_str()), (INVOCATION, id.as_str())];
        all.extend_from_slice(headers);
        let added = self.signature(service, &to.path, &all, &body)?;
        let mut request = Request::post(&to.path).header(header::USER_AGENT, USER_AGENT);
        for (name, value) in
            all.iter().copied().chain(added.iter().map(|(name, value)| (*name, value.as_str())))
        {
            request = request.header(name, value);
        }
        let request =
            request.body(Full::new(Bytes::from(body))).map_err(|error| broken(&to, &error))?;
        let mut connection =
            match self.connection.take().filter(|connection| !connection.is_closed()) {
                Some(connection) => connection,
                None => self.connect(&to).await?,
            };
        let response = exchange(&mut connection, request, &to).await?;
        let status = response.status();
        let reading = Limited::new(response.into_body(), MAX_ANSWER).collect();
        let body = timeout(ANSWER_TIMEOUT, reading).await.map_err(|_| late(&to))?;
        let body = body.map_err(|error| broken(&to, &error))?.to_bytes();
        self.connection = Some(connection);
        Ok((status, body))
    }

    fn signature(
        &self,
        service: Service,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Vec<(&'static str, String)>, CallError> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let identity = self.settings.identity.as_ref().ok_or(CallError::NoKey)?;
        let credentials = Credentials {
            access_key: &identity.access_key,
            secret: &identity.secret,
            session_token: identity.session_token.as_deref(),
            region: &self.settings.region,
            service: service.signing_name(),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let parts = RequestParts { method: "POST", path, query, headers };
        sign(&parts, &sha256(body), &credentials, i64::try_from(now).unwrap_or(i64::MAX))
            .map_err(|error| broken(&self.settings.endpoint, &error))
    }

    async fn connect(&mut self, to: &Endpoint) -> Result<SendRequest<Full<Bytes>>, CallError> {
        let connector = match &self.connector {
            Some(connector) => connector.clone(),
            None => self.connector.insert(tls::connector(self.settings.ca.as_deref())?).clone(),
        };
        let tls_error = |why: String| CallError::Tls { to: to.to_string(), why };
        let name = ServerName::try_from(to.host.clone())
            .map_err(|_| tls_error("the host name is invalid".into()))?;
        let tcp = BufReader::with_capacity(SOCKET_READ, dial::dial(to).await?);
        let shaken = timeout(TLS_TIMEOUT, connector.connect(name, tcp)).await;
        let shaken =
            shaken.map_err(|_| CallError::Timeout { to: to.to_string(), waited: TLS_TIMEOUT })?;
        let stream = shaken.map_err(|error| {
            match error.get_ref().is_some_and(|e| e.is::<rustls::Error>()) {
                true => tls_error(tls::explain(&error, self.settings.ca.as_deref())),
                false => broken(to, &error),
            }
        })?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| broken(to, &error))?;
        // Ends with the connection; what it has to say about its end comes out at the request.
        tokio::spawn(connection.with_upgrades());
        Ok(sender)
    }

    fn refusal(&self, status: StatusCode, said: Option<Refused>) -> CallError {
        match said {
            Some(Refused { code, message, remedy }) => CallError::Refused { code, message, remedy },
            None if status.is_server_error() => CallError::Refused {
                code: "ServiceUnavailable".to_owned(),
                message: format!("HTTP status {status}"),
                remedy: None,
            },
            None => self.not_a_gateway(format!("HTTP status {status}")),
        }
    }

    fn not_a_gateway(&self, why: String) -> CallError {
        CallError::NotAGateway { to: self.settings.endpoint.to_string(), why }
    }
}

async fn exchange(
    connection: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
    to: &Endpoint,
) -> Result<Response<Incoming>, CallError> {
    let answer = async {
        connection.ready().await?;
        connection.send_request(request).await
    };
    timeout(ANSWER_TIMEOUT, answer).await.map_err(|_| late(to))?.map_err(|error| broken(to, &error))
}

/// Turns a good answer to an upgrade into a websocket; the raw TLS stream below it, without hyper.
async fn accept(
    response: Response<Incoming>,
    key: &str,
    to: &Endpoint,
) -> Result<(Socket, Dialect), CallError> {
    let refuse = |why: String| CallError::NotAGateway { to: to.to_string(), why };
    if response.status().is_server_error() {
        let message = format!("the stream was not opened: HTTP status {}", response.status());
        let code = "ServiceUnavailable".to_owned();
        return Err(CallError::Refused { code, message, remedy: None });
    }
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refuse(format!("expected a websocket, got HTTP status {}", response.status())));
    }
    let is = |name: header::HeaderName, value: &str| {
        response.headers().get(name).is_some_and(|v| v == value)
    };
    if !is(header::SEC_WEBSOCKET_ACCEPT, &derive_accept_key(key.as_bytes())) {
        return Err(refuse("its websocket answer does not match the request".to_owned()));
    }
    let spoken = |name: &&str| is(header::SEC_WEBSOCKET_PROTOCOL, name);
    let dialect = match response.headers().get(header::SEC_WEBSOCKET_PROTOCOL) {
        Some(_) if [SUBPROTOCOL, SUBPROTOCOL_2].iter().any(spoken) => Dialect::Towline,
        Some(_) => return Err(refuse(format!("it does not speak {SUBPROTOCOL}"))),
        None => Dialect::Aws,
    };
    let upgraded = hyper::upgrade::on(response).await.map_err(|error| broken(to, &error))?;
    let parts = upgraded
        .downcast::<TokioIo<Stream>>()
        .map_err(|_| refuse("the stream has an unexpected type".into()))?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
        // Zeroed before each try to read.
        .read_buffer_size(WEBSOCKET_READ)
        // Each message goes to the socket at once; only what the socket does not take waits here.
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_WEBSOCKET_QUEUED);
    let (io, early) = (parts.io.into_inner(), parts.read_buf.to_vec());
    Ok((WebSocketStream::from_partially_read(io, early, Role::Client, Some(config)).await, dialect))
}

fn broken(to: &Endpoint, error: &dyn std::fmt::Display) -> CallError {
    CallError::Broken { to: to.to_string(), why: connection_error(error) }
}

fn late(to: &Endpoint) -> CallError {
    CallError::Timeout { to: to.to_string(), waited: ANSWER_TIMEOUT }
}
