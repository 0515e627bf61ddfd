//! The time before there is a session: the gateway was asked and has not answered.
//!
//! # Invariants
//! - Signals, escapes and `^C` end the wait at once. The gateway ends a session that was created
//!   meanwhile and has no client.
//! - What is typed for the device is kept by [`Local`], within its bound.

use std::io;

use tokio::time::Instant;

use super::begin::Manner;
use super::ending::Ending;
use super::error::SessionError;
use super::link::Begun;
use super::local::{Local, read};
use super::patience::until;
use super::streams::Streams;
use crate::exit;
use crate::limits::CONNECT_NOTICE;
use crate::platform::{self, Reader, Signal};
use crate::terminal::escape::{self, Action};

/// What became of the wait.
pub(super) enum Connected {
    /// There is a session.
    Begun(Box<Begun>),
    /// The operator left.
    Left(Ending),
}

/// Waits for the session, and listens to the operator meanwhile.
pub(super) async fn connect(
    mut begun: impl Future<Output = Result<Begun, SessionError>> + Unpin,
    local: &mut Local,
    manner: Manner,
    output: Option<&Reader>,
) -> Result<Connected, SessionError> {
    // Nothing is attached: they take no input, and it is kept.
    let mut none = Streams::new();
    let mut notice = Some(Instant::now() + CONNECT_NOTICE).filter(|_| local.raw.is_some());
    loop {
        let wants_input = local.raw.is_some() && local.wants_input(&mut none, false);
        let Local { input, buffer, signals, .. } = &mut *local;
        let left = tokio::select! {
            begun = &mut begun => {
                local.status.clear("");
                return begun.map(|begun| Connected::Begun(Box::new(begun)));
            }
            signal = signals.next() => on_signal(signal, local),
            result = read(input.as_ref(), buffer), if wants_input => {
                on_input(&result, local, manner, &mut none)
            }
            () = platform::gone(output) => Some(Ending::abandoned()),
            () = until(notice) => {
                notice = None;
                local.status.show("waiting for the gateway; ^C leaves", local.size());
                None
            }
        };
        if let Some(ending) = left {
            local.status.clear("");
            return Ok(Connected::Left(ending));
        }
    }
}

fn on_signal(signal: Signal, local: &mut Local) -> Option<Ending> {
    match signal {
        // The first message says the size.
        Signal::WindowChange => None,
        Signal::Stop => {
            local.suspend();
            None
        }
        Signal::Continue => {
            local.resumed();
            None
        }
        Signal::Hangup | Signal::Interrupt | Signal::Terminate | Signal::Quit => {
            Some(Ending::by_signal(signal.number()))
        }
    }
}

fn on_input(
    result: &io::Result<usize>,
    local: &mut Local,
    manner: Manner,
    none: &mut Streams,
) -> Option<Ending> {
    let n = match result {
        // A raw terminal has no end of input: it is gone.
        Ok(0) | Err(_) => return Some(Ending::by_signal(Signal::Hangup.number())),
        Ok(n) => *n,
    };
    if local.is_interrupt(n) {
        return Some(Ending::by_signal(Signal::Interrupt.number()));
    }
    let mut met = local.take(n, none);
    while let Some(action) = met {
        match action {
            Action::Disconnect => {
                return Some(Ending::new(exit::ENDED, "left before the session began"));
            }
            Action::Help => {
                local.status.say(&escape::help(manner.escape.unwrap_or(escape::DEFAULT)));
            }
            Action::Suspend if manner.guest || !platform::CAN_SUSPEND => {
                local.status.say(&[super::notices::no_suspend(manner).to_owned()])
            }
            Action::Suspend => local.suspend(),
            Action::Answer(_) => {}
        }
        met = local.pass_on(none);
    }
    None
}
