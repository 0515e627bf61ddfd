//! A store for a test: in a temporary folder, or on the server that [`SERVER`] names.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{Connection as _, Executor as _, PgConnection};
use towline_host::clock::UnixMillis;

use crate::NodeIdentity;
use crate::change::Removed;
#[cfg(test)]
use crate::engine;
use crate::server::ServerAddress;
use crate::store::Store;

/// Environment variable: the address of a database server on which each test gets a database.
pub const SERVER: &str = "TOWLINE_TEST_POSTGRES";

/// A store, and the folder that must live as long as it does.
///
/// # Panics
/// When no temporary folder or no database can be made.
#[allow(clippy::unwrap_used)] // for tests only, which fail by panicking
pub async fn scratch() -> (Store, tempfile::TempDir) {
    let Ok(server) = std::env::var(SERVER) else { return scratch_file().await };
    let store = Store::create_on(&new_database(&server).await).await.unwrap();
    (store, tempfile::tempdir().unwrap())
}

/// A store in a file, whatever the engine of the others, and the folder that must live as long as
/// it does.
///
/// # Panics
/// When no temporary folder or no database can be made.
#[allow(clippy::unwrap_used)] // for tests only, which fail by panicking
pub async fn scratch_file() -> (Store, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("towline.db")).await.unwrap();
    (store, dir)
}

/// Makes an empty database on a server whose address ends in the name of a database.
///
/// # Panics
/// When the server refuses.
#[allow(clippy::unwrap_used)] // for tests only, which fail by panicking
pub async fn new_database(server: &str) -> ServerAddress {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("t_{}_{number}", std::process::id());
    let mut connection = PgConnection::connect(server).await.unwrap();
    connection.execute(&*format!("CREATE DATABASE {name}")).await.unwrap();
    connection.close().await.unwrap();
    let (place, _) = server.rsplit_once('/').unwrap();
    ServerAddress::parse(&format!("{place}/{name}"), None).unwrap()
}

/// The store of a gateway of this name, which joins those that work on this database. Its key and
/// its address follow from the name.
///
/// # Panics
/// When it is not taken in.
#[allow(clippy::unwrap_used)] // for tests only, which fail by panicking
pub async fn joined(address: &ServerAddress, name: &str) -> Store {
    Store::join(address, &identity(name)).await.unwrap()
}

/// What a gateway of this name says of itself.
#[must_use]
pub fn identity(name: &str) -> NodeIdentity {
    NodeIdentity {
        name: name.to_owned(),
        spki: name.as_bytes().to_vec(),
        address: format!("{name}.example:8443"),
        device_address: String::new(),
    }
}

/// Removes a principal, as an administrator does.
///
/// # Panics
/// When there is no such principal.
#[allow(clippy::unwrap_used)] // for tests only, which fail by panicking
pub async fn remove(store: &Store, name: &str) -> Removed {
    let principal = store.principals().get(name).await.unwrap().unwrap();
    let mut change = store.change_of(&principal).await.unwrap();
    let removed = change.remove(&principal, "arn:boss", UnixMillis(1)).await.unwrap();
    change.commit().await.unwrap();
    removed
}

/// What a statement reads without an index, or much of, once the engine has statistics: steps of
/// SQLite's plan that walk through a table, or of PostgreSQL's that had read more than a hundred
/// rows. Each value is an empty text.
///
/// # Panics
/// When the engine does not explain it.
#[cfg(test)]
#[allow(clippy::unwrap_used)] // for tests only, which fail by panicking
pub(crate) async fn walks(store: &Store, sql: &str) -> Vec<String> {
    const MANY: u64 = 100;
    let sql = sql.replace('?', "''");
    // On one connection: another one need not know the statistics.
    let mut tx = store.writing().await.unwrap();
    engine::query("ANALYZE").execute(&mut tx).await.unwrap();
    let mut lines = async |sql: String, column| {
        let rows = engine::query(&sql).persistent(false).fetch_all(&mut tx).await.unwrap();
        let line = |row: &engine::Row| row.try_get::<String, &str>(column).unwrap();
        rows.iter().map(line).collect::<Vec<_>>()
    };
    if !store.is_shared() {
        let mut steps = lines(format!("EXPLAIN QUERY PLAN {sql}"), "detail").await;
        steps.retain(|step| step.starts_with("SCAN"));
        return steps;
    }
    let mut steps = lines(format!("EXPLAIN ANALYZE {sql}"), "QUERY PLAN").await;
    let is_much = |step: &String| {
        let read = step.split_once("(actual").map_or(&**step, |(_, read)| read);
        let numbers = ["rows=", "Rows Removed by Filter: "].map(|before| {
            let number = read.split(before).nth(1).unwrap_or("0");
            let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
            number[..end].parse::<u64>().unwrap_or(0)
        });
        numbers.iter().any(|number| *number > MANY)
    };
    steps.retain(is_much);
    steps
}
