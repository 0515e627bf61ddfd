//! The family of a session: the processes that its leader started, and their descendants.
//!
//! A [`Cgroup`] lists them where there is one. Else the list is made from [`proc_table`]: the
//! processes in the leader's session, those with the session's mark in their environment, their
//! children, and orphans that the kernel passed to the agent while this was the only session.
//!
//! # Known limit, only without cgroups
//! - A process that leaves its session, clears its environment and loses its parent while other
//!   sessions are open is found when the last of these ends.

use super::environment::SESSION_VARIABLE;
use crate::sys::cgroup::Cgroup;
use crate::sys::proc_table::{self, Entry};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Processes that are not of the session.
#[derive(Debug, Default)]
pub struct Others {
    /// Leaders of all other sessions, living or being ended.
    pub leaders: Vec<Pid>,
    /// Children of the agent that are no session's.
    pub bystanders: Vec<Pid>,
}

impl Others {
    fn has(&self, pid: Pid) -> bool {
        self.leaders.contains(&pid) || self.bystanders.contains(&pid)
    }
}

/// The processes of one session.
#[derive(Debug)]
pub enum Family {
    /// The kernel keeps the list.
    Cgroup(Cgroup),
    /// The list is put together at each look.
    Marked {
        /// The session's first process.
        leader: Pid,
        /// `NAME=session`, as in the environment of its processes.
        mark: String,
    },
}

impl Family {
    /// The family of a session without a cgroup.
    #[must_use]
    pub fn marked(leader: Pid, session: &str) -> Self {
        Self::Marked { leader, mark: format!("{SESSION_VARIABLE}={session}") }
    }

    /// Its living processes.
    #[must_use]
    pub fn members(&self, others: &Others) -> Vec<Pid> {
        match self {
            Self::Cgroup(cgroup) => cgroup.members(),
            Self::Marked { leader, mark } => {
                let table = proc_table::living();
                let is_marked = |pid| proc_table::has_mark(pid, mark);
                related(&table, *leader, Pid::this(), others, is_marked)
            }
        }
    }

    /// True when none is left.
    #[must_use]
    pub fn is_empty(&self, others: &Others) -> bool {
        match self {
            Self::Cgroup(cgroup) => cgroup.is_empty(),
            Self::Marked { .. } => self.members(others).is_empty(),
        }
    }

    /// Tells all of them that the operator is gone. Stopped ones are woken to hear it.
    pub fn hang_up(&self, others: &Others) {
        for pid in self.members(others) {
            let _ = kill(pid, Signal::SIGHUP);
            let _ = kill(pid, Signal::SIGCONT);
        }
    }

    /// Kills all of them.
    pub fn kill(&self, others: &Others) {
        match self {
            Self::Cgroup(cgroup) => cgroup.kill(),
            Self::Marked { .. } => {
                for pid in self.members(others) {
                    let _ = kill(pid, Signal::SIGKILL);
                }
            }
        }
    }

    /// Gives back what the family took from the system. False while the system still wants it.
    #[must_use]
    pub fn remove(&self) -> bool {
        match self {
            Self::Cgroup(cgroup) => cgroup.remove().is_ok(),
            Self::Marked { .. } => true,
        }
    }
}

/// The processes of a family, computed from a process table.
fn related(
    table: &[Entry],
    leader: Pid,
    agent: Pid,
    others: &Others,
    is_marked: impl Fn(Pid) -> bool,
) -> Vec<Pid> {
    let mut members: Vec<Pid> = Vec::new();
    for entry in table {
        let stray = others.leaders.is_empty() && entry.parent == agent;
        let own = entry.pid == leader || entry.session == leader || stray || is_marked(entry.pid);
        if own && entry.pid != agent && !others.has(entry.pid) {
            members.push(entry.pid);
        }
    }
    loop {
        let found = members.len();
        for entry in table {
            if members.contains(&entry.parent) && !members.contains(&entry.pid) {
                members.push(entry.pid);
            }
        }
        if members.len() == found {
            return members;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: i32 = 1;

    /// `(pid, parent, session)`; pids of 900 and more carry the mark.
    #[track_caller]
    fn check(table: &[(i32, i32, i32)], others: &[i32], expected: &[i32]) {
        let pid = Pid::from_raw;
        let table: Vec<Entry> = table
            .iter()
            .map(|&(p, pp, s)| Entry { pid: pid(p), parent: pid(pp), session: pid(s) })
            .collect();
        let leaders = others.iter().copied().map(pid).collect();
        let others = Others { leaders, bystanders: vec![pid(400)] };
        let found = related(&table, pid(100), pid(AGENT), &others, |p| p.as_raw() >= 900);
        assert_eq!(found, expected.iter().copied().map(pid).collect::<Vec<_>>());
    }

    #[test]
    fn children_and_their_children_belong_to_it_whatever_session_they_made() {
        check(
            &[(AGENT, 0, 1), (100, AGENT, 100), (101, 100, 100), (102, 101, 102), (103, 102, 102)],
            &[],
            &[100, 101, 102, 103],
        );
    }

    #[test]
    fn a_double_forked_daemon_is_known_by_its_mark() {
        check(&[(900, AGENT, 900), (200, AGENT, 200)], &[200], &[900]);
    }

    #[test]
    fn an_orphan_without_a_mark_falls_to_the_only_session() {
        check(&[(300, AGENT, 300), (301, 300, 301), (400, AGENT, 400)], &[], &[300, 301]);
    }

    #[test]
    fn another_sessions_leader_and_the_agent_are_never_touched() {
        check(&[(AGENT, 0, 1), (200, AGENT, 200), (201, 200, 200), (300, AGENT, 300)], &[200], &[]);
    }
}
