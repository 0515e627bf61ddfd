//! Indexes of recordings: where a player begins to draw a moment.
//!
//! Data flow: a recording that ended -> `maker` (one thread, behind all others) -> `builder` reads
//! its lines and draws them -> keyframes and `table` in one file -> the outbox, the node's chain,
//! the sink. The form of the file: [`table`]. Of a recording that has none: `growing` makes one for
//! as long as somebody reads it.
//!
//! # Invariants
//! - An index is made from the recording alone: it can be made again, with the same bytes, and adds
//!   nothing to what the recording says. The node's chain names its digest.
//! - Nothing of it runs in a session's path, nor in the recorder's thread.
//!
//! # Not here
//! - Who may read an index: the gateway's API.

mod builder;
mod growing;
mod maker;
pub mod table;

pub(crate) use growing::Growing;
pub use growing::{CannotGrow, Grown, Shown};
pub(crate) use maker::{Maker, ask_for_all};
