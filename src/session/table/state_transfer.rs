//! State transfer of all sessions, see [`crate::handover`].

use super::table::Table;
use crate::handover::form::{Reader, Writer};
use crate::process::ending::Ending;
use crate::session::running::Running;
use std::io;
use std::time::Instant;

impl Table {
    /// # Errors
    /// No memory.
    pub fn hand_over<'a>(&'a self, to: &mut Writer<'a>) -> io::Result<()> {
        // `most`, `window`, `cgroups`: from the settings and the system of then. The rest is of the
        // link, which is dialled again. Scripts that are not whole were not started, and come
        // again. `tunnels`: none has a connection, see `can_be_handed_over`. They end with this
        // program, which is told as the end of their sessions; a forward opens the next one by
        // itself.
        let Self {
            mux,
            sessions,
            scripts: _,
            endings,
            tunnels: _,
            cgroups: _,
            most: _,
            window: _,
            bystander: _,
            separation: _,
            online: _,
            version: _,
            failure: _,
        } = self;
        to.count(sessions.len())?;
        for session in sessions {
            session.hand_over(mux, to)?;
        }
        to.count(endings.len())?;
        for (leader, ending) in endings {
            to.pid(*leader)?;
            ending.hand_over(to)?;
        }
        Ok(())
    }

    /// Into a table that is empty. There may be more sessions than the settings allow now: no
    /// further one is opened then.
    ///
    /// # Errors
    /// See [`Reader`].
    pub fn take_over(&mut self, from: &mut Reader<'_>, now: Instant) -> io::Result<()> {
        let sessions = from.count()?;
        self.mux.allow(2 * sessions as usize);
        for _ in 0..sessions {
            self.sessions.push(Running::take_over(from, &mut self.mux, now)?);
        }
        for _ in 0..from.count()? {
            self.endings.push((from.pid()?, Ending::take_over(from)?));
        }
        Ok(())
    }
}
