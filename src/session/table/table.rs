//! [`Table`]: the sessions, and the calls that go to one of them.

use crate::limits;
use crate::logger::{self, in_session};
use crate::process::ending::Ending;
use crate::process::spawn::SpawnError;
use crate::pty::Size;
use crate::separation::monitor::Separation;
use crate::session::running::Running;
use crate::session::script::Gathering;
use crate::sys::cgroup::Home;
use crate::tunnel::Tunnel;
use nix::unistd::Pid;
use std::task::{Context, Poll};
use std::time::Instant;
use towline_wire::HAS_RESERVE;
use towline_wire::frame::StreamId;
use towline_wire::lane::{Lane, Lanes};
use towline_wire::message::{EndReason, FromAgent, Held, encode};
use towline_wire::mux::{Full, Mux};

/// All sessions, and the messages that wait for the link.
#[derive(Debug)]
pub struct Table {
    /// Streams of all sessions, and messages that wait for the link.
    pub mux: Mux,
    pub(super) sessions: Vec<Running>,
    pub(super) tunnels: Vec<Tunnel>,
    /// Scripts that are not whole yet.
    pub(super) scripts: Vec<Gathering>,
    /// Families that are being ended, with their leaders.
    pub(super) endings: Vec<(Pid, Ending)>,
    pub(super) cgroups: Option<Home>,
    pub(super) most: usize,
    /// Bytes of one tunnel or copy that may be under way in each direction.
    pub(super) window: u32,
    /// A child of the agent that belongs to no session.
    pub(super) bystander: Option<Pid>,
    /// See [`Table::separate`].
    pub(super) separation: Option<Separation>,
    pub(super) online: bool,
    /// The wire version of the link.
    pub version: u16,
    pub(super) failure: Option<Full>,
}

/// Streams of so many sessions, of the place for a repair, and of as many that were closed.
const fn streams(most: usize) -> usize {
    2 * (2 * most + limits::RESERVED)
}

impl Table {
    /// No sessions; at most `most` at once, and tunnels and copies with so many bytes on their way
    /// in each direction.
    #[must_use]
    pub fn new(most: usize, window: u32, cgroups: Option<Home>) -> Self {
        Self {
            mux: Mux::new(streams(most), limits::REPLAY_ALL.max(2 * window as usize)),
            sessions: Vec::new(),
            tunnels: Vec::new(),
            scripts: Vec::new(),
            endings: Vec::new(),
            cgroups,
            most,
            window,
            bystander: None,
            separation: None,
            online: false,
            version: towline_wire::VERSIONS.min,
            failure: None,
        }
    }

    /// At most this many sessions at once from now on; those that are open go on.
    pub fn set_most(&mut self, most: usize) {
        self.most = most;
        self.mux.allow(streams(most));
    }

    /// How many sessions end after the grace time without a link.
    #[must_use]
    pub fn in_need_of_a_link(&self) -> usize {
        self.tunnels.len() + self.sessions.iter().filter(|session| !session.is_script()).count()
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len() + self.tunnels.len()
    }

    /// True when there is no session, and no process of an earlier one.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.is_empty() && self.endings.is_empty()
    }

    /// True when there are no sessions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty() && self.tunnels.is_empty()
    }

    /// Queues a message for the gateway.
    pub fn say(&mut self, message: &FromAgent) {
        if !self.online {
            return;
        }
        match encode(message) {
            Ok(bytes) => {
                if let Err(full) = self.mux.push_control(bytes) {
                    self.failure = Some(full);
                }
            }
            Err(error) => logger::error!("cannot send a message: {error}"),
        }
    }

    /// The reason to drop the link, if saying something failed.
    pub fn take_failure(&mut self) -> Option<Full> {
        self.failure.take()
    }

    /// A connection is there: messages may be queued.
    pub fn link_up(&mut self) {
        self.online = true;
    }

    /// Names all held sessions, after the gateway's welcome.
    pub fn say_held(&mut self) {
        let held =
            |s: &Running| Held { session: s.name.clone(), io: s.io, err: s.err, exited: s.exited };
        let tunnel =
            |t: &Tunnel| Held { session: t.name.clone(), io: t.io, err: None, exited: t.exited };
        let all: Vec<_> =
            self.sessions.iter().map(held).chain(self.tunnels.iter().map(tunnel)).collect();
        for held in all {
            self.say(&FromAgent::Held(held));
        }
        self.say(&FromAgent::HeldEnd);
    }

    /// Tells the gateway what the device allows.
    pub fn say_limits(&mut self) {
        if self.version >= HAS_RESERVE {
            let sessions = u32::try_from(self.most).unwrap_or(u32::MAX);
            self.say(&FromAgent::Limits { sessions });
        }
    }

    /// The link is lost: sessions continue, and wait.
    pub fn link_lost(&mut self) {
        self.drop_scripts("the link was lost");
        self.sessions.iter_mut().for_each(Running::stop_telling);
        self.online = false;
        self.failure = None;
        self.mux.link_lost();
    }

    /// The gateway wants to hear whether a session's input is echoed. False: there is no such
    /// session, or no terminal.
    pub fn tell_echo(&mut self, name: &str) -> bool {
        self.by_name(name).is_some_and(|(session, mux)| session.tell_echo(mux))
    }

    /// True when an echo is to be reported, and the link has space for it.
    #[must_use]
    pub fn owes_echo(&self) -> bool {
        self.mux.control_waiting() < limits::ECHO_WAITS
            && self.sessions.iter().any(Running::owes_echo)
    }

    /// Queues the reports of echoes.
    pub fn say_echoes(&mut self) {
        for at in 0..self.sessions.len() {
            if self.mux.control_waiting() < limits::ECHO_WAITS
                && let Some(echoed) = self.sessions[at].take_echo()
            {
                self.say(&FromAgent::Echoed(echoed));
            }
        }
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.sessions.iter().position(|session| session.name == name)
    }

    pub(super) fn by_name(&mut self, name: &str) -> Option<(&mut Running, &mut Mux)> {
        let at = self.position(name)?;
        Some((&mut self.sessions[at], &mut self.mux))
    }

    pub(super) fn by_stream(&mut self, id: StreamId) -> Option<(&mut Running, &mut Mux)> {
        let session = self.sessions.iter_mut().find(|s| s.io == id || s.err == Some(id))?;
        Some((session, &mut self.mux))
    }

    /// The streams of a session.
    pub(super) fn streams_of(&self, name: &str) -> Option<(StreamId, Option<StreamId>)> {
        let program = self
            .sessions
            .iter()
            .find(|session| session.name == name)
            .map(|session| (session.io, session.err));
        program.or_else(|| {
            self.tunnels.iter().find(|tunnel| tunnel.name == name).map(|tunnel| (tunnel.io, None))
        })
    }

    /// True when the session is there.
    #[must_use]
    pub fn holds(&self, name: &str) -> bool {
        self.streams_of(name).is_some()
    }

    /// Moves bytes of all sessions. Ready when one has something to tell, see [`Self::on_started`].
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(String, Result<(), SpawnError>)> {
        for session in &mut self.sessions {
            if let Poll::Ready(outcome) = session.poll(cx, &mut self.mux) {
                return Poll::Ready((session.name.clone(), outcome));
            }
        }
        self.poll_tunnels(cx);
        Poll::Pending
    }

    /// The wire version of the link.
    #[must_use]
    pub const fn version(&self) -> u16 {
        self.version
    }

    /// The link speaks this version of the wire.
    pub fn agreed(&mut self, version: u16) {
        self.version = version;
    }

    /// Tells the gateway whether a session's program runs.
    pub fn on_started(&mut self, name: &str, outcome: Result<(), SpawnError>, now: Instant) {
        match outcome {
            Ok(()) => self.say(&FromAgent::Opened { session: name.to_owned() }),
            Err(error) => {
                let _session = in_session(name);
                logger::warning!("{error}");
                let text = error.to_string();
                self.say(&FromAgent::NotOpened {
                    session: name.to_owned(),
                    code: error.code(self.version),
                    text,
                });
                self.remove(name, now);
            }
        }
    }

    /// Sends from where the operator's client is.
    pub fn attach(
        &mut self,
        name: &str,
        attachment: u32,
        received: Option<Lanes<u64>>,
        room: Lanes<u32>,
        now: Instant,
    ) {
        let Some((io, err)) = self.streams_of(name) else {
            let reason = EndReason::DeviceGone;
            return self.say(&FromAgent::Gone { session: name.to_owned(), reason });
        };
        let (mut output, mut input, mut input_room) = (Lanes::default(), 0, 0);
        let mut violation = None;
        for (lane, id) in [(Lane::Io, Some(io)), (Lane::Err, err)] {
            let Some((stream, budget)) = id.and_then(|id| self.mux.stream(id)) else { continue };
            match stream.tx.attach(received.map(|received| received[lane]), room[lane], budget) {
                Ok(position) => output[lane] = position,
                Err(error) => violation = Some(error),
            }
            if lane == Lane::Io {
                (input, input_room) = (stream.rx.received(), stream.rx.room());
            }
        }
        if let Some(violation) = violation {
            return self.violated(name, &violation, now);
        }
        let session = name.to_owned();
        self.say(&FromAgent::Attached { session, attachment, output, input, room: input_room });
    }

    /// The client is gone: its session's rings fill from now on.
    pub fn detach(&mut self, name: &str) {
        if let Some((io, err)) = self.streams_of(name) {
            for id in [Some(io), err].into_iter().flatten() {
                if let Some((stream, _)) = self.mux.stream(id) {
                    stream.tx.detach();
                }
            }
        }
    }

    /// Input of the operator. `Some`: it completes the script of this session.
    #[must_use]
    pub fn input(&mut self, id: StreamId, bytes: &[u8]) -> Option<String> {
        if let Some(script) = self.scripts.iter_mut().find(|script| script.open.io == id) {
            return script.take(bytes).then(|| script.open.session.clone());
        }
        if let Some((session, mux)) = self.by_stream(id) {
            session.on_input(bytes, mux);
        } else if let Some(tunnel) = self.tunnels.iter_mut().find(|tunnel| tunnel.io == id) {
            tunnel.on_input(bytes, &mut self.mux);
        }
        None
    }

    /// The operator closed the input.
    pub fn input_ended(&mut self, id: StreamId) {
        if let Some(script) = self.scripts.iter().find(|script| script.open.io == id) {
            let name = script.open.session.clone();
            return self.not_whole(&name, "its stream ended before the script was complete");
        }
        if let Some((session, _)) = self.by_stream(id) {
            session.on_input_end();
        } else if let Some(tunnel) = self.tunnels.iter_mut().find(|tunnel| tunnel.io == id) {
            tunnel.on_input_end();
        }
    }

    /// Changes the size of a session's terminal.
    pub fn resize(&mut self, name: &str, size: Size) {
        if let Some((session, _)) = self.by_name(name) {
            session.resize(size);
        }
    }

    /// Signals a session's program.
    pub fn signal(&mut self, name: &str, number: u8) {
        if let Some((session, _)) = self.by_name(name) {
            session.signal(number);
        }
    }

    /// The gateway broke the rules of a stream: its session ends, the others continue.
    pub fn violated_on(&mut self, id: StreamId, violation: &dyn std::fmt::Display, now: Instant) {
        if let Some(script) = self.scripts.iter().find(|script| script.open.io == id) {
            let name = script.open.session.clone();
            return self.not_whole(&name, "more bytes than the script were sent");
        }
        let tunnel =
            self.tunnels.iter().find(|tunnel| tunnel.io == id).map(|tunnel| tunnel.name.clone());
        if let Some(name) =
            tunnel.or_else(|| self.by_stream(id).map(|(session, _)| session.name.clone()))
        {
            self.violated(&name, violation, now);
        }
    }

    pub(super) fn violated(&mut self, name: &str, violation: &dyn std::fmt::Display, now: Instant) {
        let _session = in_session(name);
        logger::warning!("ended: the gateway broke the rules of its stream: {violation}");
        self.say(&FromAgent::Gone { session: name.to_owned(), reason: EndReason::Violation });
        self.remove(name, now);
    }
}
