//! The network process: one look-up, or one link.
//!
//! # Invariants
//! - It reads nothing of the network before its rights are gone.
//! - Once the link is open it can make no further connection.
//! - It holds no descriptor but those of its task.
//! - It has no state beyond its one task, and no way to ask for a second one.

use super::carry::both_ways;
use super::channel::{hear, say};
use super::confine::{Confinement, confine, connect_no_more};
use super::socket::Socket;
use crate::limits;
use crate::link::dial::{over, resolve_here};
use crate::link::proxy::Proxy;
use crate::link::tls::{Pins, client_config};
use crate::separation::monitor::{address_of, place_of};
use crate::state::enrollment::{Address, Trust};
use crate::sys::memory;
use nix::unistd::{Gid, Uid, close};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustix::stdio::{stderr, stdin, stdout};
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use towline_wire::message::{decode, encode};
use towline_wire::separation::{Dial, FromNetwork, Judged, ToNetwork, transcript_hash};
use towline_wire::text::connection_error;

/// Serves the monitor on standard input until its task is over.
#[must_use]
pub fn serve() -> ExitCode {
    // What the agent was started with, and nobody marked as its own.
    for inherited in 3..limits::SEPARATED_INHERITED {
        let _ = close(inherited);
    }
    // The agent's own score keeps it from the killer; this one may go first, and is started again.
    if let Ok(mut score) = OpenOptions::new().write(true).open("/proc/self/oom_score_adj") {
        let _ = score.write_all(b"0");
    }
    memory::keep_nothing_large();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE, // the monitor sees the end; there is nobody else to tell
    }
}

fn tell(message: &FromNetwork) -> io::Result<()> {
    say(stdin(), encode(message), false)
}

fn ask() -> io::Result<ToNetwork> {
    hear(stdin(), false, decode)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// A message that is not due.
fn out_of_turn<T>() -> io::Result<T> {
    Err(io::ErrorKind::InvalidData.into())
}

fn run() -> io::Result<()> {
    let ToNetwork::Begin { uid, gid, root } = ask()? else { return out_of_turn() };
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    let begin = |root| match confine(&Confinement { uid, gid, root }) {
        Ok(landlock) => tell(&FromNetwork::Confined { landlock }).map(|()| true),
        Err(why) => tell(&FromNetwork::NotConfined(why)).map(|()| false),
    };
    let Some(root) = root else {
        return if begin(None)? { look_up() } else { Ok(()) };
    };
    // Linux before 3.17 has random numbers in a file alone, which stays open.
    let _ = SystemRandom::new().fill(&mut [0; 1]);
    // Made before the calls for it are refused.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_io_events_per_tick(limits::IO_EVENTS)
        .build()?;
    let entered = runtime.enter();
    let monitor = Socket::new(stdout().try_clone_to_owned()?)?;
    drop(entered);
    if begin(Some(&root))? { runtime.block_on(link(monitor)) } else { Ok(()) }
}

fn look_up() -> io::Result<()> {
    let ToNetwork::Resolve { host, port } = ask()? else { return out_of_turn() };
    let answer = match resolve_here(&host, port) {
        Ok(found) => FromNetwork::Addresses(found.into_iter().map(place_of).collect()),
        Err(error) => failed(connection_error(&error), String::new()),
    };
    tell(&answer)
}

fn failed(text: String, note: String) -> FromNetwork {
    FromNetwork::Failed { text, note }
}

async fn link(mut monitor: Socket) -> io::Result<()> {
    let ToNetwork::Dial(dial) = ask()? else { return out_of_turn() };
    let pins = Pins::default();
    let mut stream = match connect(&dial, &pins).await {
        Ok(stream) => stream,
        Err(text) => return tell(&failed(text, pins.strange())),
    };
    let local = stream.get_ref().0.local_addr().map(|address| address.ip().to_string());
    connect_no_more()?;
    tell(&FromNetwork::Linked { local: local.unwrap_or_default(), met_next: pins.has_met_next() })?;
    drop((dial, pins));
    // What the handshake took.
    memory::give_back();
    memory::give_stack_back();
    match both_ways(&mut monitor, &mut stream).await {
        Ok(()) => Ok(()),
        Err(error) => tell(&failed(connection_error(&error), String::new())),
    }
}

async fn connect(dial: &Dial, pins: &Pins) -> Result<TlsStream<TcpStream>, String> {
    let trust = match &dial.trust {
        Judged::Public => Trust::Public,
        Judged::Ca => Trust::Ca(given_ca().map_err(|error| error.to_string())?),
        Judged::Pin { current, next } => {
            pins.expect(*next);
            Trust::Pin(*current)
        }
    };
    let signed = Arc::new(dial.signed.into());
    let key =
        CertifiedKey::new(vec![CertificateDer::from(dial.spki.clone())], Arc::new(MonitorsKey));
    let tls =
        client_config(&trust, Arc::new(key), &signed, pins).map_err(|error| error.to_string())?;
    let proxy = dial.proxy.as_ref().map(|via| {
        Proxy::at(Address { host: via.host.clone(), port: via.port }, via.credentials.clone())
    });
    let gateway = Address { host: dial.host.clone(), port: dial.port };
    let addresses = dial.addresses.iter().map(address_of).collect();
    let reached = over(&gateway, proxy.as_ref(), &tls, addresses).await;
    reached.map_err(|error| error.to_string())
}

/// The CA's PEM text: a file in memory in the place of standard error.
fn given_ca() -> io::Result<String> {
    let mut pem = String::new();
    let file = File::from(stderr().try_clone_to_owned()?);
    file.take(limits::CONFIG_FILE as u64).read_to_string(&mut pem)?;
    Ok(pem)
}

/// The device's key, which only the monitor has.
#[derive(Debug)]
struct MonitorsKey;

impl SigningKey for MonitorsKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&SignatureScheme::ED25519).then(|| Box::new(Self) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for MonitorsKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let fail = |text: &str| rustls::Error::General(text.to_owned());
        let hash =
            transcript_hash(message).ok_or_else(|| fail("no client handshake of TLS 1.3"))?;
        let asked = tell(&FromNetwork::Sign(hash.to_vec())).and_then(|()| ask());
        match asked {
            Ok(ToNetwork::Signature(signature)) => Ok(signature),
            _ => Err(fail("the monitor does not sign")),
        }
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}
