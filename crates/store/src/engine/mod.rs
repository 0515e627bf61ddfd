//! The engine below the SQL of this crate: SQLite in a file, or a PostgreSQL server.
//!
//! Data flow: a statement with `?` and bound values ([`query()`]) -> [`Pool`] or [`Tx`] -> the
//! driver of the engine -> [`Row`]s, read column by column.
//!
//! # Invariants
//! - The text of a statement is the same for both engines; placeholders become `$n` in one place
//!   ([`placeholders`]).
//! - One transaction writes at a time, on both engines: SQLite has one writer, and on PostgreSQL
//!   each write holds one advisory lock of the database until its commit. So ids that are given by
//!   the database become visible in their order, and what is counted before an insert stays true
//!   (decision 203).
//!
//! # Not here
//! - What the statements mean, and the schema.

mod backend;
mod builder;
mod file;
pub(crate) mod guard;
pub(crate) mod lease;
pub(crate) mod member;
mod place;
pub(crate) mod placeholders;
mod pool;
pub(crate) mod postgres;
mod query;
mod row;
mod timeline;
mod value;

pub(crate) use builder::QueryBuilder;
pub(crate) use member::Member;
pub(crate) use place::{Place, WORD};
pub(crate) use pool::{Connection, Pool, Target, Tx};
pub(crate) use query::{query, query_as, query_scalar};
pub(crate) use row::Row;
pub(crate) use timeline::TIMELINE;
pub(crate) use value::Value;
