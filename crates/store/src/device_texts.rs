//! The text that each device is found by.
//!
//! Data flow: a device or its tags change -> [`note`] writes the device's text in the same
//! transaction -> `device_search` compares it with the words of a search.
//!
//! # Invariants
//! - Each device has a row of its text. [`complete`] adds the rows that an older version did not
//!   write.
//! - Text is folded here, and never by the engine: `lower()` depends on engine and locale.
//!
//! # Not here
//! - The search: `device_search`.

use crate::engine::{self, Pool, Tx};
use crate::error::StoreError;
use crate::limits::SEARCH_TEXTS_AT_ONCE;

/// A text as it is compared in a search.
pub(crate) fn searched(text: &str) -> String {
    text.to_lowercase()
}

/// Writes what a device is found by, as its rows are now. Call it in the transaction that changed
/// them.
pub(crate) async fn note(tx: &mut Tx, id: &str) -> Result<(), StoreError> {
    let row: Option<(String, String, String, String, String)> = engine::query_as(
        "SELECT name, hostname, platform_name, platform_version, ip FROM devices WHERE id = ?",
    )
    .bind(id)
    .fetch_optional(&mut **tx)
    .await?;
    let Some((name, hostname, platform, version, ip)) = row else { return Ok(()) };
    let tags: Vec<(String, String)> =
        engine::query_as("SELECT key, value FROM tags WHERE kind = 'device' AND id = ?")
            .bind(id)
            .fetch_all(&mut **tx)
            .await?;
    let mut text = format!("{id}\n{name}\n{hostname}\n{platform} {version}\n{ip}");
    for (key, value) in tags {
        text.push_str(&format!("\n{key}={value}"));
    }
    engine::query(
        "INSERT INTO device_search (id, text) VALUES (?, ?) \
         ON CONFLICT (id) DO UPDATE SET text = excluded.text \
         WHERE device_search.text <> excluded.text",
    )
    .bind(id)
    .bind(searched(&text))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Writes the texts that are missing: those of devices that an older version registered.
pub(crate) async fn complete(pool: &Pool) -> Result<(), StoreError> {
    loop {
        let missing: Vec<(String,)> = engine::query_as(
            "SELECT d.id FROM devices d WHERE NOT EXISTS \
             (SELECT 1 FROM device_search s WHERE s.id = d.id) LIMIT ?",
        )
        .bind(SEARCH_TEXTS_AT_ONCE)
        .fetch_all(pool)
        .await?;
        if missing.is_empty() {
            return Ok(());
        }
        let mut tx = pool.writing().await?;
        for (id,) in &missing {
            note(&mut tx, id).await?;
        }
        tx.commit().await?;
    }
}
