//! A program on a pseudo-terminal, driven by what it prints, as a person would.
//!
//! Data flow: [`Terminal::start`] -> `send`, `expect`, `resize`, ... -> the exit status. The master
//! side never blocks: while something is written, output is read, so a program that echoes much
//! cannot lock up with us.
//!
//! # Invariants
//! - Every wait has a deadline; its error shows the end of what the terminal has printed.
//! - Dropped: the terminal is closed (the program gets SIGHUP), then the program is killed and
//!   reaped.
//!
//! `setsid --ctty` of util-linux makes the controlling terminal: between fork and exec only
//! `unsafe` code could.

use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::trouble::ensure;
use crate::{Outcome, Trouble, eventually, interrupt, process};

/// How long a step may take where a test says nothing else: long enough for a busy machine, short
/// enough for a person.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long a program may take to end when its terminal is closed, before it is killed.
const HANGS_UP: Duration = Duration::from_secs(5);
/// Most bytes kept of what was printed and not yet expected. Bulk goes through [`Terminal::drain`],
/// which keeps nothing.
const MOST_KEPT: usize = 4 << 20;
/// One read.
const CHUNK: usize = 64 << 10;
/// How soon an interrupted run is noticed.
const LONGEST_POLL: Duration = Duration::from_millis(250);

/// A program on a terminal.
#[derive(Debug)]
pub struct Terminal {
    master: Option<OwnedFd>,
    child: Child,
    /// Printed, and not yet taken by an expectation.
    unread: Vec<u8>,
    ended: bool,
    chunk: Vec<u8>,
}

impl Terminal {
    /// Starts `command` on a new terminal of this size.
    ///
    /// # Errors
    /// No terminal is to be had, or the program (or `setsid`) cannot be started.
    pub fn start(command: &Command, rows: u16, cols: u16) -> Outcome<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let slave = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(name.to_string_lossy().as_ref())?;
        tcsetwinsize(&master, size(rows, cols))?;
        let child = on_terminal(command)
            .stdin(Stdio::from(slave.try_clone()?))
            .stdout(Stdio::from(slave.try_clone()?))
            .stderr(Stdio::from(slave))
            .spawn()
            .map_err(|e| Trouble::new(format!("cannot start setsid (package util-linux): {e}")))?;
        let flags = rustix::fs::fcntl_getfl(&master)?;
        rustix::fs::fcntl_setfl(&master, flags | rustix::fs::OFlags::NONBLOCK)?;
        Ok(Self {
            master: Some(master),
            child,
            unread: Vec::new(),
            ended: false,
            chunk: vec![0; CHUNK],
        })
    }

    /// Whether nothing more will come out of it.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended && self.unread.is_empty()
    }

    /// The program's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types text.
    ///
    /// # Errors
    /// The terminal takes no more within [`PATIENCE`].
    pub fn send(&mut self, text: impl AsRef<[u8]>) -> Outcome {
        let mut rest = text.as_ref();
        let end = Instant::now() + PATIENCE;
        while !rest.is_empty() {
            match rustix::io::write(self.master()?, rest) {
                Ok(n) => rest = &rest[n..],
                Err(Errno::AGAIN) => {
                    ensure(Instant::now() < end, || {
                        format!("the terminal takes no input; {}", self.story())
                    })?;
                    self.wait_ready(PollFlags::IN | PollFlags::OUT, end)?;
                    self.read_once()?;
                }
                Err(e) => return Err(Trouble::new(format!("typing: {e}; {}", self.story()))),
            }
        }
        Ok(())
    }

    /// Types a line.
    ///
    /// # Errors
    /// As [`Terminal::send`].
    pub fn line(&mut self, text: &str) -> Outcome {
        self.send(format!("{text}\r"))
    }

    /// Waits until `text` is printed, within [`PATIENCE`]; gives what came before it and forgets
    /// both.
    ///
    /// # Errors
    /// It was not printed in time, or the terminal ended before.
    pub fn expect(&mut self, text: &str) -> Outcome<String> {
        self.expect_within(text, PATIENCE)
    }

    /// Like [`Terminal::expect`] with another deadline.
    ///
    /// # Errors
    /// As [`Terminal::expect`].
    pub fn expect_within(&mut self, text: &str, within: Duration) -> Outcome<String> {
        let bytes = self.expect_bytes(text.as_bytes(), within)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Like [`Terminal::expect_within`], for bytes.
    ///
    /// # Errors
    /// As [`Terminal::expect`].
    pub fn expect_bytes(&mut self, wanted: &[u8], within: Duration) -> Outcome<Vec<u8>> {
        let end = Instant::now() + within;
        let mut looked_at = 0;
        loop {
            if let Some(at) = find(&self.unread[looked_at..], wanted).map(|at| at + looked_at) {
                let mut before: Vec<u8> = self.unread.drain(..at + wanted.len()).collect();
                before.truncate(at);
                return Ok(before);
            }
            looked_at = self.unread.len().saturating_sub(wanted.len());
            let wanted = || String::from_utf8_lossy(wanted).into_owned();
            ensure(!self.ended, || {
                format!("the terminal ended without {:?}; {}", wanted(), self.story())
            })?;
            ensure(Instant::now() < end, || {
                format!("no {:?} within {within:?}; {}", wanted(), self.story())
            })?;
            self.wait_ready(PollFlags::IN, end)?;
            self.read_once()?;
        }
    }

    /// Reads one portion of output, waiting at most until `end`. Empty: nothing came, or the
    /// terminal has ended.
    ///
    /// # Errors
    /// The terminal is broken.
    pub fn portion(&mut self, end: Instant) -> Outcome<Vec<u8>> {
        while self.unread.is_empty() && !self.ended {
            self.wait_ready(PollFlags::IN, end)?;
            self.read_once()?;
            if Instant::now() >= end {
                break;
            }
        }
        Ok(std::mem::take(&mut self.unread))
    }

    /// Gives output to `take` until it says that it has enough. Nothing is kept.
    ///
    /// # Errors
    /// The deadline passed or the terminal ended first.
    pub fn drain(&mut self, within: Duration, mut take: impl FnMut(&[u8]) -> bool) -> Outcome {
        let end = Instant::now() + within;
        loop {
            let portion = self.portion(end)?;
            if !portion.is_empty() && take(&portion) {
                return Ok(());
            }
            ensure(!(self.ended && portion.is_empty()), || "the terminal ended early".to_owned())?;
            ensure(Instant::now() < end, || format!("not all output within {within:?}"))?;
        }
    }

    /// Reads until `marker`, whose first byte must not occur in what comes before it; gives the
    /// number of bytes before it. Nothing is kept but what follows the marker. Not generic, so that
    /// it is fast wherever it is called from.
    ///
    /// # Errors
    /// As [`Terminal::drain`].
    pub fn drain_until(&mut self, marker: &[u8], within: Duration) -> Outcome<usize> {
        let (mut count, mut begun) = (0, Vec::new());
        let first = marker.first().copied();
        self.drain(within, |portion| {
            if begun.is_empty() {
                let at = portion.iter().position(|byte| Some(*byte) == first);
                count += at.unwrap_or(portion.len());
                begun.extend_from_slice(&portion[at.unwrap_or(portion.len())..]);
            } else {
                begun.extend_from_slice(portion);
            }
            begun.len() >= marker.len()
        })?;
        ensure(begun.starts_with(marker), || {
            format!("not the marker: {:?}", String::from_utf8_lossy(&begun))
        })?;
        self.unread = begun.split_off(marker.len());
        Ok(count)
    }

    /// Changes the window's size; the program gets SIGWINCH.
    ///
    /// # Errors
    /// The terminal is closed.
    pub fn resize(&self, rows: u16, cols: u16) -> Outcome {
        Ok(tcsetwinsize(self.master()?, size(rows, cols))?)
    }

    /// Whether a program has made the terminal raw: no lines, no echo, no signals from its keys.
    ///
    /// # Errors
    /// The terminal is closed.
    pub fn is_raw(&self) -> Outcome<bool> {
        let modes = tcgetattr(self.master()?)?.local_modes;
        Ok(!modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG))
    }

    /// Reads to the end and waits for the program to end.
    ///
    /// # Errors
    /// It did not end in time.
    pub fn finish(&mut self, within: Duration) -> Outcome<ExitStatus> {
        let end = Instant::now() + within;
        while !self.ended {
            ensure(Instant::now() < end, || {
                format!("the program did not end within {within:?}; {}", self.story())
            })?;
            self.wait_ready(PollFlags::IN, end)?;
            self.read_once()?;
        }
        eventually("the program ends", end.saturating_duration_since(Instant::now()), || {
            self.child.try_wait().ok().flatten()
        })
    }

    /// What was printed and not yet expected.
    #[must_use]
    pub fn unread(&self) -> String {
        String::from_utf8_lossy(&self.unread).into_owned()
    }

    /// Sends a signal to the program.
    ///
    /// # Errors
    /// It is gone.
    pub fn signal(&self, signal: Signal) -> Outcome {
        process::send(self.child.id(), signal)
    }

    /// Kills the program at once and reaps it.
    ///
    /// # Errors
    /// It cannot be reaped.
    pub fn kill(&mut self) -> Outcome {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn master(&self) -> Outcome<&OwnedFd> {
        self.master.as_ref().ok_or_else(|| Trouble::new("the terminal is closed"))
    }

    fn wait_ready(&self, flags: PollFlags, end: Instant) -> Outcome {
        let mut fds = [PollFd::new(self.master()?, flags)];
        interrupt::check()?;
        let left = end.saturating_duration_since(Instant::now()).min(LONGEST_POLL);
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs())?,
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Reads what is there. A terminal whose last user has gone gives EIO: that is its end.
    fn read_once(&mut self) -> Outcome {
        let master = self.master.as_ref().ok_or_else(|| Trouble::new("the terminal is closed"))?;
        match rustix::io::read(master, &mut self.chunk) {
            Ok(0) | Err(Errno::IO) => self.ended = true,
            Ok(n) => self.unread.extend_from_slice(&self.chunk[..n]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        ensure(self.unread.len() <= MOST_KEPT, || {
            format!("more than {MOST_KEPT} bytes that nobody expected")
        })
    }

    fn story(&self) -> String {
        let from = self.unread.len().saturating_sub(2000);
        format!("unread so far: {:?}", String::from_utf8_lossy(&self.unread[from..]))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.master.take());
        let hung_up = eventually("end", HANGS_UP, || self.child.try_wait().ok().flatten());
        if hung_up.is_err() {
            // Both fail only when it has ended in this instant.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn size(rows: u16, cols: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 }
}

/// The same command behind `setsid --ctty`, which becomes it: the process id stays.
fn on_terminal(command: &Command) -> Command {
    let mut wrapped = Command::new("setsid");
    wrapped.arg("--ctty").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        wrapped.current_dir(dir);
    }
    wrapped
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len().max(1)).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Terminal {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Terminal::start(&command, 24, 80).unwrap()
    }

    #[test]
    fn a_program_sees_a_terminal_of_the_given_size() {
        let mut terminal = shell("stty size; read line; stty size; tty");
        terminal.expect("24 80").unwrap();
        terminal.resize(40, 132).unwrap();
        terminal.line("").unwrap();
        terminal.expect("40 132").unwrap();
        terminal.expect("/dev/pts/").unwrap();
        assert!(terminal.finish(PATIENCE).unwrap().success());
    }

    #[test]
    fn what_was_not_printed_is_reported_with_what_was() {
        let mut terminal = shell("echo begins; echo one thing; read line");
        terminal.expect("begins").unwrap();
        let error =
            terminal.expect_within("another", Duration::from_secs(3)).unwrap_err().to_string();
        assert!(error.contains("another") && error.contains("one thing"), "{error}");
    }

    #[test]
    fn the_exit_code_comes_through() {
        assert_eq!(shell("exit 7").finish(PATIENCE).unwrap().code(), Some(7));
    }

    #[test]
    fn a_dropped_terminal_hangs_its_program_up() {
        let terminal = shell("echo $$; exec sleep 1000");
        let pid = terminal.pid();
        drop(terminal);
        assert!(!std::path::Path::new(&format!("/proc/{pid}/exe")).exists());
    }

    #[test]
    fn a_marker_is_found_among_much_text_and_what_follows_is_kept() {
        let mut terminal = shell(
            "stty raw -echo; head -c 300000 /dev/zero; printf '~~DO'; sleep 0.1; printf \
             'NE~~after'; read x",
        );
        assert_eq!(terminal.drain_until(b"~~DONE~~", PATIENCE).unwrap(), 300_000);
        terminal.expect("after").unwrap();
    }

    #[test]
    fn much_text_can_be_typed_at_a_program_that_echoes_it() {
        let mut terminal = shell("stty raw; echo set; cat");
        // What is typed before the terminal is raw has the bound of one line.
        terminal.expect("set").unwrap();
        let text = vec![b'x'; 300_000];
        terminal.send(&text).unwrap();
        let mut got = 0;
        terminal
            .drain(PATIENCE, |portion| {
                got += portion.len();
                got >= text.len()
            })
            .unwrap();
    }
}
