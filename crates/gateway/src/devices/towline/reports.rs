//! What an agent reports over its link: sessions that it holds, their progress and their end.
//!
//! Data flow: the link's task -> one of these -> the session, or an answer to the agent.
//!
//! # Invariants
//! - What an agent reports about a session that is not in the hub's map is answered with Close or
//!   Forget: the gateway decides what is alive, and that survives restarts in the store.

use std::sync::Arc;

use towline_wire::message::{EndReason, FromAgent, Held, RefusalCode, ToAgent};

use super::agents::Agents;
use super::link::Link;
use super::streams::SessionStreams;
use crate::plane::{RotateError, StartError};
use crate::sessions::Session;

/// The end of a session that the agent has no more.
const STOPPED: &str = "ended: the agent on the device was stopped, as when the device restarts";

impl Agents {
    /// The session of this name, if it is the device's own.
    fn session_on(&self, link: &Link, name: &str) -> Option<Arc<Session>> {
        self.hub.session_of(link.device.as_str(), name)
    }

    /// A session that the agent still holds. True when it goes on.
    pub(super) fn held(self: &Arc<Self>, link: &Arc<Link>, held: &Held) -> bool {
        let Some(session) = self.session_on(link, &held.session) else {
            let session = held.session.clone();
            if self.hub.store().sessions().is_unreadable(&session) {
                return false; // it waits there for a gateway that can read it
            }
            link.send(&match held.exited {
                Some(_) => ToAgent::Forget { session },
                None => ToAgent::Close { session, reason: EndReason::Terminated },
            });
            return false;
        };
        SessionStreams::connect(link, &session, held.io, held.err);
        if let Some(status) = held.exited
            && let Some(reason) = session.exited(status)
        {
            self.hub.end_for(&session, reason);
        }
        true
    }

    fn not_opened(&self, link: &Link, session: &str, code: RefusalCode, text: String) {
        let Some(found) = self.session_on(link, session) else { return };
        tracing::info!(session, ?code, text, "the agent did not open a session");
        if matches!(code, RefusalCode::Grant | RefusalCode::DevicePolicy) {
            let facts = vec![("sessionId", session.to_owned()), ("reason", text.clone())];
            self.hub.device_event("GrantRefused", link.device.as_str(), facts);
        }
        let why = refusal(code, text);
        if matches!(code, RefusalCode::TooManySessions) && !found.meta.step {
            found.turned_away(why);
        } else {
            found.not_opened(why);
        }
    }

    /// Any other message about a session.
    pub(super) fn report(self: &Arc<Self>, link: &Arc<Link>, message: FromAgent) {
        match message {
            FromAgent::Opened { session } => match self.session_on(link, &session) {
                Some(found) => found.opened(),
                None => link.send(&ToAgent::Close { session, reason: EndReason::Terminated }),
            },
            FromAgent::NotOpened { session, code, text } => {
                self.not_opened(link, &session, code, text);
            }
            FromAgent::NotConnected { session, text } => {
                if let Some(found) = self.session_on(link, &session) {
                    tracing::info!(session, text, "a connection of a tunnel was not made");
                    found.not_connected(&text);
                }
            }
            FromAgent::Attached { session, attachment, output, input, room } => {
                if let Some(found) = self.session_on(link, &session) {
                    found.attached(attachment, output, input, room);
                }
            }
            FromAgent::Exited { session, status } => match self.session_on(link, &session) {
                Some(found) => {
                    if let Some(reason) = found.exited(status) {
                        self.hub.end_for(&found, reason);
                    }
                }
                None => link.send(&ToAgent::Forget { session }),
            },
            FromAgent::Gone { session, reason } => {
                if let Some(found) = self.session_on(link, &session) {
                    match reason {
                        EndReason::DeviceGone => self.hub.end(&found, reason.into(), STOPPED),
                        _ => self.hub.end_for(&found, reason.into()),
                    }
                }
            }
            FromAgent::Echoed(told) => {
                if let Some(found) = self.session_on(link, &told.session) {
                    found.echoed(&told);
                }
            }
            FromAgent::Limits { sessions } => link.allows(sessions),
            FromAgent::AskTime { challenge } => link.tell_time(&challenge),
            FromAgent::Log(batch) => self.intake.put(link, batch),
            FromAgent::PinKept { issued, pinned } => self.pin_kept(link, issued, pinned),
            FromAgent::NewKey(key) => self.admit_key(link, key),
            FromAgent::NoNewKey { text } => {
                link.answer_rotation(Err(RotateError::Refused { why: text }))
            }
            // The handshake's messages, out of their place.
            FromAgent::Hello(_)
            | FromAgent::Enroll(_)
            | FromAgent::Held(_)
            | FromAgent::HeldEnd => {
                link.close("the agent sent a message of the handshake after it");
            }
        }
    }
}

/// What an agent's refusal means to the caller of StartSession.
fn refusal(code: RefusalCode, why: String) -> StartError {
    match code {
        RefusalCode::TooManySessions => StartError::Busy { why },
        RefusalCode::RateLimited => StartError::NotNow { why },
        RefusalCode::AlreadyStarted => StartError::AlreadyStarted { why },
        RefusalCode::Unreachable => StartError::Unreachable { why },
        RefusalCode::ProgramNotFound => StartError::ProgramNotFound { why },
        RefusalCode::ProgramNotExecutable => StartError::ProgramNotExecutable { why },
        _ => StartError::Refused { why },
    }
}
