//! What agents' links report: they come, they hold sessions, they go.
//!
//! # Invariants
//! - A device has at most one link in the map, the one with the latest epoch.
//! - After `HeldEnd`, each session of the device is either carried by its link or over.

use std::collections::HashSet;
use std::sync::Arc;

use towline_wire::message::{EndReason, FromAgent, Held, RefusalCode, ToAgent};

use super::Link;
use crate::plane::{RotateError, StartError};
use crate::sessions::{Hub, Session, lock, sentence};

impl Hub {
    /// Puts a link into the map; the one it replaces is closed and its sessions wait.
    pub fn link_up(self: &Arc<Self>, link: &Arc<Link>) {
        let older = lock(&self.links).insert(link.device.as_str().to_owned(), Arc::clone(link));
        if let Some(older) = older {
            older.close("a newer connection of the device took its place");
            self.lose_sessions(&older);
        }
    }

    /// Takes a link out of the map; its sessions wait for the next one.
    pub fn link_down(self: &Arc<Self>, link: &Arc<Link>) {
        {
            let mut links = lock(&self.links);
            if links.get(link.device.as_str()).is_some_and(|held| Arc::ptr_eq(held, link)) {
                links.remove(link.device.as_str());
            }
        }
        self.lose_sessions(link);
    }

    fn lose_sessions(self: &Arc<Self>, link: &Arc<Link>) {
        for session in link.take_sessions() {
            if session.link_down(link) {
                session.not_opened(StartError::NotConnected);
            }
        }
    }

    /// A session that the agent still holds. True when it goes on.
    pub fn held(self: &Arc<Self>, link: &Arc<Link>, held: &Held) -> bool {
        let known = self
            .session(&held.session)
            .filter(|session| session.meta.device == link.device.as_str());
        let Some(session) = known else {
            let session = held.session.clone();
            link.send(&match held.exited {
                Some(_) => ToAgent::Forget { session },
                None => ToAgent::Close { session, reason: EndReason::Terminated },
            });
            return false;
        };
        link.bind(&session, held.io, held.err);
        session.link_up(link, held.io, held.err);
        if let Some(status) = held.exited
            && let Some(reason) = session.exited(status)
        {
            self.end(&session, reason, &sentence(reason));
        }
        true
    }

    /// The agent has named all it holds: sessions of the device that are not among them are gone.
    pub fn held_end(self: &Arc<Self>, link: &Arc<Link>, held: &HashSet<String>) {
        let missing: Vec<_> = lock(&self.sessions)
            .values()
            .filter(|session| {
                session.meta.device == link.device.as_str() && !held.contains(&session.meta.name)
            })
            .cloned()
            .collect();
        for session in missing {
            // One that is being opened, or was since the agent wrote its list, cannot be on it.
            if !session.is_missed_by(link) {
                continue;
            }
            self.end(&session, EndReason::DeviceGone, &sentence(EndReason::DeviceGone));
        }
        if let Some(arrived) = self.arrivals.get() {
            arrived(link.device.as_str());
        }
    }

    /// Any other message about a session.
    pub fn report(self: &Arc<Self>, link: &Arc<Link>, message: FromAgent) {
        match message {
            FromAgent::Opened { session } => match self.session_on(link, &session) {
                Some(found) => found.opened(),
                None => link.send(&ToAgent::Close { session, reason: EndReason::Terminated }),
            },
            FromAgent::NotOpened { session, code, text } => {
                if let Some(found) = self.session_on(link, &session) {
                    tracing::info!(session, ?code, text, "the agent did not open a session");
                    if matches!(code, RefusalCode::Grant | RefusalCode::DevicePolicy) {
                        let facts = vec![("sessionId", session.clone()), ("reason", text.clone())];
                        self.device_event("GrantRefused", link.device.as_str(), facts);
                    }
                    found.not_opened(refusal(code, text));
                }
            }
            FromAgent::NotConnected { session, text } => {
                if let Some(found) = self.session_on(link, &session) {
                    tracing::info!(session, text, "a connection of a tunnel was not made");
                    found.not_connected(&text);
                }
            }
            FromAgent::Attached { session, attachment, output, input, room } => {
                if let Some(found) = self.session_on(link, &session) {
                    found.attached(attachment, output.into(), input, room);
                }
            }
            FromAgent::Exited { session, status } => match self.session_on(link, &session) {
                Some(found) => {
                    if let Some(reason) = found.exited(status) {
                        self.end(&found, reason, &sentence(reason));
                    }
                }
                None => link.send(&ToAgent::Forget { session }),
            },
            FromAgent::Gone { session, reason } => {
                if let Some(found) = self.session_on(link, &session) {
                    self.end(&found, reason, &sentence(reason));
                }
            }
            FromAgent::Echoed(told) => {
                if let Some(found) = self.session_on(link, &told.session) {
                    found.echoed(&told);
                }
            }
            FromAgent::Log(batch) => self.intake.put(link, batch),
            FromAgent::NewKey(key) => self.new_key(link, key),
            FromAgent::NoNewKey { text } => {
                link.answer_rotation(Err(RotateError::Refused { why: text }))
            }
            // The greeting's messages, out of their place.
            FromAgent::Hello(_)
            | FromAgent::Enroll(_)
            | FromAgent::Held(_)
            | FromAgent::HeldEnd => {
                link.close("a message of the greeting came after it");
            }
        }
    }

    /// Tells `heard` of each device from now on. The first call counts.
    pub fn when_arrived(&self, heard: impl Fn(&str) + Send + Sync + 'static) {
        let _ = self.arrivals.set(Box::new(heard));
    }

    /// The session of this name, if it is the device's own.
    fn session_on(&self, link: &Link, name: &str) -> Option<Arc<Session>> {
        self.session(name).filter(|session| session.meta.device == link.device.as_str())
    }
}

/// What an agent's refusal means to whoever asked.
fn refusal(code: RefusalCode, why: String) -> StartError {
    match code {
        RefusalCode::TooManySessions => StartError::Busy { why },
        RefusalCode::AlreadyStarted => StartError::AlreadyStarted { why },
        RefusalCode::Unreachable => StartError::Unreachable { why },
        _ => StartError::Refused { why },
    }
}
