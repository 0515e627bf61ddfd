//! From a name to a TCP connection: all addresses of the name are tried, a new one before the last
//! has failed.
//!
//! # Invariants
//! - At most [`MAX_DIAL_ADDRESSES`] addresses are tried, and all together at most [`DIAL_TIMEOUT`].
//! - Nagle's delay is off: a keystroke leaves at once.
//!
//! # Not here
//! - No proxy.

use std::io;
use std::net::SocketAddr;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use towline_wire::text::connection_error;

use super::error::CallError;
use crate::config::Endpoint;
use crate::limits::{DIAL_HEAD_START, DIAL_TIMEOUT, MAX_DIAL_ADDRESSES};

/// Connects to the host and port.
///
/// # Errors
/// [`CallError::Resolve`], [`CallError::Connect`] with the last address's reason,
/// [`CallError::Timeout`].
pub(super) async fn dial(to: &Endpoint) -> Result<TcpStream, CallError> {
    let waited = DIAL_TIMEOUT;
    let stream = timeout(waited, connect(to))
        .await
        .map_err(|_| CallError::Timeout { to: to.to_string(), waited })??;
    let failed =
        |error: io::Error| CallError::Connect { to: to.to_string(), why: connection_error(&error) };
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}

async fn connect(to: &Endpoint) -> Result<TcpStream, CallError> {
    let resolve = |why: String| CallError::Resolve { host: to.host.clone(), why };
    let found = tokio::net::lookup_host((to.host.as_str(), to.port))
        .await
        .map_err(|e| resolve(e.to_string()))?;
    let addresses = interleave(found.collect());
    if addresses.is_empty() {
        return Err(resolve("it has no address".to_owned()));
    }
    race(&addresses)
        .await
        .map_err(|error| CallError::Connect { to: to.to_string(), why: connection_error(&error) })
}

/// IPv6 and IPv4 in turns, beginning with what the system put first.
fn interleave(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_six = found.first().is_some_and(SocketAddr::is_ipv6);
    let (a, b): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|address| address.is_ipv6() == first_is_six);
    let (mut a, mut b) = (a.into_iter(), b.into_iter());
    let mut all = Vec::new();
    while all.len() < MAX_DIAL_ADDRESSES {
        let (x, y) = (a.next(), b.next());
        if x.is_none() && y.is_none() {
            break;
        }
        all.extend(x.into_iter().chain(y));
    }
    all.truncate(MAX_DIAL_ADDRESSES);
    all
}

async fn race(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut waiting = addresses.iter();
    let mut running = FuturesUnordered::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        if let Some(&address) = waiting.next() {
            running.push(TcpStream::connect(address));
        } else if running.is_empty() {
            return Err(last);
        }
        let more = waiting.len() > 0;
        tokio::select! {
            Some(result) = running.next() => match result {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            },
            () = sleep(DIAL_HEAD_START), if more => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_the_number_is_bounded() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let found = vec![address("[::1]:1"), address("[::2]:1"), address("1.1.1.1:1")];
        assert_eq!(
            interleave(found),
            [address("[::1]:1"), address("1.1.1.1:1"), address("[::2]:1")]
        );
        assert_eq!(interleave(vec![address("1.1.1.1:1"); 30]).len(), MAX_DIAL_ADDRESSES);
        assert!(interleave(Vec::new()).is_empty());
    }

    #[test]
    fn an_address_that_refuses_does_not_hide_one_that_answers() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let good = listener.local_addr().unwrap();
            // Its port is kept, and nobody listens.
            let holder = tokio::net::TcpSocket::new_v4().unwrap();
            holder.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let closed = holder.local_addr().unwrap();
            assert!(race(&[closed, good]).await.is_ok());
            assert!(race(&[closed]).await.is_err());
        });
    }
}
