//! The one connection to the gateway: when it is dialled, how far it is, when it is lost.
//!
//! Data flow: waiting -> dialling -> linked (accepted or not yet) -> waiting. [`Connection::poll`]
//! moves frames and reports a [`Change`]; the loop acts on it and calls the method of this file
//! that takes the connection to its next stage.
//!
//! # Invariants
//! - Each failure is followed by another dial; the wait in between is bounded.
//! - While nothing happens only the keep-alive wakes the agent.
//!
//! # Not here
//! - What messages mean ([`super::messages`]), what sessions do without a link.

use crate::limits;
use crate::link::backoff::{Backoff, bounded};
use crate::link::dial::{DialError, Target, dial};
use crate::link::driver::{Link, LinkError};
use crate::link::gateways::{Gateways, Route, pause};
use crate::link::network::{Network, News};
use crate::link::stream::Stream;
use crate::link::tls::{self, SignedSeconds, TlsError};
use crate::logger::{self, link_span};
use crate::separation::monitor::Separation;
use crate::state::enrollment::Address;
use crate::state::key::DeviceKey;
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::ClientConfig;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use towline_wire::frame::Frame;
use towline_wire::keepalive::{Action, KeepAlive};
use towline_wire::message::RefusalCode;
use towline_wire::mux::Mux;
use tracing::Span;
use tracing::span::EnteredSpan;

type Dialling = Pin<Box<dyn Future<Output = Result<Stream, DialError>>>>;

/// What has happened to the connection.
#[derive(Debug)]
pub(super) enum Change {
    /// The dial is over.
    Dialled(Result<Box<Link>, DialError>),
    /// Bytes came from the gateway.
    Received,
    /// The link is lost.
    Lost(LinkError),
}

/// How far the connection is.
enum Stage {
    /// Until the next dial.
    Waiting { until: Instant },
    /// On the way.
    Dialling(Dialling),
    /// Connected; `accepted` when the gateway has accepted the device.
    Linked { link: Box<Link>, since: Instant, challenge: [u8; 16], accepted: bool },
}

/// The connection, and what decides about the next one.
pub(super) struct Connection {
    gateways: Gateways,
    tls: Arc<ClientConfig>,
    separation: Option<Separation>,
    signed: SignedSeconds,
    stage: Stage,
    backoff: Backoff,
    keep: KeepAlive,
    /// When the keep-alive has to be asked again.
    keep_until: Option<Instant>,
    network: Network,
    news_at: Option<Instant>,
    /// Counts the connections of this boot.
    number: u32,
    started: Instant,
    /// Since when no link is up.
    alone_since: Option<Instant>,
    /// This link carried a session: it was a good one.
    useful: bool,
    span: Span,
}

impl Connection {
    /// A connection that is dialled at once.
    pub(super) fn new(
        (gateways, tls, separation): (Gateways, Arc<ClientConfig>, Option<Separation>),
        signed: SignedSeconds,
        reconnect_max: Duration,
        keep_alive_max: Duration,
        now: Instant,
    ) -> Self {
        let keep_alive_max = u64::try_from(keep_alive_max.as_millis()).unwrap_or(u64::MAX);
        Self {
            gateways,
            tls,
            separation,
            signed,
            stage: Stage::Waiting { until: now },
            backoff: Backoff::new(reconnect_max),
            keep: KeepAlive::new(keep_alive_max),
            keep_until: None,
            network: Network::watch(),
            news_at: None,
            number: 0,
            started: now,
            alone_since: Some(now),
            useful: false,
            span: Span::none(),
        }
    }

    /// The gateway that is dialled.
    pub(super) fn gateway(&self) -> &Address {
        &self.gateways.current().gateway
    }

    /// The gateway of this link names others.
    pub(super) fn name(&mut self, routes: Vec<Route>) {
        self.gateways.name(routes);
    }

    /// The number of the connection, for the epoch.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Goes on counting after a predecessor's connections.
    pub(super) fn count_from(&mut self, number: u32) {
        self.number = number;
    }

    /// The span of the link, entered.
    pub(super) fn enter_span(&self) -> EnteredSpan {
        self.span.clone().entered()
    }

    /// Whether the gateway has accepted the device on this link.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Linked { accepted: true, .. })
    }

    /// Since when no link is up.
    pub(super) fn alone_since(&self) -> Option<Instant> {
        self.alone_since
    }

    /// The link, and whether the gateway has accepted the device on it.
    pub(super) fn link(&mut self) -> Option<(&mut Link, bool)> {
        match &mut self.stage {
            Stage::Linked { link, accepted, .. } => Some((link, *accepted)),
            Stage::Waiting { .. } | Stage::Dialling(_) => None,
        }
    }

    /// What this link has to be proved by.
    pub(super) fn challenge(&self) -> Option<&[u8; 16]> {
        match &self.stage {
            Stage::Linked { challenge, .. } => Some(challenge),
            Stage::Waiting { .. } | Stage::Dialling(_) => None,
        }
    }

    /// The next dial shows this key.
    pub(super) fn show_key(&mut self, key: &DeviceKey) -> Result<(), TlsError> {
        self.tls = tls::with_key(&self.tls, key)?;
        Ok(())
    }

    /// How what reads the network is separated, where the settings want it.
    pub(super) fn separation(&self) -> Option<&Separation> {
        self.separation.as_ref()
    }

    /// Ready when the network or the clock changed.
    pub(super) fn poll_news(&mut self, cx: &mut Context<'_>) -> Poll<News> {
        self.network.poll_news(cx)
    }

    /// Moves what can be moved. Ready when there is something to act on.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, mux: &mut Mux) -> Poll<Change> {
        match &mut self.stage {
            Stage::Waiting { .. } => Poll::Pending,
            Stage::Dialling(dialling) => dialling
                .as_mut()
                .poll(cx)
                .map(|result| Change::Dialled(result.map(|s| Box::new(Link::new(s))))),
            Stage::Linked { link, .. } => match link.poll_send(cx, mux) {
                Poll::Ready(error) => Poll::Ready(Change::Lost(error)),
                Poll::Pending => link
                    .poll_receive(cx)
                    .map(|result| result.map_or_else(Change::Lost, |()| Change::Received)),
            },
        }
    }

    /// When [`Self::dial_if_due`], [`Self::is_overdue`] or [`Self::keep_alive`] has to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let stage = match &self.stage {
            Stage::Waiting { until } => Some(*until),
            Stage::Dialling(_) => None,
            Stage::Linked { since, accepted, .. } => {
                (!accepted).then(|| *since + limits::HANDSHAKE)
            }
        };
        [stage, self.keep_until].into_iter().flatten().min()
    }

    /// Begins to dial when the wait is over. True when it begins.
    pub(super) fn dial_if_due(&mut self, now: Instant) -> bool {
        let due = matches!(&self.stage, Stage::Waiting { until } if now >= *until);
        if due {
            let Route { gateway, proxy } = self.gateways.current().clone();
            let (tls, patience) = (Arc::clone(&self.tls), self.gateways.patience());
            let separation = self.separation.clone();
            let target = Target { gateway, proxy, tls, patience, separation };
            self.stage = Stage::Dialling(Box::pin(async move { dial(&target).await }));
        }
        due
    }

    /// Whether the gateway has not answered the handshake in time.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        matches!(&self.stage, Stage::Linked { since, accepted: false, .. } if now >= *since + limits::HANDSHAKE)
    }

    /// A link was made; the handshake begins.
    pub(super) fn linked(&mut self, link: Box<Link>, challenge: [u8; 16], now: Instant) {
        self.stage = Stage::Linked { link, since: now, challenge, accepted: false };
    }

    /// Counts one more connection.
    pub(super) fn count(&mut self) {
        self.number = self.number.saturating_add(1);
        self.span = link_span(self.number);
    }

    /// The authority has signed this time: certificates are judged by it where the device's own
    /// clock is not believable.
    pub(super) fn learn_time(&self, unix_ms: u64) {
        let seconds = u32::try_from(unix_ms / 1000).unwrap_or(u32::MAX);
        self.signed.store(seconds, Ordering::Relaxed);
    }

    /// The gateway accepts the device, and asks for a ping every `longest_ping` seconds at least.
    pub(super) fn welcomed(&mut self, longest_ping: u32, now: Instant) {
        if let Stage::Linked { accepted, .. } = &mut self.stage {
            *accepted = true;
            self.gateways.accepted();
        }
        self.keep_alive_within(longest_ping, now);
        self.alone_since = None;
    }

    /// The link carries a session.
    pub(super) fn is_useful(&mut self) {
        self.useful = true;
    }

    /// Bytes came.
    pub(super) fn heard(&mut self, now: Instant) {
        self.keep.heard(millis(self.started, now));
    }

    /// A ping was answered: the keep-alive is asked again, for the time of the next ping.
    pub(super) fn answered(&mut self) {
        self.keep_until = None;
    }

    /// The gateway sets the longest silence, in seconds.
    pub(super) fn keep_alive_within(&mut self, longest: u32, now: Instant) {
        self.keep.link_up(millis(self.started, now), u64::from(longest).saturating_mul(1000));
        self.keep_until = None;
    }

    /// Asks the keep-alive what to do, and does it. `Some` when the link is lost.
    pub(super) fn keep_alive(&mut self, now: Instant) -> Option<LinkError> {
        let Stage::Linked { link, accepted: true, .. } = &mut self.stage else {
            self.keep_until = None;
            return None;
        };
        // What was heard in between only makes the deadline later.
        while self.keep_until.is_none_or(|until| now >= until) {
            match self.keep.poll(millis(self.started, now)) {
                Action::Wait(until) => {
                    self.keep_until = Some(self.started + Duration::from_millis(until));
                    return None;
                }
                Action::Ping { next_in } => {
                    link.relax();
                    self.keep_until = None; // asked once more, for the time of the answer
                    if let Err(error) = link.push(&Frame::Ping { next_in }) {
                        return Some(error);
                    }
                }
                Action::Dead => return Some(LinkError::Silent),
            }
        }
        None
    }

    /// A reason to doubt the link, or to dial at once; at most one in [`limits::NEWS_PAUSE`], since
    /// some devices change routes all the time.
    pub(super) fn on_news(&mut self, news: News, now: Instant) {
        let again = self.news_at.is_some_and(|heard| now < heard + limits::NEWS_PAUSE);
        if again && !matches!(self.stage, Stage::Waiting { .. }) {
            return;
        }
        match &mut self.stage {
            Stage::Waiting { until } => {
                let earliest =
                    self.news_at.filter(|_| again).map_or(now, |heard| heard + limits::NEWS_PAUSE);
                *until = (*until).min(earliest);
                self.backoff.reset();
            }
            Stage::Linked { accepted: true, .. } => {
                self.keep.doubt();
                self.keep_until = None;
            }
            Stage::Linked { .. } | Stage::Dialling(_) => {}
        }
        if !again {
            logger::debug!("{news:?} changed");
            self.news_at = Some(now);
        }
    }

    /// The dial failed. Returns the wait until the next one; `holds` when sessions wait for it.
    pub(super) fn not_dialled(&mut self, holds: bool, now: Instant) -> Duration {
        let wait =
            if self.gateways.failed() { pause(random()) } else { self.backoff.next(random()) };
        self.wait(bounded(wait, holds, random()), now)
    }

    /// The link is lost; `at_once` when there is a reason to dial without a wait, `holds` when
    /// sessions wait for the next link. Returns the wait until the next dial.
    pub(super) fn lost(
        &mut self,
        error: &LinkError,
        at_once: bool,
        holds: bool,
        now: Instant,
    ) -> Duration {
        let was_accepted = if let Stage::Linked { since, accepted: true, .. } = &self.stage {
            self.alone_since = Some(now);
            self.backoff.link_ended(self.useful || now >= *since + limits::GOOD_LINK);
            true
        } else {
            false
        };
        self.useful = false;
        self.span = Span::none();
        // A link that broke may be made again where it was. One that never was, or that the gateway
        // ends, is tried at the next address.
        let stays = at_once || was_accepted && !matches!(error, LinkError::GoAway(_));
        let away = matches!(error, LinkError::GoAway(_) | LinkError::Refused { .. });
        let led = !at_once && away && self.gateways.sent_away();
        let others = !stays && !led && self.gateways.failed();
        let wait = match error {
            _ if at_once => Duration::ZERO,
            _ if led => pause(random()),
            LinkError::Refused { .. } | LinkError::GoAway(_) => self.wait_after(error, now),
            _ if others => pause(random()),
            _ => self.wait_after(error, now),
        };
        self.wait(bounded(wait, holds, random()), now)
    }

    fn wait_after(&mut self, error: &LinkError, now: Instant) -> Duration {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        match error {
            LinkError::Refused { code, retry_after, .. } if can_be_mended(*code) => {
                self.backoff.refused(seconds(*retry_after), now, random())
            }
            LinkError::Refused { retry_after, .. } | LinkError::GoAway(retry_after) => {
                self.backoff.asked(seconds(*retry_after), random())
            }
            _ => self.backoff.next(random()),
        }
    }

    fn wait(&mut self, wait: Duration, now: Instant) -> Duration {
        self.stage = Stage::Waiting { until: now + wait };
        self.keep_until = None;
        wait
    }

    /// Sends what waits, and closes the link, as far as that takes no longer than half a second.
    pub(super) async fn close(&mut self, mux: &mut Mux) {
        if let Stage::Linked { link, .. } = &mut self.stage {
            let sent = poll_fn(|cx| match link.poll_send(cx, mux) {
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => link.poll_close(cx),
            });
            let _ = tokio::time::timeout(limits::CLOSE, sent).await;
        }
    }
}
/// Whether a person at the gateway can lift the refusal at any moment.
fn can_be_mended(code: RefusalCode) -> bool {
    matches!(code, RefusalCode::UnknownDevice | RefusalCode::Pending | RefusalCode::Quarantined)
}

/// Milliseconds of the monotonic clock, for the keep-alive.
fn millis(start: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(start).as_millis()).unwrap_or(u64::MAX)
}

/// A number for the jitter. Without random numbers the process id still tells devices apart.
fn random() -> u64 {
    let mut bytes = [0; 8];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_or_else(|_| u64::from(std::process::id()) * 7_919, |()| u64::from_le_bytes(bytes))
}
