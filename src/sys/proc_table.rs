//! The process table from `/proc`: parent, session and mark of each living process.
//!
//! Used without cgroups. It is a snapshot, and processes come and go while it is read: a caller
//! that kills reads it again until it is empty.

use crate::limits;
use nix::unistd::Pid;
use std::fs;
use std::io::Read as _;

/// One living process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub pid: Pid,
    /// Its parent's id.
    pub parent: Pid,
    /// The session (in the sense of `setsid`) it belongs to.
    pub session: Pid,
}

/// All living processes, zombies left out, at most [`limits::FAMILY_PASS`].
#[must_use]
pub fn living() -> Vec<Entry> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
        .take(limits::FAMILY_PASS)
        .collect()
}

/// Whether a process was started with the variable `name=value` in its environment.
#[must_use]
pub fn has_mark(pid: Pid, mark: &str) -> bool {
    let mut environment = Vec::new();
    let read = fs::File::open(format!("/proc/{pid}/environ"))
        .and_then(|file| file.take(limits::ENVIRONMENT_FILE as u64).read_to_end(&mut environment));
    read.is_ok() && environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
}

/// `PID (NAME) STATE PARENT GROUP SESSION ...`; the name may hold anything, so the last parenthesis
/// counts.
fn parse(stat: &str) -> Option<Entry> {
    let (front, rest) = stat.rsplit_once(')')?;
    let pid = front.split_once(' ')?.0.parse().ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    let alive = !matches!(state, "Z" | "X");
    alive.then_some(Entry {
        pid: Pid::from_raw(pid),
        parent: Pid::from_raw(parent),
        session: Pid::from_raw(session),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_move_the_fields() {
        let entry = parse("12 (a) S (b) R 7 12 12 0 -1").unwrap();
        assert_eq!(
            (entry.pid.as_raw(), entry.parent.as_raw(), entry.session.as_raw()),
            (12, 7, 12)
        );
    }

    #[test]
    fn a_zombie_is_not_living() {
        assert_eq!(parse("12 (sh) Z 7 12 12 0 -1"), None);
    }

    #[test]
    fn this_process_is_in_the_table() {
        assert!(living().iter().any(|entry| entry.pid == Pid::this()));
    }
}
