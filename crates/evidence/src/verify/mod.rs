//! Verification: lines and a public key in, the first fault by its record out.
//!
//! Way: lines of one recording -> [`RecordingVerifier`]; lines of a node's chain ->
//! [`NodeVerifier`] -> [`Ledger`]; both together, for a whole sink -> [`Ledger::check`].
//!
//! # Invariants
//! - Memory is bounded by a block, whatever is verified; nothing in a file is believed before it is
//!   checked.
//! - A change is named by the first record that it concerns.
//!
//! # Not here
//! - Whether the newest segments of a node's chain were taken away together with the recordings
//!   that they name: no chain can know its own end. Compare the last checkpoint with one seen
//!   before ([`Ledger::last_checkpoint`]), or keep segments where they cannot be removed (Object
//!   Lock).

mod node;
mod recording;

pub use node::{Checkpoint, Ended, Ledger, NodeFault, NodeVerifier, SetFault};
pub use recording::{Fault, RecordingVerifier, Sealed};
