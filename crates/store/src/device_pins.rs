//! Which devices have the pin of the server's next key.

use crate::devices::Devices;
use crate::engine;
use crate::error::StoreError;

/// How far a statement has come.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PinSpread {
    /// Devices that may connect.
    pub devices: i64,
    /// How many of them have confirmed it.
    pub confirmed: i64,
    /// Some of the others.
    pub missing: Vec<String>,
}

impl Devices<'_> {
    /// A device has confirmed the statement of this time. `false`: it had before.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn confirm_pin(&self, id: &str, issued: i64) -> Result<bool, StoreError> {
        let done = engine::query("UPDATE devices SET next_pin = ? WHERE id = ? AND next_pin <> ?")
            .bind(issued)
            .bind(id)
            .bind(issued)
            .execute(&self.store.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// How far the statement of this time has come; `most` of those that lack it.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn pin_spread(&self, issued: i64, most: i64) -> Result<PinSpread, StoreError> {
        let devices: i64 =
            engine::query_scalar("SELECT COUNT(*) FROM devices WHERE status = 'active'")
                .fetch_one(&self.store.pool)
                .await?;
        let confirmed: i64 = engine::query_scalar(
            "SELECT COUNT(*) FROM devices WHERE status = 'active' AND next_pin = ?",
        )
        .bind(issued)
        .fetch_one(&self.store.pool)
        .await?;
        let missing = engine::query_scalar(
            "SELECT id FROM devices WHERE status = 'active' AND next_pin <> ? ORDER BY id LIMIT ?",
        )
        .bind(issued)
        .bind(most)
        .fetch_all(&self.store.pool)
        .await?;
        Ok(PinSpread { devices, confirmed, missing })
    }
}
