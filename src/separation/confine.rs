//! How a process gives up its rights, for good.
//!
//! Data flow: root -> an empty directory as its root -> another account without groups and
//! capabilities -> no new privileges, no further processes, no files -> Landlock, where the kernel
//! has it -> the filter of system calls.
//!
//! # Invariants
//! - All of it works, or the process does nothing of its task.
//! - What is not on the list [`ALLOWED`] is refused; what only an attacker calls ends the process.
//!
//! # Not here
//! - The filter as a program: [`crate::sys::seccomp`]. What Landlock forbids:
//!   [`crate::sys::landlock`].

use crate::limits;
use crate::sys::landlock;
use crate::sys::seccomp::{Condition, Rest, Rule, install};
use nix::libc::{self, c_long};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, chdir, chroot, setgroups, setresgid, setresuid};

/// The account, and the empty directory.
#[derive(Debug)]
pub(super) struct Confinement<'a> {
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    /// `None` for a look-up: the system's resolver reads files.
    pub(super) root: Option<&'a str>,
}

/// Sockets for TCP alone: no path and no abstract name leads to a program of this device, no
/// datagram leaves it, and no other protocol of the kernel is reached.
const TCP: &[Condition] = &[
    Condition::is(0, &[libc::AF_INET as u32, libc::AF_INET6 as u32]),
    Condition { argument: 1, bits: 0xf, among: &[libc::SOCK_STREAM as u32] },
    Condition::is(2, &[0, libc::IPPROTO_TCP as u32]),
];

/// Marks of descriptors: no owner for signals, no lease, no seal.
const MARKS: &[Condition] = &[Condition::is(
    1,
    &[
        libc::F_GETFD as u32,
        libc::F_SETFD as u32,
        libc::F_GETFL as u32,
        libc::F_SETFL as u32,
        libc::F_DUPFD_CLOEXEC as u32,
    ],
)];

/// What is set at a connection.
const OF_TCP: &[Condition] =
    &[Condition::is(1, &[libc::SOL_SOCKET as u32, libc::IPPROTO_TCP as u32])];

/// Memory that cannot be executed.
const NOT_EXECUTABLE: &[Condition] =
    &[Condition { argument: 2, bits: libc::PROT_EXEC as u32, among: &[0] }];

/// What the network process calls: it connects, moves bytes between its sockets, waits, and takes
/// memory. It opens nothing and starts nothing.
const ALLOWED: &[Rule] = &[
    Rule::When(libc::SYS_socket, TCP),
    Rule::Any(libc::SYS_connect),
    Rule::Any(libc::SYS_read),
    Rule::Any(libc::SYS_readv),
    Rule::Any(libc::SYS_write),
    Rule::Any(libc::SYS_writev),
    Rule::Any(libc::SYS_recvfrom),
    Rule::Any(libc::SYS_recvmsg),
    Rule::Any(libc::SYS_sendto),
    Rule::Any(libc::SYS_sendmsg),
    Rule::Any(libc::SYS_shutdown),
    Rule::Any(libc::SYS_getsockopt),
    Rule::When(libc::SYS_setsockopt, OF_TCP),
    Rule::Any(libc::SYS_getsockname),
    Rule::Any(libc::SYS_getpeername),
    Rule::When(libc::SYS_fcntl, MARKS),
    Rule::Any(libc::SYS_close),
    Rule::Any(libc::SYS_epoll_ctl),
    Rule::Any(libc::SYS_epoll_pwait),
    Rule::Any(libc::SYS_ppoll),
    Rule::When(libc::SYS_mprotect, NOT_EXECUTABLE),
    Rule::Any(libc::SYS_munmap),
    Rule::Any(libc::SYS_mremap),
    Rule::Any(libc::SYS_madvise),
    Rule::Any(libc::SYS_brk),
    Rule::Any(libc::SYS_futex),
    Rule::Any(libc::SYS_getrandom),
    Rule::Any(libc::SYS_clock_gettime),
    Rule::Any(libc::SYS_rt_sigprocmask),
    Rule::Any(libc::SYS_rt_sigaction),
    Rule::Any(libc::SYS_rt_sigreturn),
    Rule::Any(libc::SYS_sigaltstack),
    Rule::Any(libc::SYS_restart_syscall),
    Rule::Any(libc::SYS_exit),
    Rule::Any(libc::SYS_exit_group),
    Rule::When(libc::SYS_prctl, &[Condition::is(0, &[libc::PR_SET_SECCOMP as u32])]),
];

/// Calls that some architectures have beside those of [`ALLOWED`], or in their place.
#[cfg(target_arch = "x86_64")]
const OF_THIS_ARCHITECTURE: &[Rule] = &[
    Rule::When(libc::SYS_mmap, NOT_EXECUTABLE),
    Rule::Any(libc::SYS_epoll_wait),
    Rule::Any(libc::SYS_poll),
];
#[cfg(all(target_pointer_width = "64", not(target_arch = "x86_64")))]
const OF_THIS_ARCHITECTURE: &[Rule] = &[Rule::When(libc::SYS_mmap, NOT_EXECUTABLE)];
/// With the calls whose time has 64 bits; their numbers are the same on all architectures of 32
/// bits.
#[cfg(target_pointer_width = "32")]
const OF_THIS_ARCHITECTURE: &[Rule] = &[
    Rule::When(libc::SYS_mmap2, NOT_EXECUTABLE),
    Rule::Any(libc::SYS_epoll_wait),
    Rule::Any(libc::SYS_poll),
    Rule::When(libc::SYS_fcntl64, MARKS),
    Rule::Any(403), // clock_gettime64
    Rule::Any(414), // ppoll_time64
    Rule::Any(422), // futex_time64
    #[cfg(target_arch = "arm")]
    Rule::Any(289), // send
    #[cfg(target_arch = "arm")]
    Rule::Any(291), // recv
];

/// Nothing in this program calls these once it is confined.
const DEADLY: &[c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
];

/// What a process calls no more once its connection is open.
const OVER_WHEN_LINKED: &[Rule] = &[
    Rule::Never(libc::SYS_socket),
    Rule::Never(libc::SYS_connect),
    Rule::Never(libc::SYS_prctl),
    Rule::Never(libc::SYS_setsockopt),
    Rule::Never(libc::SYS_getsockopt),
    Rule::Never(libc::SYS_getsockname),
    Rule::Never(libc::SYS_getpeername),
    Rule::Never(libc::SYS_fcntl),
    #[cfg(target_pointer_width = "32")]
    Rule::Never(libc::SYS_fcntl64),
];

/// What no resolver calls: ways around a filter, into other processes, and into the kernel.
const NEVER_IN_A_LOOK_UP: &[Rule] = &[
    Rule::Never(425), // io_uring_setup
    Rule::Never(424), // pidfd_send_signal
    Rule::Never(434), // pidfd_open
    Rule::Never(438), // pidfd_getfd
    Rule::Never(libc::SYS_kill),
    Rule::Never(libc::SYS_unshare),
    Rule::Never(libc::SYS_setns),
    Rule::Never(libc::SYS_mount),
    Rule::Never(libc::SYS_keyctl),
    Rule::Never(libc::SYS_add_key),
    Rule::Never(libc::SYS_request_key),
    Rule::Never(libc::SYS_bpf),
    Rule::Never(libc::SYS_userfaultfd),
    Rule::Never(libc::SYS_perf_event_open),
];

/// Gives up everything that the task does not need. Gives the version of Landlock that took part; 0
/// where the kernel has none.
///
/// # Errors
/// Which step failed, and why.
pub(super) fn confine(wanted: &Confinement<'_>) -> Result<u32, String> {
    let at = |step: &'static str| move |errno: nix::Error| format!("{step}: {}", errno.desc());
    if let Some(root) = wanted.root {
        chroot(root).map_err(at("the empty root"))?;
        chdir("/").map_err(at("the empty root"))?;
    }
    setgroups(&[]).map_err(at("the groups"))?;
    setresgid(wanted.gid, wanted.gid, wanted.gid).map_err(at("the group"))?;
    setresuid(wanted.uid, wanted.uid, wanted.uid).map_err(at("the user"))?;
    if setresuid(Uid::from_raw(u32::MAX), Uid::from_raw(0), Uid::from_raw(u32::MAX)).is_ok() {
        return Err("the user: the rights of root came back".to_owned());
    }
    // Set here, because a change of the user takes it away. The monitor may be gone already.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(at("the end with the monitor"))?;
    prctl::set_dumpable(false).map_err(at("the protection of its memory"))?;
    prctl::set_no_new_privs().map_err(at("no new privileges"))?;
    for (resource, most) in [
        (Resource::RLIMIT_NPROC, 0),
        (Resource::RLIMIT_FSIZE, 0),
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_DATA, limits::SEPARATED_MEMORY),
        (Resource::RLIMIT_NOFILE, limits::SEPARATED_DESCRIPTORS),
    ] {
        // Less may be left: only root raises a limit.
        let least = getrlimit(resource).map(|(_, hard)| most.min(hard));
        least.and_then(|least| setrlimit(resource, least, least)).map_err(at("the limits"))?;
    }
    let Some(_) = wanted.root else {
        // The system's resolver is any code of the device's: what it calls is not known.
        let landlock = landlock::confine(landlock::Files::Read);
        let filtered = install(NEVER_IN_A_LOOK_UP, DEADLY, Rest::Passes);
        return filtered.map(|()| landlock).map_err(at("the filter of system calls"));
    };
    let landlock = landlock::confine(landlock::Files::None);
    let rules = [ALLOWED, OF_THIS_ARCHITECTURE].concat();
    install(&rules, DEADLY, Rest::Refused).map_err(at("the filter of system calls"))?;
    #[cfg(target_arch = "x86")]
    direct_sockets().map_err(at("the calls for sockets"))?;
    Ok(landlock)
}

/// Linux before 4.3 has one call for all work with sockets on i686. A filter cannot see which of
/// them is meant, so none lets it through.
#[cfg(target_arch = "x86")]
fn direct_sockets() -> nix::Result<()> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    match socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None) {
        Err(nix::Error::EPERM) => Err(nix::Error::ENOSYS),
        _ => Ok(()),
    }
}

/// The connection is open: no further one.
///
/// # Errors
/// The kernel's.
pub(super) fn connect_no_more() -> nix::Result<()> {
    install(OVER_WHEN_LINKED, &[], Rest::Passes)
}

#[cfg(test)]
mod tests;
