//! State transfer of families and their ends, see [`crate::handover`].

use super::ending::Ending;
use super::family::Family;
use crate::handover::form::{Reader, Writer};
use crate::sys::cgroup::Cgroup;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

impl Family {
    /// # Errors
    /// No memory.
    pub fn hand_over(&self, to: &mut Writer<'_>) -> io::Result<()> {
        match self {
            Self::Cgroup(cgroup) => {
                to.flag(true)?;
                to.bytes(cgroup.dir().as_os_str().as_bytes())
            }
            Self::Marked { leader, mark } => {
                to.flag(false)?;
                to.pid(*leader)?;
                to.text(mark)
            }
        }
    }

    /// # Errors
    /// See [`Reader`].
    pub fn take_over(from: &mut Reader<'_>) -> io::Result<Self> {
        if from.flag()? {
            let dir = PathBuf::from(OsString::from_vec(from.bytes()?));
            return Ok(Self::Cgroup(Cgroup::at(dir)));
        }
        Ok(Self::Marked { leader: from.pid()?, mark: from.text()? })
    }
}

impl Ending {
    /// # Errors
    /// No memory.
    pub fn hand_over(&self, to: &mut Writer<'_>) -> io::Result<()> {
        self.family.hand_over(to)?;
        to.instant(self.next_kill)
    }

    /// Who was hung up on is not hung up on again.
    ///
    /// # Errors
    /// See [`Reader`].
    pub fn take_over(from: &mut Reader<'_>) -> io::Result<Self> {
        Ok(Self { family: Family::take_over(from)?, next_kill: from.instant()? })
    }
}
