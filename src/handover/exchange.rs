//! The exec: one program replaces another in this process.
//!
//! # Invariants
//! - A return means that nothing changed: descriptors are close-on-exec again.
//! - Signals stay blocked: between the exec and the start of the successor no program hears them.

use crate::logger;
use crate::sys::memory::unnamed_file;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

/// The variable in which a successor finds what it was left: `STATE:PROGRAM`, two descriptors. The
/// second is missing when the program that reads it is the one that wrote the state.
pub const VARIABLE: &str = "TOWLINE_HANDOVER";

/// A file in memory for the state.
///
/// # Errors
/// No descriptor, or no folder in memory on an old kernel.
pub fn memory() -> io::Result<File> {
    Ok(File::from(unnamed_file(c"towline-handover")?))
}

/// The program this process was started as; after an upgrade that is the new one.
#[must_use]
pub fn installed() -> PathBuf {
    let named = std::env::args_os().next().map(PathBuf::from).filter(|path| path.is_absolute());
    named
        .or_else(|| std::env::current_exe().ok().map(|path| without_mark(&path)))
        .unwrap_or_else(|| "towline-agent".into())
}

/// The kernel's name for a program whose file was replaced ends with a remark.
fn without_mark(path: &Path) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    PathBuf::from(OsString::from_vec(bytes.strip_suffix(b" (deleted)").unwrap_or(bytes).to_vec()))
}

/// The program that runs now, even if its file is gone.
///
/// # Errors
/// There is no `/proc`.
pub fn running() -> io::Result<File> {
    File::open("/proc/self/exe")
}

/// A path by which an open program can be executed.
#[must_use]
pub fn path_of(program: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", program.as_raw_fd()))
}

/// Executes `path` in this process with the same arguments, and leaves it `state`, `kept` and,
/// where there is one, the program to go back to. Returns only when that failed.
#[must_use]
pub fn execute(
    path: &Path,
    state: &File,
    program: Option<&File>,
    kept: &[BorrowedFd<'_>],
) -> io::Error {
    let left: Vec<BorrowedFd<'_>> =
        kept.iter().copied().chain([state.as_fd()]).chain(program.map(File::as_fd)).collect();
    let program = program.map(|file| file.as_raw_fd().to_string()).unwrap_or_default();
    let left_to_it = format!("{VARIABLE}={}:{program}", state.as_raw_fd());
    let error = match close_at_exec(&left, false).and_then(|()| exec(path, Some(left_to_it))) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    if let Err(error) = close_at_exec(&left, true) {
        logger::error!("after a failed transfer: {error}");
    }
    error
}

fn close_at_exec(descriptors: &[BorrowedFd<'_>], close: bool) -> io::Result<()> {
    let flags = if close { FdFlag::FD_CLOEXEC } else { FdFlag::empty() };
    for fd in descriptors {
        fcntl(fd, FcntlArg::F_SETFD(flags))?;
    }
    Ok(())
}

/// Executes the installed program in this process with the same arguments, and leaves it nothing.
/// Returns only when that failed.
#[must_use]
pub fn restart() -> io::Error {
    match exec(&installed(), None) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

/// By hand: what is left blocked stays so.
fn exec(path: &Path, left: Option<String>) -> io::Result<Infallible> {
    let c_string = |bytes: Vec<u8>| CString::new(bytes).map_err(io::Error::from);
    let arguments = std::env::args_os()
        .map(|word| c_string(word.into_vec()))
        .collect::<io::Result<Vec<_>>>()?;
    let others = std::env::vars_os().filter(|(name, _)| name != VARIABLE);
    let others = others.map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat());
    let environment = others.chain(left.map(String::into_bytes)).map(c_string);
    let environment = environment.collect::<io::Result<Vec<_>>>()?;
    Ok(nix::unistd::execve(
        &c_string(path.as_os_str().as_bytes().to_vec())?,
        &arguments,
        &environment,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_whose_file_was_replaced_is_found_by_its_old_name() {
        assert_eq!(
            without_mark(Path::new("/usr/bin/towline-agent (deleted)")),
            Path::new("/usr/bin/towline-agent")
        );
        assert_eq!(
            without_mark(Path::new("/usr/bin/towline-agent")),
            Path::new("/usr/bin/towline-agent")
        );
    }

    #[test]
    fn after_an_exec_that_failed_descriptors_are_as_before() {
        let (state, kept) = (memory().unwrap(), tempfile::tempfile().unwrap());
        let error = execute(Path::new("/no/such/program"), &state, None, &[kept.as_fd()]);
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        for fd in [state.as_fd(), kept.as_fd()] {
            assert_eq!(fcntl(fd, FcntlArg::F_GETFD).unwrap(), FdFlag::FD_CLOEXEC.bits());
        }
    }
}
