//! All sessions of this agent, the streams they share, and the processes that are still being ended.
//!
//! # Invariants
//! - What is said while there is no link is not said: `Held` says it again on the next one.
//! - A full queue of messages ends the link (see [`Table::take_failure`]), not the session.

mod scripts;
mod succession;

use super::gate::{Passed, Refusal};
use super::running::Running;
use super::script::Gathering;
use crate::arguments::COPY;
use crate::limits;
use crate::pty::cgroup::{Cgroup, Home};
use crate::pty::ending::{Ending, Left};
use crate::pty::environment::Environment;
use crate::pty::family::Family;
use crate::pty::spawn::{Plan, Program, Request, SpawnError};
use crate::pty::{Exit, Size};
use crate::tunnel::{News, Tunnel};
use nix::unistd::Pid;
use std::os::fd::AsFd as _;
use std::task::{Context, Poll};
use std::time::Instant;
use towline_wire::frame::StreamId;
use towline_wire::message::{Destination, EndReason, ExitStatus, FromAgent, Held, Launch, Open, RefusalCode, encode};
use towline_wire::mux::{Full, Mux};
use towline_wire::stream::{Receiver, Sender};

/// See the module.
#[derive(Debug)]
pub struct Table {
    /// Streams of all sessions, and messages that wait for the link.
    pub mux: Mux,
    sessions: Vec<Running>,
    tunnels: Vec<Tunnel>,
    /// Scripts that are not whole yet.
    scripts: Vec<Gathering>,
    /// Families that are being ended, with their leaders.
    endings: Vec<(Pid, Ending)>,
    cgroups: Option<Home>,
    most: usize,
    /// A child of the agent that belongs to no session.
    bystander: Option<Pid>,
    online: bool,
    failure: Option<Full>,
}

impl Table {
    /// No sessions; at most `most` at once.
    #[must_use]
    pub fn new(most: usize, cgroups: Option<Home>) -> Self {
        Self {
            mux: Mux::new(most * 2, limits::REPLAY_ALL),
            sessions: Vec::new(),
            tunnels: Vec::new(),
            scripts: Vec::new(),
            endings: Vec::new(),
            cgroups,
            most,
            bystander: None,
            online: false,
            failure: None,
        }
    }

    /// How many sessions end when nobody comes back for them.
    #[must_use]
    pub fn in_need_of_a_link(&self) -> usize {
        self.tunnels.len() + self.sessions.iter().filter(|session| !session.is_script()).count()
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len() + self.tunnels.len()
    }

    /// True when there is no session and nobody is left of earlier ones.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.is_empty() && self.endings.is_empty()
    }

    /// True when there are no sessions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty() && self.tunnels.is_empty()
    }

    /// A child of the agent that is no session's, for as long as it lives: no end of a session may touch it.
    pub fn spare(&mut self, bystander: Option<Pid>) {
        self.bystander = bystander;
    }

    /// True when a hand-over would cut nothing: connections through tunnels cannot be handed over.
    #[must_use]
    pub fn can_be_handed_over(&self) -> bool {
        self.tunnels.iter().all(Tunnel::is_idle)
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
            Err(error) => log::error!("a message cannot be sent: {error}"),
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
        let held = |s: &Running| Held { session: s.name.clone(), io: s.io, err: s.err, exited: s.exited };
        let tunnel = |t: &Tunnel| Held { session: t.name.clone(), io: t.io, err: None, exited: t.exited };
        let all: Vec<_> = self.sessions.iter().map(held).chain(self.tunnels.iter().map(tunnel)).collect();
        for held in all {
            self.say(&FromAgent::Held(held));
        }
        self.say(&FromAgent::HeldEnd);
    }

    /// The connection is gone: sessions go on, and wait.
    pub fn link_lost(&mut self) {
        for script in std::mem::take(&mut self.scripts) {
            log::info!("session {}: its script was on its way when the link was lost", script.open.session);
            self.remove_streams((script.open.io, script.open.err));
        }
        self.online = false;
        self.failure = None;
        self.mux.link_lost();
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.sessions.iter().position(|session| session.name == name)
    }

    fn by_name(&mut self, name: &str) -> Option<(&mut Running, &mut Mux)> {
        let at = self.position(name)?;
        Some((&mut self.sessions[at], &mut self.mux))
    }

    fn by_stream(&mut self, id: StreamId) -> Option<(&mut Running, &mut Mux)> {
        let session = self.sessions.iter_mut().find(|s| s.io == id || s.err == Some(id))?;
        Some((session, &mut self.mux))
    }

    /// The streams of a session.
    fn streams_of(&self, name: &str) -> Option<(StreamId, Option<StreamId>)> {
        let program =
            self.sessions.iter().find(|session| session.name == name).map(|session| (session.io, session.err));
        program.or_else(|| self.tunnels.iter().find(|tunnel| tunnel.name == name).map(|tunnel| (tunnel.io, None)))
    }

    /// True when the session is there.
    #[must_use]
    pub fn holds(&self, name: &str) -> bool {
        self.streams_of(name).is_some()
    }

    /// Reads command lines off a session's terminal.
    pub fn read_lines(&mut self, name: &str, columns: u16) {
        if let Some((session, _)) = self.by_name(name) {
            session.read_lines(columns);
        }
    }

    /// Command lines that were read off terminals since.
    pub fn take_lines(&mut self, mut each: impl FnMut(&str, String)) {
        for session in &mut self.sessions {
            for line in session.take_lines() {
                each(&session.name, line);
            }
        }
    }

    /// Sessions whose first process lives, with that.
    #[must_use]
    pub fn leaders(&self) -> Vec<(String, u32)> {
        let living = self.sessions.iter().filter(|session| session.exited.is_none());
        living.map(|session| (session.name.clone(), session.pid.as_raw().cast_unsigned())).collect()
    }

    /// The first process of a session.
    #[must_use]
    pub fn leader(&self, name: &str) -> Option<u32> {
        Some(self.sessions[self.position(name)?].pid.as_raw().cast_unsigned())
    }

    /// Whether one more session may be opened.
    ///
    /// # Errors
    /// [`Refusal::TooMany`].
    pub fn has_room(&self) -> Result<(), Refusal> {
        // Families that are being ended count too, or opening and closing fast would have no bound.
        if self.len() + self.scripts.len() >= self.most || self.endings.len() >= 2 * self.most {
            return Err(Refusal::TooMany(self.most));
        }
        Ok(())
    }

    /// Starts what passed the gate. Whether it runs is told by [`Self::poll`].
    ///
    /// # Errors
    /// [`Refusal::TooMany`], [`Refusal::Spawn`], [`Refusal::Incomplete`] for streams that are taken.
    pub fn open(&mut self, open: Open, passed: Passed) -> Result<(), Refusal> {
        self.has_room()?;
        if let Launch::Tunnel(to) = &passed.launch {
            return self.open_tunnel(&open, to.clone(), &passed);
        }
        let streams = (open.io, open.err.filter(|_| passed.launch.wants_err()));
        self.add_streams(streams)?;
        if let Launch::Script(script) = &passed.launch {
            let script = script.clone();
            let gathering = Gathering::new(open, passed, script).inspect_err(|_| self.remove_streams(streams))?;
            self.scripts.push(gathering);
            return Ok(());
        }
        self.start(&open, &passed, None).inspect_err(|_| self.remove_streams(streams))
    }

    fn add_streams(&mut self, streams: (StreamId, Option<StreamId>)) -> Result<(), Refusal> {
        for id in [Some(streams.0), streams.1].into_iter().flatten() {
            if self.mux.add(id, Sender::new(limits::REPLAY_ONE), Receiver::new(limits::INPUT)).is_err() {
                if id != streams.0 {
                    self.mux.remove(streams.0);
                }
                return Err(Refusal::Incomplete("its streams are in use by another session"));
            }
        }
        Ok(())
    }

    fn start(&mut self, open: &Open, passed: &Passed, script: Option<Vec<u8>>) -> Result<(), Refusal> {
        let streams = (open.io, open.err.filter(|_| !passed.launch.wants_terminal()));
        let cgroup = self.cgroups.as_ref().and_then(|home| home.make(&open.session).ok());
        match start(open, passed, script, cgroup.as_ref()) {
            Ok(child) => {
                let pid = child.pid;
                let family = cgroup.map_or_else(|| Family::marked(pid, &open.session), Family::Cgroup);
                match Running::new(open.session.clone(), streams, child, Some(family)) {
                    Ok(session) => {
                        if let Launch::ShellWithProfile { profile } = &passed.launch {
                            session.type_first(profile);
                        }
                        self.sessions.push(session);
                        Ok(())
                    }
                    Err(error) => {
                        // Its descriptors are closed, which hangs it up; its cgroup is swept by the next start.
                        Err(Refusal::Spawn(format!("cannot watch the session: {error}")))
                    }
                }
            }
            Err(error) => {
                if let Some(cgroup) = cgroup {
                    let _ = cgroup.remove();
                }
                Err(Refusal::Spawn(error.to_string()))
            }
        }
    }

    fn open_tunnel(&mut self, open: &Open, to: Destination, passed: &Passed) -> Result<(), Refusal> {
        let room = self.tunnel_room();
        if self.mux.add(open.io, Sender::new(limits::REPLAY_ONE), Receiver::new(room)).is_err() {
            return Err(Refusal::Incomplete("its stream is in use by another session"));
        }
        self.tunnels.push(Tunnel::new(open.session.clone(), open.io, to, passed.forwards.clone(), room));
        Ok(())
    }

    /// Room for input of one more tunnel: all that is allowed for one, or half of what is left for all.
    fn tunnel_room(&self) -> u32 {
        let used: u32 = self.tunnels.iter().map(Tunnel::room).sum();
        let left = limits::TUNNEL_INPUT_ALL.saturating_sub(used) / 2;
        left.clamp(limits::TUNNEL_INPUT_LEAST, limits::TUNNEL_INPUT)
    }

    fn remove_streams(&mut self, (io, err): (StreamId, Option<StreamId>)) {
        self.mux.remove(io);
        if let Some(err) = err {
            self.mux.remove(err);
        }
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

    /// Moves bytes of all tunnels, and tells the gateway what there is to tell.
    fn poll_tunnels(&mut self, cx: &mut Context<'_>) {
        for at in (0..self.tunnels.len()).rev() {
            let Poll::Ready(news) = self.tunnels[at].poll(cx, &mut self.mux) else { continue };
            cx.waker().wake_by_ref(); // for what else it has to tell
            let (session, io) = (self.tunnels[at].name.clone(), self.tunnels[at].io);
            let (message, over) = match news {
                News::Started(Ok(())) => (FromAgent::Opened { session }, false),
                News::Started(Err(text)) => {
                    log::warn!("session {session}: {text}");
                    (FromAgent::NotOpened { session, code: RefusalCode::Unreachable, text }, true)
                }
                News::NotConnected(text) => (FromAgent::NotConnected { session, text }, false),
                News::Ended(status) => {
                    log::info!("session {session}: its connection is over");
                    (FromAgent::Exited { session, status }, false)
                }
                News::Broken(broken) => {
                    log::warn!("session {session}: ending it: {broken}");
                    (FromAgent::Gone { session, reason: EndReason::Violation }, true)
                }
            };
            self.say(&message);
            if over {
                self.tunnels.swap_remove(at);
                self.mux.remove(io);
            }
        }
    }

    /// Tells the gateway whether a session's program runs.
    pub fn on_started(&mut self, name: &str, outcome: Result<(), SpawnError>, now: Instant) {
        match outcome {
            Ok(()) => self.say(&FromAgent::Opened { session: name.to_owned() }),
            Err(error) => {
                log::warn!("session {name}: {error}");
                let text = error.to_string();
                self.say(&FromAgent::NotOpened { session: name.to_owned(), code: RefusalCode::Spawn, text });
                self.remove(name, now);
            }
        }
    }

    /// Sends from where the operator's client is.
    pub fn attach(&mut self, name: &str, attachment: u32, received: Option<[u64; 2]>, room: [u32; 2], now: Instant) {
        let Some((io, err)) = self.streams_of(name) else {
            let reason = EndReason::DeviceGone;
            return self.say(&FromAgent::Gone { session: name.to_owned(), reason });
        };
        let (mut output, mut input, mut input_room) = ([0; 2], 0, 0);
        let mut violation = None;
        for (at, id) in [Some(io), err].into_iter().enumerate() {
            let Some((stream, budget)) = id.and_then(|id| self.mux.stream(id)) else { continue };
            match stream.tx.attach(received.map(|received| received[at]), room[at], budget) {
                Ok(position) => output[at] = position,
                Err(error) => violation = Some(error),
            }
            if at == 0 {
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

    /// Input of the operator. Some: the script of this session is whole with it.
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

    /// The other end broke the rules of a stream: its session ends, the others go on.
    pub fn violated_on(&mut self, id: StreamId, violation: &dyn std::fmt::Display, now: Instant) {
        let tunnel = self.tunnels.iter().find(|tunnel| tunnel.io == id).map(|tunnel| tunnel.name.clone());
        if let Some(name) = tunnel.or_else(|| self.by_stream(id).map(|(session, _)| session.name.clone())) {
            self.violated(&name, violation, now);
        }
    }

    fn violated(&mut self, name: &str, violation: &dyn std::fmt::Display, now: Instant) {
        log::warn!("session {name}: the rules of its stream were broken, ending it: {violation}");
        self.say(&FromAgent::Gone { session: name.to_owned(), reason: EndReason::Violation });
        self.remove(name, now);
    }

    /// Hangs up on a session's processes. It stays in the table until it is forgotten; a tunnel, of which nobody waits for
    /// an exit, does not. False if it is not held.
    pub fn close(&mut self, name: &str, now: Instant) -> bool {
        if self.remove_tunnel(name) {
            return true;
        }
        if let Some(at) = self.scripts.iter().position(|script| script.open.session == name) {
            let script = self.scripts.swap_remove(at);
            self.remove_streams((script.open.io, script.open.err));
        }
        let Some(at) = self.position(name) else { return false };
        self.begin_end(at, now);
        true
    }

    fn remove_tunnel(&mut self, name: &str) -> bool {
        let Some(at) = self.tunnels.iter().position(|tunnel| tunnel.name == name) else { return false };
        let tunnel = self.tunnels.swap_remove(at); // its sockets are closed here
        self.mux.remove(tunnel.io);
        true
    }

    /// Drops a session; its processes are hung up if they are not yet.
    pub fn remove(&mut self, name: &str, now: Instant) {
        self.remove_tunnel(name);
        if let Some(at) = self.position(name) {
            self.begin_end(at, now);
            let session = self.sessions.swap_remove(at);
            self.remove_streams((session.io, session.err));
        }
    }

    /// Drops the sessions that nobody came back for. Scripts go on: they have a time of their own.
    pub fn remove_what_needs_a_link(&mut self, now: Instant) {
        while let Some(name) = self.tunnels.last().map(|tunnel| tunnel.name.clone()) {
            self.remove_tunnel(&name);
        }
        while let Some(name) = self.sessions.iter().find(|s| !s.is_script()).map(|session| session.name.clone()) {
            self.remove(&name, now);
        }
    }

    /// Drops all sessions, because the agent stops.
    pub fn remove_all(&mut self, now: Instant) {
        while let Some(name) = self.tunnels.last().map(|tunnel| tunnel.name.clone()) {
            self.remove_tunnel(&name);
        }
        while let Some(name) = self.sessions.last().map(|session| session.name.clone()) {
            self.remove(&name, now);
        }
    }

    fn begin_end(&mut self, at: usize, now: Instant) {
        let pid = self.sessions[at].pid;
        let others = self.leaders_but(pid);
        if let Some(family) = self.sessions[at].family.take() {
            self.endings.push((pid, Ending::begin(family, &others, now)));
        }
    }

    fn leaders_but(&self, pid: Pid) -> Vec<Pid> {
        let running = self.sessions.iter().filter(|session| session.exited.is_none()).map(|session| session.pid);
        let ending = self.endings.iter().map(|(leader, _)| *leader);
        running.chain(ending).chain(self.bystander).filter(|leader| *leader != pid).collect()
    }

    /// A child of the agent ended; perhaps the leader of a session.
    pub fn on_exit(&mut self, pid: Pid, exit: Exit, now: Instant) {
        let Some(at) = self.sessions.iter().position(|s| s.pid == pid && s.exited.is_none()) else { return };
        let name = self.sessions[at].name.clone();
        if let Some(outcome) = self.sessions[at].outcome() {
            let failed = outcome.is_err();
            self.on_started(&name, outcome, now);
            if failed {
                return;
            }
        }
        let status = match exit {
            Exit::Code(code) => ExitStatus::Code(code),
            Exit::Signal(signal) => ExitStatus::Signal(signal),
        };
        log::info!("session {name}: ended with {status:?}");
        let status = self.sessions[at].on_exit(status, now);
        self.begin_end(at, now);
        self.say(&FromAgent::Exited { session: name, status });
    }

    /// Looks after the families that are being ended; wanted after children ended, and at [`Self::deadline`].
    pub fn tick(&mut self, now: Instant) {
        let late: Vec<usize> = (0..self.sessions.len()).filter(|at| self.sessions[*at].takes_too_long(now)).collect();
        for at in late {
            log::warn!("session {}: its time is over", self.sessions[at].name);
            self.begin_end(at, now);
        }
        let mut at = 0;
        while at < self.endings.len() {
            let others = self.leaders_but(self.endings[at].0);
            match self.endings[at].1.poke(&others, now) {
                Left::Some => at += 1,
                Left::Nothing => drop(self.endings.swap_remove(at)),
            }
        }
        for session in &mut self.sessions {
            session.on_tick(now, &mut self.mux);
        }
        for tunnel in &mut self.tunnels {
            tunnel.on_tick(now);
        }
    }

    /// When [`Self::tick`] is wanted at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let endings = self.endings.iter().map(|(_, ending)| ending.deadline());
        let sessions = self.sessions.iter().filter_map(Running::deadline);
        endings.chain(sessions).chain(self.tunnels.iter().filter_map(Tunnel::deadline)).min()
    }
}

fn start(
    open: &Open,
    passed: &Passed,
    script: Option<Vec<u8>>,
    cgroup: Option<&Cgroup>,
) -> Result<crate::pty::spawn::Child, SpawnError> {
    let terminal = open.terminal.as_ref().filter(|_| passed.launch.wants_terminal());
    let mut environment = Environment::of_login(&passed.account, &open.session, terminal.is_some());
    if let Some(terminal) = terminal.filter(|terminal| !terminal.term.is_empty()) {
        environment.ask("TERM", &terminal.term);
    }
    let program = match &passed.launch {
        Launch::Shell | Launch::ShellWithProfile { .. } => Program::LoginShell,
        Launch::Exec { argv } => Program::Arguments(argv.clone()),
        Launch::Interactive { command } => Program::Line(command.clone()),
        Launch::Copy { path, put } => {
            // The agent's own program, also when its file was replaced since; a path may begin with a dash.
            let way = if *put { "put" } else { "get" };
            Program::Arguments(["/proc/self/exe", COPY, way, "--", path].map(str::to_owned).to_vec())
        }
        Launch::Tunnel(_) => return Err(SpawnError::Command("a tunnel runs no program")),
        Launch::Script(order) => {
            Program::Script { text: script.unwrap_or_default(), directory: order.working_directory.clone() }
        }
    };
    let entrance = cgroup.and_then(|cgroup| cgroup.entrance().ok());
    let request = Request {
        account: &passed.account,
        program: &program,
        terminal: terminal.map(|terminal| Size { rows: terminal.size.rows, cols: terminal.size.cols }),
        environment: &environment,
        cgroup: entrance.as_ref().map(std::fs::File::as_fd),
    };
    Plan::prepare(&request)?.start()
}
