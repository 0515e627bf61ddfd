//! The state directory: the device's key, its enrollment, the journal of commands.
//!
//! | file | content | mode |
//! |---|---|---|
//! | `device.key` | Ed25519 key, PKCS#8 DER | 0600 |
//! | `device.key.new` | the next key, during a rotation | 0600 |
//! | `enrolment.toml` | gateway, device name, authority key, trust | 0600 |
//! | `gateway-ca.pem` | copy of the CA given at enrollment | 0600 |
//! | `next-pin` | the pin of the gateway's next key | 0600 |
//! | `journal` | the commands that were started, by boot | 0600 |
//!
//! # Invariants
//! - A file is replaced whole or not at all, even when the power fails ([`atomic`]).
//! - A running agent writes only a new key, a new pin and the journal: one line at the start, one
//!   for each command. An enrolled device works on a read-only or full file system.
//! - One running agent for each directory: [`Dir::lock`].

pub mod atomic;
mod dir;
pub mod enrollment;
pub mod journal;
pub mod key;
pub mod keyring;
pub mod next_pin;

pub use dir::{DEFAULT_DIR, Dir, StateError};
