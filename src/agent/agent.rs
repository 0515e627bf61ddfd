//! The loop and its state: [`Agent`].
//!
//! # Not here
//! - The connection: [`super::connection`]. Messages of the gateway: [`super::messages`].
//!   Upgrades: [`super::renewal`].

use super::connection::{Change, Connection};
use super::renewal::Renewal;
use super::timekeeping::Timekeeping;
use crate::alarm::Alarm;
use crate::command_log::CommandLog;
use crate::config::Config;
use crate::handover::Predecessor;
use crate::limits;
use crate::link::driver::LinkError;
use crate::link::gateways::Gateways;
use crate::link::network::News;
use crate::link::tls::{Pins, SignedSeconds};
use crate::logger;
use crate::process::reap::{adopt_orphans, next_exit};
use crate::process::spawn::SpawnError;
use crate::separation::monitor::Separation;
use crate::service::Service;
use crate::session::gate::Gate;
use crate::session::table::Table;
use crate::signals::Signals;
use crate::state::Dir;
use crate::state::enrollment::Enrollment;
use crate::state::journal::Journal;
use crate::state::keyring::KeyRing;
use crate::status::{LinkStatus, Status};
use crate::sys::cgroup::Home;
use crate::sys::memory;
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::ClientConfig;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use towline_wire::epoch::{BootNonce, Epoch};
use towline_wire::message::RefusalCode;

/// Everything that can happen. A closed list.
#[derive(Debug)]
enum Event {
    /// A signal stops the agent.
    Stop,
    /// A signal restarts the agent with the installed program and the current settings.
    Renew,
    /// A program runs, or could not be started.
    Started(String, Result<(), SpawnError>),
    /// One or more children ended.
    ChildrenEnded,
    /// Something happened to the connection to the gateway.
    Connection(Change),
    /// An echo is to be reported, and the link has room for it.
    EchoDue,
    /// Programs were executed, or command lines typed.
    Observed,
    /// The link has room for the next batch of the command log.
    LogDue,
    /// The network or the clock changed.
    News(News),
    /// A deadline has come.
    Tick,
}

/// The agent: its state, its sessions, its connection.
pub struct Agent {
    pub(super) config: Config,
    pub(super) enrollment: Enrollment,
    pub(super) keys: KeyRing,
    /// The pins of the gateway; the TLS verifier reads them.
    pub(super) pins: Pins,
    /// When the last key was made by this process.
    pub(super) rotated: Option<Instant>,
    pub(super) connection: Connection,
    pub(super) gate: Gate,
    pub(super) timekeeping: Timekeeping,
    pub(super) journal: Journal,
    pub(super) table: Table,
    pub(super) log: CommandLog,
    pub(super) signals: Signals,
    pub(super) renewal: Renewal,
    /// While the agent stops: when it kills what is left.
    pub(super) stopping: Option<Instant>,
    /// Neither a handshake nor a session has used memory since it was given back.
    pub(super) gave_back: bool,
    pub(super) alarm: Alarm,
    /// The link and the command log take turns: neither may keep the other waiting.
    pub(super) link_was_first: bool,
    pub(super) boot: BootNonce,
    /// How long sessions may wait for a link.
    pub(super) grace: Duration,
    pub(super) status: Status,
    pub(super) service: Service,
}

/// Why [`Agent::run`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A signal stopped it.
    Stopped,
    /// A signal asked for a restart, and no session is open.
    Renew,
}

/// What the agent needs to begin, all of it checked.
pub struct Parts {
    /// Its settings.
    pub config: Config,
    /// The gateway and authority it is enrolled with.
    pub enrollment: Enrollment,
    /// Its keys.
    pub keys: KeyRing,
    /// Where to dial.
    pub gateways: Gateways,
    /// TLS settings.
    pub tls: Arc<ClientConfig>,
    /// The time of the last signature; the TLS verifier reads it.
    pub signed: SignedSeconds,
    /// The pins of the gateway; the TLS verifier reads them.
    pub pins: Pins,
    /// Has what reads the network in a process without rights.
    pub separation: Option<Separation>,
}

impl Agent {
    /// An agent that dials at once and resumes the sessions of a predecessor. It has to be made
    /// inside a runtime, once in a process.
    ///
    /// # Errors
    /// The kernel provides no random numbers or descriptors; or the predecessor's state
    /// cannot be resumed.
    pub fn new(parts: Parts, predecessor: Option<&mut Predecessor>) -> io::Result<Self> {
        let mut agent = Self::fresh(parts)?;
        if let Some(predecessor) = predecessor {
            agent.take_over(predecessor)?;
        }
        // Those that ended before somebody listened.
        agent.reap(Instant::now());
        Ok(agent)
    }

    fn fresh(parts: Parts) -> io::Result<Self> {
        let Parts { config, enrollment, keys, gateways, tls, signed, pins, separation } = parts;
        let now = Instant::now();
        let boot = random_bytes()?;
        let signals = Signals::listen()?;
        adopt_orphans();
        let (cgroups, max_processes) = Home::find(config.max_processes);
        let (found, left) = cgroups.as_ref().map_or((0, 0), Home::sweep);
        if found > 0 {
            logger::warning!(
                "ended {found} sessions of an earlier agent; {left} still have processes"
            );
        }
        let mut table = Table::new(config.max_sessions, config.window, cgroups);
        table.separate(separation.clone());
        Ok(Self {
            connection: Connection::new(
                (gateways, tls, separation),
                signed,
                config.reconnect_max,
                config.keep_alive_max,
                now,
            ),
            gate: Gate::new(enrollment.device.clone(), enrollment.authority, boot),
            timekeeping: Timekeeping::default(),
            journal: Journal::open(&Dir::at(&config.state_dir), boot),
            table,
            log: CommandLog::new(config.audit, &config.spool_dir(), random_bytes()?, now),
            signals,
            renewal: Renewal::No,
            stopping: None,
            gave_back: false,
            service: Service::of(|name| std::env::var(name).ok(), std::process::id()),
            alarm: Alarm::new()?,
            link_was_first: false,
            boot,
            grace: config.grace,
            status: Status::new(&config, &enrollment, max_processes),
            config,
            enrollment,
            keys,
            pins,
            rotated: None,
        })
    }

    /// Runs until a signal stops the agent and all sessions have ended, or until it has to restart.
    pub async fn run(&mut self) -> Outcome {
        self.service.ready(Instant::now());
        self.status.command_log(self.log.means());
        self.describe_separation();
        logger::info!(
            "device {} of {}, version {}",
            self.enrollment.device,
            self.connection.gateway(),
            crate::platform::VERSION
        );
        while !self.is_over() {
            if let Some(error) = self.connection.keep_alive(Instant::now()) {
                self.link_lost(&error);
            }
            let event = self.next_event().await;
            self.on_event(event);
            if let Some(full) = self.table.take_failure() {
                self.link_lost(&full.into());
            }
            self.renew();
        }
        self.log_stop();
        self.connection.close(&mut self.table.mux).await;
        self.log.leave();
        self.status.gone();
        if self.stopping.is_none() {
            logger::info!("restarting");
            return Outcome::Renew;
        }
        logger::info!("stopped");
        Outcome::Stopped
    }

    fn is_over(&self) -> bool {
        (matches!(self.renewal, Renewal::WhenQuiet) && self.table.is_quiet())
            || self.stopping.is_some_and(|until| self.table.is_quiet() || Instant::now() >= until)
    }

    async fn next_event(&mut self) -> Event {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Polls every source once; the first that is ready gives the event. Bytes of sessions and
    /// frames of the link move inside of the poll.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        self.signals.poll(cx);
        if self.signals.take_stop() {
            return Poll::Ready(Event::Stop);
        }
        if self.signals.take_renewal() {
            return Poll::Ready(Event::Renew);
        }
        if let Poll::Ready((name, outcome)) = self.table.poll(cx) {
            return Poll::Ready(Event::Started(name, outcome));
        }
        if self.signals.take_children() {
            return Poll::Ready(Event::ChildrenEnded);
        }
        if let Poll::Ready(news) = self.connection.poll_news(cx) {
            return Poll::Ready(Event::News(news));
        }
        if let Some(deadline) = self.deadline() {
            self.alarm.set(deadline, Instant::now());
        }
        if self.alarm.poll(cx).is_ready() {
            return Poll::Ready(Event::Tick);
        }
        if let Some(due) = self.due() {
            return Poll::Ready(due);
        }
        if std::mem::take(&mut self.link_was_first) && self.poll_observed(cx).is_ready() {
            return Poll::Ready(Event::Observed);
        }
        if let Poll::Ready(change) = self.connection.poll(cx, &mut self.table.mux) {
            self.link_was_first = true;
            return Poll::Ready(Event::Connection(change));
        }
        if self.poll_observed(cx).is_ready() {
            return Poll::Ready(Event::Observed);
        }
        // The link may have made room for it just now.
        self.due().map_or(Poll::Pending, Poll::Ready)
    }

    fn poll_observed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.table.has_lines() { Poll::Ready(()) } else { self.log.poll_observed(cx) }
    }

    /// What waits for nothing but room on the link.
    fn due(&self) -> Option<Event> {
        if self.table.owes_echo() {
            return Some(Event::EchoDue);
        }
        self.log_is_due().then_some(Event::LogDue)
    }

    /// The earliest deadline.
    fn deadline(&self) -> Option<Instant> {
        let grace = self
            .connection
            .alone_since()
            .filter(|_| self.table.in_need_of_a_link() > 0)
            .map(|since| since + self.grace);
        let all = [
            grace,
            self.connection.deadline(),
            self.table.deadline(),
            self.stopping,
            self.service.deadline(),
            self.answer_deadline(),
            self.log.deadline(),
            self.timekeeping.deadline(),
        ];
        all.into_iter().flatten().min()
    }

    fn on_event(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Stop => self.stop(now),
            Event::Renew => self.begin_renewal(now),
            Event::Started(name, outcome) => self.table.on_started(&name, outcome, now),
            Event::ChildrenEnded => self.reap(now),
            Event::Connection(change) => self.on_change(change, now),
            Event::News(news) => self.connection.on_news(news, now),
            Event::EchoDue => self.table.say_echoes(),
            Event::Observed => self.take_observed(now),
            Event::LogDue => self.send_log(),
            Event::Tick => self.tick(now),
        }
        self.log.tick(self.table.is_quiet(), now);
        self.status.sessions(self.table.len());
        self.give_memory_back();
    }

    /// Once after a handshake and after the last session: they leave holes in the heap, and stack.
    fn give_memory_back(&mut self) {
        let idle = self.table.is_quiet() && self.log.is_idle();
        if idle && !self.gave_back {
            memory::give_back();
            memory::give_stack_back();
        }
        self.gave_back = idle;
    }

    fn on_change(&mut self, change: Change, now: Instant) {
        let _link = self.connection.enter_span();
        if let Change::Dialled(_) = &change {
            self.describe_separation();
        }
        match change {
            Change::Dialled(Ok(link)) => self.begin_handshake(link, now),
            Change::Dialled(Err(error)) => {
                let wait = self.connection.not_dialled(!self.table.is_empty(), now);
                logger::warning!("{error}; next try in {:.1} s", wait.as_secs_f32());
                self.status.link(&LinkStatus::Waiting { why: error.to_string() });
            }
            Change::Received => {
                if let Err(error) = self.receive(now) {
                    self.link_lost(&error);
                }
            }
            Change::Lost(error) => self.link_lost(&error),
        }
    }

    fn describe_separation(&mut self) {
        if let Some(separation) = self.connection.separation() {
            self.status.separation(&separation.describe());
        }
    }

    fn stop(&mut self, now: Instant) {
        if self.stopping.is_none() {
            self.service.stopping();
            logger::info!("stopping: ending {} sessions", self.table.len());
            self.stopping = Some(now + limits::STOP);
            self.table.remove_all(now);
            self.table.tick(now);
        }
    }

    pub(super) fn reap(&mut self, now: Instant) {
        while let Some((pid, exit)) = next_exit() {
            if self.connection.separation().is_some_and(|it| it.children.ended(pid, exit)) {
                continue;
            }
            self.on_answer(pid, exit);
            self.table.on_exit(pid, exit, now);
        }
        self.table.tick(now);
    }

    fn tick(&mut self, now: Instant) {
        self.service.tick(now);
        self.table.tick(now);
        self.tick_renewal(now);
        self.tick_time(now);
        if self.connection.dial_if_due(now) {
            self.status.link(&LinkStatus::Dialling);
        }
        if self.connection.is_overdue(now) {
            self.link_lost(&LinkError::NoHandshake);
        }
        if self.connection.alone_since().is_some_and(|since| now >= since + self.grace)
            && self.table.in_need_of_a_link() > 0
        {
            logger::warning!(
                "no link for {} s: ending {} sessions",
                self.grace.as_secs(),
                self.table.in_need_of_a_link()
            );
            self.table.remove_what_needs_a_link(now);
        }
    }

    pub(super) fn link_lost(&mut self, error: &LinkError) {
        let _link = self.connection.enter_span();
        self.table.link_lost();
        self.timekeeping.link_lost();
        self.log.link_lost();
        let at_once = match error {
            LinkError::NewKey => true,
            LinkError::Refused { code: RefusalCode::UnknownDevice, .. } => self.other_key(),
            _ => false,
        };
        self.end_if_expelled(error, at_once);
        let wait = self.connection.lost(error, at_once, !self.table.is_empty(), Instant::now());
        logger::warning!(
            "{error}; dialling again in {:.1} s, {} sessions wait",
            wait.as_secs_f32(),
            self.table.len()
        );
        self.status.link(&LinkStatus::Waiting { why: error.to_string() });
    }

    /// The gateway has removed this device: the right to its sessions is over, so they are.
    fn end_if_expelled(&mut self, error: &LinkError, has_another_key: bool) {
        let removed = match error {
            LinkError::Refused { code: RefusalCode::Revoked, .. } => true,
            LinkError::Refused { code: RefusalCode::UnknownDevice, .. } => !has_another_key,
            _ => false,
        };
        if removed && !self.table.is_empty() {
            logger::warning!(
                "the gateway removed this device: ending {} sessions",
                self.table.len()
            );
            self.table.remove_all(Instant::now());
        }
    }

    pub(super) fn epoch(&self) -> Epoch {
        Epoch { boot: self.boot, connection: self.connection.number() }
    }
}

pub(super) fn random_bytes() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map(|()| bytes).map_err(|_| io::Error::other("the system provides no random numbers"))
}
