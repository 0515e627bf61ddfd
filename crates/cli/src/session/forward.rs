//! A forward: local connections through one session after the other.
//!
//! Data flow: listen -> the first session, so that a refusal is told at once -> bytes -> the
//! session's end -> the next local connection asks for a new session -> ... until a signal.
//!
//! # Invariants
//! - A lost link is made anew within the session, and no connection notices but by the delay.
//! - When a session ends (idle, maximum, device gone), its connections break, and the listener
//!   stays.
//! - A further session that a policy refuses without a fresh proof is asked for again once the
//!   person has given it; the connection waits meanwhile.

use std::future::poll_fn;

use tokio::time::Instant;
use towline_ssm::api::session::StartSessionRequest;
use towline_wire::message::EndReason;

use super::begin::Begin;
use super::ending::Ending;
use super::error::{MayBeRefusal as _, SessionError};
use super::listen::{Listen, Listener};
use super::locals::Locals;
use super::patience::until;
use super::person::{Person, Proof};
use super::pipe::{Happened, Pipe};
use super::streams::Broken;
use crate::api::Client;
use crate::config::Settings;
use crate::exit::{self, Failure};
use crate::limits::{CLOSE_TIMEOUT, MAX_PROOFS};
use crate::platform::{Signal, Signals};

/// What a forward is told at its start.
pub(crate) struct Forward<'a, P> {
    /// With what sessions are asked for.
    pub settings: Settings,
    /// How it begins. Only a [`Begin::Start`] can begin again.
    pub begin: Begin,
    /// Where to listen.
    pub listen: Listen,
    /// Whether another program has started us, see [`Manner`](super::begin::Manner).
    pub guest: bool,
    /// Told once, with the listener, when the first session is there.
    pub ready: &'a mut dyn FnMut(&Listener, &str),
    /// For lines about connections.
    pub say: &'a mut dyn FnMut(&str),
    /// Who is asked when a further session needs a proof.
    pub person: P,
}

enum Outcome {
    Over(Ending),
    Signal(Signal),
}

/// Forwards until there is a reason to end.
///
/// # Errors
/// The first session does not come about, or the listener cannot be used.
pub(crate) async fn forward<P: Person>(mut task: Forward<'_, P>) -> Result<Ending, SessionError> {
    let local = |why| SessionError::Local { what: "cannot listen", why };
    let listener = Listener::open(&task.listen)
        .await
        .map_err(|why| SessionError::Listen { place: task.listen.shown(), why })?;
    let signals = Signals::listen(false, task.guest);
    let mut signals =
        signals.map_err(|why| SessionError::Local { what: "cannot listen to signals", why })?;
    let again: Option<StartSessionRequest> = match &task.begin {
        Begin::Start(request) => Some(request.clone()),
        Begin::Resume(_) | Begin::Join(_) | Begin::Given { .. } => None,
    };
    let begun = Pipe::begin(Client::new(task.settings.clone()), task.begin);
    let mut pipe = tokio::select! {
        signal = signals.next() => return Ok(Ending::by_signal(signal.number())),
        begun = begun => begun?,
    };
    let mut locals = Locals::new(listener, pipe.smux());
    (task.ready)(locals.listener(), pipe.session());
    loop {
        let ending = match carry(&mut pipe, &mut locals, &mut signals, task.say).await {
            Ok(Outcome::Signal(signal)) => return Ok(Ending::by_signal(signal.number())),
            Ok(Outcome::Over(ending)) => ending,
            // Without a request to repeat there is nothing left to do: this is a failure. So is an
            // end of which an older gateway gives no code: somebody may have wanted it.
            Err(
                error @ (SessionError::Over(_)
                | SessionError::NotResumed(_)
                | SessionError::NotBack { .. }),
            ) if again.is_some() => Ending::new(exit::ENDED, error.to_string()),
            Err(error) => return Err(error),
        };
        locals.reset();
        let Some(request) = again.as_ref().filter(|_| may_begin_again(&ending)) else {
            return Ok(ending);
        };
        let why = ending.line.unwrap_or_else(|| "the session ended".to_owned());
        (task.say)(&format!("{why}; the next connection starts a new session"));
        pipe = loop {
            tokio::select! {
                signal = signals.next() => return Ok(Ending::by_signal(signal.number())),
                wanted = locals.wanted() => wanted.map_err(local)?,
            }
            let further = further(&mut task.settings, request, &mut task.person);
            let begun = tokio::select! {
                signal = signals.next() => return Ok(Ending::by_signal(signal.number())),
                begun = further => begun,
            };
            match begun {
                Further::Begun(pipe) => break *pipe,
                Further::Refused(line) => {
                    (task.say)(&line);
                    locals.reset();
                }
                Further::Over(error) => return Err(error),
                Further::Signal(number) => return Ok(Ending::by_signal(number)),
            }
        };
    }
}

/// What became of a further session.
enum Further {
    Begun(Box<Pipe>),
    /// It did not come about; a line for the operator.
    Refused(String),
    /// None will come about.
    Over(SessionError),
    /// A signal to this program while it waited for its user, by its number.
    Signal(u8),
}

/// Begins a further session. Settings with which one was asked for are kept.
async fn further(
    settings: &mut Settings,
    request: &StartSessionRequest,
    person: &mut impl Person,
) -> Further {
    let failed = |failure: Failure| match failure {
        Failure::Signal(number) => Further::Signal(number),
        failure => Further::Refused(failure.to_string()),
    };
    match person.settings(settings).await {
        Ok(renewed) => *settings = renewed,
        Err(failure) => return failed(failure),
    }
    let mut last = String::new();
    for _ in 0..=MAX_PROOFS {
        let begin = Begin::Start(request.clone());
        let error = match Pipe::begin(Client::new(settings.clone()), begin).await {
            Ok(pipe) => return Further::Begun(Box::new(pipe)),
            Err(error) => error,
        };
        let Some(refusal) = error.refusal() else { return Further::Refused(error.to_string()) };
        match person.prove(refusal).await {
            Ok(Proof::Again(proved)) => {
                *settings = *proved;
                last = error.to_string();
            }
            Ok(Proof::Refused) => return Further::Refused(error.to_string()),
            Ok(Proof::Over) => return Further::Over(error),
            Err(failure) => return failed(failure),
        }
    }
    Further::Refused(format!("the session stays refused after a fresh proof: {last}"))
}

/// A session that somebody ended on purpose must not restart by itself.
fn may_begin_again(ending: &Ending) -> bool {
    match ending.reason {
        Some(EndReason::Terminated | EndReason::DeviceRevoked | EndReason::ClosedByOperator) => {
            false
        }
        Some(
            EndReason::Exited(_)
            | EndReason::IdleTimeout
            | EndReason::MaxDuration
            | EndReason::OperatorGone
            | EndReason::DeviceGone
            | EndReason::NotOpened
            | EndReason::Violation,
        )
        | None => true,
    }
}

async fn carry(
    pipe: &mut Pipe,
    locals: &mut Locals,
    signals: &mut Signals,
    say: &mut dyn FnMut(&str),
) -> Result<Outcome, SessionError> {
    let local = |why| SessionError::Local { what: "cannot accept connections", why };
    let mut closing: Option<(Instant, Signal)> = None;
    loop {
        let taken = pipe.push(&locals.out);
        bytes::Buf::advance(&mut locals.out, taken);
        tokio::select! {
            happened = pipe.next(), if !locals.is_full() => match happened? {
                Happened::Output(bytes) => {
                    locals.on_output(&bytes, say).map_err(Broken::from)?;
                    // Windows bound what connections hold: the session itself is never full.
                    pipe.consumed(bytes.len());
                }
                Happened::Ended(ending) => {
                    let signal = closing.map(|(_, signal)| Outcome::Signal(signal));
                    return Ok(signal.unwrap_or(Outcome::Over(ending)));
                }
                Happened::News(line) => say(&line),
                Happened::Nothing => {}
            },
            moved = poll_fn(|cx| locals.poll(cx)), if closing.is_none() => moved.map_err(local)?,
            signal = signals.next() => {
                if closing.is_some() || !pipe.close() {
                    return Ok(Outcome::Signal(signal));
                }
                closing = Some((Instant::now() + CLOSE_TIMEOUT, signal));
            }
            () = until(closing.map(|(until, _)| until)) => {
                if let Some((_, signal)) = closing {
                    return Ok(Outcome::Signal(signal));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_decides_whether_a_further_session_may_begin_and_no_word_of_the_text() {
        use EndReason::{ClosedByOperator, DeviceGone, DeviceRevoked, IdleTimeout, Terminated};
        for words in ["", "the connection to revoked.example was terminated"] {
            for reason in [Terminated, DeviceRevoked, ClosedByOperator] {
                assert!(!may_begin_again(&Ending::of(reason, words)), "{reason:?}");
            }
            for reason in [DeviceGone, IdleTimeout] {
                assert!(may_begin_again(&Ending::of(reason, words)), "{reason:?}");
            }
            assert!(may_begin_again(&Ending::new(exit::TRANSPORT, words)));
        }
    }
}
