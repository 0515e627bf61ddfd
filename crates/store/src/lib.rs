//! The gateway's database: devices, activations, principals, documents, sessions, commands,
//! settings, command log and audit trail.
//!
//! Data flow: the API and the data plane call the operations of a table (`store.devices()`, ...) ->
//! SQL with bound parameters -> the engine -> rows as plain structs. SQLite is embedded, with a
//! write-ahead log and a sync for every commit: what was confirmed is still there after a power
//! cut. PostgreSQL is the other engine, for a store that several gateways share.
//!
//! # Invariants
//! - SQL is in this crate only. Values are bound: no text of a request becomes part of a statement.
//! - SQL is portable: what only SQLite understands is in `store` and in the first migrations (a
//!   test of the tree checks the rest).
//! - Every table is bounded, by [`limits`] in the transaction that adds the row, or by pruning.
//! - Times come from the caller; the store has no clock.
//!
//! # Not here
//! - Policy and validation of names. Plain secrets: `access_keys.sealed` is opaque here.
//!
//! # Example
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let folder = tempfile::tempdir()?;
//! let store = towline_store::Store::open(&folder.path().join("towline.db")).await?;
//! store.settings().set("session.idle-minutes", "5").await?;
//! let limits = store.settings().session_limits().await?;
//! assert_eq!(limits.idle.as_secs(), 300);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod access;
mod access_end;
mod access_extension;
mod access_standing;
mod activations;
mod audit;
mod audit_pruning;
mod backup;
mod begun_requests;
#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod both_engines;
mod census;
mod change;
#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod cluster_model;
mod command_log;
#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod database_clock;
mod device_pins;
mod device_search;
mod device_texts;
mod devices;
mod documents;
mod engine;
mod error;
mod failures;
mod identity;
mod identity_providers;
mod invitations;
mod keys;
pub mod limits;
mod migrations;
mod namings;
mod nodes;
mod notifications;
#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod one_process;
mod presence;
mod principals;
mod removed_devices;
mod renewals;
mod roles;
mod run_commands;
mod schema;
mod second_factors;
mod seen_requests;
mod server;
mod sessions;
mod settings;
mod shares;
mod sign_in_links;
mod sign_in_requests;
mod sign_ins;
mod sign_ins_under_way;
mod signs_of_life;
mod stopped_people;
mod store;
mod tag_keys;
mod tags;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod transfer;
#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod versions;
mod wanted_ends;

pub use access::{
    AccessRequest, AccessRequests, Approval, Counted, NewApproval, Terms, current_level,
};
pub use access_end::UnderAccess;
pub use activations::{Activation, ActivationFilter, Activations, NewActivation};
pub use audit::{AuditRow, AuditTrail, TrailRoom};
pub use audit_pruning::{TrailBounds, TrailRooms};
pub use backup::{EPOCH, Voided, snapshot_of, snapshot_of_server, void};
pub use begun_requests::{BegunRequests, RequestEnd};
pub use census::Census;
pub use change::{Change, PolicyTexts, Removed, Trust};
pub use command_log::{
    CommandBatch, CommandBounds, CommandLog, CommandRow, CommandText, Excess, RawCommand,
    StoredCommand,
};
pub use device_pins::PinSpread;
pub use devices::{
    AgentKind, Device, DeviceFilter, DeviceReport, DeviceStatus, Devices, NewDevice,
};
pub use documents::{Document, DocumentAsRead, DocumentText, Documents, NewDocument, Version};
pub use documents::{SAME_NAME, SAME_TEXT};
pub use engine::member::NodeIdentity;
pub use error::StoreError;
pub use failures::{CountedFailures, Failures};
pub use identity_providers::{FederatedPerson, IdentityProvider, IdentityProviders, RemovedPeople};
pub use invitations::{Invitations, Taken};
pub use keys::{DeviceKey, DeviceKeys, KeyStatus, fingerprint};
pub use namings::ApprovalText;
pub use nodes::{Judged, Node, NodeApproval, Nodes};
pub use notifications::{After, Message, Notification, Notifications, Webhook};
pub use presence::{Arrival, Connection, Known, Presences};
pub use principals::{AccessKey, Principal, Principals};
pub use renewals::{Renewal, Renewals};
pub use roles::{Role, Roles};
pub use run_commands::{
    CommandEnd, CommandFilter, CommandStore, InvocationChange, InvocationRow, NewCommand,
    OpenCommand, OutputHeads, OutputPiece as CommandOutputPiece, SentCommand, Wanted,
};
pub use second_factors::{CodeOutcome, SecondFactor, SecondFactors};
pub use seen_requests::{SeenRequest, SeenRequests};
pub use server::ServerAddress;
pub use sessions::{NewSession, Session, SessionFilter, SessionPage, SessionStatus, SessionStore};
pub use settings::{IDLE_MINUTES, MAX_MINUTES, SessionLimits, Settings};
pub use sign_in_links::SignInLinks;
pub use sign_in_requests::{
    SIGN_IN_REQUEST_MARK, SignInOutcome, SignInPoll, SignInRequest, SignInRequests,
};
pub use sign_ins::{SignIn, SignInRoot, SignIns};
pub use sign_ins_under_way::{SignInUnderWay, SignInsUnderWay};
pub use signs_of_life::SignOfLife;
pub use store::Store;
pub use tag_keys::{TagClash, remove_tag_in, tag_clashes_in};
pub use tags::{Tag, TagKind, Tags};
pub use transfer::{Copied, copy_to_server};
pub use wanted_ends::WantedEnds;
