//! A store in a temporary folder, for tests.

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
