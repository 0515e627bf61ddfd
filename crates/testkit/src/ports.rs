//! Free ports that stay free until the program they are meant for listens.
//!
//! The kernel gives a port that was released to the next program that asks for any port, and tests
//! that run beside this one ask all the time. [`free`] keeps the port: its socket is bound and
//! never listens. Linux gives such a port to nobody who asks for any port, and lets a program
//! listen at it that names it and sets `SO_REUSEADDR`, as servers do: gateway, PostgreSQL, sshd,
//! asyncio.
//!
//! # Invariants
//! - Until somebody listens at it, a port that is kept refuses connections.
//! - A port is kept until the test program ends: also while a server that has it is started again.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use socket2::{Domain, Socket, Type};

use crate::trouble::ensure;
use crate::{Outcome, Trouble};

/// Most ports that one test program keeps.
const MOST: usize = 1000;

static KEPT: Mutex<Vec<Socket>> = Mutex::new(Vec::new());

/// An address on 127.0.0.1 at which nobody listens, and which no other test is given.
///
/// # Errors
/// The system's, or too many are kept.
pub fn free() -> Outcome<SocketAddr> {
    free_at(Ipv4Addr::LOCALHOST.into())
}

/// The same at another address of this machine.
///
/// # Errors
/// As [`free`].
pub fn free_at(ip: IpAddr) -> Outcome<SocketAddr> {
    let any = SocketAddr::new(ip, 0);
    let socket = Socket::new(Domain::for_address(any), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&any.into())?;
    let address = socket.local_addr()?.as_socket();
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    ensure(kept.len() < MOST, || format!("more than {MOST} ports are kept"))?;
    kept.push(socket);
    address.ok_or_else(|| Trouble::new("the socket has no address"))
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_free_port_is_given_to_nobody_else_and_to_the_one_who_names_it() {
        let ours: Vec<SocketAddr> = (0..50).map(|_| free().unwrap()).collect();
        for _ in 0..20_000 {
            let other = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            assert!(!ours.contains(&other), "{other}");
        }
        for address in ours {
            let refused = TcpStream::connect(address).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            for _ in ["first", "started again"] {
                let server = TcpListener::bind(address).unwrap();
                let client = TcpStream::connect(address).unwrap();
                assert_eq!(server.accept().unwrap().1, client.local_addr().unwrap());
            }
        }
    }
}
