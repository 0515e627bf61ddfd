//! What a start of the gateway needs before anything is served: why it fails, room on the disk,
//! ports, limits of sessions, signatures that were taken before, the server of mail.
//!
//! # Not here
//! - The parts themselves: [`crate::wiring`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::net::TcpListener;
use towline_archive::ArchiveError;
use towline_host::clock::UnixMillis;
use towline_host::entropy::NoRandom;
use towline_host::files::FileError;
use towline_host::lock::LockError;
use towline_store::{IDLE_MINUTES, MAX_MINUTES, SeenRequest, Store, StoreError};

use crate::authority::AuthorityError;
use crate::cluster::NodeKeyError;
use crate::config::{Config, ConfigError};
use crate::limits::MAX_SEEN_SIGNATURES;
use crate::listener::socket;
use crate::listener::tls::TlsError;
use crate::outbound::mail::MailServer;
use crate::vault::VaultError;

/// Why the gateway does not run.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A key file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another gateway works in the directory.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The disk has no room to work with.
    #[error(
        "the disk of {} is full: {free} bytes are free, at least {LEAST_ROOM} are needed",
        path.display()
    )]
    NoRoom {
        /// The directory.
        path: PathBuf,
        /// Free bytes.
        free: u64,
    },
    /// The server's certificate cannot be read.
    #[error("{0}")]
    Certificate(String),
    /// Certificate and key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The authority's key.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The store's key.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Recordings and audit files.
    #[error(transparent)]
    Evidence(#[from] ArchiveError),
    /// More CAs for requests to identity providers.
    #[error("the file of `ca` in the section [outbound] of gateway.toml is not usable: {0}")]
    OutboundCa(String),
    /// The password at the server of mail.
    #[error("the file of `password_file` in the section [mail] of gateway.toml is not usable: {0}")]
    MailPassword(String),
    /// The key that proves it to other gateways.
    #[error(transparent)]
    NodeKey(#[from] NodeKeyError),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] NoRandom),
    /// A listening socket.
    #[error("cannot listen on {address}: {source}{}", advice(source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's answer.
        source: std::io::Error,
    },
}

/// What to do when an address cannot be listened on.
fn advice(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind as Kind;
    match error.kind() {
        Kind::AddrInUse => {
            "; stop the program that listens there, or give this one another address (listen or \
             metrics in gateway.toml, --listen, --metrics)"
        }
        Kind::AddrNotAvailable => "; this machine does not have the address",
        Kind::PermissionDenied => {
            "; a port below 1024 needs root or CAP_NET_BIND_SERVICE: the unit of the package has it"
        }
        _ => "",
    }
}

/// Free bytes below which a gateway does not start: the store's log and a recording's first blocks.
const LEAST_ROOM: u64 = 1 << 20;

impl GatewayError {
    /// Whether a later try may succeed, because the disk is full now.
    #[must_use]
    pub fn is_full_disk(&self) -> bool {
        match self {
            Self::NoRoom { .. } => true,
            Self::Store(error) => error.is_full_disk(),
            other => {
                let mut cause = std::error::Error::source(other);
                std::iter::from_fn(|| {
                    let now = cause?;
                    cause = now.source();
                    Some(now)
                })
                .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
                .any(|error| error.kind() == std::io::ErrorKind::StorageFull)
            }
        }
    }
}

/// Puts the limits of sessions into the store. The file is the whole truth: a line that was taken
/// out of it has its default again.
pub(crate) async fn keep_limits(store: &Store, config: &Config) -> Result<(), StoreError> {
    for (key, value) in [(IDLE_MINUTES, config.session_idle), (MAX_MINUTES, config.session_max)] {
        match value {
            Some(value) => {
                store.settings().set(key, &(value.as_secs_f64() / 60.0).to_string()).await?
            }
            None => store.settings().clear(key).await?,
        }
    }
    Ok(())
}

/// Refuses a disk that is full before anything is written to it.
pub(crate) fn room(dir: &Path) -> Result<(), GatewayError> {
    let Ok(disk) = nix::sys::statvfs::statvfs(dir) else { return Ok(()) };
    let free = disk.blocks_available().saturating_mul(disk.fragment_size());
    if free < LEAST_ROOM {
        return Err(GatewayError::NoRoom { path: dir.to_owned(), free });
    }
    Ok(())
}

/// The server that takes mail, if one is configured.
pub(crate) fn mail_server(config: &Config) -> Result<Option<MailServer>, GatewayError> {
    let Some(mail) = &config.mail else { return Ok(None) };
    let client = config.outbound.client().map_err(GatewayError::OutboundCa)?;
    mail.server(client).map(Some).map_err(GatewayError::MailPassword)
}

pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, GatewayError> {
    socket::listen(address).map_err(|source| GatewayError::Listen { address, source })
}

/// Signatures that an earlier process has taken and that would still be right.
pub(crate) async fn seen(store: &Store, now: UnixMillis) -> Result<Vec<SeenRequest>, StoreError> {
    let most = i64::try_from(MAX_SEEN_SIGNATURES).unwrap_or(i64::MAX);
    store.seen_requests().alive(now.0.div_euclid(1000), most).await
}
