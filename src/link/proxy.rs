//! HTTP proxies: the setting, its exceptions, and the CONNECT request.
//!
//! The setting is a URL, `http://[USER:PASSWORD@]HOST[:PORT]`, from the configuration or
//! `HTTPS_PROXY`. Hosts in `NO_PROXY` are dialled directly. Credentials are never in a log, an
//! error or a debug print.

use crate::limits;
use crate::state::enrollment::Address;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io;
use std::net::IpAddr;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A proxy, and how to log in to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Where it is.
    pub address: Address,
    /// `USER:PASSWORD`, decoded.
    credentials: Option<String>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Why the proxy did not open a tunnel.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The connection broke.
    #[error("the proxy closed the connection: {0}")]
    Io(#[from] io::Error),
    /// It wants other credentials.
    #[error(
        "the proxy refuses the credentials (407): set them in the proxy's URL, \
         http://USER:PASSWORD@HOST:PORT"
    )]
    Credentials,
    /// It refuses the gateway.
    #[error("the proxy refuses to connect to the gateway: {0}")]
    Refused(String),
    /// It speaks something else.
    #[error("the proxy's answer is not HTTP: check the port")]
    NotHttp,
}

/// The error for a URL that cannot be parsed.
const FORM: &str = "must have the form http://[USER:PASSWORD@]HOST[:PORT]";

impl Proxy {
    /// Reads a proxy's URL.
    ///
    /// # Errors
    /// What is wrong with it, without repeating it: it may hold a password.
    pub fn parse(url: &str) -> Result<Self, String> {
        let rest = match url.split_once("://") {
            Some(("http", rest)) => rest,
            // What is no name of a scheme may be a password.
            Some((scheme, _)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                return Err(format!(
                    "a proxy of scheme \"{scheme}\" is not supported, use http://"
                ));
            }
            Some(_) => return Err(FORM.to_owned()),
            None => url,
        };
        let authority = rest.trim_end_matches('/');
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let with_port =
            if has_port && !host.ends_with(']') { host.to_owned() } else { format!("{host}:3128") };
        let address = Address::parse(&with_port).ok_or(FORM)?;
        let credentials = user
            .map(|user| percent_decode(user).ok_or("its user or password is not percent-encoded"));
        Ok(Self { address, credentials: credentials.transpose()? })
    }

    /// A proxy that was read before.
    #[must_use]
    pub fn at(address: Address, credentials: Option<String>) -> Self {
        Self { address, credentials }
    }

    /// `USER:PASSWORD`, decoded.
    #[must_use]
    pub fn credentials(&self) -> Option<&str> {
        self.credentials.as_deref()
    }

    /// Asks for a tunnel to `target`. What follows on `stream` is the target's.
    ///
    /// # Errors
    /// [`ProxyError`].
    pub async fn connect(
        &self,
        stream: &mut TcpStream,
        target: &Address,
    ) -> Result<(), ProxyError> {
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(credentials) = &self.credentials {
            request.push_str(&format!(
                "Proxy-Authorization: Basic {}\r\n",
                STANDARD.encode(credentials)
            ));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await?;
        answer(stream).await
    }
}

/// Reads a proxy's answer. What follows on `stream` is the target's.
///
/// # Errors
/// [`ProxyError`]: there is no tunnel.
pub async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> Result<(), ProxyError> {
    judge(&read_head(stream).await?)
}

/// Reads to the empty line and not a byte further: the next one is the target's.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, ProxyError> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= limits::PROXY_HEAD {
            return Err(ProxyError::NotHttp);
        }
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}

fn judge(head: &[u8]) -> Result<(), ProxyError> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
    match status {
        Some(status) if status.starts_with('2') => Ok(()),
        Some("407") => Err(ProxyError::Credentials),
        Some(_) => Err(ProxyError::Refused(
            line.chars().filter(|c| !c.is_control()).take(limits::PROXY_TEXT).collect(),
        )),
        None => Err(ProxyError::NotHttp),
    }
}

/// Whether `NO_PROXY` names this host: `*`, the name itself, a domain above it, an address, or an
/// IPv4/IPv6 network.
#[must_use]
pub fn is_exempt(no_proxy: &str, host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    no_proxy.split([',', ' ']).map(str::trim).filter(|rule| !rule.is_empty()).any(|rule| {
        let rule = rule.to_ascii_lowercase();
        let rule = rule.trim_start_matches("*.").trim_start_matches('.').trim_matches(['[', ']']);
        match address {
            _ if rule == "*" || rule == host => true,
            Some(address) => in_network(rule, address),
            None => host.strip_suffix(rule).is_some_and(|front| front.ends_with('.')),
        }
    })
}

fn in_network(rule: &str, address: IpAddr) -> bool {
    let Some((network, bits)) = rule.split_once('/') else { return false };
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    let same_front = |a: u128, b: u128, width: u32| {
        bits <= width && (bits == 0 || (a ^ b) >> (width - bits) == 0)
    };
    match (network, address) {
        (IpAddr::V4(n), IpAddr::V4(a)) => same_front(n.to_bits().into(), a.to_bits().into(), 32),
        (IpAddr::V6(n), IpAddr::V6(a)) => same_front(n.to_bits(), a.to_bits(), 128),
        _ => false,
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_with_credentials_is_read_and_never_shown() {
        let proxy = Proxy::parse("http://ann:p%40ss@proxy.example:8080/").unwrap();
        assert_eq!((proxy.address.host.as_str(), proxy.address.port), ("proxy.example", 8080));
        assert_eq!(proxy.credentials.as_deref(), Some("ann:p@ss"));
        assert!(!format!("{proxy:?}").contains("p@ss"));
    }

    #[test]
    fn a_url_without_a_port_means_3128() {
        assert_eq!(Proxy::parse("proxy").unwrap().address.port, 3128);
        assert_eq!(
            Proxy::parse("http://[fd00::2]").unwrap().address,
            Address { host: "fd00::2".into(), port: 3128 }
        );
    }

    #[test]
    fn other_kinds_of_proxy_are_refused_with_a_reason() {
        assert!(Proxy::parse("socks5://x").unwrap_err().contains("socks5"));
        assert_eq!(Proxy::parse("ann:p@ss@host://x").unwrap_err(), FORM);
    }

    #[test]
    fn exemptions_are_names_domains_addresses_and_networks() {
        let list = "localhost, .corp.example,10.0.0.0/8,fd00::/8,192.168.1.5";
        for host in
            ["localhost", "a.corp.example", "corp.example", "10.9.8.7", "fd00::7", "192.168.1.5"]
        {
            assert!(is_exempt(list, host), "{host}");
        }
        for host in ["example", "notcorp.example", "11.0.0.1", "fe80::1", "192.168.1.6"] {
            assert!(!is_exempt(list, host), "{host}");
        }
        assert!(is_exempt("*", "anything"));
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        assert!(judge(b"HTTP/1.1 200 OK\r\n\r\n").is_ok());
        assert!(matches!(judge(b"HTTP/1.1 407 Auth\r\n\r\n"), Err(ProxyError::Credentials)));
        assert!(
            matches!(judge(b"HTTP/1.0 403 No\r\n\r\n"), Err(ProxyError::Refused(line)) if line == "HTTP/1.0 403 No")
        );
        assert!(matches!(judge(b"SSH-2.0\r\n\r\n"), Err(ProxyError::NotHttp)));
    }
}
