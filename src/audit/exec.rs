//! From the kernel's events to records: what a session's processes executed, and how they ended.
//!
//! Way: [`ExecLog::pump`], called when the kernel has events -> each event of a member -> a [`Record`] in the ring.
//!
//! # Invariants
//! - Arguments are read at once, before the next event: a process that lives long enough to be asked is asked.
//! - What the kernel lost is a gap record, at the place where it was lost.
//!
//! # Not here
//! - When to call: the owner waits on the events' descriptor.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;

use super::descent::Descent;
use super::events::{Event, Events};
use super::record::{ARGUMENTS, Gap, PATH, Record};
use super::ring::Ring;

/// See the module.
#[derive(Debug, Default)]
pub struct ExecLog {
    descent: Descent,
    ring: Ring,
}

impl ExecLog {
    /// Follows a session's first process and all that descends from it.
    pub fn adopt(&mut self, pid: u32, session: u16) {
        if self.descent.adopt(pid, session).is_err() {
            self.ring.push(Record::Gap(Gap::TooManyProcesses));
        }
    }

    /// Takes all events that the kernel has. `now`: seconds of the monotonic clock.
    ///
    /// # Errors
    /// The kernel's; the events are then over.
    pub fn pump(&mut self, events: &Events, now: u32) -> io::Result<()> {
        events.read(|event| self.on(event, now))
    }

    /// One event.
    pub fn on(&mut self, event: Event, now: u32) {
        match event {
            Event::Fork { parent, child } => {
                if self.descent.fork(parent, child).is_err() {
                    self.ring.push(Record::Gap(Gap::TooManyProcesses));
                }
            }
            Event::Exec { pid } => {
                if let Some(member) = self.descent.exec(pid, now) {
                    self.ring.push(ask(pid, member.session, member.parent));
                }
            }
            Event::Exit { pid, status } => {
                if let Some(member) = self.descent.exit(pid) {
                    let lasted = (member.since > 0).then(|| now.saturating_sub(member.since));
                    self.ring.push(Record::Exit { session: member.session, pid, status, lasted });
                }
            }
            Event::Lost => {
                self.ring.push(Record::Gap(Gap::Kernel));
            }
        }
    }

    /// The log.
    pub const fn ring(&mut self) -> &mut Ring {
        &mut self.ring
    }

    /// Living processes of sessions.
    #[must_use]
    pub fn members(&self) -> usize {
        self.descent.len()
    }
}

/// Asks a process what it is. One that has ended says nothing.
fn ask(pid: u32, session: u16, parent: u32) -> Record {
    let mut arguments = Vec::new();
    let path = format!("/proc/{pid}/cmdline");
    let uid = File::open(path).ok().and_then(|file| {
        let uid = file.metadata().ok().map(|meta| meta.uid());
        // A process that ends while it is read gives nothing: it is then a record without arguments.
        let _ = file.take(ARGUMENTS as u64 + 1).read_to_end(&mut arguments);
        uid
    });
    let cut = arguments.len() > ARGUMENTS;
    arguments.truncate(ARGUMENTS);
    let directory = std::fs::read_link(format!("/proc/{pid}/cwd")).map(|path| path.into_os_string().into_vec());
    let mut directory = directory.unwrap_or_default();
    directory.truncate(PATH);
    Record::Exec { session, pid, parent, uid, arguments, cut, directory }
}
