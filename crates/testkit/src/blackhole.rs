//! An address that swallows connections: packets to it are neither answered nor refused, as on a
//! path that is broken.
//!
//! A listener whose backlog is full does that: Linux drops the first packet of each further
//! connection. And counts it.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::trouble::ensure;
use crate::{Outcome, Trouble};

/// Connections that fill the shortest backlog there is: one or two do.
const MOST: usize = 8;
/// A connection on loopback that is not there after this will not be.
const SWALLOWED: Duration = Duration::from_millis(300);

/// An address that answers nothing. Dropping it makes the address refuse connections again.
#[derive(Debug)]
pub struct BlackHole {
    _listener: Socket,
    _filling: Vec<TcpStream>,
    swallowed_before: u64,
}

impl BlackHole {
    /// Makes one of this address. Meant for a [`crate::netns::Network`] of one's own: there nobody
    /// else is swallowed.
    ///
    /// # Errors
    /// The address is taken, or the system answers in spite of all.
    pub fn at(address: SocketAddr) -> Outcome<Self> {
        let listener = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        listener.bind(&address.into())?;
        listener.listen(0)?;
        let mut filling = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, SWALLOWED) {
            filling.push(stream);
            ensure(filling.len() < MOST, || {
                format!("{address} still answers after {MOST} connections")
            })?;
        }
        Ok(Self { _listener: listener, _filling: filling, swallowed_before: swallowed()? })
    }

    /// Whether something was swallowed since it was made.
    ///
    /// # Errors
    /// The system does not count.
    pub fn has_swallowed(&self) -> Outcome<bool> {
        Ok(swallowed()? > self.swallowed_before)
    }
}

/// First packets of connections that listeners of this network dropped so far (`TcpExt:
/// ListenDrops`).
fn swallowed() -> Outcome<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/net/netstat")?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let mut pairs = names.split_whitespace().zip(values.split_whitespace());
    let drops =
        pairs.find_map(|(name, value)| (name == "ListenDrops").then(|| value.parse().ok())?);
    drops.ok_or_else(|| Trouble::new("netstat has no ListenDrops"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netns::Network;

    #[test]
    fn a_black_hole_answers_nobody_and_knows_it() {
        let _network = Network::enter().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 7));
        let hole = BlackHole::at(address).unwrap();
        let error = TcpStream::connect_timeout(&address, SWALLOWED).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        assert!(hole.has_swallowed().unwrap());
    }
}
