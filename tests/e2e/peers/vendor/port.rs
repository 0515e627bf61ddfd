//! Port sessions on the agent's side: version 1 of smux for forwarded ports, one raw connection for
//! SSH.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use towline_ssm::message::PayloadType;
use towline_testkit::{Outcome, Trouble};

use super::stream::Stream;

/// Bytes of a frame's header: version, command, length, stream.
const HEADER: usize = 8;
const SYN: u8 = 0;
const FIN: u8 = 1;
const PSH: u8 = 2;

fn frame(command: u8, id: u32, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap_or(0).to_le_bytes();
    [&[1, command][..], &length, &id.to_le_bytes(), data].concat()
}

fn dial(properties: &Value) -> Outcome<TcpStream> {
    let port = properties["portNumber"].as_str().unwrap_or_default();
    let host = properties["host"].as_str().unwrap_or("127.0.0.1");
    let socket = TcpStream::connect(format!("{host}:{port}"))?;
    socket.set_read_timeout(Some(Duration::from_millis(1)))?;
    Ok(socket)
}

/// Reads what is there; `None`: the other side has closed.
fn read(socket: &mut TcpStream) -> Outcome<Option<Vec<u8>>> {
    let mut chunk = vec![0; 1000];
    match socket.read(&mut chunk) {
        Ok(0) => Ok(None),
        Ok(read) => {
            chunk.truncate(read);
            Ok(Some(chunk))
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Ok(Some(Vec::new()))
        }
        Err(error) => Err(error.into()),
    }
}

/// One raw connection.
pub(crate) fn raw(stream: &mut Stream, properties: &Value) -> Outcome {
    let mut socket = dial(properties)?;
    loop {
        for (kind, payload) in stream.turn()? {
            if kind == PayloadType::Output {
                socket.write_all(&payload)?;
            }
        }
        if stream.closed {
            return Ok(());
        }
        if stream.has_room() {
            match read(&mut socket)? {
                Some(bytes) => stream.send(PayloadType::Output, &bytes),
                None => return Ok(()),
            }
        }
    }
}

/// Many connections in frames of smux.
pub(crate) fn muxed(stream: &mut Stream, properties: &Value) -> Outcome {
    let mut sockets: BTreeMap<u32, TcpStream> = BTreeMap::new();
    let mut kept = Vec::new();
    loop {
        for (kind, payload) in stream.turn()? {
            match kind {
                PayloadType::Output => kept.extend(payload),
                PayloadType::Flag if payload == [0, 0, 0, 2] => return Ok(()),
                _ => {}
            }
        }
        if stream.closed {
            return Ok(());
        }
        while let Some((command, id, data)) = next(&mut kept)? {
            match command {
                SYN => match dial(properties) {
                    Ok(socket) => {
                        sockets.insert(id, socket);
                    }
                    Err(_) => {
                        stream.send(PayloadType::Flag, &[0, 0, 0, 3]);
                        stream.send(PayloadType::Output, &frame(FIN, id, b""));
                    }
                },
                PSH => {
                    if let Some(socket) = sockets.get_mut(&id) {
                        socket.write_all(&data)?;
                    }
                }
                FIN => drop(sockets.remove(&id)),
                _ => {}
            }
        }
        let mut over = Vec::new();
        for (id, socket) in &mut sockets {
            if !stream.has_room() {
                break;
            }
            match read(socket) {
                Ok(Some(bytes)) if bytes.is_empty() => {}
                Ok(Some(bytes)) => stream.send(PayloadType::Output, &frame(PSH, *id, &bytes)),
                _ => over.push(*id),
            }
        }
        for id in over {
            sockets.remove(&id);
            stream.send(PayloadType::Output, &frame(FIN, id, b""));
        }
    }
}

/// The next whole frame. Any version but the first is a fault, as for the real agent.
fn next(kept: &mut Vec<u8>) -> Outcome<Option<(u8, u32, Vec<u8>)>> {
    let Some(&[version, command, low, high, a, b, c, d]) = kept.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    if version != 1 {
        return Err(Trouble::new(format!("smux of version {version}")));
    }
    let end = HEADER + usize::from(u16::from_le_bytes([low, high]));
    if kept.len() < end {
        return Ok(None);
    }
    let data = kept[HEADER..end].to_vec();
    kept.drain(..end);
    Ok(Some((command, u32::from_le_bytes([a, b, c, d]), data)))
}
