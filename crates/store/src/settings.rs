//! Settings that can change while the gateway runs.

use std::time::Duration;

use crate::engine;
use crate::error::StoreError;
use crate::limits::{DEFAULT_IDLE_MINUTES, GREATEST_MINUTES};
use crate::store::Store;

/// Key of the setting: minutes until an idle session ends.
pub const IDLE_MINUTES: &str = "session.idle-minutes";
/// Key of the setting: minutes until any session ends. Absent or 0: never.
pub const MAX_MINUTES: &str = "session.max-minutes";

/// How long sessions may live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// Ends a session in which nobody types and nothing is shown.
    pub idle: Duration,
    /// Ends a session whatever it does; `None`: never.
    pub max: Option<Duration>,
}

/// Operations on settings.
pub struct Settings<'a> {
    store: &'a Store,
}

impl Store {
    /// Settings.
    #[must_use]
    pub const fn settings(&self) -> Settings<'_> {
        Settings { store: self }
    }
}

impl Settings<'_> {
    /// The value of `key`, if it was set.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn get(&self, key: &str) -> Result<Option<String>, StoreError> {
        Ok(engine::query_scalar("SELECT value FROM settings WHERE key = ?")
            .bind(key)
            .fetch_optional(&self.store.pool)
            .await?)
    }

    /// Sets `key`.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn set(&self, key: &str, value: &str) -> Result<(), StoreError> {
        engine::query(
            "INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET \
             value = excluded.value",
        )
        .bind(key)
        .bind(value)
        .execute(&self.store.pool)
        .await?;
        Ok(())
    }

    /// Removes the value of `key`, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn clear(&self, key: &str) -> Result<(), StoreError> {
        engine::query("DELETE FROM settings WHERE key = ?")
            .bind(key)
            .execute(&self.store.pool)
            .await?;
        Ok(())
    }

    /// How long sessions may live, as set or by default (20 minutes idle, no maximum). A value
    /// outside of 1 to 1440 minutes counts as not set.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn session_limits(&self) -> Result<SessionLimits, StoreError> {
        let sql = "SELECT key, value FROM settings WHERE key IN (?, ?)";
        let set: Vec<(String, String)> = engine::query_as(sql)
            .bind(IDLE_MINUTES)
            .bind(MAX_MINUTES)
            .fetch_all(&self.store.pool)
            .await?;
        let of = |key| minutes(set.iter().find(|(name, _)| name == key).map(|(_, text)| text));
        let idle = of(IDLE_MINUTES).unwrap_or(Duration::from_secs(DEFAULT_IDLE_MINUTES * 60));
        Ok(SessionLimits { idle, max: of(MAX_MINUTES) })
    }
}

/// Minutes, fractions allowed (tests of time-outs would otherwise take a minute).
fn minutes(text: Option<&String>) -> Option<Duration> {
    let minutes: f64 = text?.parse().ok()?;
    #[allow(clippy::cast_precision_loss)]
    let known = minutes > 0.0 && minutes <= GREATEST_MINUTES as f64;
    known.then(|| Duration::from_secs_f64(minutes * 60.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch;

    #[tokio::test]
    async fn sessions_idle_for_twenty_minutes_and_live_without_a_maximum_unless_set_otherwise() {
        let (store, _dir) = scratch().await;
        let limits = store.settings().session_limits().await.unwrap();
        assert_eq!(limits, SessionLimits { idle: Duration::from_secs(1200), max: None });

        store.settings().set(IDLE_MINUTES, "5").await.unwrap();
        store.settings().set(MAX_MINUTES, "0.5").await.unwrap();
        let limits = store.settings().session_limits().await.unwrap();
        assert_eq!(
            limits,
            SessionLimits { idle: Duration::from_secs(300), max: Some(Duration::from_secs(30)) }
        );

        for key in [IDLE_MINUTES, MAX_MINUTES] {
            store.settings().clear(key).await.unwrap();
        }
        let limits = store.settings().session_limits().await.unwrap();
        assert_eq!(
            limits,
            SessionLimits { idle: Duration::from_secs(1200), max: None },
            "as if never set"
        );
    }

    #[tokio::test]
    async fn a_setting_that_makes_no_sense_counts_as_not_set() {
        let (store, _dir) = scratch().await;
        for value in ["-1", "0", "1441", "soon", "NaN", ""] {
            store.settings().set(MAX_MINUTES, value).await.unwrap();
            assert_eq!(store.settings().session_limits().await.unwrap().max, None, "{value:?}");
        }
    }
}
