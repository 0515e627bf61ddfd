//! The state that a predecessor left for this program.

use super::exchange::{self, VARIABLE};
use super::form;
use crate::sys::calls;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, OwnedFd, RawFd};

/// The state that the previous program in this process left.
#[derive(Debug)]
pub struct Predecessor {
    state: File,
    /// Its program, in case this one cannot resume.
    program: Option<File>,
    /// The descriptors of its sessions, until this program has resumed: it works with copies.
    kept: Vec<OwnedFd>,
}

impl Predecessor {
    /// Finds the state by the environment.
    ///
    /// # Errors
    /// The variable does not name descriptors that were left open.
    pub fn find(variable: impl Fn(&str) -> Option<String>) -> io::Result<Option<Self>> {
        let Some(words) = variable(VARIABLE).filter(|words| !words.is_empty()) else {
            return Ok(None);
        };
        let untrue = || {
            io::Error::other(format!("{VARIABLE} does not name descriptors that were left open"))
        };
        let (state, program) = words.split_once(':').ok_or_else(untrue)?;
        let take = |word: &str| {
            word.parse::<RawFd>().map_err(|_| untrue()).and_then(calls::inherit).map(File::from)
        };
        let program = if program.is_empty() { None } else { Some(take(program)?) };
        let mut state = take(state)?;
        state.seek(SeekFrom::Start(0))?;
        Ok(Some(Self { state, program, kept: Vec::new() }))
    }

    /// A reader of its state.
    pub fn reader(&mut self) -> form::Reader<'_> {
        form::Reader::new(&self.state, &mut self.kept)
    }

    /// This program cannot resume: executes the previous one, which takes everything back. Returns
    /// only when that fails, too.
    #[must_use]
    pub fn take_back(self) -> io::Error {
        let Some(program) = self.program else {
            return io::Error::other("the previous program cannot resume them either");
        };
        let path = exchange::path_of(&program);
        let kept: Vec<_> = self.kept.iter().map(OwnedFd::as_fd).collect();
        exchange::execute(&path, &self.state, None, &kept)
    }
}
