//! From an order that passed the gate to a running program, or to a script that is collected.
//!
//! # Invariants
//! - A failure leaves nothing: neither streams nor a cgroup.
//! - No two sessions have one name, whether they run or their scripts are still arriving.

use super::table::Table;
use crate::arguments::COPY;
use crate::limits;
use crate::process::environment::Environment;
use crate::process::family::Family;
use crate::process::spawn::{Plan, Program, Request, SpawnError};
use crate::process::terminfo::instead_of;
use crate::pty::Size;
use crate::session::gate::Passed;
use crate::session::gate::Refusal;
use crate::session::running::Running;
use crate::session::script::Gathering;
use crate::sys::account::Account;
use crate::sys::cgroup::Cgroup;
use std::time::Instant;
use towline_wire::frame::StreamId;
use towline_wire::message::{Launch, Open};
use towline_wire::stream::{Receiver, Sender};

impl Table {
    /// Whether one more session may be opened; `reserved`: it may use the place for a repair.
    ///
    /// # Errors
    /// [`Refusal::TooMany`].
    pub fn has_room(&self, reserved: bool) -> Result<(), Refusal> {
        // Families that are being ended count too, or opening and closing fast would have no bound.
        let most = self.most + if reserved { limits::RESERVED } else { 0 };
        // What was closed has made its place free. Its streams stay until it is forgotten.
        let closed = self.sessions.iter().filter(|session| session.closed).count();
        let open = self.len() + self.scripts.len() - closed;
        if open >= most || closed >= self.most || self.endings.len() >= 2 * self.most {
            return Err(Refusal::TooMany(self.most));
        }
        Ok(())
    }

    /// Starts what passed the gate. Whether it runs is told by [`Self::poll`].
    ///
    /// # Errors
    /// [`Refusal::TooMany`], [`Refusal::Spawn`], [`Refusal::Incomplete`] for streams that are
    /// taken.
    pub fn open(&mut self, open: Open, passed: Passed, reserved: bool) -> Result<(), Refusal> {
        self.has_room(reserved)?;
        // Two orders for one session would be two processes: the first is on its way.
        if self.holds(&open.session)
            || self.scripts.iter().any(|script| script.open.session == open.session)
        {
            return Err(Refusal::Incomplete("a session with this name is being opened"));
        }
        if let Launch::Tunnel(to) = &passed.launch {
            return self.open_tunnel(&open, to.clone(), &passed);
        }
        let streams = (open.io, open.err.filter(|_| passed.launch.wants_err()));
        self.add_streams(streams, &passed.launch)?;
        if let Launch::Script(script) = &passed.launch {
            let script = script.clone();
            let gathering = Gathering::new(open, passed, script)
                .inspect_err(|_| self.remove_streams(streams))?;
            self.scripts.push(gathering);
            return Ok(());
        }
        self.start(&open, &passed, None).inspect_err(|_| self.remove_streams(streams))?;
        if let (Launch::Detached { .. }, Some((running, _))) =
            (&passed.launch, self.by_name(&open.session))
        {
            running.be_script(Instant::now() + limits::DETACHED); // it needs no link either
        }
        Ok(())
    }

    /// Streams for a program; a copy carries bulk and has a window like a tunnel's.
    pub(super) fn add_streams(
        &mut self,
        streams: (StreamId, Option<StreamId>),
        launch: &Launch,
    ) -> Result<(), Refusal> {
        let (ring, room) = match launch.copy() {
            Some(_) => (self.window as usize, self.bulk_room()),
            None => (limits::REPLAY_ONE, limits::INPUT),
        };
        for id in [Some(streams.0), streams.1].into_iter().flatten() {
            if self.mux.add(id, Sender::new(ring), Receiver::new(room)).is_err() {
                if id != streams.0 {
                    self.mux.remove(streams.0);
                }
                return Err(Refusal::Incomplete("another session uses its streams"));
            }
        }
        Ok(())
    }

    pub(super) fn start(
        &mut self,
        open: &Open,
        passed: &Passed,
        script: Option<Vec<u8>>,
    ) -> Result<(), Refusal> {
        let streams = (open.io, open.err.filter(|_| !passed.launch.wants_terminal()));
        let cgroup = self.cgroups.as_ref().and_then(|home| home.make(&open.session).ok());
        match start(open, passed, script, cgroup.as_ref()) {
            Ok(child) => {
                let pid = child.pid;
                let family =
                    cgroup.map_or_else(|| Family::marked(pid, &open.session), Family::Cgroup);
                match Running::new(open.session.clone(), streams, child, Some(family)) {
                    Ok(session) => {
                        if let Launch::ShellWithProfile { profile } = &passed.launch {
                            session.type_first(profile);
                        }
                        self.sessions.push(session);
                        Ok(())
                    }
                    Err(error) => {
                        // Its descriptors are closed, which hangs it up; its cgroup is swept by the
                        // next start.
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

    pub(super) fn remove_streams(&mut self, (io, err): (StreamId, Option<StreamId>)) {
        self.mux.remove(io);
        if let Some(err) = err {
            self.mux.remove(err);
        }
    }
}

fn start(
    open: &Open,
    passed: &Passed,
    script: Option<Vec<u8>>,
    cgroup: Option<&Cgroup>,
) -> Result<crate::process::spawn::Child, SpawnError> {
    let terminal = open.terminal.as_ref().filter(|_| passed.launch.wants_terminal());
    let mut environment = Environment::of_login(&passed.account, &open.session, terminal.is_some());
    if let Some(terminal) = terminal.filter(|terminal| !terminal.term.is_empty()) {
        environment.ask("TERM", &terminal.term);
    }
    if let Some(alike) =
        environment.get("TERM").and_then(|asked| instead_of(asked, &passed.account.home))
    {
        environment.set("TERM", alike);
    }
    let program = match &passed.launch {
        Launch::Shell | Launch::ShellWithProfile { .. } => Program::LoginShell,
        Launch::Exec { argv } | Launch::ExecOnTerminal { argv } | Launch::Detached { argv } => {
            Program::Arguments(argv.clone())
        }
        Launch::Interactive { command } => Program::Line(command.clone()),
        Launch::Copy { path, put } => copy_program(path, *put, &[]),
        Launch::CopyFollowing { path, put } => copy_program(path, *put, &["--follow"]),
        Launch::Tunnel(_) => return Err(SpawnError::Command("a tunnel has no program")),
        Launch::Script(order) => Program::Script {
            text: script.unwrap_or_default(),
            directory: in_home(&order.working_directory, &passed.account),
        },
    };
    let entrances = cgroup.map(Cgroup::entrances);
    let request = Request {
        account: &passed.account,
        // A path below the home directory must not become one below `/`.
        home_only: passed.launch.copy().is_some_and(|(path, ..)| !path.starts_with('/')),
        program: &program,
        detached: matches!(passed.launch, Launch::Detached { .. }),
        terminal: terminal
            .map(|terminal| Size { rows: terminal.size.rows, cols: terminal.size.cols }),
        environment: &environment,
        cgroups: entrances.as_ref(),
    };
    Plan::prepare(&request)?.start()
}

/// The agent's own program, also when its file was replaced since. A path may begin with a dash.
fn copy_program(path: &str, put: bool, options: &[&str]) -> Program {
    let way = if put { "put" } else { "get" };
    let words = [&["/proc/self/exe", COPY, way], options, &["--", path]].concat();
    Program::Arguments(words.into_iter().map(str::to_owned).collect())
}

/// A working directory with `~` replaced by the account's home.
fn in_home(directory: &str, account: &Account) -> String {
    match directory.strip_prefix('~') {
        Some(below) => format!("{}{below}", account.home.display()),
        None => directory.to_owned(),
    }
}
