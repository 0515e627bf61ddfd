//! A hostile network process on this kernel: what it tries is refused, and what only an attacker
//! calls ends it.
//!
//! Data flow: a test -> this test binary again, as root, with the name of a deed -> [`confine`] ->
//! the deed -> the exit status. Without root nothing can be given up, and nothing is tried.
//!
//! # Not here
//! - A whole link through the filter, with all that is allowed: `tests/e2e/separation.rs`.

use super::*;
use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::kill;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, connect, listen, socket,
    socketpair,
};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, execv, getppid, mkdir};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus};

/// Names the deed of the process that is started.
const DEED: &str = "TOWLINE_TEST_DEED";
/// It was refused.
const REFUSED: i32 = 3;
/// The kernel allowed it.
const DONE: i32 = 4;
/// No account has it.
const NOBODY: u32 = 64_321;

type Deed = fn() -> nix::Result<()>;

fn of(family: AddressFamily, kind: SockType) -> nix::Result<OwnedFd> {
    socket(family, kind, SockFlag::SOCK_CLOEXEC, None)
}

fn internet() -> nix::Result<OwnedFd> {
    of(AddressFamily::Inet, SockType::Stream)
}

/// What the process of a link must not be able to do.
const REFUSED_TO_A_LINK: &[(&str, Deed)] = &[
    ("open a file", || open("/etc/passwd", OFlag::O_RDONLY, Mode::empty()).map(drop)),
    ("make a file", || open("/x", OFlag::O_WRONLY | OFlag::O_CREAT, Mode::all()).map(drop)),
    ("make a directory", || mkdir("/x", Mode::all())),
    ("end its parent", || kill(getppid(), Signal::SIGKILL)),
    ("end all it may", || kill(Pid::from_raw(-1), Signal::SIGTERM)),
    ("ask whether a process is there", || kill(Pid::from_raw(1), None)),
    ("open a local socket", || of(AddressFamily::Unix, SockType::Stream).map(drop)),
    ("speak to the kernel", || of(AddressFamily::Netlink, SockType::Raw).map(drop)),
    ("read packets", || of(AddressFamily::Packet, SockType::Raw).map(drop)),
    ("reach a hypervisor", || of(AddressFamily::Vsock, SockType::Stream).map(drop)),
    ("make a pair of sockets", || {
        let flags = SockFlag::empty();
        socketpair(AddressFamily::Unix, SockType::Stream, None, flags).map(drop)
    }),
    ("take an address", || bind(internet()?.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0))),
    ("listen", || listen(&internet()?, Backlog::new(1)?)),
    ("make a name space", || unshare(CloneFlags::CLONE_NEWUSER)),
    ("change its root", || chroot("/")),
    ("become root", || setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0))),
    ("take groups", || setgroups(&[Gid::from_raw(0)])),
    ("raise its limits", || setrlimit(Resource::RLIMIT_NPROC, 10, 10)),
    ("become readable for others", || prctl::set_dumpable(true)),
    ("outlive the monitor", || prctl::set_pdeathsig(None)),
    ("start a program", || {
        Command::new("/bin/true").spawn().map(drop).map_err(|error| errno(&error))
    }),
    ("start a thread", || {
        std::thread::Builder::new().spawn(|| ()).map(drop).map_err(|error| errno(&error))
    }),
];

/// What a look-up, which the system's resolver may use any call for, must not be able to do.
const REFUSED_TO_A_LOOK_UP: &[(&str, Deed)] = &[
    ("read the device's secrets", || open("/etc/shadow", OFlag::O_RDONLY, Mode::empty()).map(drop)),
    ("make a file in /etc", || {
        open("/etc/x", OFlag::O_WRONLY | OFlag::O_CREAT, Mode::all()).map(drop)
    }),
    ("end its parent", || kill(getppid(), Signal::SIGKILL)),
    ("change its root", || chroot("/")),
    ("become root", || setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0))),
    ("end its own kind", || kill(Pid::this(), None)),
    ("make a name space", || unshare(CloneFlags::CLONE_NEWUSER)),
    ("start a program", || {
        Command::new("/bin/true").spawn().map(drop).map_err(|error| errno(&error))
    }),
];

/// What Landlock takes from a look-up, whose filter lets the call pass.
const REFUSED_BY_LANDLOCK: &[(&str, Deed)] = &[
    ("write a file that it may write", || {
        open("/dev/null", OFlag::O_WRONLY, Mode::empty()).map(drop)
    }),
    ("take a port", || bind(internet()?.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0))),
];

/// What ends the process.
const DEADLY_DEEDS: &[(&str, Deed)] =
    &[("execute a program in its place", || execv(c"/bin/true", &[c"true"]).map(drop))];

fn errno(error: &std::io::Error) -> nix::Error {
    error.raw_os_error().map_or(nix::Error::UnknownErrno, nix::Error::from_raw)
}

/// No test by itself: the process that was started for a deed.
#[test]
// confined, it cannot return to the harness, which has more to do
#[allow(clippy::disallowed_methods)]
fn attacker() {
    let Ok(named) = std::env::var(DEED) else { return };
    let (place, deed) = named.split_once('/').unwrap();
    let scratch = std::env::var("TOWLINE_TEST_ROOT").unwrap();
    let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    let root = (place != "look-up").then_some(&*scratch);
    confine(&Confinement { uid, gid, root }).unwrap();
    if place == "linked" {
        connect_no_more().unwrap();
    }
    let all = [
        REFUSED_TO_A_LINK,
        REFUSED_TO_A_LOOK_UP,
        REFUSED_BY_LANDLOCK,
        DEADLY_DEEDS,
        AFTER_THE_LINK,
    ]
    .concat();
    let (_, deed) = all.iter().find(|(name, _)| *name == deed).unwrap();
    std::process::exit(if deed().is_err() { REFUSED } else { DONE });
}

/// What was allowed until the link was open.
const AFTER_THE_LINK: &[(&str, Deed)] = &[
    ("make a further connection", || internet().map(drop)),
    ("connect a socket that it has", || {
        connect(std::io::stdout().as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 9))
    }),
];

/// How an attacker ended, confined as `place` says.
fn tried(place: &str, deed: &str) -> ExitStatus {
    let root = tempfile::tempdir().unwrap();
    let tests = std::env::current_exe().unwrap();
    Command::new(tests)
        .args(["--exact", "separation::confine::tests::attacker", "--nocapture"])
        .env(DEED, format!("{place}/{deed}"))
        .env("TOWLINE_TEST_ROOT", root.path())
        .output()
        .unwrap()
        .status
}

fn refused(place: &str, deeds: &[(&str, Deed)]) {
    if !Uid::effective().is_root() {
        return;
    }
    for (deed, _) in deeds {
        let status = tried(place, deed);
        assert_eq!(status.code(), Some(REFUSED), "{place}: {deed}: {status}");
    }
}

#[test]
fn the_process_of_a_link_opens_nothing_starts_nothing_and_reaches_no_process() {
    refused("link", REFUSED_TO_A_LINK);
}

#[test]
fn it_makes_no_further_connection_once_the_link_is_open() {
    refused("linked", AFTER_THE_LINK);
}

#[test]
fn a_look_up_reads_what_its_account_may_and_changes_nothing() {
    refused("look-up", REFUSED_TO_A_LOOK_UP);
}

#[test]
fn where_the_kernel_has_landlock_a_look_up_writes_nothing_and_takes_no_port() {
    // Ports since version 4.
    if landlock::version() >= 4 {
        refused("look-up", REFUSED_BY_LANDLOCK);
    }
}

#[test]
fn what_only_an_attacker_calls_ends_the_process() {
    if !Uid::effective().is_root() {
        return;
    }
    for (place, (deed, _)) in
        ["link", "look-up"].iter().flat_map(|p| DEADLY_DEEDS.iter().map(move |d| (p, d)))
    {
        let status = tried(place, deed);
        assert_eq!(status.signal(), Some(libc::SIGSYS), "{place}: {deed}: {status}");
    }
}

#[test]
fn a_connection_is_still_allowed_while_it_dials() {
    if Uid::effective().is_root() {
        let status = tried("link", "make a further connection");
        assert_eq!(status.code(), Some(DONE), "{status}");
    }
}

#[test]
fn no_rule_lets_open_start_kill_or_listen_and_none_is_there_twice() {
    let rules = [ALLOWED, OF_THIS_ARCHITECTURE].concat();
    let mut named: Vec<c_long> = rules
        .iter()
        .map(|rule| match *rule {
            Rule::Any(call) | Rule::Never(call) | Rule::When(call, _) => call,
        })
        .collect();
    for refused in [
        libc::SYS_openat,
        libc::SYS_execve,
        libc::SYS_ptrace,
        libc::SYS_kill,
        libc::SYS_tgkill,
        libc::SYS_clone,
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_socketpair,
        libc::SYS_chroot,
        libc::SYS_unshare,
        libc::SYS_mount,
        libc::SYS_memfd_create,
        libc::SYS_bpf,
    ] {
        assert!(!named.contains(&refused), "{refused}");
    }
    let all = named.len();
    named.sort_unstable();
    named.dedup();
    assert_eq!(named.len(), all);
}
