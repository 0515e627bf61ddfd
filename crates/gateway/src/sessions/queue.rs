//! What waits for one attached client: output, credits for its input, and words about the session.
//!
//! Data flow: the agent's link task pushes and goes on -> the client's own task takes batches and
//! writes them.
//!
//! # Invariants
//! - Data bytes never exceed the credit that the client gave, capped by [`MAX_WINDOW`]; who exceeds
//!   it loses the client, which attaches again from what it has.
//! - After [`ClientQueue::close`] nothing more is taken in; what waits is still delivered.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use towline_wire::client::ToClient;
use towline_wire::lane::Lane;

use crate::limits::{MAX_CLIENT_MESSAGES, MAX_WINDOW};

/// One thing for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToChannel {
    /// Output bytes from this position on.
    Data(Lane, u64, Bytes),
    /// The lane's output ends at this length.
    Fin(Lane, u64),
    /// Input was taken up to `acked`; there is room up to `limit`.
    Credit {
        /// Bytes that the device has passed on.
        acked: u64,
        /// Where the room ends.
        limit: u64,
    },
    /// About the session.
    Word(ToClient),
}

#[derive(Debug, Default)]
struct Inner {
    items: VecDeque<ToChannel>,
    data_bytes: usize,
    closed: bool,
}

/// What waits for one client.
#[derive(Debug, Default)]
pub struct ClientQueue {
    inner: Mutex<Inner>,
    ready: Notify,
}

impl ClientQueue {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues something; false when it did not fit or the queue is closed. The caller then drops
    /// the client.
    #[must_use]
    pub fn push(&self, item: ToChannel) -> bool {
        let mut inner = self.lock();
        if inner.closed {
            return false;
        }
        match &item {
            ToChannel::Data(_, _, bytes)
                if (inner.data_bytes + bytes.len()) as u64 > 2 * MAX_WINDOW =>
            {
                return false;
            }
            ToChannel::Data(_, _, bytes) => inner.data_bytes += bytes.len(),
            ToChannel::Credit { acked, limit } => {
                if let Some(ToChannel::Credit { acked: a, limit: l }) = inner.items.back_mut() {
                    (*a, *l) = (*acked, *limit);
                    return true;
                }
            }
            ToChannel::Fin(..) | ToChannel::Word(_) => {}
        }
        if !matches!(item, ToChannel::Data(..))
            && inner.items.len() > MAX_CLIENT_MESSAGES + inner.data_bytes
        {
            return false;
        }
        inner.items.push_back(item);
        drop(inner);
        self.ready.notify_one();
        true
    }

    /// Queues a notice, if few messages wait; false when it is not taken. The client goes on.
    #[must_use]
    pub fn notice(&self, notice: ToClient) -> bool {
        let mut inner = self.lock();
        if inner.closed || inner.items.len() >= MAX_CLIENT_MESSAGES {
            return false;
        }
        inner.items.push_back(ToChannel::Word(notice));
        drop(inner);
        self.ready.notify_one();
        true
    }

    /// Queues a last word and takes nothing more.
    pub fn close(&self, last: ToClient) {
        let mut inner = self.lock();
        if !inner.closed {
            inner.items.push_back(ToChannel::Word(last));
            inner.closed = true;
        }
        drop(inner);
        self.ready.notify_one();
    }

    /// Takes nothing more, without a last word: the client comes again.
    pub fn hang_up(&self) {
        self.lock().closed = true;
        self.ready.notify_one();
    }

    /// Takes about `most` bytes of what waits. The second value is true when nothing will ever
    /// follow.
    pub fn take(&self, most: usize) -> (Vec<ToChannel>, bool) {
        let mut inner = self.lock();
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while bytes < most {
            let Some(item) = inner.items.pop_front() else { break };
            if let ToChannel::Data(_, _, data) = &item {
                bytes += data.len();
                inner.data_bytes -= data.len();
            }
            taken.push(item);
        }
        let over = inner.closed && inner.items.is_empty();
        (taken, over)
    }

    /// True when something waits.
    #[must_use]
    pub fn has_items(&self) -> bool {
        !self.lock().items.is_empty()
    }

    /// Waits until something may be there.
    pub async fn ready(&self) {
        self.ready.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use towline_wire::message::EndReason;

    fn data(n: usize) -> ToChannel {
        ToChannel::Data(Lane::Io, 0, Bytes::from(vec![0; n]))
    }

    #[test]
    fn output_beyond_any_window_does_not_fit() {
        let queue = ClientQueue::default();
        assert!(queue.push(data(2 * MAX_WINDOW as usize)));
        assert!(!queue.push(data(1)));
        let _ = queue.take(usize::MAX);
        assert!(queue.push(data(1)));
    }

    #[test]
    fn credits_that_wait_are_one() {
        let queue = ClientQueue::default();
        assert!(queue.push(ToChannel::Credit { acked: 1, limit: 2 }));
        assert!(queue.push(ToChannel::Credit { acked: 3, limit: 4 }));
        assert_eq!(queue.take(10).0, [ToChannel::Credit { acked: 3, limit: 4 }]);
    }

    #[test]
    fn the_last_word_comes_after_all_output_and_nothing_after_it() {
        let queue = ClientQueue::default();
        assert!(queue.push(data(10)));
        let word = ToClient::Ended { reason: EndReason::Terminated, text: String::new() };
        queue.close(word.clone());
        assert!(!queue.push(data(1)));
        assert_eq!(queue.take(5), (vec![data(10)], false));
        assert_eq!(queue.take(5), (vec![ToChannel::Word(word)], true));
    }
}
