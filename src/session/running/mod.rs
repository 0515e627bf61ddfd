//! One session: its process, its descriptors, and the bytes between them and the streams.
//!
//! Poll-based: [`Running::poll`] moves what can be moved and registers for the rest. Output is read
//! straight into the stream's replay ring, and only while there is room; input is written straight
//! to the program, and kept only when that would block.
//!
//! # Invariants
//! - Both directions are always served: a program that echoes more than it reads blocks nobody but
//!   itself.
//! - The stream of an output ends when the program's side is closed by all who hold it; or, once
//!   the program has ended, when nothing was left to read at [`crate::limits::DRAIN_AFTER_EXIT`].

mod ports;
mod running;
mod state_transfer;

pub use running::Running;
