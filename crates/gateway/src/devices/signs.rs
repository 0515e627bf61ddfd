//! What devices leave in the store when they come, many in one transaction: their signs of life,
//! and the signatures of requests that are taken once.
//!
//! Data flow: a hello, a report, the end of a link, a signature -> [`Batches::write`] -> a bounded
//! queue -> one transaction for all that came meanwhile -> the caller goes on.
//!
//! # Invariants
//! - A device that was welcomed is in the store as it has come, unless the store has failed, which
//!   is logged.
//! - A signature counts as taken only when that is in the store.
//! - A full queue makes devices wait; nothing is dropped.

use std::future::Future;

use tokio::sync::{mpsc, oneshot};
use towline_store::{SeenRequest, SignOfLife, Store};

use crate::limits::{SIGNS_BATCH, SIGNS_QUEUE};

/// Writes values, many at once. The task behind it ends with it.
pub(super) struct Batches<T, R> {
    queue: mpsc::Sender<(T, oneshot::Sender<R>)>,
}

/// Stores signs of life; false: the store has failed.
pub(super) type Signs = Batches<SignOfLife, bool>;
/// Takes signatures; false: one was taken before; `None`: the store has failed.
pub(super) type Takes = Batches<SeenRequest, Option<bool>>;

impl<T: Send + 'static, R: Send + 'static> Batches<T, R> {
    /// `write` gives an outcome for each value, in their order.
    fn start<F>(write: impl Fn(Vec<T>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Vec<R>> + Send,
    {
        let (queue, mut waiting) = mpsc::channel(SIGNS_QUEUE);
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(SIGNS_BATCH);
            while waiting.recv_many(&mut batch, SIGNS_BATCH).await > 0 {
                let (values, callers): (Vec<T>, Vec<oneshot::Sender<R>>) = batch.drain(..).unzip();
                for (caller, outcome) in callers.into_iter().zip(write(values).await) {
                    let _ = caller.send(outcome); // a caller whose link has ended no longer waits
                }
            }
        });
        Self { queue }
    }

    /// Returns when the value is in the store, or the store has failed; `None`: the runtime ends.
    pub(super) async fn write(&self, value: T) -> Option<R> {
        let (kept, done) = oneshot::channel();
        self.queue.send((value, kept)).await.ok()?;
        done.await.ok()
    }
}

/// Signs of life for this store.
pub(super) fn signs(store: Store) -> Signs {
    Batches::start(move |signs: Vec<SignOfLife>| {
        let store = store.clone();
        async move {
            let stored = store.devices().note_signs(&signs).await;
            if let Err(error) = &stored {
                let devices = signs.len();
                tracing::warn!(%error, devices, "signs of life of devices could not be stored");
            }
            vec![stored.is_ok(); signs.len()]
        }
    })
}

/// Signatures that are taken once, at all gateways on this store together.
pub(super) fn takes(store: Store) -> Takes {
    Batches::start(move |requests: Vec<SeenRequest>| {
        let store = store.clone();
        async move {
            match store.seen_requests().take_all(&requests).await {
                Ok(first) => first.into_iter().map(Some).collect(),
                Err(error) => {
                    tracing::error!(%error, "cannot look for earlier requests of devices");
                    vec![None; requests.len()]
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use towline_store::testing::scratch;

    use super::*;

    #[tokio::test]
    async fn a_signature_is_taken_once_also_among_those_of_one_moment() {
        let (store, _dir) = scratch().await;
        let takes = takes(store.clone());
        let request = |n: u8| SeenRequest { signature: [n; 32], forget_at: 100 };
        let (first, again, other) =
            tokio::join!(takes.write(request(1)), takes.write(request(1)), takes.write(request(2)));
        assert_eq!((first, again, other), (Some(Some(true)), Some(Some(false)), Some(Some(true))));
        assert_eq!(takes.write(request(2)).await, Some(Some(false)));
        store.close().await;
        assert_eq!(takes.write(request(3)).await, Some(None));
    }
}
