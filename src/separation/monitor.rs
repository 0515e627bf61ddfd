//! The monitor's side: starts network processes, tells each its task, and signs its one handshake.
//!
//! Data flow: [`Separation::look_up`] -> [`Separation::connect`] -> a [`Line`], which carries the
//! link's bytes.
//!
//! # Invariants
//! - Whatever the process sends is a message that is due, or the end of the process.
//! - Texts of the process reach log and status as plain characters, bounded.
//! - A process that was dropped is killed, and only while its number is still its own: the agent
//!   reports the ends of children by [`Children::ended`].
//! - One process does it all only where the settings let it and for the task at hand: the next task
//!   is tried apart again. What may pass (no memory, no further process) is no reason at all, once
//!   a process of its kind has worked.

use super::channel::{hear, say};
use super::socket::Socket;
pub use super::starts::Failure;
use super::starts::{Starts, Tried};
use super::turns::{Turn, Turns, shown};
use crate::config::Separated;
use crate::limits;
use crate::link::names;
use crate::link::proxy::Proxy;
use crate::link::tls::{Pins, SignedSeconds};
use crate::logger;
use crate::process::Exit;
use crate::state::enrollment::{Address, Trust};
use crate::sys::memory::unnamed_file;
use crate::sys::watch;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socketpair, sockopt};
use nix::unistd::{Gid, Pid, Uid, User};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use std::cell::{Cell, RefCell};
use std::fs::{DirBuilder, File};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::io::unix::AsyncFd;
use towline_wire::message::{decode, encode};
use towline_wire::separation::{Dial, FromNetwork, Judged, Place, ToNetwork, Via};

/// The command of this program that is a network process.
pub const COMMAND: &str = "network";

/// The network processes that live: their numbers are theirs until the agent has reaped them.
#[derive(Debug, Clone, Default)]
pub struct Children(Rc<RefCell<Vec<Pid>>>);

impl Children {
    /// A child of the agent ended. True when it was one of these.
    pub fn ended(&self, pid: Pid, exit: Exit) -> bool {
        let mut living = self.0.borrow_mut();
        let Some(at) = living.iter().position(|one| *one == pid) else { return false };
        living.swap_remove(at);
        if let Exit::Signal(number) = exit
            && i32::from(number) != Signal::SIGKILL as i32
        {
            logger::warning!("the network process was ended by signal {number}");
        }
        true
    }

    /// Ends them all: this process is about to become another program, which does not know them.
    pub fn end_all(&self) {
        for pid in self.living() {
            end(pid);
        }
    }

    /// Their numbers: no end of a session may touch them.
    #[must_use]
    pub fn living(&self) -> Vec<Pid> {
        self.0.borrow().clone()
    }
}

/// How this agent separates what reads the network.
#[derive(Debug, Clone)]
pub struct Separation {
    inside: Rc<Inside>,
    /// The processes.
    pub children: Children,
}

#[derive(Debug)]
struct Inside {
    demanded: bool,
    account: String,
    /// An empty directory.
    root: PathBuf,
    trust: Trust,
    pins: Pins,
    signed: SignedSeconds,
    /// The version of Landlock that confines the processes; 0 for none.
    landlock: Cell<u32>,
    look_ups: Tried,
    links: Tried,
}

/// What to connect to.
#[derive(Debug)]
pub struct Order<'a> {
    /// The gateway.
    pub gateway: &'a Address,
    /// The proxy, where one is set.
    pub proxy: Option<&'a Proxy>,
    /// The addresses of the first of them.
    pub addresses: Vec<SocketAddr>,
    /// Has the key.
    pub tls: &'a ClientConfig,
}

impl Separation {
    /// As the settings want it; `None` when they want one process.
    #[must_use]
    pub fn of(
        (wanted, account): (Separated, &str),
        runtime_dir: &Path,
        trust: &Trust,
        pins: &Pins,
        signed: &SignedSeconds,
    ) -> Option<Self> {
        let demanded = match wanted {
            Separated::Off => return None,
            Separated::Wanted => false,
            Separated::Demanded => true,
        };
        let inside = Inside {
            demanded,
            account: account.to_owned(),
            root: runtime_dir.join("empty"),
            trust: trust.clone(),
            pins: pins.clone(),
            signed: signed.clone(),
            landlock: Cell::default(),
            look_ups: Tried::default(),
            links: Tried::default(),
        };
        Some(Self { inside: Rc::new(inside), children: Children::default() })
    }

    /// Why one process does it all, if it does.
    #[must_use]
    pub fn given_up(&self) -> Option<String> {
        let Inside { links, look_ups, .. } = &*self.inside;
        links.given_up.borrow().clone().or_else(|| look_ups.given_up.borrow().clone())
    }

    /// It cannot be here. True when this link may be made by one process.
    #[must_use]
    pub fn give_up(&self, why: &str) -> bool {
        self.give_up_on(&self.inside.links, why)
    }

    fn give_up_on(&self, tried: &Tried, why: &str) -> bool {
        if self.inside.demanded {
            return false;
        }
        let before = tried.given_up.replace(Some(why.to_owned()));
        if before.as_deref() != Some(why) {
            logger::warning!("one process reads the network and has all rights: {why}");
        }
        true
    }

    /// For `status`.
    #[must_use]
    pub fn describe(&self) -> String {
        let Inside { account, landlock, links, .. } = &*self.inside;
        match (self.given_up(), landlock.get()) {
            (Some(why), _) => format!("one process: {why}"),
            _ if links.starts.get() != Starts::Work => format!("no process as {account} yet"),
            (None, 0) => format!("separate process as {account}, without Landlock"),
            (None, version) => format!("separate process as {account}, Landlock {version}"),
        }
    }

    /// Looks a name up: in a process without rights where there is one, else by the C library on a
    /// thread.
    ///
    /// # Errors
    /// The resolver's, or why there is no such process.
    pub async fn names(this: Option<&Self>, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Some(separation) = this {
            match separation.look_up(host, port).await {
                Ok(found) => return Ok(found),
                Err(Failure::Unavailable(why))
                    if separation.give_up_on(&separation.inside.look_ups, &why) => {}
                Err(Failure::Unavailable(why) | Failure::Failed(why)) => {
                    return Err(io::Error::other(why));
                }
            }
        }
        names::look_up(host, port).await
    }

    async fn look_up(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        let (mut process, _) = self.begin(false).await?;
        process.say(&ToNetwork::Resolve { host: host.to_owned(), port })?;
        match process.hear().await? {
            FromNetwork::Addresses(found) => {
                Ok(found.iter().take(limits::ADDRESSES).map(address_of).collect())
            }
            FromNetwork::Failed { text, .. } => Err(Failure::Failed(shown(&text))),
            _ => Err(out_of_turn()),
        }
    }

    /// Opens a connection, in a process without rights.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn connect(&self, order: Order<'_>) -> Result<Line, Failure> {
        let (process, stream) = self.begin(true).await?;
        self.task(process, stream, order).await
    }

    /// Tells a process whose rights are gone what to connect to, and signs for it once.
    async fn task(
        &self,
        mut process: Process,
        stream: Socket,
        order: Order<'_>,
    ) -> Result<Line, Failure> {
        let key = order.tls.client_auth_cert_resolver.resolve(&[], &[SignatureScheme::ED25519]);
        let key = key.ok_or_else(|| Failure::Unavailable("the key cannot sign".to_owned()))?;
        process.say(&ToNetwork::Dial(self.dial(order, &key)))?;
        let mut turns = Turns::default();
        loop {
            match turns.take(process.hear().await?) {
                Turn::Sign(form) => process.say(&ToNetwork::Signature(sign(&key, &form)?))?,
                Turn::Linked { local, met_next } => {
                    self.inside.pins.tell_met_next(met_next);
                    return Ok(Line { stream, process, local });
                }
                Turn::Failed { text, note } => {
                    if !note.is_empty() {
                        logger::warning!("{note}");
                    }
                    return Err(Failure::Failed(text));
                }
                Turn::Broken => return Err(out_of_turn()),
            }
        }
    }

    fn dial(&self, order: Order<'_>, key: &CertifiedKey) -> Dial {
        let (current, next) = self.inside.pins.both();
        Dial {
            host: order.gateway.host.clone(),
            port: order.gateway.port,
            proxy: order.proxy.map(|proxy| Via {
                host: proxy.address.host.clone(),
                port: proxy.address.port,
                credentials: proxy.credentials().map(ToOwned::to_owned),
            }),
            addresses: order.addresses.into_iter().map(place_of).collect(),
            trust: match (&self.inside.trust, current) {
                (Trust::Public, _) => Judged::Public,
                (Trust::Ca(_), _) => Judged::Ca,
                (Trust::Pin(pin), current) => {
                    Judged::Pin { current: current.unwrap_or(*pin), next }
                }
            },
            signed: self.inside.signed.load(Ordering::Relaxed),
            spki: key.cert.first().map(|spki| spki.to_vec()).unwrap_or_default(),
        }
    }

    /// Starts a process, and has it give up its rights.
    async fn begin(&self, confined: bool) -> Result<(Process, Socket), Failure> {
        let Inside { account, links, look_ups, .. } = &*self.inside;
        let begun = match account_of(account) {
            Ok(account) => self.begun(account, confined).await,
            Err(Failure::Unavailable(why)) => return Err(Failure::Unavailable(why)),
            Err(failed) => Err(failed),
        };
        if confined { links } else { look_ups }.judge(begun)
    }

    /// Nothing of the network is read here: no failure is a stranger's work.
    async fn begun(
        &self,
        (uid, gid): (Uid, Gid),
        confined: bool,
    ) -> Result<(Process, Socket), Failure> {
        let root = if confined { Some(self.empty_root()?) } else { None };
        let (mut process, stream) = self.start().map_err(|error| not_started(&error))?;
        process.say(&ToNetwork::Begin { uid: uid.as_raw(), gid: gid.as_raw(), root })?;
        match process.hear().await? {
            FromNetwork::Confined { landlock } => {
                // It has another account by now.
                if kill(process.pid, None) == Err(Errno::EPERM) {
                    return Err(Failure::Unavailable(
                        "the agent could not end it without CAP_KILL".to_owned(),
                    ));
                }
                self.inside.landlock.set(landlock);
                Ok((process, stream))
            }
            FromNetwork::NotConfined(why) => Err(Failure::Unavailable(shown(&why))),
            _ => Err(out_of_turn()),
        }
    }

    fn empty_root(&self) -> Result<String, Failure> {
        let root = &self.inside.root;
        match DirBuilder::new().recursive(true).mode(0o755).create(root) {
            Ok(()) => Ok(root.to_string_lossy().into_owned()),
            Err(error) => Err(Failure::Failed(format!("{}: {error}", root.display()))),
        }
    }

    /// A file in memory with the CA's PEM text, where there is one; in the place of standard error.
    fn ca(&self) -> io::Result<Stdio> {
        let Trust::Ca(pem) = &self.inside.trust else { return Ok(Stdio::null()) };
        let mut file = File::from(unnamed_file(c"towline-ca")?);
        file.write_all(pem.as_bytes())?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Stdio::from(file))
    }

    #[allow(clippy::zombie_processes)] // the agent waits for all its children, including this one
    fn start(&self) -> io::Result<(Process, Socket)> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (control, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        let (stream, their_stream) = UnixStream::pair()?;
        let _ = setsockopt(&stream, sockopt::SndBuf, &limits::SEPARATED_BUFFER);
        let child = Command::new("/proc/self/exe")
            .arg0("towline-agent")
            .arg(COMMAND)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::from(OwnedFd::from(their_stream)))
            .stderr(self.ca()?)
            .spawn()?;
        let pid = Pid::from_raw(child.id().cast_signed());
        self.children.0.borrow_mut().push(pid);
        let process = Process { pid, control: watch(control)?, children: self.children.clone() };
        Ok((process, Socket::new(stream.into())?))
    }
}

/// What belongs to nobody has this user: files of other machines, of other name spaces.
const NOBODY: u32 = 65_534;

/// Whether a demand can be met, as far as that is known without a process.
///
/// # Errors
/// Why not.
pub fn is_possible((wanted, account): (Separated, &str)) -> io::Result<()> {
    match (wanted, account_of(account)) {
        (Separated::Demanded, Err(Failure::Unavailable(why))) => {
            Err(io::Error::other(format!("security.separation is \"demanded\": {why}")))
        }
        _ => Ok(()),
    }
}

/// The account of the network process. It belongs to nobody else.
fn account_of(name: &str) -> Result<(Uid, Gid), Failure> {
    let unavailable = |why: String| Err(Failure::Unavailable(why));
    if !Uid::effective().is_root() {
        return unavailable("the agent is not root".to_owned());
    }
    match User::from_name(name) {
        Ok(Some(user))
            if user.uid.is_root()
                || user.gid.as_raw() == 0
                || user.uid.as_raw() == NOBODY
                || name == "nobody" =>
        {
            unavailable(format!("the account \"{name}\" is not one of its own"))
        }
        Ok(Some(user)) => Ok((user.uid, user.gid)),
        Ok(None) => unavailable(format!(
            "this device has no account \"{name}\": make it (useradd --system {name}), or set \
             security.network_user"
        )),
        // What may pass, such as a directory service that is away.
        Err(errno) => {
            Err(Failure::Failed(format!("the account \"{name}\" cannot be looked up: {errno}")))
        }
    }
}

fn sign(key: &Arc<CertifiedKey>, form: &[u8]) -> Result<Vec<u8>, Failure> {
    let signer = key.key.choose_scheme(&[SignatureScheme::ED25519]);
    let signature = signer.and_then(|signer| signer.sign(form).ok());
    signature.ok_or_else(|| Failure::Failed("the device's key does not sign".to_owned()))
}

/// Where the program itself cannot be executed, it never can be: under an emulator that the kernel
/// does not know, or without /proc. What else fails may pass.
fn not_started(error: &io::Error) -> Failure {
    let why = format!("no network process: {error}");
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOEXEC | Errno::ENOENT | Errno::EACCES | Errno::EPERM) => {
            Failure::Unavailable(why)
        }
        _ => Failure::Failed(why),
    }
}

fn out_of_turn() -> Failure {
    Failure::Failed("the network process broke the rules, and was ended".to_owned())
}

/// An address as a message has it.
#[must_use]
pub fn place_of(address: SocketAddr) -> Place {
    let (ip, scope) = match address {
        SocketAddr::V4(four) => (four.ip().to_ipv6_mapped(), 0),
        SocketAddr::V6(six) => (*six.ip(), six.scope_id()),
    };
    Place { ip: ip.octets(), port: address.port(), scope }
}

/// And back.
#[must_use]
pub fn address_of(place: &Place) -> SocketAddr {
    let six = Ipv6Addr::from(place.ip);
    match six.to_canonical() {
        IpAddr::V4(four) => SocketAddr::from((four, place.port)),
        IpAddr::V6(six) => SocketAddrV6::new(six, place.port, 0, place.scope).into(),
    }
}

/// A network process, and the socket for its messages.
#[derive(Debug)]
struct Process {
    pid: Pid,
    control: AsyncFd<OwnedFd>,
    children: Children,
}

impl Process {
    /// The socket has room: these are few and small messages.
    fn say(&self, message: &ToNetwork) -> Result<(), Failure> {
        say(self.control.get_ref().as_fd(), encode(message), true).map_err(|error| gone(&error))
    }

    async fn hear(&mut self) -> Result<FromNetwork, Failure> {
        loop {
            let mut ready = self.control.readable().await.map_err(|error| gone(&error))?;
            match hear(self.control.get_ref().as_fd(), true, decode) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) => return Err(gone(&error)),
                Ok(None) => return Err(gone(&io::ErrorKind::UnexpectedEof.into())),
                Ok(Some(message)) => return Ok(message),
            }
        }
    }
}

fn gone(error: &io::Error) -> Failure {
    Failure::Failed(format!("the network process ended: {error}"))
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.children.0.borrow().contains(&self.pid) {
            end(self.pid);
        }
    }
}

fn end(pid: Pid) {
    match kill(pid, Signal::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => logger::error!("cannot end the network process: {errno}"),
    }
}

/// An open connection, whose bytes a network process passes on.
#[derive(Debug)]
pub struct Line {
    /// The bytes.
    pub stream: Socket,
    process: Process,
    local: String,
}

impl Line {
    /// The device's own address on it, as the process says.
    #[must_use]
    pub fn local_address(&self) -> String {
        self.local.clone()
    }

    /// Why the process ended the connection, if it said so.
    #[must_use]
    pub fn last_words(&self) -> Option<String> {
        match hear(self.process.control.get_ref().as_fd(), true, decode) {
            Ok(Some(FromNetwork::Failed { text, .. })) => Some(shown(&text)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
