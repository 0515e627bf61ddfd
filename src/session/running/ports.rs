//! The program's side of a session's streams: its descriptors, and output read from them.

use crate::limits;
use crate::process::spawn::Io;
use crate::sys::{watch, watch_again, watch_written};
use nix::errno::Errno;
use nix::unistd::read;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};
use tokio::io::unix::AsyncFd;
use towline_wire::frame::StreamId;
use towline_wire::mux::Mux;

/// A descriptor that the runtime watches.
pub(super) type Fd = AsyncFd<OwnedFd>;

/// The program's side of the streams. An end that is closed is `None`.
#[derive(Debug)]
pub(super) struct Ports {
    /// The terminal, or standard output.
    pub(super) main: Option<Fd>,
    /// Standard error, where it is apart.
    pub(super) err: Option<Fd>,
    /// Standard input; `None` on a terminal, which is written to through `main`.
    pub(super) stdin: Option<Fd>,
    pub(super) terminal: bool,
    /// Input waits until the terminal takes it.
    input_waits: bool,
}

impl Ports {
    pub(super) fn new(io: Io) -> io::Result<Self> {
        match io {
            Io::Terminal(master) => Self::of([Some(master), None, None], true),
            Io::Pipes { stdin, stdout, stderr } => {
                Self::of([Some(stdout), Some(stderr), Some(stdin)], false)
            }
        }
    }

    /// Of the terminal or standard output, of standard error, of standard input.
    pub(super) fn of([main, err, stdin]: [Option<OwnedFd>; 3], terminal: bool) -> io::Result<Self> {
        Ok(Self {
            main: main.map(watch).transpose()?,
            err: err.map(watch).transpose()?,
            stdin: stdin.map(watch_written).transpose()?,
            terminal,
            input_waits: false,
        })
    }

    /// Waits for room in the terminal while input waits, and only then: a terminal tells after each
    /// key that it can be written again. To be called before the terminal is polled.
    ///
    /// # Errors
    /// The system is out of memory; the terminal is closed then.
    pub(super) fn await_room(&mut self, input_waits: bool) -> io::Result<()> {
        if !self.terminal || self.input_waits == input_waits {
            return Ok(());
        }
        self.input_waits = input_waits;
        if let Some(terminal) = self.main.take() {
            self.main = Some(watch_again(terminal, input_waits)?);
        }
        Ok(())
    }

    pub(super) fn input(&self) -> Option<&Fd> {
        if self.terminal { self.main.as_ref() } else { self.stdin.as_ref() }
    }
}

/// Reads what there is into the stream, as far as there is room and this turn allows. `tap` sees it
/// too. At its end the port is closed, unless it `stays` open.
pub(super) fn pump_output(
    port: &mut Option<Fd>,
    stays: bool,
    id: StreamId,
    cx: &mut Context<'_>,
    mux: &mut Mux,
    mut tap: impl FnMut(&[u8]),
) {
    let Some((stream, budget)) = mux.stream(id) else { return };
    let mut turn = limits::READ_TURN;
    while let (Some(fd), true) = (port.as_ref(), stream.tx.wants_more(budget)) {
        if turn == 0 {
            return cx.waker().wake_by_ref(); // there is more, but others are waiting
        }
        let Poll::Ready(guard) = fd.poll_read_ready(cx) else { return };
        let place = stream.tx.spare(budget);
        let n = place.len().min(turn);
        if n == 0 {
            return;
        }
        match read(fd.get_ref(), &mut place[..n]) {
            Ok(n) if n > 0 => {
                tap(&place[..n]);
                stream.tx.filled(n);
                turn -= n;
            }
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => match guard {
                Ok(mut guard) => guard.clear_ready(),
                Err(_) => return,
            },
            Ok(_) | Err(_) if stays => return,
            // The end; a terminal that nobody holds open any more says EIO.
            Ok(_) | Err(_) => {
                *port = None;
                stream.tx.finish();
            }
        }
    }
}

/// True when the port is closed now. With no room in the stream it may not be read empty, and
/// stays.
pub(super) fn close_if_read_empty(port: &mut Option<Fd>, id: StreamId, mux: &mut Mux) -> bool {
    let Some((stream, budget)) = mux.stream(id) else { return true };
    if port.is_some() && stream.tx.wants_more(budget) {
        *port = None;
        stream.tx.finish();
    }
    port.is_none()
}
