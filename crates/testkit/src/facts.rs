//! Facts about a process from the kernel: memory, threads, context switches, children, sockets.
//!
//! Data flow: files of `/proc/PID` -> numbers. Linux only. A process that is gone is an error,
//! never a zero.

use std::path::PathBuf;

use crate::{Outcome, Trouble};

/// Memory of a process, KiB (`/proc/PID/smaps_rollup`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Resident pages, shared ones included.
    pub rss: u64,
    /// Of these, pages that no file backs: heap, stacks, written data.
    pub anonymous: u64,
    /// Pages that no other process has.
    pub private: u64,
}

/// Reads a process's memory.
///
/// # Errors
/// The process is gone, or belongs to somebody else.
pub fn memory(pid: u32) -> Outcome<Memory> {
    let text = read(pid, "smaps_rollup")?;
    let field = |name: &str| {
        number_after(&text, name).ok_or_else(|| Trouble::new(format!("smaps_rollup has no {name}")))
    };
    Ok(Memory {
        rss: field("Rss:")?,
        anonymous: field("Anonymous:")?,
        private: field("Private_Clean:")? + field("Private_Dirty:")?,
    })
}

/// Resident pages that belong to files other than the program itself (`/proc/PID/smaps`), KiB:
/// shared libraries, which the whole machine shares.
///
/// # Errors
/// The process is gone.
pub fn library_memory(pid: u32) -> Outcome<u64> {
    let program = std::fs::read_link(format!("/proc/{pid}/exe"))?.to_string_lossy().into_owned();
    let (mut sum, mut counts) = (0, false);
    for line in read(pid, "smaps")?.lines() {
        if let Some(path) = line.split_whitespace().nth(5).filter(|_| !line.contains("kB")) {
            counts = path.starts_with('/') && path != program;
        } else if line.split_whitespace().count() == 5 && !line.contains("kB") {
            counts = false;
        } else if counts {
            sum += number_after(line, "Rss:").unwrap_or(0);
        }
    }
    Ok(sum)
}

/// Time on processors of all threads, those that have ended too (`/proc/PID/stat`, ticks of 10 ms).
///
/// # Errors
/// The process is gone.
pub fn cpu(pid: u32) -> Outcome<std::time::Duration> {
    let text = read(pid, "stat")?;
    let fields = text
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().skip(11))
        .into_iter()
        .flatten();
    let ticks: u64 = fields.take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(std::time::Duration::from_millis(ticks * 10))
}

/// Number of threads.
///
/// # Errors
/// The process is gone.
pub fn threads(pid: u32) -> Outcome<u64> {
    number_after(&read(pid, "status")?, "Threads:")
        .ok_or_else(|| Trouble::new("status has no Threads"))
}

/// Times that a thread went to sleep and was woken since start (voluntary context switches), of all
/// threads. The others depend on who else is on the machine.
///
/// # Errors
/// The process is gone.
pub fn wake_ups(pid: u32) -> Outcome<u64> {
    let mut sum = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("status"))?;
        sum += number_after(&text, "voluntary_ctxt_switches:").unwrap_or(0);
    }
    Ok(sum)
}

/// CPU time so far, microseconds (`schedstat`, main thread and all others).
///
/// # Errors
/// The process is gone.
pub fn cpu_us(pid: u32) -> Outcome<u64> {
    let mut sum = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        sum += text.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum / 1000)
}

/// Bytes that a process has written so far, to whatever (`wchar` of `/proc/PID/io`).
///
/// # Errors
/// The process is gone, or belongs to somebody else.
pub fn written(pid: u32) -> Outcome<u64> {
    number_after(&read(pid, "io")?, "wchar:").ok_or_else(|| Trouble::new("io has no wchar"))
}

/// Whether a process waits for something.
///
/// # Errors
/// The process is gone.
pub fn sleeps(pid: u32) -> Outcome<bool> {
    let text = read(pid, "status")?;
    let state = text.lines().find_map(|line| line.strip_prefix("State:"));
    state.map(|s| s.trim().starts_with('S')).ok_or_else(|| Trouble::new("status has no State"))
}

/// Listening sockets of a process: lines of `/proc/PID/net/tcp*` in state LISTEN whose inode it
/// holds.
///
/// # Errors
/// The process is gone.
pub fn listening_sockets(pid: u32) -> Outcome<Vec<String>> {
    let mut held = Vec::new();
    for fd in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
        if let Ok(target) = std::fs::read_link(fd?.path()) {
            held.push(target.to_string_lossy().into_owned());
        }
    }
    const LISTEN: &str = "0A";
    let mut found = Vec::new();
    for table in ["net/tcp", "net/tcp6"] {
        for line in read(pid, table).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (Some(state), Some(inode)) = (fields.get(3), fields.get(9)) else { continue };
            if *state == LISTEN && held.contains(&format!("socket:[{inode}]")) {
                found.push(line.trim().to_owned());
            }
        }
    }
    Ok(found)
}

/// Processes whose parent is `pid`.
#[must_use]
pub fn children(pid: u32) -> Vec<u32> {
    all_processes().into_iter().filter(|child| parent(*child) == Some(pid)).collect()
}

/// Processes that have `NAME=VALUE` in their environment: what a test has marked.
#[must_use]
pub fn with_environment(entry: &str) -> Vec<u32> {
    let has = |pid: &u32| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|b| *b == 0).any(|e| e == entry.as_bytes())
    };
    all_processes().into_iter().filter(has).collect()
}

/// Processes with this text among their arguments (joined by spaces).
#[must_use]
pub fn with_argument(text: &str) -> Vec<u32> {
    let has = |pid: &u32| {
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line =
            arguments.split(|b| *b == 0).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ");
        line.contains(text)
    };
    all_processes().into_iter().filter(has).collect()
}

fn all_processes() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect()
}

fn parent(pid: u32) -> Option<u32> {
    u32::try_from(number_after(&read(pid, "status").ok()?, "PPid:")?).ok()
}

fn read(pid: u32, file: &str) -> Outcome<String> {
    let path = PathBuf::from(format!("/proc/{pid}/{file}"));
    std::fs::read_to_string(&path).map_err(|e| Trouble::new(format!("{}: {e}", path.display())))
}

/// The first number after `name` at the beginning of a line.
fn number_after(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::eventually;

    #[test]
    fn our_own_facts_make_sense() {
        let me = std::process::id();
        let memory = memory(me).unwrap();
        assert!(memory.rss > memory.anonymous && memory.anonymous > 0, "{memory:?}");
        assert!(threads(me).unwrap() >= 1);
        let libraries = library_memory(me).unwrap();
        assert!(libraries > 0 && libraries < memory.rss, "{libraries} of {memory:?}");
    }

    /// A process that nothing has held up yet was never woken: this one waits until it was.
    #[test]
    fn a_wait_is_a_wake_up() {
        let me = std::process::id();
        let before = wake_ups(me).unwrap();
        eventually("a wait that counts", Duration::from_secs(60), || {
            (wake_ups(me).unwrap() > before).then_some(())
        })
        .unwrap();
    }

    #[test]
    fn a_listening_socket_is_seen() {
        let before = listening_sockets(std::process::id()).unwrap().len();
        let _socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(listening_sockets(std::process::id()).unwrap().len() > before);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(memory(child.id()).is_err());
    }
}
