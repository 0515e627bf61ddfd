//! A statement put together from pieces, with its values.
//!
//! # Invariants
//! - Pieces are literals of this crate; values are bound.

use std::borrow::Cow;

use super::query::Query;
use super::value::Value;

/// A statement in the making.
pub(crate) struct QueryBuilder {
    sql: String,
    values: Vec<Value>,
}

impl QueryBuilder {
    /// Begins with a piece.
    pub(crate) fn new(sql: &str) -> Self {
        Self { sql: sql.to_owned(), values: Vec::new() }
    }

    /// Adds a piece.
    pub(crate) fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// Adds a value.
    pub(crate) fn push_bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.sql.push('?');
        self.values.push(value.into());
        self
    }

    /// Adds a list, with `separator` between its items.
    pub(crate) fn separated(&mut self, separator: &'static str) -> Separated<'_> {
        Separated { query: self, separator, first: true }
    }

    /// Adds `VALUES` with a row for each item.
    pub(crate) fn push_values<I: IntoIterator>(
        &mut self,
        items: I,
        mut row: impl FnMut(Separated<'_>, I::Item),
    ) -> &mut Self {
        self.push("VALUES ");
        for (place, item) in items.into_iter().enumerate() {
            self.push(if place == 0 { "(" } else { ", (" });
            row(self.separated(", "), item);
            self.push(")");
        }
        self
    }

    /// The statement.
    pub(crate) fn build(self) -> Query<'static> {
        Query { sql: Cow::Owned(self.sql), values: self.values, persistent: true }
    }
}

/// A list in a statement.
pub(crate) struct Separated<'b> {
    query: &'b mut QueryBuilder,
    separator: &'static str,
    first: bool,
}

impl Separated<'_> {
    /// Adds a piece.
    pub(crate) fn push(&mut self, sql: &str) -> &mut Self {
        self.separate();
        self.query.push(sql);
        self
    }

    /// Adds a value.
    pub(crate) fn push_bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.separate();
        self.query.push_bind(value);
        self
    }

    fn separate(&mut self) {
        if !self.first {
            self.query.push(self.separator);
        }
        self.first = false;
    }
}
