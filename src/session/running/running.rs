//! [`Running`]: the state of a session, and the calls that move its bytes.

use super::ports::{Fd, Ports, close_if_read_empty, pump_output};
use crate::command_log::detector::Detector;
use crate::limits;
use crate::logger::{self, in_session};
use crate::process::family::Family;
use crate::process::spawn::{Child, Report, SpawnError};
use crate::pty::{self, Size};
use crate::session::echo::{Watch, echo_of};
use crate::session::input::Input;
use crate::sys::watch;
use heapless::Vec;
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, write};
use std::io;
use std::os::fd::AsFd as _;
use std::task::{Context, Poll};
use std::time::Instant;
use towline_wire::echo::{Echo, Echoed};
use towline_wire::frame::StreamId;
use towline_wire::message::{ExitStatus, MAX_PROFILE_BYTES};
use towline_wire::mux::Mux;

/// What a terminal in its line mode holds at the least (`N_TTY_BUF_SIZE` of Linux, less one).
const TERMINAL_QUEUE: usize = 4095;
const _: () =
    assert!(MAX_PROFILE_BYTES < TERMINAL_QUEUE, "a profile must fit the empty queue of a terminal");

/// A session whose process was started.
#[derive(Debug)]
pub struct Running {
    /// Name of the session.
    pub name: String,
    /// Stream of the terminal, or of standard input and output.
    pub io: StreamId,
    /// Stream of standard error, where it is apart.
    pub err: Option<StreamId>,
    /// Leader of its processes.
    pub pid: Pid,
    /// How the leader ended.
    pub exited: Option<ExitStatus>,
    /// Its processes; `None` once they are being ended.
    pub family: Option<Family>,
    pub(super) starting: Option<(Report, Fd)>,
    pub(super) ports: Ports,
    pub(super) input: Input,
    pub(super) drain_until: Option<Instant>,
    /// Reads command lines off a terminal.
    pub(super) detector: Option<Box<Detector>>,
    /// Lines that were read and not taken yet; at most [`limits::LINES`].
    pub(super) lines: Vec<String, { limits::LINES }>,
    /// Set while the gateway wants to hear whether input is echoed.
    pub(super) echo: Option<Watch>,
    /// The time limit of a script.
    pub(super) end_at: Option<Instant>,
    pub(super) timed_out: bool,
    /// The gateway has closed it: it takes no place, and waits to be forgotten.
    pub closed: bool,
}

impl Running {
    /// Takes over a child that was just started.
    ///
    /// # Errors
    /// Its descriptors cannot be watched; the child then has to be ended by its family.
    pub fn new(
        name: String,
        streams: (StreamId, Option<StreamId>),
        child: Child,
        family: Option<Family>,
    ) -> io::Result<Self> {
        let Child { pid, io, report } = child;
        let ready = watch(report.as_fd().try_clone_to_owned()?)?;
        Ok(Self {
            name,
            io: streams.0,
            err: streams.1,
            pid,
            exited: None,
            family,
            starting: Some((report, ready)),
            ports: Ports::new(io)?,
            input: Input::default(),
            drain_until: None,
            detector: None,
            lines: Vec::new(),
            echo: None,
            end_at: None,
            timed_out: false,
            closed: false,
        })
    }

    /// Reads command lines off its terminal, of so many columns.
    pub fn read_lines(&mut self, columns: u16) {
        self.detector = self.ports.terminal.then(|| Box::new(Detector::new(columns)));
    }

    /// Whether it runs on a terminal.
    #[must_use]
    pub fn has_terminal(&self) -> bool {
        self.ports.terminal
    }

    /// Whether command lines were read.
    #[must_use]
    pub fn has_lines(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Command lines that were read since.
    pub fn take_lines(&mut self) -> Vec<String, { limits::LINES }> {
        std::mem::take(&mut self.lines)
    }

    /// The gateway of this link wants to hear whether input is echoed. False: of what is no
    /// terminal nothing is to be heard.
    pub fn tell_echo(&mut self, mux: &mut Mux) -> bool {
        let known = self.echo_of().zip(positions(self.io, mux));
        self.echo = known.map(|(echo, (input, output))| Watch::new(input, output, echo));
        self.echo.is_some()
    }

    /// The link is lost, and with it the gateway's request.
    pub fn stop_telling(&mut self) {
        self.echo = None;
    }

    /// True when an echo is to be reported.
    #[must_use]
    pub fn owes_echo(&self) -> bool {
        self.echo.as_ref().is_some_and(Watch::waits)
    }

    /// The report about the echo.
    pub fn take_echo(&mut self) -> Option<Echoed> {
        self.echo.as_mut()?.take(&self.name)
    }

    fn echo_of(&self) -> Option<Echo> {
        self.ports
            .main
            .as_ref()
            .filter(|_| self.ports.terminal)
            .map(|master| echo_of(master.get_ref()))
    }

    /// Whether the terminal echoes, if the gateway has asked.
    fn watched(&self) -> Option<Echo> {
        self.echo.as_ref().and_then(|_| self.echo_of())
    }

    /// Input was written to the terminal, which had this echo before.
    fn wrote(&mut self, before: Option<Echo>, mux: &mut Mux) {
        if let (Some(watch), Some(before), Some((input, output))) =
            (&mut self.echo, before, positions(self.io, mux))
        {
            watch.wrote(input, output, before);
        }
    }

    /// It is a script: nobody types, and it ends at `end_at`, with or without a link.
    pub fn be_script(&mut self, end_at: Instant) {
        self.on_input_end();
        self.end_at = Some(end_at);
    }

    /// True when it does not need the link: it has a time of its own.
    #[must_use]
    pub fn is_script(&self) -> bool {
        self.end_at.is_some()
    }

    /// True once, when its time is over while it runs.
    pub fn takes_too_long(&mut self, now: Instant) -> bool {
        let over = self.exited.is_none()
            && !self.timed_out
            && self.end_at.is_some_and(|end_at| now >= end_at);
        self.timed_out |= over;
        over
    }

    /// Moves bytes. Ready once: when it is known whether the program runs.
    pub fn poll(&mut self, cx: &mut Context<'_>, mux: &mut Mux) -> Poll<Result<(), SpawnError>> {
        if let Poll::Ready(outcome) = self.poll_start(cx) {
            return Poll::Ready(outcome);
        }
        self.await_room(mux);
        let (detector, lines) = (&mut self.detector, &mut self.lines);
        // A program may close its terminal before it exits: it would be hung up, and its exit code
        // lost.
        let stays = self.ports.terminal && self.exited.is_none();
        pump_output(&mut self.ports.main, stays, self.io, cx, mux, |output| {
            if let Some(detector) = detector {
                detector.output(output, |line| {
                    let _ = lines.push(line); // what does not fit is dropped
                });
            }
        });
        if let Some(err) = self.err {
            pump_output(&mut self.ports.err, false, err, cx, mux, |_| {});
        }
        self.pump_input(cx, mux);
        Poll::Pending
    }

    /// The terminal tells when it takes input again, if input waits for that.
    fn await_room(&mut self, mux: &mut Mux) {
        if let Err(error) = self.ports.await_room(!self.input.is_empty()) {
            let _session = in_session(&self.name);
            logger::error!("cannot wait for the terminal any more: {error}");
            if let Some((stream, _)) = mux.stream(self.io) {
                stream.tx.finish();
            }
        }
    }

    fn poll_start(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SpawnError>> {
        while let Some((report, ready)) = &self.starting {
            let Poll::Ready(guard) = ready.poll_read_ready(cx) else { break };
            match (report.outcome(), guard) {
                (Some(outcome), _) => {
                    self.starting = None;
                    return Poll::Ready(outcome);
                }
                (None, Ok(mut guard)) => guard.clear_ready(),
                (None, Err(_)) => break,
            }
        }
        Poll::Pending
    }

    /// Whether the program runs, if that was not told yet and is known by now.
    pub fn outcome(&mut self) -> Option<Result<(), SpawnError>> {
        let outcome = self.starting.as_ref()?.0.outcome()?;
        self.starting = None;
        Some(outcome)
    }

    /// Input of the operator, in order.
    pub fn on_input(&mut self, bytes: &[u8], mux: &mut Mux) {
        let mut rest = bytes;
        self.detect(bytes);
        let before = self.watched();
        if self.input.is_empty() {
            while let (Some(fd), false) = (self.ports.input(), rest.is_empty()) {
                match write(fd.get_ref(), rest) {
                    Ok(n) => rest = &rest[n..],
                    Err(Errno::EINTR) => {}
                    Err(Errno::EAGAIN) => break,
                    Err(_) => self.close_input(),
                }
            }
        }
        if self.ports.input().is_none() {
            rest = &[]; // nobody will ever read it
        }
        if bytes.len() > rest.len() {
            self.consumed(bytes.len() - rest.len(), mux);
            self.wrote(before, mux);
        }
        self.input.keep(rest);
    }

    /// Tells the detector. A line that ends while the terminal neither shows nor edits it, as at a
    /// password prompt, is none.
    fn detect(&mut self, bytes: &[u8]) {
        if self.detector.is_none() {
            return;
        }
        let ends = bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
        let hidden = ends && self.echo_of() == Some(Echo::Hidden);
        match &mut self.detector {
            Some(detector) if hidden => detector.hidden(),
            Some(detector) => detector.input(bytes),
            None => {}
        }
    }

    /// The operator closed the input. On a terminal this means nothing: a terminal's end is typed.
    pub fn on_input_end(&mut self) {
        self.input.end();
        if self.input.is_over() {
            self.ports.stdin = None;
        }
    }

    fn close_input(&mut self) {
        if self.ports.terminal {
            // The terminal is still to be read to its end; what is typed has no reader.
            let _ = self.input.discard();
        }
        self.ports.stdin = None;
    }

    fn consumed(&self, n: usize, mux: &mut Mux) {
        if let Some((stream, _)) = mux.stream(self.io) {
            stream.rx.consumed(n);
        }
    }

    fn pump_input(&mut self, cx: &mut Context<'_>, mux: &mut Mux) {
        while !self.input.is_empty() {
            let Some(fd) = self.ports.input() else {
                let n = self.input.discard();
                return self.consumed(n, mux);
            };
            let Poll::Ready(guard) = fd.poll_write_ready(cx) else { return };
            let before = self.watched();
            match write(fd.get_ref(), self.input.next()) {
                Ok(n) => {
                    self.input.taken(n);
                    self.consumed(n, mux);
                    self.wrote(before, mux);
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => match guard {
                    Ok(mut guard) => guard.clear_ready(),
                    Err(_) => return,
                },
                Err(_) => {
                    let n = self.input.discard();
                    self.close_input();
                    self.consumed(n, mux);
                }
            }
        }
        if self.input.is_over() {
            self.ports.stdin = None;
        }
    }

    /// The leader has ended. What it wrote is still read. Returns how it ended, as it is to be
    /// told.
    pub fn on_exit(&mut self, status: ExitStatus, now: Instant) -> ExitStatus {
        let status = if self.timed_out { ExitStatus::TimedOut } else { status };
        self.exited = Some(status);
        self.drain_until = Some(now + limits::DRAIN_AFTER_EXIT);
        status
    }

    /// When [`Self::on_tick`] is wanted.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let end_at = self.end_at.filter(|_| self.exited.is_none() && !self.timed_out);
        [self.drain_until, end_at].into_iter().flatten().min()
    }

    /// Ends the outputs that somebody holds open although the leader is gone, once they are read
    /// empty.
    pub fn on_tick(&mut self, now: Instant, mux: &mut Mux) {
        if self.drain_until.is_none_or(|until| now < until) {
            return;
        }
        let main = close_if_read_empty(&mut self.ports.main, self.io, mux);
        let err = self.err.is_none_or(|err| close_if_read_empty(&mut self.ports.err, err, mux));
        self.drain_until = (!(main && err)).then(|| now + limits::DRAIN_AFTER_EXIT);
    }

    /// Types a line into the fresh terminal, before any input of the operator. The queue of a
    /// terminal is empty then and holds more than the longest line that may come
    /// ([`MAX_PROFILE_BYTES`]), so this never waits.
    pub fn type_first(&self, line: &str) {
        let Some(terminal) = self.ports.main.as_ref().filter(|_| self.ports.terminal) else {
            return;
        };
        let _session = in_session(&self.name);
        let bytes = [line.as_bytes(), b"\n"].concat();
        match write(terminal.get_ref(), &bytes) {
            Ok(n) if n == bytes.len() => {}
            Ok(n) => logger::warning!("only {n} bytes of the shell profile fit into the terminal"),
            Err(errno) => {
                logger::warning!("cannot write the shell profile to the terminal: {errno}")
            }
        }
    }

    /// Changes the size of its terminal, if it has one.
    pub fn resize(&mut self, size: Size) {
        if let Some(detector) = &mut self.detector {
            detector.resize(size.cols);
        }
        let terminal = self.ports.main.as_ref().filter(|_| self.ports.terminal);
        if let Some(Err(errno)) = terminal.map(|master| pty::resize(master.get_ref().as_fd(), size))
        {
            let _session = in_session(&self.name);
            logger::debug!("cannot resize the terminal: {errno}");
        }
    }

    /// Signals the leader's process group, unless the leader has ended (its number may be somebody
    /// else's by now).
    pub fn signal(&self, number: u8) {
        if let (None, Ok(signal)) = (self.exited, Signal::try_from(i32::from(number))) {
            let _ = killpg(self.pid, signal);
        }
    }
}

/// Input that was passed on, and output that was read, bytes.
fn positions(io: StreamId, mux: &mut Mux) -> Option<(u64, u64)> {
    mux.stream(io).map(|(stream, _)| (stream.rx.passed_on(), stream.tx.end()))
}
