//! What a program finds that took the place of another: the state its predecessor wrote.

use super::exchange::{self, VARIABLE};
use super::form;
use crate::sys::calls;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, OwnedFd, RawFd};

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
            word.parse::<RawFd>().map_err(|_| untrue()).and_then(calls::inherit).map(File::from)
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
