//! Sessions: one row from the decision to open a session until thirty days after its end.
//!
//! Data flow: `insert` (Connecting) -> `mark` as clients attach and detach -> `end`. After a
//! restart of the gateway `list_active` returns the sessions that may be alive on their devices.
//!
//! # Invariants
//! - Only the node that carries a session changes its row: one that lost it changes nothing.
//! - The end of a session never changes: the first reason is kept. Its commands and the size of its
//!   recording are still counted afterwards, because both may arrive later.
//! - A row that this version cannot read holds up no other one, and stays as it is.
//! - Ended rows older than [`SESSION_HISTORY_DAYS`](crate::limits::SESSION_HISTORY_DAYS) are
//!   removed when a session is inserted.

mod rows;
mod seat;
mod table;
mod unreadable;

pub(crate) use rows::COLUMNS;
pub use rows::{NewSession, Session, SessionFilter, SessionStatus};
#[cfg(test)]
pub(crate) use table::tests;
pub use table::{SessionPage, SessionStore};
pub(crate) use unreadable::Unreadable;
