//! The name of a session.
//!
//! # Not here
//! - The form of the name: the gateway chooses it, the agent compares it.

use alloc::string::String;

/// Names a session: `<principal name>-<17 characters>`, 1 to 96 bytes (the API's `SessionId`).
pub type SessionName = String;
