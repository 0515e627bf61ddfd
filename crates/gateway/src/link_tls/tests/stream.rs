//! The stream: a handshake that is broken off, peers that read slowly, ends with and without
//! notice, and what an idle link holds.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use towline_wire::text::connection_error;

use super::device::{Configs, flight, name};
use crate::link_tls::LinkStream;
use crate::transport::Transport;

/// Both ends over a pipe that holds so many bytes.
async fn linked(configs: &Configs, room: usize) -> (LinkStream, TlsStream<DuplexStream>) {
    let (ours, theirs) = tokio::io::duplex(room);
    let transport = Transport::Pipe(Box::new(ours));
    let connector = TlsConnector::from(Arc::clone(&configs.client));
    let accept = LinkStream::accept(transport, Arc::clone(&configs.server), Vec::new());
    let (server, client) = tokio::join!(accept, connector.connect(name(), theirs));
    (server.unwrap(), client.unwrap())
}

#[tokio::test]
async fn a_handshake_that_is_broken_off_at_any_byte_is_an_error() {
    let configs = Configs::new();
    let length = flight(&mut configs.ends().1).len();
    for cut in 0..length {
        let hello = flight(&mut configs.ends().1);
        // Some were read before it was known who dials, the others come.
        let (heard, comes) = hello[..cut.min(hello.len())].split_at(cut / 2);
        let (ours, mut theirs) = tokio::io::duplex(10_000);
        theirs.write_all(comes).await.unwrap();
        theirs.shutdown().await.unwrap();
        let transport = Transport::Pipe(Box::new(ours));
        let config = Arc::clone(&configs.server);
        let error = LinkStream::accept(transport, config, heard.to_vec()).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "cut at {cut}: {error}");
    }
}

#[tokio::test]
async fn a_handshake_that_is_none_is_answered_with_an_alert() {
    let (ours, mut theirs) = tokio::io::duplex(10_000);
    let transport = Transport::Pipe(Box::new(ours));
    let heard = b"GET / HTTP/1.1\r\n\r\n".to_vec();
    let error = LinkStream::accept(transport, Configs::new().server, heard).await.err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    let mut told = Vec::new();
    theirs.read_to_end(&mut told).await.unwrap();
    assert_eq!(told.first(), Some(&21), "an alert: {told:?}");
}

#[tokio::test]
async fn megabytes_pass_in_both_directions_at_once_and_afterwards_nothing_is_held() {
    const MANY: usize = 2_000_000;
    let (server, client) = linked(&Configs::new(), 777).await;
    let (mut server_reads, mut server_writes) = tokio::io::split(server);
    let (mut client_reads, mut client_writes) = tokio::io::split(client);
    let sent: Vec<u8> = (0..MANY).map(|n| n.to_le_bytes()[0]).collect();
    let (mut there, mut back) = (vec![0; MANY], vec![0; MANY]);
    let to_server = async {
        client_writes.write_all(&sent).await?;
        client_writes.flush().await
    };
    let to_client = async {
        server_writes.write_all(&sent).await?;
        server_writes.flush().await
    };
    let read = server_reads.read_exact(&mut there);
    let read_back = client_reads.read_exact(&mut back);
    tokio::try_join!(to_server, to_client, read, read_back).unwrap();
    assert!(there == sent && back == sent);
    assert_eq!(server_reads.unsplit(server_writes).memory(), 0);
}

#[tokio::test]
async fn the_devices_end_is_an_end_with_its_notice_and_an_error_without() {
    let configs = Configs::new();
    let (mut server, mut client) = linked(&configs, 10_000).await;
    client.write_all(b"bye").await.unwrap();
    client.shutdown().await.unwrap();
    let mut all = Vec::new();
    server.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"bye");

    let (mut server, mut client) = linked(&configs, 10_000).await;
    client.write_all(b"bye").await.unwrap();
    client.flush().await.unwrap();
    drop(client);
    let mut all = [0; 3];
    server.read_exact(&mut all).await.unwrap();
    let error = server.read(&mut all).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(connection_error(&error), "the other side closed the connection");
}

#[tokio::test]
async fn our_end_is_told_once_and_nothing_follows_it() {
    let (mut server, mut client) = linked(&Configs::new(), 10_000).await;
    server.write_all(b"bye").await.unwrap();
    server.shutdown().await.unwrap();
    assert!(server.write_all(b"more").await.is_err());
    server.shutdown().await.unwrap();
    let mut all = Vec::new();
    client.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"bye");
}

#[tokio::test]
async fn a_device_that_reads_nothing_stops_the_writer_and_not_the_reader() {
    let (server, mut client) = linked(&Configs::new(), 1000).await;
    let (mut reads, mut writes) = tokio::io::split(server);
    let writing = tokio::spawn(async move {
        writes.write_all(&vec![7; 500_000]).await.unwrap();
        writes.flush().await.unwrap();
        writes
    });
    let mut heard = [0; 4];
    client.write_all(b"here").await.unwrap();
    client.flush().await.unwrap();
    reads.read_exact(&mut heard).await.unwrap();
    assert!(!writing.is_finished());
    let mut all = vec![0; 500_000];
    client.read_exact(&mut all).await.unwrap();
    assert_eq!(reads.unsplit(writing.await.unwrap()).memory(), 0);
}
