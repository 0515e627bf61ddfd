//! The only file of the agent with `unsafe`: fork, the child until its exec, calls on terminals,
//! sockets and files without a safe form, and descriptors that were left open across an exec.
//!
//! # The rule of this file
//! Between `fork` and `execve` only async-signal-safe calls run: no allocation, no lock, no
//! panic, no destructor. The parent makes all memory that the child reads before the fork
//! ([`Image`]). On a failure the child writes five bytes (stage and errno) to the report pipe
//! and leaves by `_exit`, so that no exit handler of the agent runs twice. Each `unsafe` block
//! holds one call and its proof.
//!
//! # Not here
//! - The image's parts: [`super::image`]; its content: [`crate::process::spawn`].

use super::account;
use super::cgroup::Entrances;
use super::image::{Image, Stage};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl, open};
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::stat::Mode;
use nix::unistd::{self, ForkResult, Gid, Pid};
use std::convert::Infallible;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::ptr;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Forks, and lets the child become what `image` says. Returns the child's id at once; whether its
/// exec worked comes through the report pipe.
pub(crate) fn fork_exec(image: &Image<'_>) -> nix::Result<Pid> {
    // All signals wait across the fork: no handler of the agent may run in the child on the agent's
    // pipes.
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
    let cgroup = image.cgroups.and_then(|ways| ways.directory.as_ref());
    let forked = match cgroup.map(|directory| fork_into(directory.as_fd())) {
        // SAFETY: the child runs only `become_session`, which keeps the rule of this file and
        // never returns.
        None | Some(Err(_)) => unsafe { unistd::fork() }.map(|forked| (forked, false)),
        Some(Ok(forked)) => Ok((forked, true)),
    };
    if let Ok((ForkResult::Child, is_inside)) = forked {
        become_session(image, is_inside);
    }
    let restored = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
    match forked? {
        (ForkResult::Parent { child }, _) => restored.map(|()| child),
        (ForkResult::Child, is_inside) => become_session(image, is_inside), // not reached
    }
}

/// A fork whose child is born in the cgroup of a directory. To move a process later, the kernel
/// waits until no other processor forks or ends one (some 10 ms).
///
/// # Errors
/// The kernel's: it cannot do so before 5.7, or a filter of system calls forbids it. There is no
/// child then.
fn fork_into(cgroup: BorrowedFd<'_>) -> nix::Result<ForkResult> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000; // linux/sched.h
    let cgroup = u64::try_from(cgroup.as_raw_fd()).map_err(|_| Errno::EBADF)?;
    // `struct clone_args` of linux/sched.h: flags, four fields, of which the fourth is the signal
    // at the child's end, ..., and the cgroup as the last.
    let signal = libc::SIGCHLD as u64;
    let arguments: [u64; 11] = [CLONE_INTO_CGROUP, 0, 0, 0, signal, 0, 0, 0, 0, 0, cgroup];
    // SAFETY: the kernel reads the array, which lives across the call. Without CLONE_VM the child
    // has its own copy of all memory, as after a fork. The C library does not know of it: its locks
    // are as they were, and it believes in threads that the child does not have. The child runs
    // only `become_session`, which takes no lock and sets its ids by system calls.
    let forked = unsafe {
        libc::syscall(libc::SYS_clone3, ptr::from_ref(&arguments), size_of_val(&arguments))
    };
    match Errno::result(forked)? {
        0 => Ok(ForkResult::Child),
        child => i32::try_from(child)
            .map(|child| ForkResult::Parent { child: Pid::from_raw(child) })
            .map_err(|_| Errno::ERANGE),
    }
}

/// In the child: never returns.
fn become_session(image: &Image<'_>, is_inside: bool) -> ! {
    let Err((stage, errno)) = run(image, is_inside);
    let errno = (errno as i32).to_le_bytes();
    let report = [stage as u8, errno[0], errno[1], errno[2], errno[3]];
    let _ = unistd::write(image.report, &report);
    // SAFETY: `_exit` takes any status, is async-signal-safe and runs no handlers.
    unsafe { libc::_exit(127) }
}

fn run(image: &Image<'_>, is_inside: bool) -> Result<Infallible, (Stage, Errno)> {
    let at = |stage| move |errno| (stage, errno);
    unistd::setsid().map_err(at(Stage::Session))?;
    if image.terminal {
        take_terminal(image.stdin).map_err(at(Stage::Terminal))?;
    }
    join_cgroups(image.cgroups, is_inside);
    be_ordinary_when_memory_is_short();
    unistd::dup2_stdin(image.stdin).map_err(at(Stage::Descriptors))?;
    unistd::dup2_stdout(image.stdout).map_err(at(Stage::Descriptors))?;
    unistd::dup2_stderr(image.stderr).map_err(at(Stage::Descriptors))?;
    inherit_nothing_else();
    if let Some(identity) = &image.identity {
        say_who_logs_in(identity.login);
        match set_groups(identity.groups) {
            Err(Errno::EPERM) if identity.is_own => {}
            other => other.map_err(at(Stage::Groups))?,
        }
        set_ids(SET_GROUP_IDS, identity.gid.as_raw()).map_err(at(Stage::Groups))?;
        set_ids(SET_USER_IDS, identity.uid.as_raw()).map_err(at(Stage::Identity))?;
        // For the number -1 both calls succeed and change nothing.
        if unistd::geteuid() != identity.uid || unistd::getegid() != identity.gid {
            return Err((Stage::Identity, Errno::EINVAL));
        }
    }
    // After the change of user: a home on a network file system may be closed to root.
    match unistd::chdir(image.directory) {
        Err(errno) if !image.elsewhere => return Err((Stage::Directory, errno)),
        Err(_) => unistd::chdir(c"/").map_err(at(Stage::Directory))?,
        Ok(()) => {}
    }
    if let Some(script) = image.script {
        fcntl(script, FcntlArg::F_SETFD(FdFlag::empty())).map_err(at(Stage::Descriptors))?;
    }
    forget_signals();
    Err((Stage::Exec, exec(image)))
}

/// Moves the calling process into the session's cgroups, `is_inside`: into those that it was not
/// born in. The right to do so was checked when the files were opened. A failure is no reason to
/// refuse a shell: the session's family is then found by its marks.
fn join_cgroups(cgroups: Option<&Entrances>, is_inside: bool) {
    let Some(cgroups) = cgroups else { return };
    let own = cgroups.processes.as_ref().filter(|_| !is_inside);
    for file in own.into_iter().chain(&cgroups.limit) {
        let _ = unistd::write(file, b"0");
    }
}

#[cfg(any(target_arch = "arm", target_arch = "x86"))] // the others take 16 bits there
const SET_IDS: [libc::c_long; 3] =
    [libc::SYS_setgroups32, libc::SYS_setresgid32, libc::SYS_setresuid32];
#[cfg(not(any(target_arch = "arm", target_arch = "x86")))]
const SET_IDS: [libc::c_long; 3] = [libc::SYS_setgroups, libc::SYS_setresgid, libc::SYS_setresuid];
const SET_GROUP_IDS: libc::c_long = SET_IDS[1];
const SET_USER_IDS: libc::c_long = SET_IDS[2];

/// The system call: the C library's function would wait for threads that are not in the child.
fn set_groups(groups: &[Gid]) -> nix::Result<()> {
    // SAFETY: the kernel reads as many numbers as it is told, which are those of the slice: a `Gid`
    // is one number. They live across the call.
    let result = unsafe { libc::syscall(SET_IDS[0], groups.len(), groups.as_ptr()) };
    Errno::result(result).map(drop)
}

/// Sets the real, the effective and the saved id, see [`set_groups`].
fn set_ids(call: libc::c_long, id: u32) -> nix::Result<()> {
    // SAFETY: three integers.
    Errno::result(unsafe { libc::syscall(call, id, id, id) }).map(drop)
}

/// The agent may be protected from the kernel's out-of-memory killer; what its sessions start must
/// not be.
fn be_ordinary_when_memory_is_short() {
    if let Ok(score) =
        open(c"/proc/self/oom_score_adj", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())
    {
        let _ = unistd::write(&score, b"0");
    }
}

/// The kernel's audit names the session's user in what any later `sudo` does. Kernels without audit
/// have no such file, and in containers it cannot be written.
fn say_who_logs_in(login: &[u8]) {
    if let Ok(file) =
        open(c"/proc/self/loginuid", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())
    {
        let _ = unistd::write(&file, login);
    }
}

/// Makes a terminal the controlling one of the calling session leader.
fn take_terminal(terminal: BorrowedFd<'_>) -> nix::Result<()> {
    // SAFETY: the descriptor is borrowed, so open; this request takes an integer and no pointer.
    let result = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY as _, 0) };
    Errno::result(result).map(drop)
}

/// Marks every descriptor above standard error close-on-exec. The agent's own are so already; this
/// is for those that were given to it at start by a careless parent. Kernels before 5.11 lack the
/// call: see `close_on_exec_all`.
fn inherit_nothing_else() {
    const CLOEXEC: libc::c_uint = 4; // CLOSE_RANGE_CLOEXEC of linux/close_range.h
    // SAFETY: three integers; descriptors are only marked, none is closed, so no owner loses one.
    let _ = unsafe {
        libc::syscall(libc::SYS_close_range, 3 as libc::c_uint, libc::c_uint::MAX, CLOEXEC)
    };
}

/// Default dispositions and an empty mask: the standard library ignores SIGPIPE, the agent blocks
/// what it hears and outlives, and a shell must not inherit that.
fn forget_signals() {
    /// `struct sigaction` of the kernel: the default, no flags, no mask.
    const DEFAULT: [u64; 4] = [0; 4];
    const BYTES_OF_A_MASK: libc::size_t = 8;
    for signal in 1..=64 {
        let old = ptr::null_mut::<u64>();
        // SAFETY: the kernel reads one structure, of at most 32 bytes, and writes none; the default
        // disposition runs no code of ours, and numbers that cannot be set are refused. The C
        // library's function would refuse two more, which a parent may have ignored all the same.
        let _ = unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), old, BYTES_OF_A_MASK)
        };
    }
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
}

/// The kernel tells this process of the ends of its children, also when its parent did not want to
/// hear of its own.
pub(crate) fn hear_of_children() {
    // SAFETY: setting the default disposition runs no code of ours.
    let _ = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Reaps one child that has ended: its id, and its status as the kernel tells it. The form of the
/// library for this fails for a child that a real-time signal has killed, which is gone then.
pub(crate) fn reap_any() -> nix::Result<Option<(Pid, libc::c_int)>> {
    let mut status = 0;
    // SAFETY: the call writes one integer, which lives across it.
    let pid = unsafe { libc::waitpid(-1, ptr::from_mut(&mut status), libc::WNOHANG) };
    Ok(Some(Errno::result(pid)?).filter(|pid| *pid != 0).map(|pid| (Pid::from_raw(pid), status)))
}

/// Tries each candidate; returns the errno that tells most.
fn exec(image: &Image<'_>) -> Errno {
    let mut telling = Errno::ENOENT;
    for path in image.candidates {
        // SAFETY: the path and both arrays are null-terminated and outlive the call: the image owns
        // them.
        unsafe {
            libc::execve(path.as_ptr(), image.argv.pointers.as_ptr(), image.envp.pointers.as_ptr())
        };
        match Errno::last() {
            Errno::ENOENT | Errno::ENOTDIR => {}
            other => telling = other,
        }
    }
    telling
}

/// Sets the size of a terminal; its foreground programs get SIGWINCH from the kernel when it
/// changed.
pub(crate) fn set_size(master: BorrowedFd<'_>, size: &nix::pty::Winsize) -> nix::Result<()> {
    // SAFETY: the descriptor is borrowed, so open; the request reads one `winsize`, which lives
    // across the call.
    let result =
        unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSWINSZ as _, ptr::from_ref(size)) };
    Errno::result(result).map(drop)
}

/// The process group in the foreground of the terminal whose master end this is.
pub(crate) fn foreground_group(master: BorrowedFd<'_>) -> nix::Result<Pid> {
    let mut group: libc::pid_t = 0;
    // SAFETY: the descriptor is borrowed, so open; the request writes one `pid_t`, which lives
    // across the call.
    let result =
        unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPGRP as _, ptr::from_mut(&mut group)) };
    Errno::result(result).map(|_| Pid::from_raw(group))
}

/// Keeps the kernel from waking this socket's writer before at most `bytes` of what it holds are
/// unsent, so that a keystroke never queues behind more bulk than that.
pub(crate) fn set_notsent_lowat(socket: BorrowedFd<'_>, bytes: u32) -> nix::Result<()> {
    let size = size_of_val(&bytes) as libc::socklen_t;
    // SAFETY: the descriptor is borrowed, so open; the option reads four bytes, which live across
    // the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_NOTSENT_LOWAT,
            ptr::from_ref(&bytes).cast(),
            size,
        )
    };
    Errno::result(result).map(drop)
}

/// A step of a filter of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Takes the four bytes at this place, the highest first.
    Load {
        /// Bytes from the message's begin.
        at: u32,
    },
    /// Drops the message unless what was taken is this.
    Want {
        /// The number.
        value: u32,
    },
}

/// Lets only those messages into a socket's buffer for which all steps hold (classic BPF,
/// linux/filter.h).
///
/// # Errors
/// The kernel's; or more steps than the jumps of this language reach over.
pub(crate) fn filter_messages(socket: BorrowedFd<'_>, steps: &[Filter]) -> nix::Result<()> {
    let step = |code: u32, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf, k };
    let mut jumps = Vec::with_capacity(steps.len() + 2);
    for (done, filter) in steps.iter().enumerate() {
        let to_the_last = u8::try_from(steps.len() - done).map_err(|_| Errno::E2BIG)?;
        jumps.push(match *filter {
            Filter::Load { at } => step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, at),
            Filter::Want { value } => {
                step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, to_the_last, value)
            }
        });
    }
    jumps.extend([
        step(libc::BPF_RET | libc::BPF_K, 0, u32::MAX),
        step(libc::BPF_RET | libc::BPF_K, 0, 0),
    ]);
    let len = u16::try_from(jumps.len()).map_err(|_| Errno::E2BIG)?;
    let program = libc::sock_fprog { len, filter: jumps.as_mut_ptr() };
    let size = size_of_val(&program) as libc::socklen_t;
    // SAFETY: the descriptor is borrowed, so open; the option reads one `sock_fprog` and the `len`
    // steps behind its pointer, and both live across the call. The kernel checks the program
    // itself.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            ptr::from_ref(&program).cast(),
            size,
        )
    };
    Errno::result(result).map(drop)
}

/// Has the kernel judge each further system call of this process by a program (seccomp(2)).
///
/// # Errors
/// The kernel's: it has no filters, or the process may still gain privileges; or a program of more
/// steps than the kernel takes.
pub(crate) fn filter_calls(steps: &mut [libc::sock_filter]) -> nix::Result<()> {
    let len = u16::try_from(steps.len()).map_err(|_| Errno::E2BIG)?;
    let program = libc::sock_fprog { len, filter: steps.as_mut_ptr() };
    let none: libc::c_ulong = 0;
    // SAFETY: the operation reads one `sock_fprog` and the `len` steps behind its pointer, and both
    // live across the call. The kernel checks the program itself. All arguments have the width of a
    // register.
    let result = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER as libc::c_ulong,
            ptr::from_ref(&program),
            none,
            none,
        )
    };
    Errno::result(result).map(drop)
}

/// Receives one message of a socket: its length, and whether it came alone. Descriptors that come
/// along are closed by the kernel, because there is no room for them.
///
/// # Errors
/// The kernel's; `EAGAIN` when `now` is set and there is no message.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    into: &mut [u8],
    now: bool,
) -> nix::Result<(usize, bool)> {
    let mut room = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    // SAFETY: all fields are numbers and pointers, for which zero is a value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (ptr::from_mut(&mut room), 1);
    let flags = if now { libc::MSG_DONTWAIT } else { 0 };
    // SAFETY: the call writes at most `iov_len` bytes behind `iov_base`, which are those of `into`,
    // and into the fields of `message`. All of them live across the call.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), ptr::from_mut(&mut message), flags) };
    let length = usize::try_from(Errno::result(length)?).unwrap_or(0);
    Ok((length, message.msg_flags & libc::MSG_CTRUNC == 0))
}

/// `LANDLOCK_CREATE_RULESET_VERSION`
const LANDLOCK_VERSION: libc::c_ulong = 1;

/// The kernel's version of Landlock; 0 where it has none.
pub(crate) fn landlock_version() -> u32 {
    let none: libc::c_ulong = 0;
    // SAFETY: with this flag the call takes no attributes, reads no memory and makes no descriptor.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, none, LANDLOCK_VERSION) };
    u32::try_from(version).unwrap_or(0)
}

/// Takes rights away from this process by Landlock: of files, of ports, to what is outside
/// (`struct landlock_ruleset_attr`).
///
/// # Errors
/// The kernel's: it has no Landlock, or not these rights; or the process may still gain privileges.
pub(crate) fn landlock(rights: [u64; 3]) -> nix::Result<()> {
    let size: libc::size_t = size_of_val(&rights);
    let none: libc::c_ulong = 0;
    // SAFETY: the call reads `size` bytes behind the pointer, which is the array, and it lives
    // across the call. An older kernel takes a longer structure whose rest is zero.
    let made = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, ptr::from_ref(&rights), size, none)
    };
    let raw = RawFd::try_from(Errno::result(made)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel just made this descriptor, and nobody else knows it.
    let rules = unsafe { OwnedFd::from_raw_fd(raw) };
    // SAFETY: the call takes a descriptor and flags, and touches no memory of this process.
    let taken = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), none) };
    Errno::result(taken).map(drop)
}

/// Takes a descriptor that the previous program in this process left open on purpose, and marks it
/// as taken.
///
/// "On purpose" is what the close-on-exec mark says: whatever this program opened itself carries
/// it, and what was taken carries it from then on. So a descriptor with an owner is never taken,
/// and none is taken twice.
pub(crate) fn inherit(raw: RawFd) -> io::Result<OwnedFd> {
    let not_left =
        || io::Error::other(format!("descriptor {raw} was not left open for this program"));
    if raw <= libc::STDERR_FILENO {
        return Err(not_left());
    }
    // SAFETY: the call takes any integer, and only looks.
    let flags = unsafe { libc::fcntl(raw, libc::F_GETFD) };
    if flags < 0 || flags & libc::FD_CLOEXEC != 0 {
        return Err(not_left());
    }
    // SAFETY: three integers; the descriptor is only marked.
    Errno::result(unsafe { libc::fcntl(raw, libc::F_SETFD, flags | libc::FD_CLOEXEC) })?;
    // SAFETY: it is open, and without the mark above it had no owner in this program.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Gives the calling thread the lowest of the real-time priorities: it goes before ordinary
/// programs, and after everything else that has such a priority. What it starts does not inherit
/// it.
///
/// # Errors
/// The kernel's: no `CAP_SYS_NICE`, or a cgroup without real-time share.
pub(crate) fn take_precedence() -> nix::Result<()> {
    const FIRST_IN_FIRST_OUT: libc::c_int = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    let lowest: libc::c_int = 1; // `struct sched_param` of the kernel: one integer
    // SAFETY: 0 is the calling thread; the kernel reads one integer, which lives across the call.
    // The system call and not the C library's function, which musl does not have.
    let result = unsafe {
        libc::syscall(libc::SYS_sched_setscheduler, 0, FIRST_IN_FIRST_OUT, ptr::from_ref(&lowest))
    };
    Errno::result(result).map(drop)
}

/// What the shadow database says of an account, in days; -1 where a field is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shadow {
    /// There is a `!` before a password, or before the `*` that stands for none.
    pub(crate) locked: bool,
    /// Last change of the password.
    pub(crate) changed: i64,
    /// How long a password is good.
    pub(crate) longest: i64,
    /// How long it may still be changed after that.
    pub(crate) inactive: i64,
    /// From this day on the account is closed.
    pub(crate) expires: i64,
}

/// An account's line in the shadow database; `None` where there is none. Called by the loop's
/// thread alone: the C library returns its own memory.
///
/// # Errors
/// The database cannot be read.
pub(crate) fn shadow(name: &CStr) -> nix::Result<Option<Shadow>> {
    Errno::clear();
    // SAFETY: the name is null-terminated.
    let line = unsafe { libc::getspnam(name.as_ptr()) };
    // SAFETY: it is null, or points to memory of the C library that stays until the next call,
    // which no other thread makes.
    let Some(line) = (unsafe { line.as_ref() }) else {
        return match Errno::last() {
            errno @ (Errno::EACCES
            | Errno::EPERM
            | Errno::EIO
            | Errno::EMFILE
            | Errno::ENFILE
            | Errno::ENOMEM) => Err(errno),
            _ => Ok(None), // "not found" has several numbers
        };
    };
    let mut password: &[u8] = &[];
    if !line.sp_pwdp.is_null() {
        // SAFETY: it is not null, and the C library ends it with a zero byte in the same memory.
        password = unsafe { CStr::from_ptr(line.sp_pwdp) }.to_bytes();
    }
    #[allow(clippy::useless_conversion)] // 32 bits on some targets
    Ok(Some(Shadow {
        locked: account::is_locked(password),
        changed: line.sp_lstchg.into(),
        longest: line.sp_max.into(),
        inactive: line.sp_inact.into(),
        expires: line.sp_expire.into(),
    }))
}

/// From which size on an allocation is a mapping of its own, and goes back at once when it is
/// freed. glibc raises this with the first large one that is freed, and keeps all later ones.
pub(crate) fn map_large_allocations() {
    #[cfg(target_env = "gnu")]
    // SAFETY: two integers; called before there is a second thread.
    let _ = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, 128 * 1024) };
}

/// Gives back the pages that only free memory is in. Other C libraries do so by themselves.
pub(crate) fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: an integer; the C library takes its own locks.
    let _ = unsafe { libc::malloc_trim(0) };
}

/// Gives back the pages of the main thread's stack below this call: a TLS handshake goes deeper
/// than anything later does. Called on the main thread alone.
#[inline(never)]
pub(crate) fn give_stack_back() {
    /// Below this frame, for the call itself.
    const MARGIN: usize = 8 * 1024;
    const MOST: usize = 256 * 1024;
    let here = 0_u8;
    let Ok(Some(page)) = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE) else { return };
    let page = usize::try_from(page).unwrap_or(MOST);
    let end = (ptr::from_ref(&here).addr() - MARGIN) / page * page;
    // SAFETY: stacks grow downwards here, so nothing below the margin is in use. The kernel keeps
    // 128 MiB and more below the top of the main stack free of other mappings.
    let _ = unsafe { libc::madvise((end - MOST) as *mut _, MOST, libc::MADV_DONTNEED) };
}

/// Whether an extended attribute of a file has just this value, of at most eight bytes.
pub(crate) fn has_attribute(path: &CStr, name: &CStr, value: &[u8]) -> bool {
    let mut found = [0_u8; 8];
    // SAFETY: both names are null-terminated, and the kernel writes at most as many bytes as it is
    // told to an array that lives across the call.
    let length = unsafe {
        libc::getxattr(path.as_ptr(), name.as_ptr(), found.as_mut_ptr().cast(), found.len())
    };
    usize::try_from(length).is_ok_and(|length| found.get(..length) == Some(value))
}

/// Registers a descriptor with the runtime, to learn when it can be read, written, or both.
pub(crate) fn watch(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open and stays the same descriptor until dropped, and only shared
    // borrows of it are given out while the `AsyncFd` owns it.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(io::Error::from)
}
