//! What the gateway remembers: devices, activations, principals, sessions, commands, settings, the
//! audit trail.
//!
//! Way: the API and the data plane call a theme's handle (`store.devices()`, ...) -> SQL with bound
//! parameters -> rows as plain structs. SQLite embedded, write-ahead log, every commit synced: what
//! was answered is still there after a power cut.
//!
//! # Invariants
//! - SQL stands in this folder only, and only with bound values: no text of a request becomes part
//!   of a statement.
//! - Every table has a bound: by [`crate::limits`], checked in the transaction that adds the row,
//!   or by pruning.
//! - Times come from the caller; the store has no clock.
//!
//! # Not here
//! - Policy, validation of names, secrets in the clear: `access_keys.sealed` is opaque to the
//!   store.
#![forbid(unsafe_code)]

mod access;
mod activations;
mod audit;
mod command_log;
mod devices;
mod documents;
mod error;
mod keys;
pub mod limits;
mod migrations;
mod principals;
mod roles;
mod run_commands;
mod sessions;
mod settings;
mod store;
mod tags;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use access::{AccessRequest, AccessRequests};
pub use activations::{Activation, ActivationFilter, Activations, NewActivation};
pub use audit::{AuditRow, AuditTrail};
pub use command_log::{CommandBatch, CommandLog, CommandRow, RawCommand, StoredCommand};
pub use devices::{Device, DeviceFilter, DeviceReport, DeviceStatus, Devices, NewDevice};
pub use documents::{Document, DocumentText, Documents, NewDocument, Version};
pub use documents::{SAME_NAME, SAME_TEXT};
pub use error::StoreError;
pub use keys::{DeviceKey, DeviceKeys, KeyStatus, fingerprint};
pub use principals::{AccessKey, Principal, Principals};
pub use roles::{Role, Roles};
pub use run_commands::{
    CommandEnd, CommandFilter, CommandStore, InvocationChange, InvocationRow, NewCommand,
    OutputHeads, SentCommand,
};
pub use sessions::{NewSession, Session, SessionFilter, SessionStatus, SessionStore};
pub use settings::{IDLE_MINUTES, MAX_MINUTES, SessionLimits, Settings};
pub use store::Store;
pub use tags::{Tag, TagKind, Tags};
