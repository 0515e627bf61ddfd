//! What a forked child becomes: all memory that it reads, made before the fork.
//!
//! Data flow: [`crate::process::spawn`] fills an [`Image`] -> [`super::calls::fork_exec`] -> the
//! child, which reads it and writes a [`Stage`] when it fails.

use super::cgroup::Entrances;
use nix::unistd::{Gid, Uid};
use std::ffi::{CStr, CString, c_char};
use std::os::fd::BorrowedFd;
use std::ptr;

/// Owned C strings, and the null-terminated array of pointers to them that `execve` takes.
pub(crate) struct Strings {
    pub(super) pointers: Vec<*const c_char>,
    /// Keeps what the pointers point to; moving a `CString` does not move its bytes.
    _owned: Vec<CString>,
}

impl Strings {
    pub(crate) fn new(owned: Vec<CString>) -> Self {
        let pointers = owned.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect();
        Self { pointers, _owned: owned }
    }
}

/// The account that the child becomes.
pub(crate) struct Identity<'a> {
    /// The agent's own: groups that it may not change stay as they are.
    pub(crate) is_own: bool,
    /// The user's number in decimal digits, for `/proc/self/loginuid`.
    pub(crate) login: &'a [u8],
    pub(crate) groups: &'a [Gid],
    pub(crate) gid: Gid,
    pub(crate) uid: Uid,
}

/// All that the child needs, made before the fork.
pub(crate) struct Image<'a> {
    /// Paths to try in turn.
    pub(crate) candidates: &'a [CString],
    pub(crate) argv: &'a Strings,
    pub(crate) envp: &'a Strings,
    pub(crate) stdin: BorrowedFd<'a>,
    pub(crate) stdout: BorrowedFd<'a>,
    pub(crate) stderr: BorrowedFd<'a>,
    /// Standard input is a terminal, to become the controlling one.
    pub(crate) terminal: bool,
    /// The ways into the session's cgroups; `None`: it stays in the agent's.
    pub(crate) cgroups: Option<&'a Entrances>,
    /// `None` when the agent already is this account and may not change it.
    pub(crate) identity: Option<Identity<'a>>,
    /// Where it starts.
    pub(crate) directory: &'a CStr,
    /// It may start in `/` when that cannot be entered.
    pub(crate) elsewhere: bool,
    /// A descriptor besides the standard ones that the program gets, under its own number.
    pub(crate) script: Option<BorrowedFd<'a>>,
    /// Close-on-exec: it closes without a word when the exec worked.
    pub(crate) report: BorrowedFd<'a>,
}

/// What the child was doing when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    Session = 1,
    Terminal = 2,
    Descriptors = 3,
    Groups = 4,
    Identity = 5,
    Directory = 6,
    Exec = 7,
}

impl Stage {
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [
            Self::Session,
            Self::Terminal,
            Self::Descriptors,
            Self::Groups,
            Self::Identity,
            Self::Directory,
            Self::Exec,
        ]
        .into_iter()
        .find(|stage| *stage as u8 == byte)
    }
}
