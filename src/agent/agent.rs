//! The loop and what it holds: [`Agent`].
//!
//! What the agent does with messages, the command log, a key or an upgrade is in the files beside
//! this one.

use super::renewal::Renewal;
use crate::alarm::Alarm;
use crate::command_log::CommandLog;
use crate::config::Config;
use crate::handover::Predecessor;
use crate::limits;
use crate::link::backoff::Backoff;
use crate::link::dial::{DialError, Target, dial};
use crate::link::driver::{Link, LinkError};
use crate::link::network::{Network, News};
use crate::link::tls::SignedSeconds;
use crate::process::reap::{Reaper, next_exit};
use crate::process::spawn::SpawnError;
use crate::service::Service;
use crate::session::gate::Gate;
use crate::session::table::Table;
use crate::state::Dir;
use crate::state::enrollment::Enrollment;
use crate::state::journal::Journal;
use crate::state::keyring::KeyRing;
use crate::status::{LinkStatus, Status};
use crate::sys::cgroup::Home;
use ring::rand::{SecureRandom as _, SystemRandom};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_rustls::client::TlsStream;
use towline_wire::epoch::{BootNonce, Epoch};
use towline_wire::frame::Frame;
use towline_wire::keepalive::{Action, KeepAlive};
use towline_wire::message::RefusalCode;

type Dialling = Pin<Box<dyn Future<Output = Result<TlsStream<TcpStream>, DialError>>>>;

/// Everything that can happen. A closed list.
#[derive(Debug)]
enum Event {
    /// Somebody told the agent to stop.
    Stop,
    /// Somebody told the agent to start anew, with the program and the settings that are there now.
    Renew,
    /// A program runs, or could not be started.
    Started(String, Result<(), SpawnError>),
    /// One or more children ended.
    ChildrenEnded,
    /// The try to dial is over.
    Dialled(Result<Box<Link>, DialError>),
    /// Bytes came from the gateway.
    Received,
    /// The link is gone.
    LinkLost(LinkError),
    /// The network or the clock changed.
    News(News),
    /// Some deadline has come.
    Tick,
}

/// Where the agent is with its one connection.
pub(super) enum Stage {
    /// Until the next try.
    Waiting { until: Instant },
    /// On the way.
    Dialling(Dialling),
    /// Connected; `greeted` when the gateway has accepted the device.
    Linked { link: Box<Link>, since: Instant, challenge: [u8; 16], greeted: bool },
}

/// See the module.
pub struct Agent {
    pub(super) config: Config,
    pub(super) enrollment: Enrollment,
    pub(super) keys: KeyRing,
    /// When the last key was made by this process.
    pub(super) rotated: Option<Instant>,
    pub(super) target: Target,
    pub(super) signed: SignedSeconds,
    pub(super) gate: Gate,
    pub(super) journal: Journal,
    pub(super) table: Table,
    pub(super) log: CommandLog,
    pub(super) stage: Stage,
    pub(super) backoff: Backoff,
    pub(super) keep: KeepAlive,
    /// When the keep-alive wants to be asked again.
    pub(super) keep_until: Option<Instant>,
    pub(super) network: Network,
    pub(super) news_heard: Option<Instant>,
    pub(super) reaper: Reaper,
    pub(super) stops: [Signal; 2],
    pub(super) renewals: Signal,
    pub(super) renewal: Renewal,
    /// Set when the agent was told to stop: when it stops the hard way.
    pub(super) stopping: Option<Instant>,
    pub(super) alarm: Alarm,
    pub(super) boot: BootNonce,
    pub(super) connection: u32,
    pub(super) started: Instant,
    /// Since when there is no link, and how long sessions may wait for one.
    pub(super) alone_since: Option<Instant>,
    pub(super) grace: Duration,
    /// This link carried a session: it was a good one.
    pub(super) useful: bool,
    pub(super) status: Status,
    pub(super) service: Service,
}

/// Why [`Agent::run`] came to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was told to stop.
    Stopped,
    /// It was told to start anew, and no session is open.
    Renew,
}

/// What the agent needs to begin, all of it checked.
pub struct Parts {
    /// Its settings.
    pub config: Config,
    /// To whom it belongs.
    pub enrollment: Enrollment,
    /// What proves it.
    pub keys: KeyRing,
    /// Where to dial.
    pub target: Target,
    /// Shared with the judge of certificates.
    pub signed: SignedSeconds,
}

impl Agent {
    /// An agent that will dial at once, and goes on with the sessions of a predecessor. Wants to be
    /// made inside a runtime, once in a process.
    ///
    /// # Errors
    /// The kernel gives no random numbers, signals or child events; or what the predecessor left
    /// cannot be gone on with.
    pub fn new(parts: Parts, predecessor: Option<&mut Predecessor>) -> io::Result<Self> {
        let mut agent = Self::fresh(parts)?;
        if let Some(predecessor) = predecessor {
            agent.take_over(predecessor)?;
        }
        agent.awake()?;
        Ok(agent)
    }

    fn fresh(parts: Parts) -> io::Result<Self> {
        let Parts { config, enrollment, keys, target, signed } = parts;
        let now = Instant::now();
        let boot = random_bytes()?;
        let reaper = Reaper::new()?;
        let (cgroups, max_processes) = Home::find(config.max_processes);
        let (found, left) = cgroups.as_ref().map_or((0, 0), Home::sweep);
        if found > 0 {
            tracing::warn!(
                "ended {found} sessions that an earlier agent left behind; {left} do not go"
            );
        }
        let keep_alive_max = u64::try_from(config.keep_alive_max.as_millis()).unwrap_or(u64::MAX);
        Ok(Self {
            gate: Gate::new(enrollment.device.clone(), enrollment.authority, boot),
            journal: Journal::open(&Dir::at(&config.state_dir), boot),
            table: Table::new(config.max_sessions, config.window, cgroups),
            log: CommandLog::new(config.audit, &config.spool_dir(), random_bytes()?, now),
            stage: Stage::Waiting { until: now },
            backoff: Backoff::new(config.reconnect_max),
            keep: KeepAlive::new(keep_alive_max),
            keep_until: None,
            network: Network::watch(),
            news_heard: None,
            reaper,
            stops: [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?],
            renewals: signal(SignalKind::hangup())?,
            renewal: Renewal::No,
            stopping: None,
            service: Service::of(|name| std::env::var(name).ok(), std::process::id()),
            alarm: Alarm::new()?,
            boot,
            connection: 0,
            started: now,
            alone_since: Some(now),
            grace: config.grace,
            useful: false,
            status: Status::new(&config, &enrollment, max_processes),
            config,
            enrollment,
            keys,
            rotated: None,
            target,
            signed,
        })
    }

    /// Runs until somebody says stop, and all sessions are ended; or until it shall start anew.
    pub async fn run(&mut self) -> Outcome {
        self.service.ready(Instant::now());
        self.status.command_log(self.log.means());
        tracing::info!(
            "device {} of {}, version {}",
            self.enrollment.device,
            self.target.gateway,
            crate::platform::VERSION
        );
        while !self.is_over() {
            self.keep_alive();
            let event = self.next_event().await;
            self.on_event(event);
            if let Some(full) = self.table.take_failure() {
                self.link_lost(&full.into());
            }
            self.renew();
        }
        self.log_stop();
        if let Stage::Linked { link, .. } = &mut self.stage {
            let goodbye = poll_fn(|cx| match link.poll_send(cx, &mut self.table.mux) {
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => link.poll_close(cx),
            });
            let _ = tokio::time::timeout(Duration::from_millis(500), goodbye).await;
        }
        self.log.leave();
        self.status.gone();
        if self.stopping.is_none() {
            tracing::info!("starting anew");
            return Outcome::Renew;
        }
        tracing::info!("stopped");
        Outcome::Stopped
    }

    fn is_over(&self) -> bool {
        (matches!(self.renewal, Renewal::WhenQuiet) && self.table.is_quiet())
            || self.stopping.is_some_and(|until| self.table.is_quiet() || Instant::now() >= until)
    }

    async fn next_event(&mut self) -> Event {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        for stop in &mut self.stops {
            if stop.poll_recv(cx).is_ready() {
                return Poll::Ready(Event::Stop);
            }
        }
        if self.renewals.poll_recv(cx).is_ready() {
            return Poll::Ready(Event::Renew);
        }
        if let Poll::Ready((name, outcome)) = self.table.poll(cx) {
            return Poll::Ready(Event::Started(name, outcome));
        }
        if self.reaper.poll_ended(cx).is_ready() {
            return Poll::Ready(Event::ChildrenEnded);
        }
        if let Poll::Ready(news) = self.network.poll_news(cx) {
            return Poll::Ready(Event::News(news));
        }
        self.table.say_echoes();
        self.poll_log(cx);
        self.set_alarm();
        if self.alarm.poll(cx).is_ready() {
            return Poll::Ready(Event::Tick);
        }
        match &mut self.stage {
            Stage::Waiting { .. } => Poll::Pending,
            Stage::Dialling(dialling) => dialling
                .as_mut()
                .poll(cx)
                .map(|result| Event::Dialled(result.map(|s| Box::new(Link::new(s))))),
            Stage::Linked { link, .. } => {
                if let Poll::Ready(error) = link.poll_send(cx, &mut self.table.mux) {
                    return Poll::Ready(Event::LinkLost(error));
                }
                let received = link.poll_receive(cx);
                if self.wants_to_log() || self.table.owes_echo() {
                    cx.waker().wake_by_ref();
                }
                received.map(|result| result.map_or_else(Event::LinkLost, |()| Event::Received))
            }
        }
    }

    /// Sets the alarm to the earliest deadline.
    fn set_alarm(&mut self) {
        let stage = match &self.stage {
            Stage::Waiting { until } => Some(*until),
            Stage::Dialling(_) => None,
            Stage::Linked { since, greeted, .. } => (!greeted).then(|| *since + limits::GREETING),
        };
        let grace = self
            .alone_since
            .filter(|_| self.table.in_need_of_a_link() > 0)
            .map(|since| since + self.grace);
        let own = [
            self.keep_until,
            self.table.deadline(),
            self.stopping,
            self.service.deadline(),
            self.answer_deadline(),
            self.log.deadline(),
        ];
        if let Some(deadline) = own.into_iter().chain([stage, grace]).flatten().min() {
            self.alarm.set(deadline, Instant::now());
        }
    }

    fn on_event(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Stop => self.stop(now),
            Event::Renew => self.begin_renewal(now),
            Event::Started(name, outcome) => self.table.on_started(&name, outcome, now),
            Event::ChildrenEnded => self.reap(now),
            Event::Dialled(Ok(link)) => self.greet(link, now),
            Event::Dialled(Err(error)) => self.not_dialled(&error, now),
            Event::Received => {
                if let Err(error) = self.receive(now) {
                    self.link_lost(&error);
                }
            }
            Event::LinkLost(error) => self.link_lost(&error),
            Event::News(news) => self.on_news(news, now),
            Event::Tick => self.tick(now),
        }
        self.log.tick(self.table.is_quiet(), now);
        self.status.sessions(self.table.len());
    }

    fn stop(&mut self, now: Instant) {
        if self.stopping.is_none() {
            self.service.stopping();
            tracing::info!("told to stop: ending {} sessions", self.table.len());
            self.stopping = Some(now + limits::STOP);
            self.table.remove_all(now);
            self.table.tick(now);
        }
    }

    pub(super) fn reap(&mut self, now: Instant) {
        while let Some((pid, exit)) = next_exit() {
            self.on_answer(pid, exit);
            self.table.on_exit(pid, exit, now);
        }
        self.table.tick(now);
    }

    fn tick(&mut self, now: Instant) {
        self.service.tick(now);
        self.table.tick(now);
        self.tick_renewal(now);
        match &self.stage {
            Stage::Waiting { until } if now >= *until => {
                let target = self.target.clone();
                self.status.link(&LinkStatus::Dialling);
                self.stage = Stage::Dialling(Box::pin(async move { dial(&target).await }));
            }
            Stage::Linked { since, greeted: false, .. } if now >= *since + limits::GREETING => {
                self.link_lost(&LinkError::NoGreeting);
            }
            Stage::Waiting { .. } | Stage::Dialling(_) | Stage::Linked { .. } => {}
        }
        if self.alone_since.is_some_and(|since| now >= since + self.grace)
            && self.table.in_need_of_a_link() > 0
        {
            tracing::warn!(
                "no link for {} s: ending {} sessions",
                self.grace.as_secs(),
                self.table.in_need_of_a_link()
            );
            self.table.remove_what_needs_a_link(now);
        }
    }

    /// Asks the keep-alive what to do, and does it.
    fn keep_alive(&mut self) {
        let Stage::Linked { link, greeted: true, .. } = &mut self.stage else {
            self.keep_until = None;
            return;
        };
        let now = Instant::now();
        if self.keep_until.is_some_and(|until| now < until) {
            return; // whatever was heard in between only makes it later
        }
        let lost = match self.keep.poll(millis(self.started, now)) {
            Action::Wait(until) => {
                self.keep_until = Some(self.started + Duration::from_millis(until));
                return;
            }
            Action::Ping { next_in } => {
                link.relax();
                self.keep_until = None;
                link.push(&Frame::Ping { next_in }).err()
            }
            Action::Dead => Some(LinkError::Silent),
        };
        match lost {
            Some(error) => self.link_lost(&error),
            None => self.keep_alive(), // once more, for the time of the answer
        }
    }

    /// A reason to doubt the link, or to dial at once. Rare news only: some devices change routes
    /// all the time.
    fn on_news(&mut self, news: News, now: Instant) {
        let again = self.news_heard.is_some_and(|heard| now < heard + limits::NEWS_PAUSE);
        if again && !matches!(self.stage, Stage::Waiting { .. }) {
            return;
        }
        match &mut self.stage {
            Stage::Waiting { until } => {
                let earliest = self
                    .news_heard
                    .filter(|_| again)
                    .map_or(now, |heard| heard + limits::NEWS_PAUSE);
                *until = (*until).min(earliest);
                self.backoff.reset();
            }
            Stage::Linked { greeted: true, .. } => {
                self.keep.doubt();
                self.keep_until = None;
            }
            Stage::Linked { .. } | Stage::Dialling(_) => {}
        }
        if !again {
            tracing::debug!("{news:?} has changed");
            self.news_heard = Some(now);
        }
    }

    fn not_dialled(&mut self, error: &DialError, now: Instant) {
        let wait = self.backoff.next(random());
        tracing::warn!("{error}; next try in {:.1} s", wait.as_secs_f32());
        self.wait(wait, error, now);
    }

    pub(super) fn link_lost(&mut self, error: &LinkError) {
        let now = Instant::now();
        if let Stage::Linked { since, greeted: true, .. } = &self.stage {
            self.alone_since = Some(now);
            if self.useful || now >= *since + limits::GOOD_LINK {
                self.backoff.reset();
            }
        }
        self.useful = false;
        self.table.link_lost();
        self.log.link_lost();
        let asked = match error {
            LinkError::Refused { retry_after, .. } | LinkError::GoAway(retry_after) => *retry_after,
            _ => 0,
        };
        let at_once = match error {
            LinkError::NewKey => true,
            LinkError::Refused { code: RefusalCode::UnknownDevice, .. } => self.other_key(),
            _ => false,
        };
        let wait = match asked {
            _ if at_once => Duration::ZERO,
            0 => self.backoff.next(random()),
            seconds => self.backoff.asked(Duration::from_secs(seconds.into()), random()),
        };
        tracing::warn!(
            "{error}; dialling again in {:.1} s, {} sessions wait",
            wait.as_secs_f32(),
            self.table.len()
        );
        self.wait(wait, error, now);
    }

    fn wait(&mut self, wait: Duration, why: &dyn std::fmt::Display, now: Instant) {
        self.stage = Stage::Waiting { until: now + wait };
        self.keep_until = None;
        self.status.link(&LinkStatus::Waiting { why: why.to_string() });
    }

    pub(super) fn epoch(&self) -> Epoch {
        Epoch { boot: self.boot, connection: self.connection }
    }
}

/// Milliseconds of the monotonic clock, for the keep-alive.
pub(super) fn millis(start: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(start).as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn random_bytes() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map(|()| bytes).map_err(|_| io::Error::other("the system gives no random numbers"))
}

/// A number for the jitter; without random numbers the process id still tells devices apart.
fn random() -> u64 {
    let mut bytes = [0; 8];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_or_else(|_| u64::from(std::process::id()) * 7_919, |()| u64::from_le_bytes(bytes))
}
