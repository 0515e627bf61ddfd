//! The configuration. A [`Config`] is valid; nothing checks it again.
//!
//! Data flow: [`raw`] (keys and values with their places) -> [`Config::read`]. An unknown key or
//! a harmless mistake is a warning. A mistake that would change who may enter is an error, and
//! the agent does not start: so is an unknown key of the tables `policy` and `security`.

mod config;
pub mod raw;
mod values;

pub use config::{
    AuditSettings, Config, DEFAULT_FILE, DEFAULT_RUNTIME_DIR, GatewayOrder, KEYS, NETWORK_USER,
    Separated, WhenFull,
};
