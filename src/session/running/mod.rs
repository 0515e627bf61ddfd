//! One session: its process, its descriptors, and the bytes between them and the streams.
//!
//! Poll-based: [`Running::poll`] moves the bytes that can be moved and registers for the rest.
//! Output is read straight into the stream's replay ring, while it has space. Input is written
//! straight to the program, and kept only when that would block.
//!
//! # Invariants
//! - Both directions are always served: a program that echoes more than it reads blocks only
//!   itself.
//! - An output stream ends when all processes have closed it; or, after the program has ended,
//!   when it is read empty at [`crate::limits::DRAIN_AFTER_EXIT`].

mod ports;
mod running;
mod state_transfer;

pub use running::Running;
