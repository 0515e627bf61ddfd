//! How a process gives up its rights, for good.
//!
//! Data flow: root -> an empty directory as its root -> another account without groups and
//! capabilities -> no new privileges, no further processes, no files -> the filter of system calls.
//!
//! # Invariants
//! - All of it works, or the process does nothing of its task.
//! - What is not on the list [`ALLOWED`] is refused; what only an attacker calls ends the process.
//!
//! # Not here
//! - The filter as a program: [`crate::sys::seccomp`].

use crate::sys::seccomp::{Rest, Rule, install};
use nix::libc::{self, c_long};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
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

/// Sockets of the Internet alone: no path and no abstract name leads to a program of this device.
const INTERNET: [u32; 2] = [libc::AF_INET as u32, libc::AF_INET6 as u32];

/// What the network process calls: it connects, moves bytes between its sockets, waits, and takes
/// memory. It opens nothing and starts nothing.
const ALLOWED: &[Rule] = &[
    Rule::First(libc::SYS_socket, INTERNET),
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
    Rule::Any(libc::SYS_setsockopt),
    Rule::Any(libc::SYS_getsockname),
    Rule::Any(libc::SYS_getpeername),
    Rule::Any(libc::SYS_fcntl),
    Rule::Any(libc::SYS_close),
    Rule::Any(libc::SYS_epoll_ctl),
    Rule::Any(libc::SYS_epoll_pwait),
    Rule::Any(libc::SYS_ppoll),
    Rule::ThirdWithout(libc::SYS_mprotect, EXECUTABLE),
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
    Rule::First(libc::SYS_prctl, [libc::PR_SET_SECCOMP as u32; 2]),
];

/// Memory that can be executed.
const EXECUTABLE: u32 = libc::PROT_EXEC as u32;

/// Calls that some architectures have beside those of [`ALLOWED`], or in their place.
#[cfg(target_arch = "x86_64")]
const OF_THIS_ARCHITECTURE: &[Rule] = &[
    Rule::ThirdWithout(libc::SYS_mmap, EXECUTABLE),
    Rule::Any(libc::SYS_epoll_wait),
    Rule::Any(libc::SYS_poll),
];
#[cfg(all(target_pointer_width = "64", not(target_arch = "x86_64")))]
const OF_THIS_ARCHITECTURE: &[Rule] = &[Rule::ThirdWithout(libc::SYS_mmap, EXECUTABLE)];
/// With the calls whose time has 64 bits; their numbers are the same on all architectures of 32 bits.
#[cfg(target_pointer_width = "32")]
const OF_THIS_ARCHITECTURE: &[Rule] = &[
    Rule::ThirdWithout(libc::SYS_mmap2, EXECUTABLE),
    Rule::Any(libc::SYS_epoll_wait),
    Rule::Any(libc::SYS_poll),
    Rule::Any(libc::SYS_fcntl64),
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
const OVER_WHEN_LINKED: &[Rule] =
    &[Rule::Never(libc::SYS_socket), Rule::Never(libc::SYS_connect), Rule::Never(libc::SYS_prctl)];

/// Gives up everything that the task does not need.
///
/// # Errors
/// Which step failed, and why.
pub(super) fn confine(wanted: &Confinement<'_>) -> Result<(), String> {
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
    for resource in [Resource::RLIMIT_NPROC, Resource::RLIMIT_FSIZE, Resource::RLIMIT_CORE] {
        setrlimit(resource, 0, 0).map_err(at("the limits"))?;
    }
    if wanted.root.is_none() {
        // The system's resolver is any code of the device's: what it calls is not known.
        return install(&[], DEADLY, Rest::Passes).map_err(at("the filter of system calls"));
    }
    let rules = [ALLOWED, OF_THIS_ARCHITECTURE].concat();
    install(&rules, DEADLY, Rest::Refused).map_err(at("the filter of system calls"))?;
    #[cfg(target_arch = "x86")]
    direct_sockets().map_err(at("the calls for sockets"))?;
    Ok(())
}

/// Linux before 4.3 has one call for all work with sockets on i686. A filter cannot see which of them
/// is meant, so none lets it through.
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
