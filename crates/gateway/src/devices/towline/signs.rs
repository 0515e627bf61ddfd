//! Signs of life of devices on their way to the store, many in one transaction.
//!
//! Data flow: a hello, or the end of a link -> [`Signs::note`] -> a bounded queue -> one
//! transaction for all that came meanwhile -> the caller goes on.
//!
//! # Invariants
//! - A device that was welcomed is in the store as it has come, unless the store has failed, which
//!   is logged.
//! - A full queue makes devices wait; no sign is dropped.

use tokio::sync::{mpsc, oneshot};
use towline_store::{SignOfLife, Store};

use crate::limits::{SIGNS_BATCH, SIGNS_QUEUE};

/// A sign, and who waits for it.
struct Waiting {
    sign: SignOfLife,
    kept: oneshot::Sender<()>,
}

/// Stores signs of life. The task behind it ends with it.
pub(super) struct Signs {
    queue: mpsc::Sender<Waiting>,
}

impl Signs {
    pub(super) fn start(store: Store) -> Self {
        let (queue, waiting) = mpsc::channel(SIGNS_QUEUE);
        tokio::spawn(keep(store, waiting));
        Self { queue }
    }

    /// Returns when the sign is in the store, or the store has failed.
    pub(super) async fn note(&self, sign: SignOfLife) {
        let (kept, done) = oneshot::channel();
        if self.queue.send(Waiting { sign, kept }).await.is_ok() {
            let _ = done.await; // an error is a keeper that has ended with the runtime
        }
    }
}

async fn keep(store: Store, mut waiting: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::with_capacity(SIGNS_BATCH);
    while waiting.recv_many(&mut batch, SIGNS_BATCH).await > 0 {
        let (signs, callers): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|one| (one.sign, one.kept)).unzip();
        if let Err(error) = store.devices().note_signs(&signs).await {
            let devices = signs.len();
            tracing::warn!(%error, devices, "signs of life of devices could not be stored");
        }
        for caller in callers {
            let _ = caller.send(()); // a caller whose link has ended no longer waits
        }
    }
}
