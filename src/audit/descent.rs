//! Who descends from whom: the living processes of all sessions, by the kernel's forks and exits.
//!
//! # Invariants
//! - At most [`MEMBERS`] processes; one that does not fit is reported, and so are none of its children.
//! - A process stays a member until it ends, whatever it does to its session, parent or environment.

use heapless::index_map::FnvIndexMap;

/// Living processes of all sessions. 16 bytes each: 64 KiB in all. A power of two, for the map.
pub const MEMBERS: usize = 4096;

/// A process of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Number of its session.
    pub session: u16,
    /// Who made it.
    pub parent: u32,
    /// Seconds of the monotonic clock at which it became the program it is; 0 before.
    pub since: u32,
}

/// No room for another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// See the module.
#[derive(Debug, Default)]
pub struct Descent {
    members: FnvIndexMap<u32, Member, MEMBERS>,
}

impl Descent {
    /// A session's first process.
    ///
    /// # Errors
    /// [`Full`].
    pub fn adopt(&mut self, pid: u32, session: u16) -> Result<(), Full> {
        self.put(pid, Member { session, parent: 0, since: 0 })
    }

    /// A process made another.
    ///
    /// # Errors
    /// [`Full`]: the child belongs to a session and there is no room for it.
    pub fn fork(&mut self, parent: u32, child: u32) -> Result<(), Full> {
        match self.members.get(&parent).copied() {
            // A parent's program is its child's until that becomes another.
            Some(member) => self.put(child, Member { parent, since: 0, ..member }),
            None => Ok(()),
        }
    }

    /// A process became another program, now; the member, if it is one.
    pub fn exec(&mut self, pid: u32, now: u32) -> Option<Member> {
        let member = self.members.get_mut(&pid)?;
        member.since = now;
        Some(*member)
    }

    /// A process ended; the member, if it was one.
    pub fn exit(&mut self, pid: u32) -> Option<Member> {
        self.members.swap_remove(&pid)
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
        self.members.insert(pid, member).map(drop).map_err(|_| Full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_descends_from_a_session_belongs_to_it_and_nobody_else() {
        let mut descent = Descent::default();
        descent.adopt(10, 1).unwrap();
        descent.fork(10, 11).unwrap();
        descent.fork(11, 12).unwrap();
        assert!(descent.exit(11).is_some(), "a double fork: the middle one ends");
        descent.fork(12, 13).unwrap();
        assert_eq!(descent.exec(13, 7).unwrap(), Member { session: 1, parent: 12, since: 7 });
        descent.fork(99, 100).unwrap();
        assert_eq!(descent.exec(100, 7), None);
        assert_eq!(descent.exit(100), None);
    }

    #[test]
    fn one_process_too_many_is_reported() {
        let mut descent = Descent::default();
        descent.adopt(1, 1).unwrap();
        for pid in 2..=MEMBERS as u32 {
            descent.fork(1, pid).unwrap();
        }
        assert_eq!(descent.fork(1, 1_000_000), Err(Full));
        descent.exit(2);
        assert_eq!(descent.fork(1, 1_000_000), Ok(()));
    }
}
