//! How a port session's bytes are carried to a client of AWS.
//!
//! The device always speaks smux for a forwarded port. Clients of today speak it too, and their
//! bytes pass as they are. Older ones know one raw connection at a time: for them the gateway is
//! the smux client, with one stream.
//!
//! # Invariants
//! - Which way is gone is known when the handshake is complete; nothing flows before.
//! - Nothing is kept here but the state of one stream.

use serde_json::Value;
use towline_wire::smux::{
    Broken, Event, INITIAL_WINDOW, MAX_CONTROL, MAX_DATA, Rule, Streams, Version,
};

/// From this client version on smux is spoken, as official agents decide it.
const MULTIPLEXED: [u32; 3] = [1, 1, 70];

/// How the bytes are carried.
#[derive(Debug)]
pub(super) enum Flow {
    /// Not a port, or one raw connection (SSH), or smux from end to end: bytes pass as they are.
    Opaque,
    /// One raw connection at a time, over a stream of the device's smux.
    Basic(Box<Basic>),
}

/// One raw connection at a time.
#[derive(Debug)]
pub(super) struct Basic {
    streams: Streams,
    current: Option<u32>,
}

/// For a client of this version and a session with these properties.
pub(super) fn flow_of(session_type: &str, properties: &Value, client_version: &str) -> Flow {
    let forwarding = session_type == "Port" && properties["type"] == "LocalPortForwarding";
    if forwarding && !is_multiplexed(client_version) {
        Flow::Basic(Box::new(Basic::new()))
    } else {
        Flow::Opaque
    }
}

/// Versions are compared as official agents do: four numbers, or they count as old.
fn is_multiplexed(version: &str) -> bool {
    let numbers: Option<Vec<u32>> = version.split('.').map(|part| part.parse().ok()).collect();
    numbers.is_some_and(|numbers| numbers.len() == 4 && numbers[..3] >= MULTIPLEXED[..])
}

impl Basic {
    /// Official agents dial at the start, so that a server which speaks first is heard.
    fn new() -> Self {
        let rule = Rule {
            most: 4,
            first: INITIAL_WINDOW,
            widest: INITIAL_WINDOW,
            capacity: 4 * INITIAL_WINDOW,
        };
        let mut streams = Streams::client(rule, Version::One);
        let current = streams.open();
        Self { streams, current }
    }

    /// Bytes of the client, as frames for the device.
    pub(super) fn of_client(&mut self, bytes: &[u8]) -> Vec<u8> {
        let current = match self.current {
            Some(current) => current,
            None => match self.streams.open() {
                Some(fresh) => *self.current.insert(fresh),
                None => return Vec::new(), // only after 2^31 connections
            },
        };
        let mut out = self.control();
        for piece in bytes.chunks(MAX_DATA) {
            out.extend_from_slice(&self.streams.data_header(current, piece.len()));
            out.extend_from_slice(piece);
        }
        out
    }

    /// The client has closed its connection; frames for the device.
    pub(super) fn disconnect(&mut self) -> Vec<u8> {
        if let Some(current) = self.current.take() {
            self.streams.finish(current);
        }
        self.control()
    }

    /// Frames of the device, as bytes for the client.
    pub(super) fn of_device(&mut self, mut frames: &[u8]) -> Result<Vec<u8>, Broken> {
        let mut out = Vec::new();
        while let Some(event) = self.streams.on_bytes(&mut frames)? {
            match event {
                Event::Data(id, data) if Some(id) == self.current => out.extend_from_slice(data),
                // The target has closed: the client's next bytes are for a new connection.
                Event::Ended(id) | Event::Reset(id, _) if Some(id) == self.current => {
                    self.streams.finish(id);
                    self.current = None;
                }
                _ => {}
            }
        }
        Ok(out)
    }

    /// Frames without data that are due.
    pub(super) fn control(&mut self) -> Vec<u8> {
        let (mut out, mut frame) = (Vec::new(), [0; MAX_CONTROL]);
        while self.streams.has_control() {
            let n = self.streams.next_control(&mut frame);
            out.extend_from_slice(&frame[..n]);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn clients_of_today_speak_smux_themselves_and_ssh_needs_none() {
        let port =
            json!({ "portNumber": "80", "localPortNumber": "0", "type": "LocalPortForwarding" });
        let is_basic = |properties: &Value, version| {
            matches!(flow_of("Port", properties, version), Flow::Basic(_))
        };
        for version in ["1.1.70.0", "1.2.0.0", "1.2.835.0", "2.0.0.0"] {
            assert!(!is_basic(&port, version), "{version}");
        }
        for version in ["1.1.69.9", "1.1.70", "1.2.835.0-rc", ""] {
            assert!(is_basic(&port, version), "{version}");
        }
        assert!(!is_basic(&json!({ "portNumber": "22" }), "1.0.0.0"));
    }

    #[test]
    fn an_old_client_s_bytes_become_one_stream_after_the_other() {
        let mut basic = Basic::new();
        assert_eq!(basic.control(), [1, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(basic.of_client(b"hi"), [1, 2, 2, 0, 3, 0, 0, 0, b'h', b'i']);
        assert_eq!(basic.of_device(&[1, 2, 2, 0, 3, 0, 0, 0, b'y', b'o']).unwrap(), b"yo");
        assert_eq!(basic.disconnect(), [1, 1, 0, 0, 3, 0, 0, 0]);
        let again = [1, 0, 0, 0, 5, 0, 0, 0, 1, 2, 1, 0, 5, 0, 0, 0, b'x'];
        assert_eq!(basic.of_client(b"x"), again);
        assert_eq!(basic.of_device(&[1, 1, 0, 0, 5, 0, 0, 0]).unwrap(), b"");
        assert_eq!(
            basic.of_client(b"z")[..8],
            [1, 1, 0, 0, 5, 0, 0, 0],
            "its end is answered, then a new one opened"
        );
    }
}
