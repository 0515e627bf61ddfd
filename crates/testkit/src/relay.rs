//! A TCP relay on loopback that can be cut, held still, closed to newcomers, slowed down; and that
//! counts.
//!
//! Data flow: a client connects to [`Relay::address`] -> two threads pump bytes to and from the
//! target -> what the test orders ([`Relay::cut`], [`Relay::cut_after`], [`Relay::hold`], ...)
//! happens to all connections.
//!
//! # Invariants
//! - It buffers one chunk in each direction: a relay does not hide back-pressure.
//! - A cut shuts both sides down in mid-stream (a FIN each). Silence, as of a pulled cable, is
//!   [`Relay::hold`].

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::trouble::pause;
use crate::{Outcome, eventually};

/// One read. Small, so that a cut in mid-frame is likely.
const CHUNK: usize = 16 << 10;
/// `cut_after` is off.
const NEVER: u64 = u64::MAX;

/// Bytes that went through so far: TCP payload, without headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// From the client to the target.
    pub up: u64,
    /// From the target to the client.
    pub down: u64,
    /// Portions (reads) in both directions: a lower bound of packets.
    pub portions: u64,
    /// Connections that were accepted.
    pub connections: u64,
}

#[derive(Debug, Default)]
struct Orders {
    /// Bytes do not move, connections stay open.
    held: bool,
    /// Added to each portion.
    delay: Duration,
    /// Newcomers are turned away.
    closed: bool,
    /// Where newcomers are led.
    target: Option<SocketAddr>,
    /// Connections with a lower number are stranded: their bytes never move again.
    stranded: u64,
    live: Vec<(u64, TcpStream, TcpStream)>,
}

#[derive(Debug, Default)]
struct Shared {
    orders: Mutex<Orders>,
    changed: Condvar,
    up: AtomicU64,
    down: AtomicU64,
    portions: AtomicU64,
    connections: AtomicU64,
    /// Bytes, both directions together, until the next cut by itself.
    until_cut: AtomicU64,
    over: AtomicBool,
}

/// A relay. Dropped: cut and closed.
#[derive(Debug)]
pub struct Relay {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Relay {
    /// Listens on a free port of the target's loopback address family.
    ///
    /// # Errors
    /// No port is to be had.
    pub fn to(target: SocketAddr) -> Outcome<Self> {
        let listener = TcpListener::bind(if target.is_ipv6() { "[::1]:0" } else { "127.0.0.1:0" })?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        shared.until_cut.store(NEVER, Ordering::SeqCst);
        shared.orders().target = Some(target);
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &accepting));
        Ok(Self { shared, address })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads newcomers elsewhere from now on.
    pub fn retarget(&self, target: SocketAddr) {
        self.shared.orders().target = Some(target);
    }

    /// Resets all connections; returns how many there were.
    pub fn cut(&self) -> usize {
        self.shared.cut()
    }

    /// Resets all connections by itself when so many more bytes have gone through: in the middle of
    /// whatever it is.
    pub fn cut_after(&self, bytes: u64) {
        self.shared.until_cut.store(bytes, Ordering::SeqCst);
    }

    /// Leaves the connections of now open, but moves none of their bytes ever again, while
    /// newcomers get through: what a NAT box that has forgotten them does, or a network that was
    /// left.
    pub fn strand(&self) {
        self.shared.orders().stranded = self.shared.connections.load(Ordering::SeqCst);
    }

    /// Holds all bytes still, with the connections open: what a dead NAT entry looks like. `false`
    /// lets them go on.
    pub fn hold(&self, held: bool) {
        self.shared.orders().held = held;
        self.shared.changed.notify_all();
    }

    /// Turns newcomers away (`true`), or takes them again.
    pub fn close(&self, closed: bool) {
        self.shared.orders().closed = closed;
    }

    /// Delays each portion by so much in each direction.
    pub fn delay(&self, by: Duration) {
        self.shared.orders().delay = by;
    }

    /// What went through so far.
    #[must_use]
    pub fn count(&self) -> Count {
        Count {
            up: self.shared.up.load(Ordering::SeqCst),
            down: self.shared.down.load(Ordering::SeqCst),
            portions: self.shared.portions.load(Ordering::SeqCst),
            connections: self.shared.connections.load(Ordering::SeqCst),
        }
    }

    /// Open connections now.
    #[must_use]
    pub fn live(&self) -> usize {
        self.shared.orders().live.len()
    }

    /// Waits until more than `than` connections have ever been accepted.
    ///
    /// # Errors
    /// Nobody came in time.
    pub fn wait_for_newcomer(&self, than: u64, within: Duration) -> Outcome {
        eventually("a new connection", within, || (self.count().connections > than).then_some(()))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.hold(false);
        self.cut();
        // Wakes the accepting thread, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cut(&self) -> usize {
        let live = std::mem::take(&mut self.orders().live);
        for (_, client, target) in &live {
            // Fails only when that side has gone by itself.
            let _ = client.shutdown(Shutdown::Both);
            let _ = target.shutdown(Shutdown::Both);
        }
        live.len()
    }

    /// Waits while bytes of this connection are held; then says how long to delay them.
    fn may_pass(&self, connection: u64) -> Duration {
        let mut orders = self.orders();
        while (orders.held || connection < orders.stranded) && !self.over.load(Ordering::SeqCst) {
            orders = self.changed.wait(orders).unwrap_or_else(PoisonError::into_inner);
        }
        orders.delay
    }

    /// Takes `n` bytes from what may pass before the next cut; gives how many of them still pass,
    /// and whether to cut.
    fn spend(&self, n: usize) -> (usize, bool) {
        let left = |before: u64| {
            let left = before.saturating_sub(n as u64);
            if left == 0 { NEVER } else { left }
        };
        // Two threads spend from one budget: in one step each, so that no byte is spent twice and
        // one cut comes of it.
        let spent = self.until_cut.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |before| {
            (before != NEVER).then(|| left(before))
        });
        spent.map_or((n, false), |before| {
            (usize::try_from(before).map_or(n, |before| before.min(n)), left(before) == NEVER)
        })
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((client, _)) = listener.accept() {
        if shared.over.load(Ordering::SeqCst) {
            return;
        }
        let number = shared.connections.fetch_add(1, Ordering::SeqCst);
        let (closed, target) = {
            let orders = shared.orders();
            (orders.closed, orders.target)
        };
        let Some(Ok(target)) = target.filter(|_| !closed).map(TcpStream::connect) else { continue };
        if let Err(error) = connect(number, client, target, shared) {
            eprintln!("relay: {error}");
        }
    }
}

fn connect(
    number: u64,
    client: TcpStream,
    target: TcpStream,
    shared: &Arc<Shared>,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    target.set_nodelay(true)?;
    shared.orders().live.push((number, client.try_clone()?, target.try_clone()?));
    let ways = [(client.try_clone()?, target.try_clone()?, true), (target, client, false)];
    for (from, to, up) in ways {
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            pump(from, to, up, number, &shared);
            shared.orders().live.retain(|(n, ..)| *n != number);
        });
    }
    Ok(())
}

/// Moves bytes until one side ends; then both end.
fn pump(mut from: TcpStream, mut to: TcpStream, up: bool, number: u64, shared: &Shared) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(n @ 1..) = from.read(&mut chunk) {
        let delay = shared.may_pass(number);
        if !delay.is_zero() {
            pause(delay);
        }
        let (passing, due) = shared.spend(n);
        // Counted before they are passed on: who has the bytes finds them counted.
        (if up { &shared.up } else { &shared.down }).fetch_add(passing as u64, Ordering::SeqCst);
        shared.portions.fetch_add(1, Ordering::SeqCst);
        if to.write_all(&chunk[..passing]).is_err() {
            break;
        }
        if due {
            shared.cut();
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An echo server for one relay after the other; ends with the test's process.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    std::io::copy(&mut stream.try_clone().unwrap(), &mut stream)
                });
            }
        });
        address
    }

    fn say(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<Vec<u8>> {
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.write_all(text)?;
        let mut got = vec![0; text.len()];
        stream.read_exact(&mut got)?;
        Ok(got)
    }

    #[test]
    fn bytes_go_through_and_are_counted() {
        let relay = Relay::to(echo()).unwrap();
        let mut stream = TcpStream::connect(relay.address()).unwrap();
        assert_eq!(say(&mut stream, b"hello").unwrap(), b"hello");
        let count = relay.count();
        assert_eq!((count.up, count.down, count.connections), (5, 5, 1));
    }

    #[test]
    fn a_cut_ends_all_connections_and_newcomers_get_through() {
        let relay = Relay::to(echo()).unwrap();
        let mut stream = TcpStream::connect(relay.address()).unwrap();
        say(&mut stream, b"hello").unwrap();
        assert_eq!(relay.cut(), 1);
        assert!(say(&mut stream, b"hello").is_err());
        say(&mut TcpStream::connect(relay.address()).unwrap(), b"again").unwrap();
    }

    #[test]
    fn a_cut_comes_after_exactly_so_many_bytes() {
        let relay = Relay::to(echo()).unwrap();
        let mut stream = TcpStream::connect(relay.address()).unwrap();
        relay.cut_after(3);
        assert!(say(&mut stream, b"hello").is_err());
        assert_eq!(relay.count().up, 3);
    }

    #[test]
    fn two_directions_spend_one_budget_and_one_cut_comes_of_it() {
        let shared = Shared::default();
        for _ in 0..200 {
            shared.until_cut.store(1_000, Ordering::SeqCst);
            let spend = || (0..600).map(|_| shared.spend(1)).filter(|(_, due)| *due).count();
            let due = std::thread::scope(|scope| {
                let other = scope.spawn(spend);
                spend() + other.join().unwrap()
            });
            assert_eq!(due, 1);
        }
    }

    #[test]
    fn held_bytes_wait_and_then_arrive() {
        let relay = Relay::to(echo()).unwrap();
        let mut stream = TcpStream::connect(relay.address()).unwrap();
        relay.hold(true);
        stream.write_all(b"late").unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!(stream.read(&mut [0; 4]).is_err());
        relay.hold(false);
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.read_exact(&mut [0; 4]).unwrap();
    }

    #[test]
    fn a_stranded_connection_stays_open_and_silent_while_newcomers_get_through() {
        let relay = Relay::to(echo()).unwrap();
        let mut stream = TcpStream::connect(relay.address()).unwrap();
        say(&mut stream, b"hello").unwrap();
        relay.strand();
        stream.write_all(b"lost").unwrap();
        say(&mut TcpStream::connect(relay.address()).unwrap(), b"new").unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let error = stream.read(&mut [0; 4]).unwrap_err();
        assert!(
            matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
            "{error}"
        );
    }

    #[test]
    fn a_closed_relay_takes_nobody() {
        let relay = Relay::to(echo()).unwrap();
        relay.close(true);
        assert!(say(&mut TcpStream::connect(relay.address()).unwrap(), b"hello").is_err());
    }
}
