//! Balancers in front of the port: from their addresses, and from no others, a connection begins
//! with a header of the PROXY protocol.
//!
//! # Invariants
//! - From a balancer a header must come, within [`limits::PROXY_HEADER_TIMEOUT`]; else the
//!   connection is closed. From elsewhere a header is garbage in place of TLS.
//! - The address that is told counts for everything: shares, failures, policy, activations, audit,
//!   recordings. A health check counts as the balancer's own.

use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt as _};
use towline_ssm::api::activation::{cidr_contains, parse_cidr};
use towline_wire::proxy_header::{LONGEST, Malformed, Progress, Told, read};

use crate::limits;

/// Addresses of balancers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Vec<(IpAddr, u8)>);

impl Proxies {
    /// From addresses and ranges. The error is the text that is neither.
    ///
    /// # Errors
    /// See above.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        let range = |text: &String| parse_cidr(text).ok_or_else(|| text.clone());
        texts.iter().map(range).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a connection from here has to begin with a header.
    pub(super) fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|range| cidr_contains(*range, address))
    }
}

/// Why a balancer's connection is closed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    #[error("the balancer sent no header of the PROXY protocol in time")]
    Late,
    #[error("the balancer must send a header of the PROXY protocol first")]
    Malformed(#[from] Malformed),
    #[error("{0}")]
    Failed(#[from] std::io::Error),
}

/// Reads the header, and no byte more. `peer`: the balancer. Where the connection comes from.
pub(super) async fn source(
    stream: &mut (impl AsyncRead + Unpin),
    peer: SocketAddr,
) -> Result<SocketAddr, ProxyError> {
    let header = async {
        let (mut header, mut length) = ([0; LONGEST], 0);
        loop {
            let more = match read(header.get(..length).unwrap_or_default())? {
                Progress::Done(Told::Local) => return Ok(peer),
                Progress::Done(Told::From(source)) => {
                    return Ok(SocketAddr::new(source.ip().to_canonical(), source.port()));
                }
                Progress::Wants(more) => more,
            };
            let room = header.get_mut(length..length + more).ok_or(Malformed)?;
            stream.read_exact(room).await?;
            length += more;
        }
    };
    tokio::time::timeout(limits::PROXY_HEADER_TIMEOUT, header)
        .await
        .unwrap_or(Err(ProxyError::Late))
}
