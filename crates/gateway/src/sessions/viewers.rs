//! Read-only viewers of a session, beside its one client.
//!
//! Data flow: a permitted user gets a token and a [`Viewer`] that waits for its channel -> the
//! channel presents the token -> output of the device goes to the tape and to each viewer -> what
//! shows it. A viewer has no way back to the session.
//!
//! # Invariants
//! - At most [`MAX_VIEWERS`] viewers of a session, those that were permitted and have not come
//!   included, and at most [`VIEWER_BYTES`] and [`VIEWER_ITEMS`] waiting for one.
//! - A viewer gives no credit and is never waited for: what does not fit is counted. The viewer is
//!   then told how many bytes it missed, and gets the end of the output for a fresh screen.
//! - The end of a viewer does not touch the session; the end of the session reaches each viewer
//!   after all that still waits for it.
//!
//! # Not here
//! - Who may watch, and for how long: the API.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;
use towline_wire::client::ToClient;
use towline_wire::message::Size;

use super::tail::Tail;
use super::token::Token;
use crate::limits::{MAX_VIEWERS, TOKEN_LIFE, VIEWER_BYTES, VIEWER_ITEMS};
use crate::lock::lock;
use crate::plane::{WatchError, Watcher, Watching};

/// One thing for a viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToViewer {
    /// Output bytes from this position on.
    Output(u64, Bytes),
    /// So many bytes of output did not fit. The end of the output follows, for a fresh screen.
    Missed(u64),
    /// The terminal has this size.
    Resized(Size),
    /// The last word.
    Last(ToClient),
}

#[derive(Debug, Default)]
struct Waiting {
    items: VecDeque<ToViewer>,
    bytes: usize,
    /// Bytes that did not fit.
    missed: u64,
    /// Nothing is taken in any more.
    over: bool,
    /// Its channel is open.
    attached: bool,
}

/// One viewer. It is detached when it is dropped.
#[derive(Debug)]
pub struct Viewer {
    /// Who it is.
    pub who: Watcher,
    permitted: Instant,
    waiting: Mutex<Waiting>,
    ready: Notify,
}

impl Viewer {
    fn new(who: Watcher, now: Instant) -> Self {
        Self { who, permitted: now, waiting: Mutex::default(), ready: Notify::new() }
    }

    /// Takes what waits; `screen` gives what a fresh one shows. The second value is true when
    /// nothing will ever follow.
    fn take(&self, screen: impl FnOnce() -> ToViewer) -> (Vec<ToViewer>, bool) {
        let mut waiting = lock(&self.waiting);
        waiting.bytes = 0;
        let mut taken: Vec<ToViewer> = waiting.items.drain(..).collect();
        let missed = std::mem::take(&mut waiting.missed);
        if missed > 0 {
            let last = taken.pop_if(|item| matches!(item, ToViewer::Last(_)));
            taken.extend([ToViewer::Missed(missed), screen()]);
            taken.extend(last);
        }
        (taken, waiting.over)
    }

    /// Waits until something may be there. For one waiter.
    pub async fn ready(&self) {
        self.ready.notified().await;
    }

    /// Queues something, or counts output as missed. What follows missed output is missed as well.
    fn push(&self, item: ToViewer) {
        let mut waiting = lock(&self.waiting);
        if waiting.over {
            return;
        }
        if let ToViewer::Output(_, data) = &item {
            let full = waiting.bytes + data.len() > VIEWER_BYTES;
            if waiting.missed > 0 || full || waiting.items.len() >= VIEWER_ITEMS {
                waiting.missed += data.len() as u64;
                return; // it was woken for what fills the queue
            }
            waiting.bytes += data.len();
        }
        // Sizes that come without a pause are one size.
        if let (ToViewer::Resized(size), Some(ToViewer::Resized(last))) =
            (&item, waiting.items.back_mut())
        {
            *last = *size;
            return;
        }
        waiting.items.push_back(item);
        drop(waiting);
        self.ready.notify_one();
    }

    fn last(&self, word: ToClient) {
        let mut waiting = lock(&self.waiting);
        if !waiting.over {
            waiting.over = true;
            waiting.items.push_back(ToViewer::Last(word));
        }
        drop(waiting);
        self.ready.notify_one();
    }
}

impl Watching for Viewer {
    fn is_over(&self) -> bool {
        let waiting = lock(&self.waiting);
        waiting.over || (!waiting.attached && self.permitted.elapsed() >= TOKEN_LIFE)
    }

    fn end(&self, why: &str) {
        self.last(ToClient::Refused { text: why.to_owned(), taken_over: false });
    }
}

/// The viewers of one session, and what a new one is shown first.
#[derive(Debug, Default)]
pub(super) struct Viewers {
    permitted: Vec<(Token, Arc<Viewer>)>,
    attached: Vec<Weak<Viewer>>,
    tail: Tail,
    /// Position behind the last byte of the tail.
    end: u64,
    size: Option<Size>,
}

impl Viewers {
    /// Keeps a place for a viewer who comes with this token.
    pub(super) fn permit(&mut self, who: Watcher, token: Token) -> Result<Arc<Viewer>, WatchError> {
        self.permitted.retain(|(_, viewer)| !viewer.is_over());
        self.attached.retain(|viewer| viewer.strong_count() > 0);
        if self.permitted.len() + self.attached.len() >= MAX_VIEWERS {
            return Err(WatchError::TooManyViewers { most: MAX_VIEWERS });
        }
        let viewer = Arc::new(Viewer::new(who, Instant::now()));
        self.permitted.push((token, Arc::clone(&viewer)));
        Ok(viewer)
    }

    /// The viewer of this token, who is shown the end of the output and then what comes; and the
    /// size of the terminal.
    pub(super) fn attach(&mut self, token: &str) -> Option<(Arc<Viewer>, Option<Size>)> {
        let now = Instant::now();
        let at = self.permitted.iter().position(|(held, _)| held.opens(token, now))?;
        let (_, viewer) = self.permitted.swap_remove(at);
        {
            let mut waiting = lock(&viewer.waiting);
            if waiting.over {
                return None; // the right went before its token was used
            }
            waiting.attached = true;
        }
        self.attached.push(Arc::downgrade(&viewer));
        if self.end > 0 {
            viewer.push(self.screen());
        }
        Some((viewer, self.size))
    }

    /// What waits for a viewer.
    pub(super) fn take(&self, viewer: &Viewer) -> (Vec<ToViewer>, bool) {
        viewer.take(|| self.screen())
    }

    /// What a fresh screen shows.
    fn screen(&self) -> ToViewer {
        let tail = self.tail.shown();
        ToViewer::Output(self.end.saturating_sub(tail.len() as u64), tail)
    }

    /// ARNs of those who watch now and are seen; `but`: one who is leaving.
    pub(super) fn seen(&self, but: Option<&Viewer>) -> Vec<String> {
        let viewers = self.attached.iter().filter_map(Weak::upgrade);
        let left = |viewer: &Viewer| but.is_some_and(|but| std::ptr::eq(but, viewer));
        let seen = viewers.filter(|viewer| !viewer.who.unseen && !left(viewer));
        seen.map(|viewer| viewer.who.arn.clone()).collect()
    }

    /// Gives output from `offset` on to all viewers, but for what they had: a client that returns
    /// is given that again. Forgets viewers that are gone.
    pub(super) fn output(&mut self, offset: u64, data: &Bytes) {
        let known = usize::try_from(self.end.saturating_sub(offset)).unwrap_or(usize::MAX);
        if known >= data.len() {
            return;
        }
        let (from, fresh) = (offset + known as u64, data.slice(known..));
        self.end = from + fresh.len() as u64;
        self.tail.push(&fresh);
        self.each(&ToViewer::Output(from, fresh));
    }

    /// The terminal has another size.
    pub(super) fn resized(&mut self, size: Size) {
        if self.size.replace(size) != Some(size) {
            self.each(&ToViewer::Resized(size));
        }
    }

    fn each(&mut self, item: &ToViewer) {
        self.attached.retain(|viewer| {
            let viewer = viewer.upgrade();
            if let Some(viewer) = &viewer {
                viewer.push(item.clone());
            }
            viewer.is_some()
        });
    }

    /// The session is over.
    pub(super) fn end(&mut self, word: &ToClient) {
        let permitted = self.permitted.drain(..).map(|(_, viewer)| viewer);
        for viewer in permitted.chain(self.attached.drain(..).filter_map(|viewer| viewer.upgrade()))
        {
            viewer.last(word.clone());
        }
    }
}
