//! The listening socket: IPv4 and IPv6 on one, whatever the system's default is.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::limits::ACCEPT_BACKLOG;

/// Listens on `address`. `[::]` takes IPv4 too; where the system has no IPv6 at all, it becomes
/// `0.0.0.0`.
///
/// # Errors
/// The system's: address in use, not ours, port not allowed.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    match bind(address) {
        Err(error) if address.is_ipv6() && address.ip().is_unspecified() && no_ipv6(&error) => {
            bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
        }
        other => other,
    }
}

fn no_ipv6(error: &io::Error) -> bool {
    // EAFNOSUPPORT: no IPv6 in the kernel. EADDRNOTAVAIL: in the kernel, but switched off.
    matches!(error.raw_os_error(), Some(97)) || error.kind() == io::ErrorKind::AddrNotAvailable
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?; // a restart must not wait for old connections to be forgotten
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(ACCEPT_BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpStream;

    #[tokio::test]
    async fn the_unspecified_address_takes_both_families() {
        let listener = listen("[::]:0".parse().unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        if listener.local_addr().unwrap().is_ipv6() {
            TcpStream::connect(("::1", port)).await.unwrap();
        }
    }
}
