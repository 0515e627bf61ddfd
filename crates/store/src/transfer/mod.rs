//! A whole store copied to the other engine: a file to a server, or a server to a file.
//!
//! Data flow: the tables in the order of their references ([`plan`]) -> pages of rows by key, read
//! in one transaction of the source -> inserted in one transaction of the target -> read again
//! there, counted and digested -> commit.
//!
//! # Invariants
//! - The target has all rows or none: until the commit it holds no user, and such a store is
//!   refused.
//! - Rows that differ after the copy stop it before the commit.
//! - Numbers that the database gives go on behind those of the source, also behind removed rows.
//!
//! # Not here
//! - Who stops the gateway, and which store its configuration names.

mod copying;
mod plan;
#[cfg(test)]
mod tests;

pub(crate) use copying::copy_to_file;
pub use copying::{Copied, copy_to_server};
