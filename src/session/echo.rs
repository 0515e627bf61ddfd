//! Whether a terminal echoes its input, reported to a gateway that records input and has asked.
//!
//! Data flow: the terminal's settings are read ([`echo_of`]) -> input is written to it ->
//! [`Watch::wrote`] -> one message.
//!
//! # Invariants
//! - The message does not hold the input.
//! - One range waits at most. A report that cannot be sent in time is joined to it, and the
//!   strictest value counts for the whole range.
//! - Only a gateway that has asked on this link gets the message: older ones do not know it.
//!
//! # Known limits
//! - A change of the settings between the read and the moment at which the kernel takes the
//!   input is not seen. The gateway records only what came back as echo, too. (A second read
//!   after the write would mostly see what the typed line has started.)

use nix::sys::termios::{LocalFlags, tcgetattr};
use std::os::fd::AsFd;
use towline_wire::echo::{Echo, Echoed};

/// Whether the terminal of this master echoes.
pub fn echo_of(master: impl AsFd) -> Echo {
    match tcgetattr(master).map(|settings| settings.local_flags) {
        Ok(flags) if flags.contains(LocalFlags::ECHO) => Echo::Terminal,
        Ok(flags) if !flags.contains(LocalFlags::ICANON) => Echo::Program,
        Ok(_) | Err(_) => Echo::Hidden,
    }
}

/// What is to be told of one session.
#[derive(Debug)]
pub struct Watch {
    from: u64,
    until: u64,
    output: u64,
    waits: Option<Echo>,
}

impl Watch {
    /// Begins behind so much input and output. That it has begun is told first.
    #[must_use]
    pub fn new(input: u64, output: u64, echo: Echo) -> Self {
        Self { from: input, until: input, output, waits: Some(echo) }
    }

    /// The terminal took input up to this position, when so much output had been read.
    pub fn wrote(&mut self, until: u64, output: u64, echo: Echo) {
        if self.waits.is_none() {
            self.output = output;
        }
        self.until = until;
        self.waits = Some(self.waits.map_or(echo, |before| before.max(echo)));
    }

    /// True when there is something to tell.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.waits.is_some()
    }

    /// What is to be told.
    pub fn take(&mut self, session: &str) -> Option<Echoed> {
        let echo = self.waits.take()?;
        let from = std::mem::replace(&mut self.from, self.until);
        Some(Echoed {
            session: session.to_owned(),
            from,
            until: self.until,
            output: self.output,
            echo,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(watch: &mut Watch) -> Option<(u64, u64, u64, Echo)> {
        watch.take("ann-1").map(|told| (told.from, told.until, told.output, told.echo))
    }

    #[test]
    fn what_cannot_be_told_in_time_is_joined_and_the_worst_counts() {
        let mut watch = Watch::new(7, 90, Echo::Terminal);
        assert_eq!(told(&mut watch), Some((7, 7, 90, Echo::Terminal)), "it has begun");
        assert_eq!(told(&mut watch), None);
        watch.wrote(9, 100, Echo::Program);
        watch.wrote(20, 120, Echo::Hidden);
        watch.wrote(21, 130, Echo::Terminal);
        assert_eq!(told(&mut watch), Some((7, 21, 100, Echo::Hidden)));
        watch.wrote(22, 140, Echo::Terminal);
        assert_eq!(told(&mut watch), Some((21, 22, 140, Echo::Terminal)));
    }

    #[test]
    fn a_terminal_is_told_from_a_line_editor_and_from_a_password_prompt() {
        use nix::sys::termios::{SetArg, tcsetattr};
        let pty = nix::pty::openpty(None, None).unwrap();
        let set = |flags: LocalFlags| {
            let mut settings = tcgetattr(&pty.slave).unwrap();
            settings.local_flags = flags;
            tcsetattr(&pty.slave, SetArg::TCSANOW, &settings).unwrap();
            echo_of(&pty.master)
        };
        assert_eq!(set(LocalFlags::ICANON | LocalFlags::ECHO), Echo::Terminal);
        assert_eq!(set(LocalFlags::empty()), Echo::Program);
        assert_eq!(set(LocalFlags::ICANON), Echo::Hidden);
        assert_eq!(
            echo_of(std::fs::File::open("/dev/null").unwrap()),
            Echo::Hidden,
            "what is no terminal"
        );
    }
}
