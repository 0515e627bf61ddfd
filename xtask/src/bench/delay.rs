//! A delay line: TCP on loopback that takes its time, without slowing anything down otherwise.
//!
//! Data flow: client -> reader thread (stamps) -> bounded queue -> writer thread (waits for the
//! stamp's time) -> target; and back. Unlike the tests' relay it delays bytes, not portions: what
//! is under way at once is bounded by [`QUEUE`] alone.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use towline_testkit::Outcome;
use towline_testkit::trouble::pause;

/// Portions under way in one direction; each has at most [`CHUNK`] bytes. 64 MiB: more than any
/// window here.
const QUEUE: usize = 4096;
const CHUNK: usize = 16 * 1024;

/// A port whose connections reach `target` with this round trip. It lasts as long as the process.
pub(super) fn line(target: SocketAddr, round_trip: Duration) -> Outcome<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            if let Ok(server) = TcpStream::connect(target) {
                let _ = join(client, server, round_trip / 2);
            }
        }
    });
    Ok(address)
}

fn join(client: TcpStream, server: TcpStream, one_way: Duration) -> std::io::Result<()> {
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    pump(client.try_clone()?, server.try_clone()?, one_way);
    pump(server, client, one_way);
    Ok(())
}

fn pump(mut from: TcpStream, mut to: TcpStream, one_way: Duration) {
    let (put, take) = sync_channel::<(Instant, Vec<u8>)>(QUEUE);
    std::thread::spawn(move || {
        let mut buffer = vec![0; CHUNK];
        while let Ok(n) = from.read(&mut buffer) {
            if n == 0 || put.send((Instant::now() + one_way, buffer[..n].to_vec())).is_err() {
                break;
            }
        }
    });
    std::thread::spawn(move || {
        for (due, bytes) in take {
            pause(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
