//! The life of one simulated device: dial, link, wait, and again.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use towline_wire::epoch::Epoch;

use super::identity::{certified, id};
use super::link::{self, End};
use super::mux::Mux;
use crate::{Outcome, Trouble};

/// Times of agents: bounds of the waits, and how long dial and greeting may take together.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const SHORTEST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
const PATIENCE: Duration = Duration::from_secs(45);

/// How many devices are where.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Welcomed, and linked now.
    pub linked: usize,
    /// Links that were welcomed until now.
    pub welcomes: usize,
    /// Dials that came to nothing.
    pub failures: usize,
    /// Scripts that were started.
    pub scripts: usize,
    /// Scripts that run now.
    pub running: usize,
}

/// What the devices of one process share.
pub(super) struct Fleet {
    connector: Connector,
    roots: Arc<RootCertStore>,
    pub(super) work: Duration,
    linked: AtomicUsize,
    welcomes: AtomicUsize,
    failures: AtomicUsize,
    pub(super) scripts: AtomicUsize,
    running: AtomicUsize,
}

impl Fleet {
    pub(super) fn new(connector: Connector, roots: Arc<RootCertStore>, work: Duration) -> Self {
        Self {
            connector,
            roots,
            work,
            linked: AtomicUsize::new(0),
            welcomes: AtomicUsize::new(0),
            failures: AtomicUsize::new(0),
            scripts: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let of = |number: &AtomicUsize| number.load(Ordering::Relaxed);
        Counts {
            linked: of(&self.linked),
            welcomes: of(&self.welcomes),
            failures: of(&self.failures),
            scripts: of(&self.scripts),
            running: of(&self.running),
        }
    }

    pub(super) fn works(&self, more: bool) {
        if more {
            self.running.fetch_add(1, Ordering::Relaxed);
        } else {
            self.running.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn config(&self, number: usize) -> Outcome<Arc<ClientConfig>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = AlwaysResolvesClientRawPublicKeys::new(certified(number)?);
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(Arc::clone(&self.roots))
            .with_client_cert_resolver(Arc::new(key));
        config.alpn_protocols = vec![towline_wire::ALPN.to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }

    async fn dial(&self, number: usize, from: IpAddr) -> Outcome<TlsStream<Box<dyn Stream>>> {
        let (stream, to): (Box<dyn Stream>, IpAddr) = match &self.connector {
            Connector::Tcp(gateway) => {
                let socket = TcpSocket::new_v4()?;
                socket.set_reuseaddr(true)?;
                socket.bind(SocketAddr::new(from, 0))?;
                (Box::new(socket.connect(*gateway).await?), gateway.ip())
            }
            Connector::Mux(mux) => (Box::new(mux.open()), Ipv4Addr::LOCALHOST.into()),
        };
        let connector = TlsConnector::from(self.config(number)?);
        Ok(connector.connect(ServerName::from(to), stream).await?)
    }
}

/// Where devices dial to.
pub(super) enum Connector {
    Tcp(SocketAddr),
    Mux(Arc<Mux>),
}

/// What a device's TLS lies on.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Lives for ever.
pub(super) async fn live(fleet: Arc<Fleet>, number: usize, from: IpAddr) {
    let (me, boot) = (id(number), boot());
    let (mut connection, mut bound) = (0, FIRST_WAIT);
    // A fleet is not switched on in one moment.
    let mut wait = drawn(FIRST_WAIT);
    loop {
        tokio::time::sleep(wait).await;
        connection += 1;
        let greeting = Box::pin(async {
            let stream = fleet.dial(number, from).await?;
            link::greet(stream, &me, Epoch { boot, connection }).await
        });
        let end = match tokio::time::timeout(PATIENCE, greeting).await {
            Ok(Ok(Ok(link))) => {
                fleet.welcomes.fetch_add(1, Ordering::Relaxed);
                fleet.linked.fetch_add(1, Ordering::Relaxed);
                bound = FIRST_WAIT;
                let end = link.carry(&fleet).await;
                fleet.linked.fetch_sub(1, Ordering::Relaxed);
                end
            }
            Ok(Ok(Err(end))) => end,
            Ok(Err(_)) | Err(_) => {
                fleet.failures.fetch_add(1, Ordering::Relaxed);
                End::Lost
            }
        };
        wait = match end {
            End::Later(seconds) if seconds > 0 => {
                let asked = Duration::from_secs(seconds.into()).min(LONGEST_WAIT);
                asked + drawn(asked / 10)
            }
            End::Later(_) | End::Lost => {
                let wait = drawn(bound).max(SHORTEST_WAIT);
                bound = (bound * 2).min(LONGEST_WAIT);
                wait
            }
        };
    }
}

fn boot() -> [u8; 16] {
    let mut boot = [0; 16];
    let _ = SystemRandom::new().fill(&mut boot); // without chance all boots are one, as good here
    boot
}

/// A time up to `most`, evenly drawn.
fn drawn(most: Duration) -> Duration {
    let mut bytes = [0; 8];
    let _ = SystemRandom::new().fill(&mut bytes);
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(u64::from_le_bytes(bytes) % most.saturating_add(1))
}

impl Counts {
    /// As one line; [`Counts::parse`] reads it.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { linked, welcomes, failures, scripts, running } = self;
        format!("{linked} {welcomes} {failures} {scripts} {running}")
    }

    /// Reads a line.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(line: &str) -> Outcome<Self> {
        let numbers: Vec<usize> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        let &[linked, welcomes, failures, scripts, running] = numbers.as_slice() else {
            return Err(Trouble::new(format!("no counts: {line:?}")));
        };
        Ok(Self { linked, welcomes, failures, scripts, running })
    }
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            linked: sum.linked + one.linked,
            welcomes: sum.welcomes + one.welcomes,
            failures: sum.failures + one.failures,
            scripts: sum.scripts + one.scripts,
            running: sum.running + one.running,
        })
    }
}

/// Waits until `done`, told by `counts`; how long that took.
///
/// # Errors
/// Not within `within`, with the last counts.
pub fn until(
    within: Duration,
    mut counts: impl FnMut() -> Counts,
    done: impl Fn(&Counts) -> bool,
) -> Outcome<Duration> {
    let begin = Instant::now();
    let mut last = Counts::default();
    crate::eventually("the fleet", within, || {
        last = counts();
        done(&last).then(|| begin.elapsed())
    })
    .map_err(|trouble| Trouble::new(format!("{trouble}: {last:?}")))
}
