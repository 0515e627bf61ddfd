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
    tls: TlsConnector,
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
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { guard: Arc::new(guard), tls: TlsConnector::from(Arc::new(config)) })
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

    async fn exchange(&self, target: &Target, ask: Ask<'_>) -> Result<Bytes, OutboundError> {
        let tcp = self.dial(target).await?;
        if !target.is_tls {
            return request(tcp, target, ask).await;
        }
        let name = ServerName::try_from(target.host.clone())
            .map_err(|_| OutboundError::Url(target.host.clone()))?;
        let stream = self.tls.connect(name, tcp).await.map_err(|error| away(target, &error))?;
        request(stream, target, ask).await
    }

    /// Connects to the first address that answers, of those that may be dialled.
    async fn dial(&self, target: &Target) -> Result<TcpStream, OutboundError> {
        let host = || target.host.clone();
        let resolve = |why: String| OutboundError::Resolve { host: host(), why };
        let found = tokio::net::lookup_host((target.host.as_str(), target.port))
            .await
            .map_err(|error| resolve(error.to_string()))?;
        let found: Vec<SocketAddr> = found.take(MAX_OUTBOUND_ADDRESSES).collect();
        // One guarded address among others is a name that leads inside: none is dialled.
        if let Some(bad) = found.iter().find(|address| !self.guard.admits(address.ip())) {
            return Err(OutboundError::Guarded { host: host(), address: bad.ip() });
        }
        if !target.is_tls && !found.iter().all(|address| self.guard.names(address.ip())) {
            return Err(OutboundError::Plain(host()));
        }
        let mut last = resolve("it has no address".to_owned());
        for address in found {
            last = match timeout(OUTBOUND_DIAL, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => away(target, &error),
                Err(_) => away(target, &format_args!("{address} did not answer in time")),
            };
        }
        Err(last)
    }
}

fn away(target: &Target, why: &dyn std::fmt::Display) -> OutboundError {
    OutboundError::Away { host: target.host.clone(), why: why.to_string() }
}

pub(super) async fn request<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    target: &Target,
    ask: Ask<'_>,
) -> Result<Bytes, OutboundError> {
    let broken = |error: &dyn std::fmt::Display| away(target, error);
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
