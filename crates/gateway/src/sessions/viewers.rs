//! Read-only viewers of a session, beside its one client.
//!
//! Data flow: output of the device -> the tape and each [`Viewer`] -> what shows it. A viewer has
//! no way back to the session.
//!
//! # Invariants
//! - At most [`MAX_VIEWERS`] viewers of a session, and at most [`VIEWER_BYTES`] and [`VIEWER_ITEMS`]
//!   waiting for one.
//! - A viewer gives no credit and is never waited for: what does not fit is counted, and the viewer
//!   is told how many bytes it missed before it gets the next ones.
//! - The end of a viewer does not touch the session; the end of the session reaches each viewer
//!   after all that still waits for it.
//!
//! # Not here
//! - Who may watch: the API, which has no operation for it yet.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use tokio::sync::Notify;
use towline_wire::lane::Lane;

use crate::limits::{MAX_VIEWERS, VIEWER_BYTES, VIEWER_ITEMS};
use crate::lock::lock;

/// One thing for a viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToViewer {
    /// Output bytes.
    Output(Lane, Bytes),
    /// So many bytes of output did not fit, in all lanes together.
    Missed(u64),
    /// The session is over, with this sentence. Nothing follows.
    Ended(String),
}

#[derive(Debug, Default)]
struct Waiting {
    items: VecDeque<ToViewer>,
    bytes: usize,
    /// Bytes that did not fit since the last item.
    missed: u64,
    ended: bool,
}

/// One viewer. It is detached when it is dropped.
#[derive(Debug, Default)]
pub struct Viewer {
    waiting: Mutex<Waiting>,
    ready: Notify,
}

impl Viewer {
    /// Takes what waits. The second value is true when nothing will ever follow.
    #[must_use]
    pub fn take(&self) -> (Vec<ToViewer>, bool) {
        let mut waiting = lock(&self.waiting);
        waiting.bytes = 0;
        let mut taken: Vec<ToViewer> = waiting.items.drain(..).collect();
        if waiting.missed > 0 {
            // Nothing came after the bytes that did not fit: they are told now.
            let at = taken.len() - usize::from(matches!(taken.last(), Some(ToViewer::Ended(_))));
            taken.insert(at, ToViewer::Missed(std::mem::take(&mut waiting.missed)));
        }
        (taken, waiting.ended)
    }

    /// Waits until something may be there. For one waiter.
    pub async fn ready(&self) {
        self.ready.notified().await;
    }

    /// Queues output, or counts it as missed.
    fn output(&self, lane: Lane, data: &Bytes) {
        let mut waiting = lock(&self.waiting);
        let full = waiting.bytes + data.len() > VIEWER_BYTES || waiting.items.len() >= VIEWER_ITEMS;
        if full {
            waiting.missed += data.len() as u64;
            return; // it was woken for what fills the queue
        }
        if waiting.missed > 0 {
            let missed = std::mem::take(&mut waiting.missed);
            waiting.items.push_back(ToViewer::Missed(missed));
        }
        waiting.bytes += data.len();
        waiting.items.push_back(ToViewer::Output(lane, data.clone()));
        drop(waiting);
        self.ready.notify_one();
    }

    fn end(&self, sentence: &str) {
        let mut waiting = lock(&self.waiting);
        if !waiting.ended {
            waiting.ended = true;
            waiting.items.push_back(ToViewer::Ended(sentence.to_owned()));
        }
        drop(waiting);
        self.ready.notify_one();
    }
}

/// A session has all the viewers that it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session has {MAX_VIEWERS} viewers, and may not have more")]
pub struct TooManyViewers;

/// The viewers of one session.
#[derive(Debug, Default)]
pub(super) struct Viewers(Vec<Weak<Viewer>>);

impl Viewers {
    /// Adds a viewer, who sees what comes from now on.
    pub(super) fn add(&mut self) -> Result<Arc<Viewer>, TooManyViewers> {
        self.0.retain(|viewer| viewer.strong_count() > 0);
        if self.0.len() >= MAX_VIEWERS {
            return Err(TooManyViewers);
        }
        let viewer = Arc::new(Viewer::default());
        self.0.push(Arc::downgrade(&viewer));
        Ok(viewer)
    }

    /// True while nobody watches: then output is not prepared for viewers.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives output to all viewers; forgets those that are gone.
    pub(super) fn output(&mut self, lane: Lane, data: &Bytes) {
        self.0.retain(|viewer| {
            let viewer = viewer.upgrade();
            if let Some(viewer) = &viewer {
                viewer.output(lane, data);
            }
            viewer.is_some()
        });
    }

    /// The session is over.
    pub(super) fn end(&mut self, sentence: &str) {
        for viewer in self.0.drain(..).filter_map(|viewer| viewer.upgrade()) {
            viewer.end(sentence);
        }
    }
}
