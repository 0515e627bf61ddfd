//! Peers that prove nothing: silent connections, idle TLS, requests that are refused, bodies that
//! never end. Loopback only; each kind is bounded by the number that the caller gives.
//!
//! # Not here
//! - What a gateway must do about them: the tests, and `cargo xtask flood-strangers`.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpStream};
use std::path::PathBuf;

use rustls::{ClientConnection, StreamOwned};

use crate::https::{self, Request};
use crate::lab::Keys;
use crate::{Outcome, Trouble};

/// A TLS connection of a stranger.
pub type Idle = StreamOwned<ClientConnection, TcpStream>;

/// Requests that are sent before their answers are read.
const PIPELINED: usize = 50;
/// Bytes of a body that are sent before it stalls; what it announces is a little more.
pub const STALLED_BODY: usize = 1_000_000;

/// Strangers of one address.
#[derive(Debug, Clone)]
pub struct Strangers {
    /// `NAME:PORT` of the gateway.
    pub host: String,
    /// Its certificate authority.
    pub ca: PathBuf,
    /// Their address; `None`: 127.0.0.1.
    pub source: Option<IpAddr>,
}

impl Strangers {
    /// A connection that says nothing.
    ///
    /// # Errors
    /// No connection.
    pub fn silent(&self) -> Outcome<TcpStream> {
        https::dial(&self.host, self.source)
    }

    /// A connection that is through its TLS handshake and asks nothing.
    ///
    /// # Errors
    /// No connection.
    pub fn idle(&self) -> Outcome<Idle> {
        let mut stream = https::connect(&self.host, &self.ca, self.source)?;
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }

    /// Sends `count` unsigned requests over one connection. How many were answered.
    ///
    /// # Errors
    /// No connection.
    pub fn unsigned(&self, count: usize) -> Outcome<usize> {
        self.refused(&Request::json("AmazonSSM.StartSession", "{}").unsigned(&self.host), count)
    }

    /// Sends `count` requests with a wrong signature. How many were answered.
    ///
    /// # Errors
    /// No connection, or a request that cannot be signed.
    pub fn wrong(&self, access_key: &str, region: &str, count: usize) -> Outcome<usize> {
        let keys = Keys { id: access_key.to_owned(), secret: "x".repeat(40) };
        let request = Request::json("AmazonSSM.StartSession", "{}");
        self.refused(&request.signed(&self.host, &keys, region, https::now())?, count)
    }

    fn refused(&self, request: &[u8], count: usize) -> Outcome<usize> {
        let request = String::from_utf8_lossy(request).replace("connection: close\r\n", "");
        let (mut stream, mut answered) = (self.idle()?, 0);
        while answered < count {
            let together = PIPELINED.min(count - answered);
            stream.write_all(request.repeat(together).as_bytes())?;
            stream.flush()?;
            let (mut text, mut chunk) = (String::new(), vec![0; 16 * 1024]);
            // An answer's body is one JSON object on one line; its end is the last brace.
            while text.matches("HTTP/1.1 ").count() < together || !text.ends_with('}') {
                match stream.read(&mut chunk)? {
                    0 => return Ok(answered + text.matches("HTTP/1.1 ").count()),
                    n => text.push_str(&String::from_utf8_lossy(&chunk[..n])),
                }
            }
            answered += together;
        }
        Ok(answered)
    }

    /// A request whose head is in order but for its signature, whose body is large and stops before
    /// its end. A connection that is closed meanwhile is no error.
    ///
    /// # Errors
    /// No connection, or a request that cannot be signed.
    pub fn stalled(&self, access_key: &str, region: &str) -> Outcome<Idle> {
        let keys = Keys { id: access_key.to_owned(), secret: "x".repeat(40) };
        let body = "x".repeat(STALLED_BODY + 1000);
        let bytes = Request::json("AmazonSSM.StartSession", &body).signed(
            &self.host,
            &keys,
            region,
            https::now(),
        )?;
        let mut stream = self.idle()?;
        let begin = bytes.get(..bytes.len() - 1000).ok_or_else(|| Trouble::new("a short body"))?;
        let _ = stream.write_all(begin).and_then(|()| stream.flush());
        Ok(stream)
    }
}
