//! Entries in the device's `utmp`: `who` and `write` know a session on a terminal by it.
//!
//! Data flow: a session's terminal, user and process -> a record of `utmp(5)` in the form of glibc,
//! in place of an older one of the same terminal -> marked as dead when the session ends.
//!
//! # Invariants
//! - A device without the file has no records. A failure never keeps a session from starting.
//! - The lock is the C library's own (a lock on the file, by process); nobody waits for it.
//!
//! # Not here
//! - `wtmp` and `lastlog`: the gateway keeps the history.

use crate::clock::system_time;
use crate::limits;
use crate::logger;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::unistd::Pid;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

const FILES: [&str; 2] = ["/run/utmp", "/var/run/utmp"];

/// `struct utmp` of glibc: its times are 32 bits wide except where there never was a 32-bit form.
const WIDE: bool = cfg!(target_arch = "aarch64");
const RECORD: usize = if WIDE { 400 } else { 384 };
const PID: usize = 4;
const LINE: usize = 8;
const ID: usize = 40;
const USER: usize = 44;
const HOST: usize = 76;
const EXIT: usize = 332;
const SECONDS: usize = if WIDE { 344 } else { 340 };
/// `USER_PROCESS`.
const LIVES: u8 = 7;
/// `DEAD_PROCESS`.
const DEAD: u8 = 8;

type Record = [u8; RECORD];

/// A session of this user runs on this terminal (`/dev/pts/3`).
pub(crate) fn log_in(terminal: &str, user: &str, pid: Pid) {
    let mut new = blank(LIVES, pid);
    let line = terminal.strip_prefix("/dev/").unwrap_or(terminal);
    put(&mut new, LINE..ID, line);
    put(&mut new, ID..USER, &line[line.len().saturating_sub(4)..]);
    put(&mut new, USER..HOST, user);
    put(&mut new, HOST..EXIT, "towline");
    let same = |old: &Record| (5..=DEAD).contains(&old[0]) && old[ID..USER] == new[ID..USER];
    in_the_file(|file| replace(file, same, &new));
}

/// The session of this process is over.
pub(crate) fn log_out(pid: Pid) {
    let same = |old: &Record| old[0] == LIVES && old[PID..LINE] == pid.as_raw().to_ne_bytes();
    let dead = blank(DEAD, pid);
    in_the_file(|file| {
        let Some((at, mut record)) = find(file, same)? else { return Ok(()) };
        // Line and id stay, as `login` leaves them.
        record[0] = DEAD;
        record[USER..].copy_from_slice(&dead[USER..]);
        file.write_all_at(&record, at)
    });
}

fn blank(kind: u8, pid: Pid) -> Record {
    let mut record = [0; RECORD];
    record[..2].copy_from_slice(&i16::from(kind).to_ne_bytes());
    record[PID..LINE].copy_from_slice(&pid.as_raw().to_ne_bytes());
    let seconds = system_time().as_secs();
    if WIDE {
        record[SECONDS..SECONDS + 8].copy_from_slice(&seconds.to_ne_bytes());
    } else {
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        record[SECONDS..SECONDS + 4].copy_from_slice(&seconds.to_ne_bytes());
    }
    record
}

fn put(record: &mut Record, place: std::ops::Range<usize>, text: &str) {
    for (to, from) in record[place].iter_mut().zip(text.bytes()) {
        *to = from;
    }
}

fn in_the_file(edit: impl Fn(&File) -> io::Result<()>) {
    let found = FILES.iter().find_map(|path| open(Path::new(path)).ok());
    if let Some(Err(error)) = found.map(|file| lock(&file).and_then(|()| edit(&file))) {
        logger::debug!("no entry in utmp: {error}");
    }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
}

/// Goes when the file is closed.
fn lock(file: &File) -> io::Result<()> {
    let whole = libc::flock {
        l_type: libc::F_WRLCK as _,
        l_whence: libc::SEEK_SET as _,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_SETLK(&whole))?;
    Ok(())
}

/// The first record that `wanted` takes, and where it is.
fn find(file: &File, wanted: impl Fn(&Record) -> bool) -> io::Result<Option<(u64, Record)>> {
    let all = file.metadata()?.len() / RECORD as u64;
    for at in (0..all.min(limits::LOGIN_RECORDS)).map(|n| n * RECORD as u64) {
        let mut record = [0; RECORD];
        file.read_exact_at(&mut record, at)?;
        if wanted(&record) {
            return Ok(Some((at, record)));
        }
    }
    Ok(None)
}

/// Puts a record in the place of the one that `old` takes, or behind all others.
fn replace(file: &File, old: impl Fn(&Record) -> bool, new: &Record) -> io::Result<()> {
    let end = file.metadata()?.len() / RECORD as u64 * RECORD as u64;
    match find(file, old)? {
        Some((at, _)) => file.write_all_at(new, at),
        None if end < limits::LOGIN_RECORDS * RECORD as u64 => file.write_all_at(new, end),
        None => Ok(()),
    }
}
