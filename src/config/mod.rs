//! What the configuration means. Nothing invalid passes: who holds a [`Config`] need not check it
//! again.
//!
//! Way: [`raw`] (keys and values with their places) -> [`Config::read`]. Unknown keys and harmless
//! mistakes are warnings; what would change who may enter is an error, and the agent does not start
//! with it.

mod config;
pub mod raw;
mod values;

pub use config::{AuditSettings, Config, DEFAULT_FILE, DEFAULT_RUNTIME_DIR, KEYS, WhenFull};
