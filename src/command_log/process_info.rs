//! Reads the arguments, the executable, the user and the directory of a process, with as few system
//! calls as possible: the process may end between two of them.
//!
//! # Not here
//! - Which program of the process was read: [`super::look_ahead`].

use super::observations::Program;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::read;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use towline_wire::record::{ARGUMENTS, Executable, Origin, PATH};

/// The kernel's monotonic clock, nanoseconds: the clock of its process events.
#[must_use]
pub fn clock() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).ok();
    let part = |part: i64| u64::try_from(part).unwrap_or(0);
    #[allow(clippy::useless_conversion)] // 32 bits on some targets
    now.map_or(0, |now| part(now.tv_sec().into()) * 1_000_000_000 + part(now.tv_nsec().into()))
}

/// Reads a process, its arguments first: they are lost soonest. Returns also when arguments
/// and executable had been read ([`clock`]). A process that has ended gives an empty program.
#[must_use]
pub fn read_process(pid: u32) -> (Program, u64) {
    let mut program = Program::default();
    let mut path = format!("/proc/{pid}/cmdline");
    if let Ok(file) = open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()) {
        // The kernel gives all that fits in one go. A process that ends meanwhile gives nothing.
        let mut buffer = [0; ARGUMENTS + 1];
        let length = read(&file, &mut buffer).unwrap_or(0);
        program.cut = length > ARGUMENTS;
        program.arguments = buffer.get(..length.min(ARGUMENTS)).unwrap_or_default().to_vec();
    }
    path.truncate(path.len() - "/cmdline".len());
    path.push_str("/exe");
    program.executable = executable(&path);
    let read_at = clock();
    path.truncate(path.len() - "/exe".len());
    // The directory belongs to the effective user, whatever the program forbids to be read.
    program.uid = std::fs::metadata(&path).ok().map(|meta| meta.uid());
    path.push_str("/cwd");
    program.directory =
        std::fs::read_link(&path).map(|path| path.into_os_string().into_vec()).unwrap_or_default();
    program.directory.truncate(PATH);
    (program, read_at)
}

/// What the kernel executes, by the link that it shows in `/proc`.
fn executable(link: &str) -> Option<Executable> {
    let mut path = std::fs::read_link(link).ok()?.into_os_string().into_vec();
    let file = std::fs::metadata(link).ok()?;
    let mut origin = Origin::File;
    if file.nlink() == 0 {
        origin = if path.starts_with(b"/memfd:") { Origin::Memory } else { Origin::Deleted };
        if path.ends_with(DELETED) {
            path.truncate(path.len() - DELETED.len());
        }
    }
    // The end of a long path names the file.
    path.drain(..path.len().saturating_sub(PATH));
    Some(Executable { device: file.dev(), inode: file.ino(), origin, path })
}

/// What the kernel adds to the path of a file without a name.
const DELETED: &[u8] = b" (deleted)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_says_what_it_is() {
        let before = clock();
        let (program, at) = read_process(std::process::id());
        assert!(!program.arguments.is_empty() && program.uid.is_some());
        assert_eq!(program.directory, std::env::current_dir().unwrap().into_os_string().into_vec());
        assert!(before <= at && at <= clock());
        let own = std::env::current_exe().unwrap();
        let (file, seen) = (std::fs::metadata(&own).unwrap(), program.executable.unwrap());
        assert_eq!((seen.device, seen.inode), (file.dev(), file.ino()));
        assert!(own.into_os_string().into_vec().ends_with(&seen.path));
        assert_eq!(seen.origin, Origin::File);
    }

    #[test]
    fn a_process_that_is_gone_says_nothing() {
        assert_eq!(read_process(u32::MAX).0, Program::default());
    }
}
