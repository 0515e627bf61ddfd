//! Tunnels: `towline forward` with servers behind it, and what the rest of the world makes of them.
//!
//! Targets are threads of the test, so that each side of a connection can be held, broken and
//! looked at.

mod copy;
mod copy_places;
mod copy_sessions;
mod faults;
mod flow;
mod plugin;
pub(crate) mod ssh;
mod store;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use towline_testkit::lab::{Device, Lab, Operator};
use towline_testkit::process::Running;
use towline_testkit::{Outcome, Trouble};

/// How long a forward may take until it listens, or a connection until it answers: a debug build on
/// a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// `towline forward` in the background. Dropped: it is killed.
pub(crate) struct Forward {
    pub(crate) running: Running,
    pub(crate) port: u16,
}

impl Forward {
    pub(crate) fn start(lab: &Lab, device: &Device, route: &str) -> Outcome<Self> {
        Self::of(&lab.admin(), lab, device, route)
    }

    pub(crate) fn of(
        operator: &Operator,
        lab: &Lab,
        device: &Device,
        route: &str,
    ) -> Outcome<Self> {
        Self::on(operator, lab, device.id(), route)
    }

    /// On the device of this id.
    pub(crate) fn on(operator: &Operator, lab: &Lab, id: &str, route: &str) -> Outcome<Self> {
        let log = lab.directory().join(format!("forward-{}.log", route.replace(['/', ':'], "-")));
        let command = operator.towline(&["-o", "json", "forward", id, route]);
        let mut running = Running::start("towline forward", command, &log)?;
        let port = running.wait_for("the forward listens", 0, PATIENCE, port_in)?;
        Ok(Self { running, port })
    }

    pub(crate) fn connect(&self) -> Outcome<TcpStream> {
        connect(self.port)
    }
}

/// The port in what `-o json` prints.
fn port_in(printed: &str) -> Option<u16> {
    let (_, behind) = printed.split_once("\"LocalPort\":")?;
    let digits: String = behind.trim_start().chars().take_while(char::is_ascii_digit).collect();
    // The line has to be whole.
    behind.contains('}').then(|| digits.parse().ok())?
}

pub(crate) fn connect(port: u16) -> Outcome<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A server on a free port of this machine, a thread for each connection; the threads end with the
/// test's process.
pub(crate) fn serve(
    work: impl Fn(TcpStream) + Send + Sync + Clone + 'static,
) -> Outcome<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let work = work.clone();
            std::thread::spawn(move || work(stream));
        }
    });
    Ok(address)
}

/// Sends back what it gets.
pub(crate) fn echo_server() -> Outcome<SocketAddr> {
    serve(|mut stream| {
        let mut buffer = vec![0; 64 * 1024];
        let _ = stream.set_nodelay(true);
        while let Ok(n) = stream.read(&mut buffer) {
            if n == 0 || stream.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _ = stream.shutdown(Shutdown::Write);
    })
}

/// One word there and back.
pub(crate) fn ask(stream: &mut TcpStream, word: &[u8]) -> Outcome {
    stream.write_all(word)?;
    let mut answer = vec![0; word.len()];
    stream.read_exact(&mut answer)?;
    if answer == word {
        Ok(())
    } else {
        Err(Trouble::new("another answer than the word that was sent"))
    }
}

/// Bytes that differ everywhere, the same for the same seed.
pub(crate) fn pattern(seed: u64, n: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(n + 8);
    while bytes.len() < n {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(n);
    bytes
}
