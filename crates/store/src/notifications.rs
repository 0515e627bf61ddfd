//! Notifications that wait for their receivers, and the receivers.
//!
//! Data flow: a change writes a [`Message`] for each receiver in its own transaction ([`add`]) ->
//! the gateway takes the first one of a receiver ([`Notifications::first`]), sends it, and removes
//! it, or puts it off, or gives it up.
//!
//! # Invariants
//! - A message is there exactly when what it tells has happened.
//! - Each receiver gets its messages in their order: only its first one that waits is sent.
//! - A change never fails because a receiver is away: beyond [`limits::MAX_NOTIFICATIONS`] of a
//!   receiver, the oldest goes.
//!
//! # Not here
//! - Addresses, secrets and signatures: the gateway's.

use towline_host::clock::UnixMillis;

use crate::engine::{self, Row, Tx};
use crate::error::StoreError;
use crate::identity::{IdKind, new_id};
use crate::limits;
use crate::store::{Store, no_alike, within};

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id, the same for all receivers and attempts.
    pub id: String,
    /// What happened, such as `access_request.created`.
    pub kind: String,
    /// JSON.
    pub body: String,
}

/// A receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its name.
    pub name: String,
    /// Its id; one that is made again under the name gets a new one.
    pub unique_id: String,
    /// The host of its address.
    pub host: String,
    /// How messages are written for it.
    pub format: String,
    /// Address and secret, sealed.
    pub sealed: Vec<u8>,
    /// When it was made.
    pub created_at: UnixMillis,
}

/// A message for one receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Its place in the receiver's order.
    pub position: i64,
    /// The message.
    pub message: Message,
    /// Attempts so far.
    pub attempts: i64,
    /// Why the last one failed.
    pub error: String,
    /// When it was written.
    pub created_at: UnixMillis,
    /// When it is to be sent.
    pub next_at: UnixMillis,
}

/// What a failed attempt leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Another attempt at this time.
    Again(UnixMillis),
    /// No further attempt.
    GiveUp,
}

/// Operations on receivers and messages.
pub struct Notifications<'a> {
    store: &'a Store,
}

impl Store {
    /// Receivers and messages.
    #[must_use]
    pub const fn notifications(&self) -> Notifications<'_> {
        Notifications { store: self }
    }
}

/// Writes a message for each receiver, in the transaction of what it tells.
pub(crate) async fn add(tx: &mut Tx, message: &Message, now: UnixMillis) -> Result<(), StoreError> {
    engine::query(
        "INSERT INTO notifications (webhook_id, position, id, kind, body, state, attempts, error, \
         created_at, next_at) \
         SELECT w.unique_id, COALESCE((SELECT MAX(n.position) FROM notifications n WHERE \
         n.webhook_id = w.unique_id), 0) + 1, \
         ?, ?, ?, 'Waiting', 0, '', ?, ? FROM webhooks w",
    )
    .bind(&message.id)
    .bind(&message.kind)
    .bind(&message.body)
    .bind(now.0)
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    let ends = engine::query_as::<(String, Option<i64>)>(ENDS).fetch_all(&mut **tx).await?;
    for (webhook, last) in ends {
        let too_old = last.unwrap_or(0).saturating_sub(limits::MAX_NOTIFICATIONS);
        if too_old > 0 {
            engine::query("DELETE FROM notifications WHERE webhook_id = ? AND position <= ?")
                .bind(webhook)
                .bind(too_old)
                .execute(&mut **tx)
                .await?;
        }
    }
    Ok(())
}

/// The latest message of each receiver.
const ENDS: &str = "SELECT w.unique_id, (SELECT MAX(n.position) FROM notifications n \
     WHERE n.webhook_id = w.unique_id) FROM webhooks w";
const WEBHOOK: &str = "SELECT name, unique_id, host, format, sealed, created_at FROM webhooks";
const MESSAGE: &str =
    "SELECT position, id, kind, body, attempts, error, created_at, next_at FROM notifications";

fn webhook(row: &Row) -> Result<Webhook, sqlx::Error> {
    Ok(Webhook {
        name: row.try_get("name")?,
        unique_id: row.try_get("unique_id")?,
        host: row.try_get("host")?,
        format: row.try_get("format")?,
        sealed: row.try_get("sealed")?,
        created_at: UnixMillis(row.try_get("created_at")?),
    })
}

fn notification(row: &Row) -> Result<Notification, sqlx::Error> {
    Ok(Notification {
        position: row.try_get("position")?,
        message: Message {
            id: row.try_get("id")?,
            kind: row.try_get("kind")?,
            body: row.try_get("body")?,
        },
        attempts: row.try_get("attempts")?,
        error: row.try_get("error")?,
        created_at: UnixMillis(row.try_get("created_at")?),
        next_at: UnixMillis(row.try_get("next_at")?),
    })
}

impl Notifications<'_> {
    /// Stores a new receiver; its id is made here.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the name is taken; [`StoreError::Full`].
    pub async fn create(&self, new: &Webhook) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        let count = "SELECT COUNT(*) FROM webhooks WHERE name <> ?";
        within(&mut tx, count, &new.name, "webhooks", limits::MAX_WEBHOOKS).await?;
        let alike = "SELECT COUNT(*) FROM webhooks WHERE LOWER(name) = ? AND name <> ?";
        no_alike(&mut tx, alike, &new.name, "webhook of this name, letter case aside,").await?;
        engine::query(
            "INSERT INTO webhooks (name, unique_id, host, format, sealed, created_at) \
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(&new.name)
        .bind(new_id(IdKind::Webhook)?)
        .bind(&new.host)
        .bind(&new.format)
        .bind(&new.sealed)
        .bind(new.created_at.0)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_insert("webhook"))?;
        tx.commit().await?;
        Ok(())
    }

    /// All receivers, by name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        let sql = format!("{WEBHOOK} ORDER BY name");
        let rows = engine::query(&sql).fetch_all(&self.store.pool).await?;
        Ok(rows.iter().map(webhook).collect::<Result<_, _>>()?)
    }

    /// Removes a receiver with its messages. `false`: there is none of this name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn remove(&self, name: &str) -> Result<bool, StoreError> {
        let done = engine::query("DELETE FROM webhooks WHERE name = ?")
            .bind(name)
            .execute(&self.store.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Writes a message that tells of no change of the store.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn tell(&self, message: &Message, now: UnixMillis) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        add(&mut tx, message, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The first message that waits for a receiver, whether its time has come or not.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn first(&self, webhook_id: &str) -> Result<Option<Notification>, StoreError> {
        let sql = format!(
            "{MESSAGE} WHERE webhook_id = ? AND state = 'Waiting' ORDER BY position LIMIT 1"
        );
        let row = engine::query(&sql).bind(webhook_id).fetch_optional(&self.store.pool).await?;
        Ok(row.as_ref().map(notification).transpose()?)
    }

    /// A message was received.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn received(&self, webhook_id: &str, position: i64) -> Result<(), StoreError> {
        engine::query("DELETE FROM notifications WHERE webhook_id = ? AND position = ?")
            .bind(webhook_id)
            .bind(position)
            .execute(&self.store.pool)
            .await?;
        Ok(())
    }

    /// A message was not received.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn failed(
        &self,
        webhook_id: &str,
        position: i64,
        error: &str,
        after: After,
    ) -> Result<(), StoreError> {
        let (state, next) = match after {
            After::Again(at) => ("Waiting", at.0),
            After::GiveUp => ("Dead", 0),
        };
        engine::query(
            "UPDATE notifications SET attempts = attempts + 1, error = ?, state = ?, next_at = ? \
             WHERE webhook_id = ? AND position = ?",
        )
        .bind(error)
        .bind(state)
        .bind(next)
        .bind(webhook_id)
        .bind(position)
        .execute(&self.store.pool)
        .await?;
        Ok(())
    }

    /// The first `limit` messages of a receiver that were given up, in their order.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn dead(
        &self,
        webhook_id: &str,
        limit: i64,
    ) -> Result<Vec<Notification>, StoreError> {
        let sql =
            format!("{MESSAGE} WHERE webhook_id = ? AND state = 'Dead' ORDER BY position LIMIT ?");
        let rows =
            engine::query(&sql).bind(webhook_id).bind(limit).fetch_all(&self.store.pool).await?;
        Ok(rows.iter().map(notification).collect::<Result<_, _>>()?)
    }

    /// Has all messages of a receiver that were given up sent again, before the later ones. How
    /// many.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn resend(&self, webhook_id: &str, now: UnixMillis) -> Result<u64, StoreError> {
        let done = engine::query(
            "UPDATE notifications SET state = 'Waiting', attempts = 0, created_at = ?, next_at = ? \
             WHERE webhook_id = ? AND state = 'Dead'",
        )
        .bind(now.0)
        .bind(now.0)
        .bind(webhook_id)
        .execute(&self.store.pool)
        .await?;
        Ok(done.rows_affected())
    }

    /// Messages of a receiver that wait, and those that were given up.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn counts(&self, webhook_id: &str) -> Result<(i64, i64), StoreError> {
        let count = "SELECT COUNT(*) FROM notifications WHERE webhook_id = ? AND state = ";
        let mut counts = [0; 2];
        for (count_of, state) in counts.iter_mut().zip(["Waiting", "Dead"]) {
            *count_of = engine::query_scalar(&format!("{count}?"))
                .bind(webhook_id)
                .bind(state)
                .fetch_one(&self.store.pool)
                .await?;
        }
        Ok((counts[0], counts[1]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{scratch, walks};

    const NOW: UnixMillis = UnixMillis(1);

    #[tokio::test]
    async fn the_oldest_message_of_a_receiver_makes_room_and_those_of_others_are_not_read() {
        let (store, _dir) = scratch().await;
        for name in ["full", "fresh"] {
            let new = Webhook {
                name: name.into(),
                unique_id: String::new(),
                host: "h".into(),
                format: "f".into(),
                sealed: vec![],
                created_at: NOW,
            };
            store.notifications().create(&new).await.unwrap();
        }
        engine::query(
            "INSERT INTO notifications WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 \
             FROM n WHERE n < ?) SELECT unique_id, n, 'id', 'k', 'b', 'Dead', 1, '', 1, 1 \
             FROM n, webhooks WHERE name = 'full'",
        )
        .bind(limits::MAX_NOTIFICATIONS)
        .execute(&store.pool)
        .await
        .unwrap();
        let message = Message { id: "new".into(), kind: "k".into(), body: "b".into() };
        let mut tx = store.writing().await.unwrap();
        add(&mut tx, &message, NOW).await.unwrap();
        tx.commit().await.unwrap();
        let kept: Vec<(i64, i64)> = engine::query_as(
            "SELECT COUNT(*), MIN(position) FROM notifications GROUP BY webhook_id ORDER BY 1",
        )
        .fetch_all(&store.pool)
        .await
        .unwrap();
        assert_eq!(kept, [(1, 1), (limits::MAX_NOTIFICATIONS, 2)]);
        let mut walked = walks(&store, ENDS).await;
        walked.retain(|step| !step.contains("SCAN w")); // the receivers, of which there are few
        assert!(walked.is_empty(), "{walked:?}");
    }
}
