//! Scripts of the table: from the last byte to the process.

use super::table::Table;
use crate::logger::{self, in_session};
use crate::session::gate::Refusal;
use std::time::{Duration, Instant};
use towline_wire::message::FromAgent;

impl Table {
    /// Starts a script that has come whole; `note` is told right before, and may forbid it.
    ///
    /// # Errors
    /// As [`Self::open`]; what the script is not, or what `note` said.
    pub fn start_script(
        &mut self,
        session: &str,
        now: Instant,
        note: impl FnOnce(&str) -> std::io::Result<()>,
    ) -> Result<(), Refusal> {
        let Some(at) = self.scripts.iter().position(|script| script.open.session == session) else {
            return Ok(());
        };
        let mut script = self.scripts.swap_remove(at);
        let started = script.whole().and_then(|text| {
            note(session).map_err(|error| {
                Refusal::Spawn(format!("cannot record the start of the command: {error}"))
            })?;
            self.start(&script.open, &script.passed, Some(text))
        });
        match started {
            Ok(()) => {
                if let Some((running, _)) = self.by_name(session) {
                    running.be_script(now + Duration::from_secs(script.script.timeout.into()));
                }
                Ok(())
            }
            Err(refusal) => {
                self.remove_streams((script.open.io, script.open.err));
                Err(refusal)
            }
        }
    }

    /// Drops all scripts that are not whole yet: they were not started, and are ordered again.
    pub(super) fn drop_scripts(&mut self, why: &str) {
        for script in std::mem::take(&mut self.scripts) {
            let _session = in_session(&script.open.session);
            logger::info!("dropped: {why} before the script was complete");
            self.remove_streams((script.open.io, script.open.err));
        }
    }

    /// Drops a script that is not whole yet.
    pub(super) fn remove_script(&mut self, session: &str) {
        if let Some(at) = self.scripts.iter().position(|script| script.open.session == session) {
            let script = self.scripts.swap_remove(at);
            self.remove_streams((script.open.io, script.open.err));
        }
    }

    /// A script will never be whole: it is dropped, and the gateway is told why.
    pub(super) fn not_whole(&mut self, session: &str, why: &'static str) {
        let _session = in_session(session);
        logger::warning!("{why}");
        self.remove_script(session);
        let refusal = Refusal::Incomplete(why);
        let (session, code, text) = (session.to_owned(), refusal.code(), refusal.to_string());
        self.say(&FromAgent::NotOpened { session, code, text });
    }
}
