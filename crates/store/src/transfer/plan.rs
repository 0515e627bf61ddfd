//! The tables of the schema, as a file of SQLite tells them. PostgreSQL has the same (a test
//! compares them).
//!
//! # Invariants
//! - A table comes after those that it refers to.
//! - Names are those of our own schema; they are quoted.

use crate::engine::{self, Pool};
use crate::error::StoreError;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Text,
    Bytes,
    Truth,
}

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<(String, Kind)>,
    /// Which of the columns are the key, in its order.
    pub(super) key: Vec<usize>,
    /// The database gives the key: a number.
    pub(super) is_numbered: bool,
}

impl Table {
    fn list<'n>(names: impl Iterator<Item = &'n String>) -> String {
        names.map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
    }

    /// The columns of its key.
    pub(super) fn key_list(&self) -> String {
        Self::list(self.key.iter().map(|&at| &self.columns[at].0))
    }

    /// Reads all its columns.
    pub(super) fn select(&self) -> String {
        let columns = Self::list(self.columns.iter().map(|(name, _)| name));
        format!("SELECT {columns} FROM {}", self.name)
    }

    /// Begins an insert of all its columns.
    pub(super) fn insert(&self) -> String {
        let columns = Self::list(self.columns.iter().map(|(name, _)| name));
        format!("INSERT INTO {} ({columns}) ", self.name)
    }
}

const COLUMNS: &str = "SELECT m.name, c.name, c.type, c.pk FROM sqlite_master m, \
     pragma_table_info(m.name) c WHERE m.type = 'table' AND SUBSTR(m.name, 1, 7) <> 'sqlite_' \
     AND SUBSTR(m.name, 1, 5) <> '_sqlx' ORDER BY m.name, c.cid";
const REFERENCES: &str = "SELECT DISTINCT m.name, f.\"table\" FROM sqlite_master m, \
     pragma_foreign_key_list(m.name) f WHERE m.type = 'table' ORDER BY 1, 2";

/// All tables, in an order in which their rows can be inserted.
pub(super) async fn tables(file: &Pool) -> Result<Vec<Table>, StoreError> {
    let rows: Vec<(String, String, String, i64)> =
        engine::query_as(COLUMNS).fetch_all(file).await?;
    let mut tables: Vec<Table> = Vec::new();
    let mut keys: Vec<(i64, usize)> = Vec::new();
    for (table, column, kind, place) in rows {
        if tables.last().is_none_or(|last| last.name != table) {
            finish(tables.last_mut(), &mut keys)?;
            let (columns, key) = (Vec::new(), Vec::new());
            tables.push(Table { name: table, columns, key, is_numbered: false });
        }
        let Some(last) = tables.last_mut() else { continue };
        if place > 0 {
            keys.push((place, last.columns.len()));
        }
        // SQLite gives the number of a key of this type.
        last.is_numbered |= place > 0 && kind == "INTEGER";
        last.columns.push((column, kind_of(&last.name, &kind)?));
    }
    finish(tables.last_mut(), &mut keys)?;
    let references: Vec<(String, String)> = engine::query_as(REFERENCES).fetch_all(file).await?;
    in_order(tables, &references)
}

/// Sets the key of a table whose columns are all known.
fn finish(table: Option<&mut Table>, keys: &mut Vec<(i64, usize)>) -> Result<(), StoreError> {
    let Some(table) = table else { return Ok(()) };
    keys.sort_unstable();
    table.key = keys.drain(..).map(|(_, at)| at).collect();
    if table.key.is_empty() {
        return Err(StoreError::Transfer(format!("table {} has no key", table.name)));
    }
    Ok(())
}

fn kind_of(table: &str, kind: &str) -> Result<Kind, StoreError> {
    match kind {
        "BIGINT" | "INTEGER" => Ok(Kind::Number),
        "TEXT" => Ok(Kind::Text),
        "BLOB" => Ok(Kind::Bytes),
        "BOOLEAN" => Ok(Kind::Truth),
        other => Err(StoreError::Transfer(format!("table {table} has a column of type {other}"))),
    }
}

/// Those that others refer to come first.
fn in_order(
    mut left: Vec<Table>,
    references: &[(String, String)],
) -> Result<Vec<Table>, StoreError> {
    let mut ordered: Vec<Table> = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waits = |table: &Table| {
            references.iter().any(|(from, to)| {
                *from == table.name
                    && *to != table.name
                    && left.iter().any(|other| other.name == *to)
            })
        };
        let later: Vec<bool> = left.iter().map(waits).collect();
        if later.iter().all(|&later| later) {
            let names: Vec<&str> = left.iter().map(|table| &*table.name).collect();
            return Err(StoreError::Transfer(format!(
                "tables refer to each other: {}",
                names.join(", ")
            )));
        }
        let mut later = later.into_iter();
        let (rest, ready): (Vec<Table>, Vec<Table>) =
            left.into_iter().partition(|_| later.next().unwrap_or(false));
        ordered.extend(ready);
        left = rest;
    }
    Ok(ordered)
}
