//! The process tree of all sessions, kept by the kernel's forks and exits.
//!
//! A session is named here by its first process, its *root*, a child of the agent.
//!
//! # Invariants
//! - At most [`MEMBERS`] processes. One that does not fit is reported; its children are not
//!   followed.
//! - A process stays a member until it ends, whatever it does to its session, parent or
//!   environment.
//!
//! # Not here
//! - The names of sessions: [`super::CommandLog`].

use std::collections::BTreeMap;
use std::time::Instant;

use crate::limits::LOG_MEMBERS as MEMBERS;

/// A process of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The first process of its session.
    pub root: u32,
    /// Who made it.
    pub parent: u32,
    /// When it became the program it is; `None` while it is its parent's.
    pub since: Option<Instant>,
}

/// What is counted of a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    living: u32,
    /// Programs seen.
    pub executions: u64,
    /// Of these without arguments.
    pub without_arguments: u64,
}

/// No room for another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// The living processes of all sessions.
#[derive(Debug, Default)]
pub struct ProcessTree {
    members: BTreeMap<u32, Member>,
    roots: BTreeMap<u32, Tally>,
}

impl ProcessTree {
    /// A session's first process.
    ///
    /// # Errors
    /// [`Full`].
    pub fn adopt(&mut self, root: u32, parent: u32) -> Result<(), Full> {
        self.put(root, Member { root, parent, since: None })
    }

    /// A process made another.
    ///
    /// # Errors
    /// [`Full`]: the child belongs to a session and there is no room for it.
    pub fn fork(&mut self, parent: u32, child: u32) -> Result<(), Full> {
        match self.members.get(&parent).copied() {
            Some(member) => self.put(child, Member { parent, since: None, ..member }),
            None => Ok(()),
        }
    }

    /// A process became another program, now; the member, if it is one.
    pub fn exec(&mut self, pid: u32, now: Instant) -> Option<Member> {
        let member = self.members.get_mut(&pid)?;
        member.since = Some(now);
        Some(*member)
    }

    /// Counts a program of a session.
    pub fn count(&mut self, root: u32, with_arguments: bool) {
        if let Some(tally) = self.roots.get_mut(&root) {
            tally.executions += 1;
            tally.without_arguments += u64::from(!with_arguments);
        }
    }

    /// A process ended: the member, if it was one; and the tally of its session, if it was the
    /// last.
    pub fn exit(&mut self, pid: u32) -> Option<(Member, Option<Tally>)> {
        let member = self.members.remove(&pid)?;
        let tally = self.roots.get_mut(&member.root)?;
        tally.living = tally.living.saturating_sub(1);
        let over = (tally.living == 0).then(|| self.roots.remove(&member.root)).flatten();
        Some((member, over))
    }

    /// Whether it is a living process of a session.
    #[must_use]
    pub fn get(&self, pid: u32) -> Option<Member> {
        self.members.get(&pid).copied()
    }

    /// Whether it is the first process of a session that still has living ones.
    #[must_use]
    pub fn is_root(&self, pid: u32) -> bool {
        self.roots.contains_key(&pid)
    }

    /// All living members.
    pub fn living(&self) -> impl Iterator<Item = u32> {
        self.members.keys().copied()
    }

    /// Living members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn put(&mut self, pid: u32, member: Member) -> Result<(), Full> {
        if self.members.len() >= MEMBERS && !self.members.contains_key(&pid) {
            return Err(Full);
        }
        if self.members.insert(pid, member).is_none_or(|before| before.root != member.root) {
            self.roots.entry(member.root).or_default().living += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_descendant_of_a_session_belongs_to_it_and_no_other_process() {
        let (mut tree, now) = (ProcessTree::default(), Instant::now());
        tree.adopt(10, 1).unwrap();
        tree.fork(10, 11).unwrap();
        tree.fork(11, 12).unwrap();
        assert!(tree.exit(11).is_some(), "a double fork: the middle one ends");
        tree.fork(12, 13).unwrap();
        assert_eq!(tree.exec(13, now), Some(Member { root: 10, parent: 12, since: Some(now) }));
        tree.fork(99, 100).unwrap();
        assert_eq!(tree.exec(100, now), None);
        assert_eq!(tree.exit(100), None);
    }

    #[test]
    fn a_session_is_over_with_its_last_process_and_not_with_its_first() {
        let mut tree = ProcessTree::default();
        tree.adopt(10, 1).unwrap();
        tree.fork(10, 11).unwrap();
        tree.count(10, true);
        tree.count(10, false);
        assert_eq!(tree.exit(10).unwrap().1, None);
        let tally = tree.exit(11).unwrap().1.unwrap();
        assert_eq!((tally.executions, tally.without_arguments), (2, 1));
        assert!(!tree.is_root(10));
    }

    #[test]
    fn one_process_too_many_is_reported() {
        let mut tree = ProcessTree::default();
        tree.adopt(1, 0).unwrap();
        for pid in 2..=MEMBERS as u32 {
            tree.fork(1, pid).unwrap();
        }
        assert_eq!(tree.fork(1, 1_000_000), Err(Full));
        tree.exit(2);
        assert_eq!(tree.fork(1, 1_000_000), Ok(()));
    }
}
