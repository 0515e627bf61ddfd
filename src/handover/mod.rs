//! The agent becomes another program without a session noticing: an upgrade, a downgrade, new
//! settings.
//!
//! Way: told to start anew -> [`question`] (the installed program, in a process of its own, says
//! whether it would take over) -> everything that sessions are made of goes into a file in memory,
//! in the [`form`] below -> [`exchange`] executes the installed program in this process -> it finds
//! its [`Predecessor`] in the environment and goes on. The children stay children of the same
//! process; only the link is dialled again, and resuming covers its bytes.
//!
//! # Invariants
//! - Until the exec has worked nothing is given up: whatever fails before it leaves the agent, its
//!   link and its sessions as they were.
//! - A new program that cannot go on with what it was left executes the old one again, which takes
//!   its sessions back.
//! - A signal that comes in between waits: none ends the process while nobody listens.
//! - A descriptor is handed over by being left open on purpose, and is taken once.
//!
//! # Not here
//! - The link: TLS state is not handed over. It is a secret, and would be a format of somebody
//!   else's library.

pub mod exchange;
pub mod form;
pub mod question;

use crate::pty::sys;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, OwnedFd, RawFd};

/// The variable in which a successor finds what it was left: `STATE:PROGRAM`, two descriptors. The
/// second is missing when the program that reads it is the one that wrote the state.
pub const VARIABLE: &str = "TOWLINE_HANDOVER";

/// What the program before us in this process left.
#[derive(Debug)]
pub struct Predecessor {
    state: File,
    /// Its program, for the case that we cannot go on with this.
    program: Option<File>,
    /// The descriptors of its sessions, until we are sure to go on: we work with copies of them.
    kept: Vec<OwnedFd>,
}

impl Predecessor {
    /// As the environment says.
    ///
    /// # Errors
    /// The variable is there and does not name descriptors that were left open for us.
    pub fn find(variable: impl Fn(&str) -> Option<String>) -> io::Result<Option<Self>> {
        let Some(words) = variable(VARIABLE).filter(|words| !words.is_empty()) else {
            return Ok(None);
        };
        let untrue = || io::Error::other(format!("{VARIABLE} does not name what we were left"));
        let (state, program) = words.split_once(':').ok_or_else(untrue)?;
        let take = |word: &str| {
            word.parse::<RawFd>().map_err(|_| untrue()).and_then(sys::inherit).map(File::from)
        };
        let program = if program.is_empty() { None } else { Some(take(program)?) };
        let mut state = take(state)?;
        state.seek(SeekFrom::Start(0))?;
        Ok(Some(Self { state, program, kept: Vec::new() }))
    }

    /// What it wrote about its sessions.
    pub fn reader(&mut self) -> form::Reader<'_> {
        form::Reader::new(&self.state, &mut self.kept)
    }

    /// We cannot go on: its own program takes everything back. Returns only when that fails, too.
    #[must_use]
    pub fn take_back(self) -> io::Error {
        let Some(program) = self.program else {
            return io::Error::other("the program that left them cannot go on with them either");
        };
        let path = exchange::path_of(&program);
        let kept: Vec<_> = self.kept.iter().map(OwnedFd::as_fd).collect();
        exchange::execute(&path, &self.state, None, &kept)
    }
}
