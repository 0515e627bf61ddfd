//! A store in a temporary folder, for tests.

use towline_host::clock::UnixMillis;

use crate::change::Removed;
use crate::store::Store;

/// The store, and the folder that must live as long as it does.
///
/// # Panics
/// When no temporary folder or no database can be made.
#[allow(clippy::unwrap_used)] // for tests only, which fail by panicking
pub async fn scratch() -> (Store, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("towline.db")).await.unwrap();
    (store, dir)
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
