//! An HTTP proxy on loopback that accepts CONNECT only and records its requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::Outcome;

/// Longest request head that is read, bytes.
const MOST_HEAD: u64 = 8 << 10;
/// A client that says nothing for so long is hung up on.
const SILENCE: Duration = Duration::from_secs(10);

/// What a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `HOST:PORT` of the CONNECT line.
    pub target: String,
    /// Value of `Proxy-Authorization`, as it was sent.
    pub authorization: Option<String>,
    /// Whether it got through.
    pub granted: bool,
}

/// A proxy. It ends with the test's process; dropping it only forgets what was asked.
#[derive(Debug)]
pub struct ConnectProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl ConnectProxy {
    /// Listens on a free port. With `password` (`user:word` in base64) only those get through that
    /// show it.
    ///
    /// # Errors
    /// No port is to be had.
    pub fn start(password: Option<&str>) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (remembered, password) = (Arc::clone(&asked), password.map(str::to_owned));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (remembered, password) = (Arc::clone(&remembered), password.clone());
                std::thread::spawn(move || serve(client, &remembered, password.as_deref()));
            }
        });
        Ok(Self { address, asked })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All that was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(
    mut client: TcpStream,
    remembered: &Mutex<Vec<Asked>>,
    password: Option<&str>,
) -> std::io::Result<()> {
    client.set_read_timeout(Some(SILENCE))?;
    let (target, authorization) = read_head(&client)?;
    let granted = password.is_none_or(|p| authorization.as_deref() == Some(&format!("Basic {p}")));
    let asked = Asked { target: target.clone(), authorization, granted };
    remembered.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
    if !granted {
        return client
            .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
    }
    let Ok(server) = TcpStream::connect(&target) else {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
    };
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    client.set_read_timeout(None)?;
    let (back, forth) = (server.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || pump(back, forth));
    pump(client, server);
    Ok(())
}

/// The target and the proxy password. Reads byte by byte: what follows the head belongs to the
/// tunnel.
fn read_head(client: &TcpStream) -> std::io::Result<(String, Option<String>)> {
    let mut head = BufReader::with_capacity(1, client.try_clone()?.take(MOST_HEAD));
    let (mut target, mut authorization) = (String::new(), None);
    loop {
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 || line.trim().is_empty() {
            return Ok((target, authorization));
        }
        if let Some(rest) = line.strip_prefix("CONNECT ") {
            target = rest.split_whitespace().next().unwrap_or_default().to_owned();
        }
        if let Some((_, value)) =
            line.split_once(':').filter(|(n, _)| n.eq_ignore_ascii_case("proxy-authorization"))
        {
            authorization = Some(value.trim().to_owned());
        }
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    // An error is the end of the tunnel, as an end of file is.
    let _ = std::io::copy(&mut from, &mut to);
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
