//! A session from the first request to the exit code: one task, one loop, a closed list of events.
//!
//! Data flow: [`run()`] asks for the session, opens its websocket ([`link`]), sets up the local end
//! ([`local`]) and drives both ([`driver`]) until there is an `Ending`. Tunnels and copies use the
//! session as a pipe of bytes ([`pipe`]): [`forward()`], [`copy()`].
//!
//! # Invariants
//! - The terminal is raw from the first request to the end, and restored before the end is
//!   reported. Escapes, signals and changes of size work all the time.
//! - A lost websocket is replaced; the operator sees every byte exactly once.
//! - A deliberate end (`~.`, a closed terminal, a signal) is reported to the gateway, and its
//!   answer is awaited for at most [`crate::limits::CLOSE_TIMEOUT`].
//!
//! # Not here
//! - Authorisation: the gateway and the device decide.

mod aws;
mod begin;
mod connect;
mod copier;
mod copy_session;
mod driver;
mod end_of_input;
mod ending;
mod error;
mod forward;
mod link;
mod listen;
mod local;
mod locals;
mod notices;
mod old_output;
mod patience;
mod person;
mod pipe;
mod run;
mod streams;
mod trouble;
mod writer;

pub(crate) use aws::CLIENT_VERSION;
pub(crate) use begin::{Begin, Manner, Prefix, Token};
pub(crate) use copier::{Copier, CopyError};
pub(crate) use copy_session::{Copied, copy};
pub(crate) use ending::Ending;
pub(crate) use error::MayBeRefusal;
pub(crate) use forward::{Forward, forward};
pub(crate) use listen::{Listen, Listener};
pub(crate) use person::{Nobody, Person, Proof};
pub(crate) use run::run;
