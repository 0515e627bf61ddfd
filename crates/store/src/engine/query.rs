//! A statement with its values, and what is read from its rows.

use std::borrow::Cow;

use super::pool::Target;
use super::row::{Column, FromRow, Row};
use super::value::Value;

/// A statement. [`query()`] makes one.
pub(crate) struct Query<'q> {
    pub(super) sql: Cow<'q, str>,
    pub(super) values: Vec<Value>,
    pub(super) persistent: bool,
}

/// How many rows are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// None: how many were changed.
    Count,
    /// The first.
    First,
    /// All.
    All,
}

/// What a statement changed.
pub(crate) struct Changed(pub(super) u64);

impl Changed {
    /// How many rows.
    pub(crate) const fn rows_affected(&self) -> u64 {
        self.0
    }
}

/// What came of a statement.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) rows: Vec<Row>,
    pub(super) changed: u64,
}

/// A statement with `?` for each value.
pub(crate) fn query(sql: &str) -> Query<'_> {
    Query { sql: Cow::Borrowed(sql), values: Vec::new(), persistent: true }
}

impl<'q> Query<'q> {
    /// Binds the next value.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Whether the engine keeps the prepared statement.
    pub(crate) const fn persistent(mut self, persistent: bool) -> Self {
        self.persistent = persistent;
        self
    }

    /// Executes it.
    pub(crate) async fn execute<'t>(
        self,
        target: impl Into<Target<'t>>,
    ) -> Result<Changed, sqlx::Error> {
        Ok(Changed(target.into().run(self, Wanted::Count).await?.changed))
    }

    /// All rows.
    pub(crate) async fn fetch_all<'t>(
        self,
        target: impl Into<Target<'t>>,
    ) -> Result<Vec<Row>, sqlx::Error> {
        Ok(target.into().run(self, Wanted::All).await?.rows)
    }

    /// The first row, if there is one.
    pub(crate) async fn fetch_optional<'t>(
        self,
        target: impl Into<Target<'t>>,
    ) -> Result<Option<Row>, sqlx::Error> {
        Ok(target.into().run(self, Wanted::First).await?.rows.into_iter().next())
    }

    /// The first row.
    pub(crate) async fn fetch_one<'t>(
        self,
        target: impl Into<Target<'t>>,
    ) -> Result<Row, sqlx::Error> {
        self.fetch_optional(target).await?.ok_or(sqlx::Error::RowNotFound)
    }
}

/// How a row becomes a value.
type Reader<T> = fn(&Row) -> Result<T, sqlx::Error>;

/// A statement whose rows are read as `T`.
pub(crate) struct Typed<'q, T> {
    query: Query<'q>,
    read: Reader<T>,
}

/// A statement whose rows are read as tuples.
pub(crate) fn query_as<T: FromRow>(sql: &str) -> Typed<'_, T> {
    Typed { query: query(sql), read: T::from_row }
}

/// A statement whose first column is read.
pub(crate) fn query_scalar<T: for<'r> Column<'r>>(sql: &str) -> Typed<'_, T> {
    Typed { query: query(sql), read: first::<T> }
}

fn first<T: for<'r> Column<'r>>(row: &Row) -> Result<T, sqlx::Error> {
    row.try_get::<T, usize>(0)
}

impl<T> Typed<'_, T> {
    /// Binds the next value.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.query = self.query.bind(value);
        self
    }

    /// All rows.
    pub(crate) async fn fetch_all<'t>(
        self,
        target: impl Into<Target<'t>>,
    ) -> Result<Vec<T>, sqlx::Error> {
        self.query.fetch_all(target).await?.iter().map(self.read).collect()
    }

    /// The first row, if there is one.
    pub(crate) async fn fetch_optional<'t>(
        self,
        target: impl Into<Target<'t>>,
    ) -> Result<Option<T>, sqlx::Error> {
        self.query.fetch_optional(target).await?.as_ref().map(self.read).transpose()
    }

    /// The first row.
    pub(crate) async fn fetch_one<'t>(
        self,
        target: impl Into<Target<'t>>,
    ) -> Result<T, sqlx::Error> {
        (self.read)(&self.query.fetch_one(target).await?)
    }
}
