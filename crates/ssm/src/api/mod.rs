//! Requests and answers of the API: shapes with AWS's member names, and the limits that AWS's
//! models give.
//!
//! Data flow: body -> [`parse`] -> a request that keeps every limit -> the gateway's handler -> an
//! answer
//! -> [`to_json`]. Our own client goes the other way with [`to_json`] and [`from_answer`].
//!
//! # Invariants
//! - A request that [`parse`] returned has passed [`Request::check`]: handlers need no limits of
//!   their own.
//! - Members that are not known are ignored and a `null` counts as absent, as AWS does both.
//! - Wrong JSON or a wrong type is `SerializationException`; a broken limit is
//!   `ValidationException` and names the member; what the model leaves open (existence, form of a
//!   resource id) has the operation's own error.
//!
//! # Not here
//! - No limit on the size of a body: the gateway stops reading at [`MAX_BODY`].

pub mod access;
pub mod activation;
pub mod admin;
pub mod check;
mod codec;
pub mod command;
pub mod device;
pub mod device_keys;
pub mod device_search;
pub mod document;
mod document_list;
pub mod evidence;
pub mod explain;
pub mod health;
pub mod inventory;
pub mod provider;
pub mod second_factor;
pub mod session;
pub mod sign_in;
pub mod sts;
pub mod sts_tokens;
pub mod tags;
pub mod watch;
pub mod webhook;

pub use check::Violations;
pub use codec::{Empty, MAX_BODY, Request, error_from_answer, from_answer, parse, to_json};
