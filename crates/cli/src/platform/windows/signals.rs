//! What Windows tells a program of a console, as signals.
//!
//! | event | signal |
//! |---|---|
//! | Ctrl-C | interrupt; in a raw console it is a byte |
//! | Ctrl-Break | quit: also while the console is raw |
//! | the window is closed, the user signs out | hangup |
//! | the system shuts down | terminate |
//! | another size of the window | window change, while the console is read |

use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlLogoff, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close,
    ctrl_logoff, ctrl_shutdown,
};

use crate::platform::Signal;

/// Whether a program can stop itself, as the job control of a shell does.
pub(crate) const CAN_SUSPEND: bool = false;

static RESIZED: AtomicBool = AtomicBool::new(false);
static TOLD: AtomicWaker = AtomicWaker::new();

/// The reader of the console met a change of its size.
pub(super) fn resized() {
    RESIZED.store(true, Ordering::Release);
    TOLD.wake();
}

/// The events that are listened to.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: CtrlC,
    quit: CtrlBreak,
    close: CtrlClose,
    sign_out: CtrlLogoff,
    shutdown: CtrlShutdown,
    raw_console: bool,
}

impl Signals {
    /// Listens to the events that end a program, and with a raw console to its size.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn listen(raw_console: bool, _guest: bool) -> io::Result<Self> {
        Ok(Self {
            interrupt: ctrl_c()?,
            quit: ctrl_break()?,
            close: ctrl_close()?,
            sign_out: ctrl_logoff()?,
            shutdown: ctrl_shutdown()?,
            raw_console,
        })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Signal {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Signal> {
        let is = |poll: Poll<Option<()>>| poll == Poll::Ready(Some(()));
        if is(self.close.poll_recv(cx)) || is(self.sign_out.poll_recv(cx)) {
            return Poll::Ready(Signal::Hangup);
        }
        if is(self.shutdown.poll_recv(cx)) {
            return Poll::Ready(Signal::Terminate);
        }
        if is(self.interrupt.poll_recv(cx)) {
            return Poll::Ready(Signal::Interrupt);
        }
        if is(self.quit.poll_recv(cx)) {
            return Poll::Ready(Signal::Quit);
        }
        TOLD.register(cx.waker());
        match self.raw_console && RESIZED.swap(false, Ordering::AcqRel) {
            true => Poll::Ready(Signal::WindowChange),
            false => Poll::Pending,
        }
    }
}

/// Ctrl-C, listened to from the beginning: one that comes while nobody waits for it is not lost.
#[derive(Debug)]
pub(crate) struct Interrupts(CtrlC);

impl Interrupts {
    /// From now on Ctrl-C does not end this program.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn listen() -> io::Result<Self> {
        ctrl_c().map(Self)
    }

    /// The next one.
    pub(crate) async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

/// Windows has no such limit.
pub(crate) const fn outlive_file_limit() {}

/// Windows has no job control: nothing is stopped.
pub(crate) const fn suspend() {}

/// The reader of an output. Windows does not tell that it is gone before a write fails.
#[derive(Debug)]
pub(crate) struct Reader(());

impl Reader {
    /// Of any output.
    #[must_use]
    pub(crate) fn of(_output: impl std::os::windows::io::AsHandle) -> Self {
        Self(())
    }

    /// Never returns.
    pub(crate) async fn gone(&self) {
        std::future::pending().await
    }
}
