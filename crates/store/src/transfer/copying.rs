//! The copy itself, in both directions: rows by pages, counted and digested on both sides.
//!
//! # Invariants
//! - Those of [`super`]: all rows or none.

use std::path::Path;

use ring::digest;

use super::plan::{self, Kind, Table};
use crate::backup::snapshot_of;
use crate::engine::{self, Connection, Pool, QueryBuilder, Row, Tx, Value};
use crate::error::StoreError;
use crate::limits::{CLOSED_AGAIN, CLOSED_LOOKS, COPIED_AT_ONCE};
use crate::server::ServerAddress;
use crate::store::{OWN_SETTINGS, Store};

/// What was copied of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Its name.
    pub table: String,
    /// How many rows.
    pub rows: u64,
    /// Of their values, whatever their order.
    pub digest: String,
}

/// Copies the store of a file, which no gateway has open, to a database that holds none.
///
/// # Errors
/// [`StoreError::Server`] when the database cannot be used or holds a store;
/// [`StoreError::Transfer`]; the database has no row then.
pub async fn copy_to_server(
    path: &Path,
    address: &ServerAddress,
) -> Result<Vec<Copied>, StoreError> {
    let file = Store::open_existing(path).await?;
    let copied = async {
        let server = Store::create_on(address).await?;
        let copied = copy(&file.pool, &file.pool, &server.pool).await;
        server.close().await;
        copied
    };
    let copied = copied.await;
    file.close().await;
    copied
}

/// Copies the store of a server to a new file. A gateway may work with it.
///
/// # Errors
/// The database's; [`StoreError::Transfer`]. There is no file then.
pub(crate) async fn copy_to_file(server: &Pool, path: &Path) -> Result<(), StoreError> {
    // In a folder of its own, and from there as one file without a log.
    let folder = path.with_extension("copying");
    let wrong = |error: std::io::Error| {
        StoreError::Transfer(format!("cannot make {}: {error}", folder.display()))
    };
    std::fs::create_dir(&folder).map_err(wrong)?;
    let first = folder.join("store");
    let copied = async {
        let file = Store::open(&first).await?;
        let copied = copy(&file.pool, server, &file.pool).await;
        file.close().await;
        copied?;
        snapshot_of(&first, path).await
    };
    let copied = copied.await;
    // A thread of SQLite's driver may still be closing the files.
    for _ in 0..CLOSED_LOOKS {
        let _ = std::fs::remove_dir_all(&folder); // looked at in the next turn
        if !folder.exists() {
            break;
        }
        tokio::time::sleep(CLOSED_AGAIN).await;
    }
    copied
}

/// Copies all rows. `file`: the one of both that is SQLite, whose schema is read.
async fn copy(file: &Pool, from: &Pool, to: &Pool) -> Result<Vec<Copied>, StoreError> {
    let tables = plan::tables(file).await?;
    let (mut source, mut target) = (from.reading().await?, to.writing().await?);
    for table in tables.iter().rev() {
        // What the steps of the schema wrote.
        engine::query(&format!("DELETE FROM {}", table.name)).execute(&mut target).await?;
    }
    let mut all = Vec::with_capacity(tables.len());
    for table in &tables {
        let read = pages(&mut source, table, Some(&mut target)).await?;
        let written = pages(&mut target, table, None).await?;
        if read != written {
            let (name, had, has) = (&table.name, read.rows, written.rows);
            return Err(StoreError::Transfer(format!(
                "table {name} differs after the copy ({had} rows read, {has} rows written): \
                 nothing \
                 was copied"
            )));
        }
        if table.is_numbered {
            number_on(&mut source, &mut target, table).await?;
        }
        let digest = format!("{:032x}", read.sum);
        all.push(Copied { table: table.name.clone(), rows: read.rows, digest });
    }
    target.commit().await?;
    Ok(all)
}

/// Number and sum of rows.
#[derive(Default, PartialEq, Eq)]
struct Sum {
    rows: u64,
    sum: u128,
}

/// Reads all rows of a table, and writes them to `to`.
async fn pages(from: &mut Tx, table: &Table, mut to: Option<&mut Tx>) -> Result<Sum, StoreError> {
    let mut sum = Sum::default();
    let mut last: Option<Vec<Value>> = None;
    loop {
        let mut query = QueryBuilder::new(&table.select());
        if let Some(last) = &last {
            query.push(" WHERE (").push(&table.key_list()).push(") > (");
            let mut list = query.separated(", ");
            for value in last {
                list.push_bind(value.clone());
            }
            query.push(")");
        }
        query.push(" ORDER BY ").push(&table.key_list()).push(" LIMIT ");
        query.push_bind(COPIED_AT_ONCE);
        let rows = query.build().persistent(false).fetch_all(&mut *from).await?;
        let read = rows.len();
        let rows: Result<Vec<Vec<Value>>, StoreError> =
            rows.iter().map(|row| values(row, table)).collect();
        let rows = rows?;
        last = rows.last().map(|row| table.key.iter().map(|&at| row[at].clone()).collect());
        let kept: Vec<Vec<Value>> = rows.into_iter().filter(|row| !is_own(row, table)).collect();
        for row in &kept {
            sum.rows += 1;
            sum.sum = sum.sum.wrapping_add(digest_of(row));
        }
        if let Some(to) = to.as_deref_mut().filter(|_| !kept.is_empty()) {
            let mut query = QueryBuilder::new(&table.insert());
            query.push_values(kept, |mut list, row| {
                for value in row {
                    list.push_bind(value);
                }
            });
            query.build().persistent(false).execute(&mut *to).await?;
        }
        if i64::try_from(read).unwrap_or(i64::MAX) < COPIED_AT_ONCE {
            return Ok(sum);
        }
    }
}

/// Whether it is a setting about the one store, not of what is in it.
fn is_own(row: &[Value], table: &Table) -> bool {
    table.name == "settings"
        && row.iter().any(|value| match value {
            Value::Text(Some(text)) => OWN_SETTINGS.contains(&text.as_str()),
            _ => false,
        })
}

fn values(row: &Row, table: &Table) -> Result<Vec<Value>, StoreError> {
    let read = |at: usize, kind: Kind| -> Result<Value, sqlx::Error> {
        Ok(match kind {
            Kind::Number => Value::Number(row.try_get(at)?),
            Kind::Text => Value::Text(row.try_get(at)?),
            Kind::Bytes => Value::Bytes(row.try_get(at)?),
            Kind::Truth => Value::Truth(row.try_get(at)?),
        })
    };
    let all = table.columns.iter().enumerate().map(|(at, (name, kind))| {
        read(at, *kind).map_err(|error| {
            let table = &table.name;
            StoreError::Transfer(format!("table {table}, column {name}: {error}"))
        })
    });
    all.collect()
}

/// A number of a row's values. PostgreSQL holds U+FFFD where SQLite holds a NUL.
fn digest_of(row: &[Value]) -> u128 {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut add = |kind: u8, bytes: &[u8]| {
        context.update(&[kind]);
        context.update(&bytes.len().to_be_bytes());
        context.update(bytes);
    };
    for value in row {
        match value {
            Value::Number(Some(number)) => add(1, &number.to_be_bytes()),
            Value::Text(Some(text)) => add(2, text.replace('\0', "\u{fffd}").as_bytes()),
            Value::Bytes(Some(bytes)) => add(3, bytes),
            Value::Truth(truth) => add(4, &[u8::from(*truth)]),
            Value::Number(None) | Value::Text(None) | Value::Bytes(None) => add(0, &[]),
        }
    }
    let digest = context.finish();
    let first: [u8; 16] = digest.as_ref().first_chunk().copied().unwrap_or_default();
    u128::from_be_bytes(first)
}

/// Lets the target give the numbers behind the last one that the source has given.
async fn number_on(source: &mut Tx, target: &mut Tx, table: &Table) -> Result<(), StoreError> {
    let key = &table.columns[table.key[0]].0;
    let given: Option<Option<i64>> = match &**source {
        Connection::Sqlite(_) => {
            let sql = "SELECT seq FROM sqlite_sequence WHERE name = ?";
            engine::query_scalar(sql).bind(&table.name).fetch_optional(&mut *source).await?
        }
        Connection::Postgres(_) => {
            let sql =
                "SELECT pg_sequence_last_value(CAST(pg_get_serial_sequence(?, ?) AS regclass))";
            engine::query_scalar(sql)
                .bind(&table.name)
                .bind(key)
                .fetch_optional(&mut *source)
                .await?
        }
    };
    let Some(given) = given.flatten() else { return Ok(()) };
    match &**target {
        Connection::Sqlite(_) => {
            let old = "DELETE FROM sqlite_sequence WHERE name = ?";
            engine::query(old).bind(&table.name).execute(&mut *target).await?;
            let new = "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)";
            engine::query(new).bind(&table.name).bind(given).execute(&mut *target).await?;
        }
        Connection::Postgres(_) => {
            let sql = "SELECT setval(CAST(pg_get_serial_sequence(?, ?) AS regclass), ?)";
            let set = engine::query(sql).bind(&table.name).bind(key).bind(given);
            set.fetch_one(&mut *target).await?;
        }
    }
    Ok(())
}
