//! What the device remembers: its key and its enrollment, in one small directory that is written
//! only when they change.
//!
//! | file | what | mode |
//! |---|---|---|
//! | `device.key` | Ed25519 key, PKCS#8 DER | 0600 |
//! | `device.key.new` | the key that will take its place, while that is under way | 0600 |
//! | `enrolment.toml` | gateway, device name, authority key, trust | 0600 |
//! | `gateway-ca.pem` | copy of the CA given at enrollment | 0600 |
//! | `journal` | which commands were started, by which start of the agent | 0600 |
//!
//! # Invariants
//! - A file is replaced whole or not at all, also across a power cut ([`atomic`]).
//! - Nothing is written while the agent runs, except when somebody wants a new key or has a command
//!   run, and a line in the journal at the start: a read-only or full file system does not matter
//!   once enrolled.
//! - One running agent for each directory: [`Dir::lock`].

pub mod atomic;
mod dir;
pub mod enrollment;
pub mod journal;
pub mod key;
pub mod keyring;

pub use dir::{DEFAULT_DIR, Dir, StateError};
