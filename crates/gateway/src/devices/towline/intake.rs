//! Batches of the command log that wait for the store, of all links.
//!
//! # Invariants
//! - At most [`INTAKE_BYTES`] bytes wait, and of one link what the wire lets an agent send ahead;
//!   beyond, that link is closed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use towline_wire::record::{self, Batch};

use super::link::Link;
use crate::limits::{INTAKE_BATCHES, INTAKE_BYTES, INTAKE_BYTES_PER_LINK};
use crate::lock::lock;

/// Batches that wait.
#[derive(Default)]
pub(super) struct Intake {
    waiting: Mutex<Waiting>,
    ready: Notify,
}

#[derive(Default)]
struct Waiting {
    batches: VecDeque<(Arc<Link>, Batch)>,
    bytes: usize,
}

impl Intake {
    /// Takes a batch of a link.
    pub(super) fn put(&self, link: &Arc<Link>, batch: Batch) {
        let mut waiting = lock(&self.waiting);
        let own = waiting.batches.iter().filter(|(other, _)| Arc::ptr_eq(other, link));
        let own: usize = own.map(|(_, batch)| batch.records.len()).sum();
        let size = batch.records.len();
        if size > record::BATCH || own + size > INTAKE_BYTES_PER_LINK {
            return link.close("more records of the command log were sent than the wire allows");
        }
        if waiting.bytes + size > INTAKE_BYTES {
            return link.close("the store is behind with the command log: come back later");
        }
        waiting.bytes += size;
        waiting.batches.push_back((Arc::clone(link), batch));
        drop(waiting);
        self.ready.notify_one();
    }

    /// Takes the batches of one transaction; waits while there is none.
    pub(super) async fn next(&self) -> Vec<(Arc<Link>, Batch)> {
        loop {
            {
                let mut waiting = lock(&self.waiting);
                let some = waiting.batches.len().min(INTAKE_BATCHES);
                if some > 0 {
                    let taken: Vec<_> = waiting.batches.drain(..some).collect();
                    waiting.bytes -=
                        taken.iter().map(|(_, batch)| batch.records.len()).sum::<usize>();
                    return taken;
                }
            }
            self.ready.notified().await;
        }
    }
}
