//! Simulated devices, thousands in one process: real keys, real TLS, the real wire, and no shell
//! behind it.
//!
//! Data flow: [`super::store`] writes them into a gateway's store -> [`run`] in one process or
//! several: a task for each device dials, greets, stays, does what it is ordered to, and comes back
//! as agents do -> [`Counts`] once in a while.
//!
//! # Invariants
//! - A device's key and id follow from its number: who fills the store and who dials agree without
//!   a word.
//! - Waits between dials are those of agents: full jitter under a bound that doubles, and what the
//!   gateway asks for.
//!
//! # Not here
//! - Enrollment: `tests/e2e/fleet.rs` has devices that enroll.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;

use super::device::{Connector, Counts, Fleet, live};
use super::identity::roots;
use super::mux::Mux;
use crate::{Outcome, Trouble};

/// Addresses of loopback that the devices of one process dial from.
const SOURCES: u8 = 8;
/// How often counts are told.
const TELL: Duration = Duration::from_millis(100);

/// How the gateway is reached.
#[derive(Debug, Clone)]
pub enum Way {
    /// At this address, by a socket for each device.
    Tcp(SocketAddr),
    /// By pipes of a [`Mux`] over the unix socket at this path.
    Socket(PathBuf),
}

/// Which devices, and where they dial to.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The gateway.
    pub gateway: Way,
    /// Its certificate authority.
    pub ca: PathBuf,
    /// Number of the first device.
    pub first: usize,
    /// How many.
    pub count: usize,
    /// How long a script takes on a device.
    pub work: Duration,
}

/// Simulates these devices until `tell` says that it is enough (`false`). It hears their counts ten
/// times a second.
///
/// # Errors
/// No runtime, or a certificate authority that cannot be read.
pub fn run(plan: &Plan, mut tell: impl FnMut(Counts) -> bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let connector = match &plan.gateway {
            Way::Tcp(address) => Connector::Tcp(*address),
            Way::Socket(path) => Connector::Mux(Mux::over(UnixStream::connect(path).await?).0),
        };
        let fleet = Arc::new(Fleet::new(connector, roots(&plan.ca)?, plan.work));
        for number in plan.first..plan.first + plan.count {
            tokio::spawn(live(Arc::clone(&fleet), number, source(plan.first, number)));
        }
        let mut tick = tokio::time::interval(TELL);
        loop {
            tick.tick().await;
            if !tell(fleet.counts()) {
                return Ok::<(), Trouble>(());
            }
        }
    })
}

/// Processes begin at different numbers, and so at different addresses.
fn source(first: usize, number: usize) -> IpAddr {
    let [.., high, low] = u32::try_from(first / 64).unwrap_or(0).to_be_bytes();
    let last = u8::try_from(number % usize::from(SOURCES)).unwrap_or(0);
    Ipv4Addr::new(127, 1 + (high & 0x7f), low, 10 + last).into()
}
