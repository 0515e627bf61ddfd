//! One HTTPS request on one connection, signed or not, for access tests.
//!
//! Data flow: [`Request`] -> headers with or without a signature -> TLS -> [`Answer`]. The command
//! line and boto3 are the real clients; this one can also send invalid requests.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use socket2::{Domain, Socket, Type};
use towline_ssm::ids::SecretAccessKey;
use towline_ssm::sigv4::{Credentials, RequestParts, sha256, sign};

use crate::lab::Keys;
use crate::{Outcome, Trouble};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(40);
/// Longest answer that is read, bytes.
const MOST_ANSWER: u64 = 16 << 20;

static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// A POST to `/`.
#[derive(Debug, Clone)]
pub struct Request {
    /// `Content-Type` and whatever else is wanted; `Host` and `Content-Length` are added.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// Signing name of the service.
    pub service: &'static str,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Head, for a look at its headers.
    pub head: String,
    /// Body.
    pub body: String,
}

impl Request {
    /// An operation of the JSON protocol, by its whole target (`AmazonSSM.StartSession`).
    #[must_use]
    pub fn json(target: &str, body: &str) -> Self {
        let service = match target {
            t if t.starts_with("Towline.") => "towline",
            t if t.contains("CloudTrail") => "cloudtrail",
            _ => "ssm",
        };
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = vec![
            header("content-type", "application/x-amz-json-1.1"),
            header("x-amz-target", target),
        ];
        Self { headers, body: body.to_owned(), service }
    }

    /// An operation of the query protocol (STS).
    #[must_use]
    pub fn form(action: &str) -> Self {
        let headers = vec![(
            "content-type".to_owned(),
            "application/x-www-form-urlencoded; charset=utf-8".to_owned(),
        )];
        Self { headers, body: format!("Action={action}&Version=2011-06-15"), service: "sts" }
    }

    /// The bytes to send, signed at `now` (seconds since the epoch).
    ///
    /// # Errors
    /// A header cannot be signed.
    pub fn signed(&self, host: &str, keys: &Keys, region: &str, now: i64) -> Outcome<Vec<u8>> {
        let secret = SecretAccessKey::new(keys.secret.clone());
        let mut headers: Vec<(&str, &str)> = vec![("host", host)];
        // A gateway takes a signature once: two equal requests within one second must differ in
        // something signed.
        let number = format!("{}-{}", std::process::id(), REQUESTS.fetch_add(1, Ordering::Relaxed));
        headers.push(("amz-sdk-invocation-id", &number));
        headers.extend(self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let parts = RequestParts { method: "POST", path: "/", query: "", headers: &headers };
        let credentials = Credentials {
            access_key: &keys.id,
            secret: &secret,
            session_token: None,
            region,
            service: self.service,
        };
        let added = sign(&parts, &sha256(self.body.as_bytes()), &credentials, now)?;
        let added = added.iter().map(|(name, value)| (*name, value.as_str()));
        Ok(self.bytes(host, added.chain([("amz-sdk-invocation-id", number.as_str())])))
    }

    /// The bytes to send, without a signature.
    #[must_use]
    pub fn unsigned(&self, host: &str) -> Vec<u8> {
        self.bytes(host, std::iter::empty())
    }

    fn bytes<'a>(&'a self, host: &str, more: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
        let mut head = format!("POST / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
        let own = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.chain(more) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", self.body.len()));
        [head.as_bytes(), self.body.as_bytes()].concat()
    }
}

/// Seconds since the epoch.
#[must_use]
pub fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}

/// Connects with TLS to `host` (`NAME:PORT`), trusting `ca` alone.
///
/// # Errors
/// No connection, or a certificate that is not trusted.
pub fn connect(
    host: &str,
    ca: &Path,
    source: Option<IpAddr>,
) -> Outcome<StreamOwned<ClientConnection, TcpStream>> {
    connect_behind(host, ca, source, b"")
}

/// The same with bytes before TLS: a header of the PROXY protocol.
///
/// # Errors
/// See [`connect`].
pub fn connect_behind(
    host: &str,
    ca: &Path,
    source: Option<IpAddr>,
    header: &[u8],
) -> Outcome<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca)
        .map_err(|e| Trouble::new(format!("{}: {e}", ca.display())))?
    {
        roots.add(certificate.map_err(|e| Trouble::new(format!("{}: {e}", ca.display())))?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    let mut socket = dial(host, source)?;
    socket.write_all(header)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_nodelay(true)?;
    let session = ClientConnection::new(Arc::new(config), ServerName::try_from(name.to_owned())?)?;
    Ok(StreamOwned::new(session, socket))
}

/// Connects, from a source address of the test's choice: a gateway counts failures by source.
///
/// # Errors
/// No connection, or no such address.
pub fn dial(host: &str, source: Option<IpAddr>) -> Outcome<TcpStream> {
    let Some(source) = source else { return Ok(TcpStream::connect(host)?) };
    let target = host
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| Trouble::new(format!("{host} has no address")))?;
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    socket.connect(&target.into())?;
    Ok(socket.into())
}

/// Sends the bytes of a whole request and reads the whole answer.
///
/// # Errors
/// No connection, or no HTTP answer.
pub fn exchange(host: &str, ca: &Path, source: Option<IpAddr>, request: &[u8]) -> Outcome<Answer> {
    exchange_behind(host, ca, source, b"", request)
}

/// The same with bytes before TLS: a header of the PROXY protocol.
///
/// # Errors
/// See [`exchange`].
pub fn exchange_behind(
    host: &str,
    ca: &Path,
    source: Option<IpAddr>,
    header: &[u8],
    request: &[u8],
) -> Outcome<Answer> {
    let mut stream = connect_behind(host, ca, source, header)?;
    stream.write_all(request)?;
    stream.flush()?;
    let mut answer = Vec::new();
    // A server that closes without a TLS goodbye has still answered.
    let ended = stream.take(MOST_ANSWER).read_to_end(&mut answer);
    if answer.is_empty() {
        ended?;
    }
    parse(&String::from_utf8_lossy(&answer))
}

fn parse(text: &str) -> Outcome<Answer> {
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or_else(|| Trouble::new(format!("no HTTP answer: {text:?}")))?;
    let status = head.split_whitespace().nth(1).and_then(|s| s.parse().ok());
    let status = status.ok_or_else(|| Trouble::new(format!("no HTTP status: {head:?}")))?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunk(body) } else { body.to_owned() };
    Ok(Answer { status, head: head.to_owned(), body })
}

/// Takes the chunk sizes out of a body.
fn unchunk(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let Some(chunk) = after.get(..size).filter(|_| size > 0) else { break };
        body.push_str(chunk);
        rest = after.get(size + 2..).unwrap_or_default();
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let answer = parse("HTTP/1.1 400 Bad\r\nx: y\r\n\r\n{}").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (400, "{}"));
        let chunked = parse(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        )
        .unwrap();
        assert_eq!(chunked.body, "abcde");
    }

    #[test]
    fn a_signed_request_holds_no_secret() {
        let keys = Keys { id: "AKIAABCDEFGHIJKLMNOP".into(), secret: "S".repeat(40) };
        let bytes =
            Request::json("AmazonSSM.X", "{}").signed("h:1", &keys, "xx-towline-1", 0).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            text.contains("authorization: AWS4-HMAC-SHA256") && !text.contains("SSSS"),
            "{text}"
        );
    }
}
