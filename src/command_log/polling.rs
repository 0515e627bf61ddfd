//! The watcher without process events of the kernel: it reads the process table at intervals.
//!
//! # Known limits
//! - A program that begins and ends between two looks ([`limits::LOG_POLL`]) is not seen. The
//!   first record of the log says that the source is polling.
//! - The exit status is unknown; the time of the exit is as exact as the interval.

use super::observations::{Inbox, Program, Seen};
use super::process_info::read_process;
use super::process_tree::ProcessTree;
use crate::limits;
use crate::sys::proc_table::{Entry, living};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;
use towline_wire::record::Lost;

/// Looks until nobody wants it any more.
pub(super) fn run(inbox: &Inbox, own: u32, roots: &[u32]) {
    let mut looks = Looks::new(own);
    for root in roots {
        let _ = looks.tree.adopt(*root, own); // the first: there is room
    }
    let wait = PollTimeout::try_from(limits::LOG_POLL).unwrap_or(PollTimeout::MAX);
    while !inbox.is_dismissed() {
        looks.look(&living(), |pid| read_process(pid).0, inbox, Instant::now());
        inbox.ring();
        let _ = poll(&mut [PollFd::new(inbox.call(), PollFlags::POLLIN)], wait);
    }
    looks.look(&living(), |pid| read_process(pid).0, inbox, Instant::now());
    inbox.end();
}

/// What the last look has seen.
struct Looks {
    own: u32,
    tree: ProcessTree,
    /// Arguments of each member when it was last looked at: a change is another program.
    programs: BTreeMap<u32, Vec<u8>>,
    full: bool,
}

impl Looks {
    fn new(own: u32) -> Self {
        Self { own, tree: ProcessTree::default(), programs: BTreeMap::new(), full: false }
    }

    fn look(&mut self, table: &[Entry], read: impl Fn(u32) -> Program, inbox: &Inbox, at: Instant) {
        let now: BTreeSet<u32> =
            table.iter().map(|entry| entry.pid.as_raw().cast_unsigned()).collect();
        let gone: Vec<u32> = self.tree.living().filter(|pid| !now.contains(pid)).collect();
        if join(&mut self.tree, table, Some(self.own)) && !std::mem::replace(&mut self.full, true) {
            inbox.push(Seen::Missed(Lost::Processes));
        }
        for pid in self.tree.living().collect::<Vec<_>>() {
            let program = read(pid);
            if now.contains(&pid)
                && !program.arguments.is_empty()
                && self.programs.get(&pid) != Some(&program.arguments)
            {
                self.programs.insert(pid, program.arguments.clone());
                self.executed(pid, program, inbox, at);
            }
        }
        for pid in gone {
            self.programs.remove(&pid);
            self.ended(pid, inbox, at);
        }
    }

    fn executed(&mut self, pid: u32, program: Program, inbox: &Inbox, at: Instant) {
        if let Some(member) = self.tree.exec(pid, at) {
            self.tree.count(member.root, true);
            inbox.push(Seen::Exec { root: member.root, at, pid, parent: member.parent, program });
        }
    }

    fn ended(&mut self, pid: u32, inbox: &Inbox, at: Instant) {
        let Some((member, over)) = self.tree.exit(pid) else { return };
        let root = member.root;
        if let Some(since) = member.since {
            inbox.push(Seen::Exit { root, at, pid, status: None, since });
        }
        if let Some(tally) = over {
            let (executions, without_arguments) = (tally.executions, tally.without_arguments);
            inbox.push(Seen::Over { root, at, executions, without_arguments });
        }
    }
}

/// Children of members are members; children of the agent, if it is given, are first processes,
/// unless they fell to it as orphans of a session. True when there was no room for one.
pub(super) fn join(tree: &mut ProcessTree, table: &[Entry], agent: Option<u32>) -> bool {
    let mut full = false;
    loop {
        let before = tree.len();
        for entry in table {
            let [pid, parent, session] =
                [entry.pid, entry.parent, entry.session].map(|pid| pid.as_raw().cast_unsigned());
            if tree.get(pid).is_some() {
                continue;
            }
            let kept = if tree.get(parent).is_some() {
                tree.fork(parent, pid)
            } else if tree.is_root(session) {
                tree.fork(session, pid)
            } else if agent == Some(parent) {
                tree.adopt(pid, parent)
            } else {
                Ok(())
            };
            full |= kept.is_err();
        }
        if tree.len() == before {
            return full;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::observations::tests::inbox;
    use super::*;
    use nix::unistd::Pid;

    fn table(rows: &[(i32, i32, i32)]) -> Vec<Entry> {
        let pid = Pid::from_raw;
        rows.iter()
            .map(|&(p, pp, s)| Entry { pid: pid(p), parent: pid(pp), session: pid(s) })
            .collect()
    }

    fn named(pid: u32) -> Program {
        Program { arguments: format!("program-{pid}\0").into_bytes(), ..Program::default() }
    }

    #[test]
    fn what_comes_and_goes_between_looks_is_told_with_its_session() {
        let (inbox, mut looks, at) = (inbox(), Looks::new(1), Instant::now());
        looks.look(&table(&[(1, 0, 1), (10, 1, 10), (11, 10, 10), (50, 0, 50)]), named, &inbox, at);
        // A daemon has left its parent and its session; it is still the session's.
        looks.look(&table(&[(1, 0, 1), (11, 1, 11), (50, 0, 50)]), named, &inbox, at);
        looks.look(&table(&[(1, 0, 1), (50, 0, 50)]), named, &inbox, at);
        let seen: Vec<String> = inbox
            .taken()
            .into_iter()
            .map(|seen| match seen {
                Seen::Exec { root, pid, .. } => format!("exec {pid} of {root}"),
                Seen::Exit { root, pid, .. } => format!("exit {pid} of {root}"),
                Seen::Over { root, executions, .. } => format!("over {root} after {executions}"),
                Seen::Missed(lost) => format!("{lost:?}"),
            })
            .collect();
        assert_eq!(
            seen,
            ["exec 10 of 10", "exec 11 of 10", "exit 10 of 10", "exit 11 of 10", "over 10 after 2"]
        );
    }

    #[test]
    fn other_arguments_of_the_same_process_are_another_program() {
        let (inbox, mut looks, at) = (inbox(), Looks::new(1), Instant::now());
        let table = table(&[(1, 0, 1), (10, 1, 10)]);
        looks.look(&table, |_| named(1), &inbox, at);
        looks.look(&table, |_| named(1), &inbox, at);
        looks.look(&table, |_| named(2), &inbox, at);
        assert_eq!(inbox.taken().len(), 2);
    }
}
