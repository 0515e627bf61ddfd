//! One request to a configured address, and its answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::handshake;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::guard::Guard;
use super::url::Target;
use crate::limits::{MAX_OUTBOUND_ADDRESSES, OUTBOUND_DIAL, OUTBOUND_TIMEOUT};

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// Write a whole URL.
    #[error("{0} is not a URL of https, without user and password")]
    Url(String),
    /// Use https, or name the address in the setting.
    #[error(
        "http is for addresses that `allow` in the section [outbound] of gateway.toml names: \
         use https for {0}"
    )]
    Plain(String),
    /// Name the address in the setting, if it is meant.
    #[error(
        "{host} has the address {address}, which the gateway does not dial: it is of this machine, \
         its link or a cloud's metadata; `allow` in the section [outbound] of gateway.toml \
         permits it"
    )]
    Guarded {
        /// The host.
        host: String,
        /// Its address.
        address: IpAddr,
    },
    /// Check the name.
    #[error("cannot resolve {host}: {why}")]
    Resolve {
        /// The host.
        host: String,
        /// The system's answer.
        why: String,
    },
    /// Is it up?
    #[error("no answer from {host}: {why}")]
    Away {
        /// The host.
        host: String,
        /// What failed.
        why: String,
    },
    /// It answers something else.
    #[error("{host} answered with HTTP status {status}, expected is 200 without a redirect")]
    Status {
        /// The host.
        host: String,
        /// The status.
        status: u16,
        /// The start of the body of an error, for protocols that say why in it.
        body: Bytes,
    },
    /// It sends too much.
    #[error("{host} sent more than {most} bytes")]
    TooLarge {
        /// The host.
        host: String,
        /// What would have been read.
        most: usize,
    },
}

impl OutboundError {
    /// Whether the same request may be answered in a moment. An address or an answer that is not
    /// right needs a person.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Resolve { .. } | Self::Away { .. } => true,
            // Request Timeout, Too Early, Too Many Requests, and what is the server's fault.
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
            Self::Url(_) | Self::Plain(_) | Self::Guarded { .. } | Self::TooLarge { .. } => false,
        }
    }
}

/// A request.
#[derive(Debug, Default)]
pub struct Ask<'a> {
    /// Where to.
    pub url: &'a str,
    /// Headers besides Host and Accept.
    pub headers: &'a [(&'static str, &'a str)],
    /// With a body it is a POST.
    pub body: Option<Vec<u8>>,
    /// Most bytes of the answer.
    pub most: usize,
    /// Any status that begins with 2 is success, not 200 alone.
    pub any_success: bool,
}

/// The client. Cheap to clone.
#[derive(Clone)]
pub struct Outbound {
    guard: Arc<Guard>,
    /// For HTTP.
    tls: TlsConnector,
    /// For protocols without a name of their own in TLS.
    nameless: TlsConnector,
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbound").field("guard", &self.guard).finish_non_exhaustive()
    }
}

impl Outbound {
    /// A client that trusts the public CAs and those in `more` (PEM).
    ///
    /// # Errors
    /// What is wrong with `more`, in words.
    pub fn new(guard: Guard, more: Option<&[u8]>) -> Result<Self, String> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for certificate in CertificateDer::pem_slice_iter(more.unwrap_or_default()) {
            let certificate = certificate.map_err(|error| format!("it is not PEM: {error:?}"))?;
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let nameless = TlsConnector::from(Arc::new(config.clone()));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let tls = TlsConnector::from(Arc::new(config));
        Ok(Self { guard: Arc::new(guard), tls, nameless })
    }

    /// Asks, and reads the whole answer.
    ///
    /// # Errors
    /// [`OutboundError`].
    pub async fn ask(&self, ask: Ask<'_>) -> Result<Bytes, OutboundError> {
        let target = Target::parse(ask.url)?;
        let host = target.host.clone();
        let late = || OutboundError::Away { host, why: "it took too long".to_owned() };
        timeout(OUTBOUND_TIMEOUT, self.exchange(&target, ask)).await.map_err(|_| late())?
    }

    /// Whether a URL is one that can be asked: by its form, and in plain text by its addresses.
    ///
    /// # Errors
    /// [`OutboundError`].
    pub async fn may_ask(&self, url: &str) -> Result<(), OutboundError> {
        let target = Target::parse(url)?;
        if target.is_tls {
            return Ok(());
        }
        let host = target.host.clone();
        let late = || OutboundError::Resolve { host, why: "it took too long".to_owned() };
        let found = timeout(OUTBOUND_DIAL, self.judged(&target.host, target.port)).await;
        self.may_be_plain(&target, &found.map_err(|_| late())??)
    }

    fn may_be_plain(&self, target: &Target, found: &[SocketAddr]) -> Result<(), OutboundError> {
        if target.is_tls || found.iter().all(|address| self.guard.names(address.ip())) {
            return Ok(());
        }
        Err(OutboundError::Plain(target.host.clone()))
    }

    async fn exchange(&self, target: &Target, ask: Ask<'_>) -> Result<Bytes, OutboundError> {
        let found = self.judged(&target.host, target.port).await?;
        self.may_be_plain(target, &found)?;
        let tcp = dial(&target.host, found).await?;
        if !target.is_tls {
            return request(tcp, target, ask).await;
        }
        let stream = begin_tls(&self.tls, &target.host, tcp).await?;
        request(stream, target, ask).await
    }

    /// A connection to a host that is configured for another protocol than HTTP.
    ///
    /// # Errors
    /// [`OutboundError`].
    pub(super) async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, OutboundError> {
        dial(host, self.judged(host, port).await?).await
    }

    /// TLS on such a connection.
    ///
    /// # Errors
    /// [`OutboundError`].
    pub(super) async fn secure(
        &self,
        host: &str,
        tcp: TcpStream,
    ) -> Result<TlsStream<TcpStream>, OutboundError> {
        begin_tls(&self.nameless, host, tcp).await
    }

    /// The addresses of a name, all of which may be dialled.
    async fn judged(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, OutboundError> {
        let found = tokio::net::lookup_host((host, port)).await;
        let found = found.map_err(|error| OutboundError::Resolve {
            host: host.to_owned(),
            why: error.to_string(),
        })?;
        let found: Vec<SocketAddr> = found.take(MAX_OUTBOUND_ADDRESSES).collect();
        // One guarded address among others is a name that leads inside: none is dialled.
        match found.iter().find(|address| !self.guard.admits(address.ip())) {
            Some(bad) => Err(OutboundError::Guarded { host: host.to_owned(), address: bad.ip() }),
            None => Ok(found),
        }
    }
}

/// Connects to the first address that answers.
async fn dial(host: &str, found: Vec<SocketAddr>) -> Result<TcpStream, OutboundError> {
    let why = "it has no address".to_owned();
    let mut last = OutboundError::Resolve { host: host.to_owned(), why };
    for address in found {
        last = match timeout(OUTBOUND_DIAL, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => away(host, &error),
            Err(_) => away(host, &format_args!("{address} did not answer in time")),
        };
    }
    Err(last)
}

async fn begin_tls(
    connector: &TlsConnector,
    host: &str,
    tcp: TcpStream,
) -> Result<TlsStream<TcpStream>, OutboundError> {
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|_| OutboundError::Url(host.to_owned()))?;
    connector.connect(name, tcp).await.map_err(|error| away(host, &error))
}

fn away(host: &str, why: &dyn std::fmt::Display) -> OutboundError {
    OutboundError::Away { host: host.to_owned(), why: why.to_string() }
}

pub(super) async fn request<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    target: &Target,
    ask: Ask<'_>,
) -> Result<Bytes, OutboundError> {
    let broken = |error: &dyn std::fmt::Display| away(&target.host, error);
    let (mut sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    let driver = AbortOnDrop(tokio::spawn(connection));
    let method = if ask.body.is_some() { Method::POST } else { Method::GET };
    let mut request = Request::builder()
        .method(method)
        .uri(&target.path)
        .header(header::HOST, &target.authority)
        .header(header::ACCEPT, "application/json");
    for (name, value) in ask.headers {
        request = request.header(*name, *value);
    }
    let body = Full::new(Bytes::from(ask.body.unwrap_or_default()));
    let request = request.body(body).map_err(|error| broken(&error))?;
    let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
    let status = response.status();
    let read = Limited::new(response.into_body(), ask.most).collect().await;
    drop(driver);
    let host = || target.host.clone();
    let body = match read {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(OutboundError::TooLarge { host: host(), most: ask.most });
        }
        Err(error) => return Err(broken(&error)),
    };
    if status == StatusCode::OK || (ask.any_success && status.is_success()) {
        return Ok(body);
    }
    Err(OutboundError::Status { host: host(), status: status.as_u16(), body })
}

/// Ends the connection's task with the request.
struct AbortOnDrop(tokio::task::JoinHandle<Result<(), hyper::Error>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
