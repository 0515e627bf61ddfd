//! Output that other nodes could go on with: pieces in the store, of what the device was told that
//! is kept.
//!
//! Data flow: a file of [`super::output`] -> pieces of at least [`KEPT_PIECE`] bytes -> the store
//! -> credit to the device. At another node: the pieces -> its own file -> the device goes on from
//! there.
//!
//! # Invariants
//! - A device is told that bytes are kept only when the store has them. So a step's output is whole
//!   at whichever node ends it.
//! - The bytes after the last piece stay with the device, in its window.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use towline_store::CommandOutputPiece;
use towline_wire::lane::{Lane, Lanes};

use super::carry::Wish;
use super::output;
use super::shared::Shared;
use crate::limits::{KEPT_PIECE, STORE_RETRY};

/// Which step.
pub(super) struct StepOf {
    pub(super) command: String,
    pub(super) device: String,
    pub(super) step: usize,
}

/// Keeps a step's output in the store.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    of: StepOf,
    /// So much the store has.
    kept: Lanes<u64>,
}

impl Keeper {
    /// `None` for a gateway that works alone.
    pub(super) fn new(shared: &Arc<Shared>, of: StepOf) -> Option<Self> {
        shared.store.node()?;
        Some(Self { shared: Arc::clone(shared), of, kept: Lanes::default() })
    }

    fn step(&self) -> i64 {
        i64::try_from(self.of.step).unwrap_or(i64::MAX)
    }

    /// The next piece that the store has of a stream. Waits for the store, as long as it is wanted.
    pub(super) async fn next(
        &mut self,
        lane: Lane,
        wishes: &mut watch::Receiver<Wish>,
    ) -> Option<Vec<u8>> {
        let start = i64::try_from(self.kept[lane]).unwrap_or(i64::MAX);
        let of = (&*self.of.command, &*self.of.device, self.step());
        loop {
            match self.shared.store.run_commands().piece(of, number(lane), start).await {
                Ok(piece) => {
                    self.kept[lane] += piece.as_ref().map_or(0, Vec::len) as u64;
                    return piece.filter(|bytes| !bytes.is_empty());
                }
                Err(error) => tracing::warn!(%error, "output waits: the store does not answer"),
            }
            if *wishes.borrow() == Wish::Release {
                return None;
            }
            tokio::time::sleep(STORE_RETRY).await;
        }
    }

    /// Keeps a stream up to `end`, if that is enough for a piece. The position up to which the
    /// store has it now; `None`: it has nothing new.
    pub(super) async fn keep(
        &mut self,
        lane: Lane,
        end: u64,
        file: PathBuf,
        wishes: &mut watch::Receiver<Wish>,
    ) -> Option<u64> {
        let start = self.kept[lane];
        let fresh = end.saturating_sub(start);
        if fresh < KEPT_PIECE {
            return None;
        }
        let (bytes, _) = output::piece(&file, start, fresh).ok()??;
        let length = bytes.len() as u64;
        let piece = CommandOutputPiece {
            command: self.of.command.clone(),
            device: self.of.device.clone(),
            step: self.step(),
            lane: number(lane),
            start: i64::try_from(start).unwrap_or(i64::MAX),
            bytes,
        };
        loop {
            match self.shared.store.run_commands().keep_piece(&piece).await {
                Ok(true) => break,
                Ok(false) => return None, // another node carries it: the scheduler says so soon
                Err(error) => tracing::warn!(%error, "output waits: the store does not take it"),
            }
            if *wishes.borrow() != Wish::Go {
                return None;
            }
            tokio::time::sleep(STORE_RETRY).await;
        }
        self.kept[lane] = start + length;
        Some(self.kept[lane])
    }
}

/// A stream in the store.
const fn number(lane: Lane) -> i64 {
    match lane {
        Lane::Io => 0,
        Lane::Err => 1,
    }
}
