//! A copy of the store at one instant, and what such a copy must lose before it is used again.
//!
//! # Invariants
//! - The copy is one transaction's view: writes meanwhile are not in it.
//! - It is a file of SQLite, whichever engine the store is on.
//! - After [`void`] nothing of the copy can be used that may have been used up, ended or revoked
//!   since it was made: activations, access requests, sessions, commands. No notification is sent a
//!   second time by itself.

use std::path::Path;

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use towline_host::clock::UnixMillis;

use crate::engine::{self, Tx};
use crate::error::StoreError;
use crate::limits;
use crate::server::ServerAddress;
use crate::store::Store;
use crate::transfer;

/// Key of the setting that changes with each restore: temporary credentials hold it.
pub const EPOCH: &str = "restore.epoch";

/// What a restore has ended, and who is to be checked.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Voided {
    /// Activations that can no longer be used.
    pub activations: u64,
    /// Access requests that are pending or approved no longer.
    pub access_requests: u64,
    /// Sessions that were open.
    pub sessions: u64,
    /// Commands on devices whose outcome is not known.
    pub invocations: u64,
    /// Notifications that waited: they may have been sent since.
    pub notifications: u64,
    /// Name of each identity provider, and the number of its people who are not blocked.
    pub providers: Vec<(String, i64)>,
    /// Name and host of each receiver of notifications.
    pub webhooks: Vec<(String, String)>,
    /// Id, name and status of each device that may connect or wait for approval.
    pub devices: Vec<(String, String, String)>,
    /// Name of each user with an active access key, and the number of these keys.
    pub users: Vec<(String, i64)>,
}

/// What invocations say afterwards.
const NOT_KNOWN: &str =
    "the gateway was restored from a backup: whether the command ran is not known";
/// What sessions say afterwards.
const ENDED: &str = "ended: the gateway was restored from a backup";
/// What notifications say afterwards.
const PERHAPS_SENT: &str = "the gateway was restored from a backup: it may have been sent";

impl Store {
    /// Writes the store as it is now to a new file.
    ///
    /// # Errors
    /// The database's.
    pub async fn snapshot(&self, to: &Path) -> Result<(), StoreError> {
        if self.is_shared() {
            return transfer::copy_to_file(&self.search, to).await;
        }
        let to = to.to_string_lossy().into_owned();
        // It writes another file: no writer has to wait for it.
        engine::query("VACUUM INTO ?").bind(to).fetch_all(&self.pool).await?;
        Ok(())
    }
}

/// The same of a store that no gateway has open. The schema stays as it is.
///
/// # Errors
/// The database's.
pub async fn snapshot_of(path: &Path, to: &Path) -> Result<(), StoreError> {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(limits::STORE_BUSY);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let to = to.to_string_lossy().into_owned();
    sqlx::query("VACUUM INTO ?").bind(to).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// The same of the store of a server: a file. A gateway may work with it.
///
/// # Errors
/// The database's; [`StoreError::Server`] when it holds no store of this version.
pub async fn snapshot_of_server(address: &ServerAddress, to: &Path) -> Result<(), StoreError> {
    let store = Store::read_whole(address).await?;
    let copied = store.snapshot(to).await;
    store.close().await;
    copied
}

/// Ends what a restored store must not go on with. `steps`: makes of the JSON of an invocation's
/// steps, and the sentence for users, what it is from now on.
///
/// # Errors
/// The database's.
pub async fn void(
    store: &Store,
    now: UnixMillis,
    steps: impl Fn(&str, &str) -> String,
) -> Result<Voided, StoreError> {
    let mut tx = store.writing().await?;
    let mut voided = Voided::default();
    end_rights(&mut tx, now, &mut voided).await?;
    end_commands(&mut tx, now, &mut voided, steps).await?;
    list(&mut tx, &mut voided).await?;
    engine::query(
        "INSERT INTO settings (key, value) VALUES (?, ?) \
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    )
    .bind(EPOCH)
    .bind(now.0.to_string())
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(voided)
}

async fn end_rights(tx: &mut Tx, now: UnixMillis, voided: &mut Voided) -> Result<(), StoreError> {
    let done = engine::query(
        "UPDATE activations SET expires_at = ? WHERE expires_at > ? AND uses < uses_allowed",
    )
    .bind(now.0)
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    voided.activations = done.rows_affected();
    let done = engine::query(
        "UPDATE access_requests SET status = 'Revoked', decided_by = 'restore' \
         WHERE status IN ('Pending', 'Approved')",
    )
    .execute(&mut **tx)
    .await?;
    voided.access_requests = done.rows_affected();
    let done = engine::query(
        "UPDATE sessions SET status = 'Terminated', details = ?, ended_at = ?, resume_state = NULL \
         WHERE ended_at IS NULL",
    )
    .bind(ENDED)
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    voided.sessions = done.rows_affected();
    let done = engine::query(
        "UPDATE notifications SET state = 'Dead', error = ?, next_at = 0 WHERE state = 'Waiting'",
    )
    .bind(PERHAPS_SENT)
    .execute(&mut **tx)
    .await?;
    voided.notifications = done.rows_affected();
    engine::query("DELETE FROM sign_in_links").execute(&mut **tx).await?;
    Ok(())
}

async fn end_commands(
    tx: &mut Tx,
    now: UnixMillis,
    voided: &mut Voided,
    steps: impl Fn(&str, &str) -> String,
) -> Result<(), StoreError> {
    let open: Vec<(String, String, String)> = engine::query_as(
        "SELECT command_id, device_id, steps FROM command_invocations WHERE ended_at IS NULL",
    )
    .fetch_all(&mut **tx)
    .await?;
    for (command, device, text) in &open {
        engine::query(
            "UPDATE command_invocations SET status = 'TimedOut', details = 'ExecutionTimedOut', \
             reason = ?, steps = ?, ended_at = ? WHERE command_id = ? AND device_id = ?",
        )
        .bind(NOT_KNOWN)
        .bind(steps(text, NOT_KNOWN))
        .bind(now.0)
        .bind(command)
        .bind(device)
        .execute(&mut **tx)
        .await?;
        engine::query("UPDATE commands SET error_count = error_count + 1 WHERE id = ?")
            .bind(command)
            .execute(&mut **tx)
            .await?;
    }
    voided.invocations = open.len() as u64;
    engine::query(
        "UPDATE commands SET status = 'TimedOut', details = 'ExecutionTimedOut', \
         completed_count = target_count, ended_at = ? WHERE ended_at IS NULL",
    )
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn list(tx: &mut Tx, voided: &mut Voided) -> Result<(), StoreError> {
    voided.devices = engine::query_as(
        "SELECT id, name, status FROM devices WHERE status <> 'revoked' ORDER BY id",
    )
    .fetch_all(&mut **tx)
    .await?;
    voided.providers = engine::query_as(
        "SELECT i.name, (SELECT COUNT(*) FROM federated_people p \
         WHERE p.provider_id = i.unique_id AND p.blocked = 0) FROM identity_providers i ORDER BY \
         i.name",
    )
    .fetch_all(&mut **tx)
    .await?;
    voided.webhooks = engine::query_as("SELECT name, host FROM webhooks ORDER BY name")
        .fetch_all(&mut **tx)
        .await?;
    voided.users = engine::query_as(
        "SELECT principal, COUNT(*) FROM access_keys WHERE status = 'Active' \
         GROUP BY principal ORDER BY principal",
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IdentityProvider, Message, NewActivation, Webhook};

    #[tokio::test]
    async fn after_a_restore_no_notification_is_sent_again_and_strangers_to_the_store_are_listed() {
        let (store, _dir) = crate::testing::scratch().await;
        let webhook = Webhook {
            name: "chat".into(),
            unique_id: String::new(),
            host: "chat.example".into(),
            format: "Standard".into(),
            sealed: b"s".to_vec(),
            created_at: UnixMillis(1),
        };
        store.notifications().create(&webhook).await.unwrap();
        let message = Message { id: "m".into(), kind: "test".into(), body: "{}".into() };
        store.notifications().tell(&message, UnixMillis(1)).await.unwrap();
        let provider = IdentityProvider {
            name: "corp".into(),
            unique_id: String::new(),
            issuer: "https://id.example".into(),
            settings: "{}".into(),
            secret: None,
            created_at: UnixMillis(1),
            changed_at: UnixMillis(1),
            is_disabled: false,
            holds_since: UnixMillis(0),
            own_redirect: true,
        };
        let id = store.identity_providers().create(&provider).await.unwrap();
        store.identity_providers().let_in(&id, "ann", "Ann", UnixMillis(1)).await.unwrap();
        let voided = void(&store, UnixMillis(10), |text, _| text.to_owned()).await.unwrap();
        assert_eq!(voided.notifications, 1);
        assert_eq!(voided.providers, [("corp".to_owned(), 1)]);
        assert_eq!(voided.webhooks, [("chat".to_owned(), "chat.example".to_owned())]);
        let receiver = store.notifications().webhooks().await.unwrap().remove(0).unique_id;
        assert_eq!(store.notifications().first(&receiver).await.unwrap(), None);
        assert_eq!(store.notifications().counts(&receiver).await.unwrap(), (0, 1));
    }

    #[tokio::test]
    async fn a_snapshot_has_what_was_written_before_it_and_opens_as_a_whole_store() {
        let (store, dir) = crate::testing::scratch_file().await;
        store.principals().create("ann", &[], UnixMillis(1)).await.unwrap();
        let copy = dir.path().join("copy.db");
        store.snapshot(&copy).await.unwrap();
        store.principals().create("bob", &[], UnixMillis(1)).await.unwrap();
        Store::accept(&copy).await.unwrap();
        let copied = Store::open_existing(&copy).await.unwrap();
        assert!(copied.principals().get("ann").await.unwrap().is_some());
        assert!(copied.principals().get("bob").await.unwrap().is_none());
        store.close().await;
        let second = dir.path().join("second.db");
        snapshot_of(&dir.path().join("towline.db"), &second).await.unwrap();
        let second = Store::open_existing(&second).await.unwrap();
        assert!(second.principals().get("bob").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn after_a_restore_no_activation_of_the_backup_lets_a_device_in() {
        let (store, _dir) = crate::testing::scratch().await;
        store.principals().create("ann", &[], UnixMillis(1)).await.unwrap();
        let new = NewActivation::for_tests("a", 1, UnixMillis(1_000));
        store.activations().create(&new, UnixMillis(1)).await.unwrap();
        let voided = void(&store, UnixMillis(10), |text, _| text.to_owned()).await.unwrap();
        assert_eq!((voided.activations, voided.invocations), (1, 0));
        let rest = void(&store, UnixMillis(10), |text, _| text.to_owned()).await.unwrap();
        assert_eq!(rest.activations, 0, "nothing is left to void");
        assert_eq!(store.settings().get(EPOCH).await.unwrap().as_deref(), Some("10"));
    }
}
