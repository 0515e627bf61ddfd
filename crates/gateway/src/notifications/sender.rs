//! Sends messages to their receivers.
//!
//! Data flow: [`Bell`] rings, or the time of a message comes -> [`Sender::run`]: a turn for each
//! receiver, with its first messages, until one fails or none is due.
//!
//! # Invariants
//! - A receiver has one turn at a time, and waits for no other receiver's turn.
//! - A message that fails keeps the later ones of its receiver waiting: order is kept.
//! - After [`NOTIFICATION_LIFE`] of failures, and not before [`NOTIFICATION_ATTEMPTS`], a message
//!   is given up, and the next one has its turn: time in which the gateway did not run, or by which
//!   its clock was set, is no failure.
//! - A stop begins no delivery, and waits [`NOTIFICATION_STOP`] for those under way: what a
//!   receiver has taken is stored as received, and not sent again by the next process.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use towline_host::clock::{Clock, UnixMillis};
use towline_ssm::api::webhook::MAIL;
use towline_store::{After, Notification, Store, StoreError, Webhook};

use super::message::{Secrets, body_for, mail_for};
use super::signature::{secret_bytes, signature};
use crate::limits::{
    MAX_NOTIFICATION_ANSWER, NOTIFICATION_ATTEMPTS, NOTIFICATION_LIFE, NOTIFICATION_PAUSE,
    NOTIFICATION_PAUSE_MOST, NOTIFICATION_STOP, NOTIFICATIONS_AT_ONCE,
};
use crate::metrics::Metrics;
use crate::outbound::mail::{Mail, MailServer, Mailbox};
use crate::outbound::{Ask, Outbound};
use crate::vault::Vault;

/// Wakes the sender. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Bell(Arc<Notify>);

impl Bell {
    /// There is something to send.
    pub fn ring(&self) {
        self.0.notify_one();
    }
}

/// What a turn has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turn {
    /// Messages that were received.
    pub received: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Messages that were given up.
    pub given_up: u64,
    /// When the next one is due.
    pub next: Option<UnixMillis>,
}

/// Whose turn it is, and when it is whose next time.
#[derive(Debug, Default)]
struct Receivers {
    /// Ids of those that have their turn, and whether there was a look at all meanwhile.
    busy: HashMap<String, bool>,
    /// When the next message of the others is due.
    next: HashMap<String, UnixMillis>,
    /// When all are looked at again, whatever is due.
    again: Option<UnixMillis>,
}

impl Receivers {
    /// All are looked at now: each free one has its turn, and one that was removed has none.
    fn look(&mut self) {
        self.next.clear();
        self.again = None;
    }

    /// Whether the turn of a receiver begins: it has none now.
    fn begin(&mut self, webhook: &Webhook) -> bool {
        if let Some(looked) = self.busy.get_mut(&webhook.unique_id) {
            *looked = true;
            return false;
        }
        self.busy.insert(webhook.unique_id.clone(), false);
        true
    }

    /// The turn of a receiver is over. Whether it has another one at once: a message may have come
    /// after its last look.
    fn end(&mut self, webhook: &Webhook, next: Option<UnixMillis>) -> bool {
        let id = &webhook.unique_id;
        if self.busy.remove(id) == Some(true) {
            self.busy.insert(id.clone(), false);
            return true;
        }
        self.next.extend(next.map(|next| (id.clone(), next)));
        false
    }

    /// How long nothing is due.
    fn wait(&self, now: UnixMillis) -> Duration {
        let next = self.next.values().copied().chain(self.again).min();
        next.map_or(NOTIFICATION_PAUSE_MOST, |at| {
            let left = at.0.saturating_sub(now.0);
            Duration::from_millis(u64::try_from(left).unwrap_or(0)).min(NOTIFICATION_PAUSE_MOST)
        })
    }
}

/// Sends.
pub struct Sender {
    /// The store.
    pub store: Store,
    /// Opens addresses and secrets.
    pub vault: Arc<Vault>,
    /// The way out.
    pub client: Outbound,
    /// The way out for mail, if there is one.
    pub mail: Option<MailServer>,
    /// The time.
    pub clock: Clock,
}

impl Sender {
    /// Sends from when this node does the chores until `stop` becomes true.
    #[must_use]
    pub fn start(
        self,
        bell: Bell,
        mut stop: watch::Receiver<bool>,
        metrics: Arc<Metrics>,
    ) -> JoinHandle<()> {
        tokio::spawn(async move {
            tokio::select! {
                () = self.store.has_chores() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            self.run(bell, stop, metrics).await;
        })
    }

    /// Sends until `stop` becomes true, and ends when the deliveries under way have ended.
    pub async fn run(self, bell: Bell, stop: watch::Receiver<bool>, metrics: Arc<Metrics>) {
        let mut stopped = stop.clone();
        let mut stopped = pin!(stopped.wait_for(|stop| *stop));
        let mut turns = FuturesUnordered::new();
        let mut receivers = Receivers::default();
        let mut look = true;
        loop {
            if std::mem::take(&mut look) {
                let webhooks = self.webhooks(&mut receivers).await;
                let free = webhooks.into_iter().filter(|webhook| receivers.begin(webhook));
                turns.extend(free.map(|webhook| self.one_turn(webhook, &stop)));
            }
            let wait = receivers.wait(self.clock.now());
            tokio::select! {
                () = bell.0.notified() => look = true,
                () = tokio::time::sleep(wait) => look = true,
                Some((webhook, turn)) = turns.next() => {
                    let turn = self.counted(turn, &metrics);
                    if receivers.end(&webhook, turn.next) {
                        turns.push(self.one_turn(webhook, &stop));
                    }
                }
                _ = &mut stopped => break,
            }
        }
        let rest = async {
            while let Some((_, turn)) = turns.next().await {
                self.counted(turn, &metrics);
            }
        };
        if tokio::time::timeout(NOTIFICATION_STOP, rest).await.is_err() {
            tracing::warn!("a stop did not wait for all notifications: some may be sent twice");
        }
    }

    /// All receivers; none when they cannot be read, which is tried again soon.
    async fn webhooks(&self, receivers: &mut Receivers) -> Vec<Webhook> {
        receivers.look();
        match self.store.notifications().webhooks().await {
            Ok(webhooks) => webhooks,
            Err(error) => {
                tracing::warn!(%error, "notifications cannot be read from the store");
                receivers.again = Some(self.clock.now().plus(NOTIFICATION_PAUSE));
                Vec::new()
            }
        }
    }

    async fn one_turn(
        &self,
        webhook: Webhook,
        stop: &watch::Receiver<bool>,
    ) -> (Webhook, Result<Turn, StoreError>) {
        let turn = self.turn_of(&webhook, || *stop.borrow()).await;
        (webhook, turn)
    }

    /// What a turn has done, in the metrics.
    fn counted(&self, turn: Result<Turn, StoreError>, metrics: &Metrics) -> Turn {
        let turn = turn.unwrap_or_else(|error| {
            tracing::warn!(%error, "notifications cannot be read from the store");
            let next = Some(self.clock.now().plus(NOTIFICATION_PAUSE));
            Turn { next, ..Turn::default() }
        });
        metrics.notifications_sent.add(turn.received);
        metrics.notifications_failed.add(turn.failed);
        metrics.notifications_given_up.add(turn.given_up);
        turn
    }

    /// Sends what is due now, to all receivers at the same time.
    ///
    /// # Errors
    /// The store's.
    pub async fn turn(&self) -> Result<Turn, StoreError> {
        let webhooks = self.store.notifications().webhooks().await?;
        let mut whole = Turn::default();
        for turn in join_all(webhooks.iter().map(|webhook| self.turn_of(webhook, || false))).await {
            let turn = turn?;
            whole.received += turn.received;
            whole.failed += turn.failed;
            whole.given_up += turn.given_up;
            whole.next = whole.next.into_iter().chain(turn.next).min();
        }
        Ok(whole)
    }

    async fn turn_of(
        &self,
        webhook: &Webhook,
        is_stopped: impl Fn() -> bool,
    ) -> Result<Turn, StoreError> {
        let mut turn = Turn::default();
        let store = self.store.notifications();
        for _ in 0..NOTIFICATIONS_AT_ONCE {
            if is_stopped() {
                return Ok(turn);
            }
            let Some(first) = store.first(&webhook.unique_id).await? else { return Ok(turn) };
            let now = self.clock.now();
            // No pause is longer: the clock was set back meanwhile.
            if first.next_at > now && first.next_at <= now.plus(NOTIFICATION_PAUSE_MOST) {
                turn.next = Some(first.next_at);
                return Ok(turn);
            }
            let Err(error) = self.send(webhook, &first).await else {
                store.received(&webhook.unique_id, first.position).await?;
                turn.received += 1;
                continue;
            };
            turn.failed += 1;
            let after = after(&first, self.clock.now());
            if after == After::GiveUp {
                turn.given_up += 1;
                let id = &first.message.id;
                tracing::warn!(webhook = webhook.name, id, error, "a notification was given up");
            }
            store.failed(&webhook.unique_id, first.position, &error, after).await?;
        }
        turn.next = Some(self.clock.now());
        Ok(turn)
    }

    async fn send(&self, webhook: &Webhook, what: &Notification) -> Result<(), String> {
        let sealed = Secrets::sealed_for(&webhook.name);
        let opened =
            self.vault.open(&sealed, &webhook.sealed).map_err(|error| error.to_string())?;
        let secrets: Secrets =
            serde_json::from_slice(&opened).map_err(|error| error.to_string())?;
        if webhook.format == MAIL {
            return self.mail(&secrets.url, what).await;
        }
        let key = secret_bytes(&secrets.secret).ok_or("the stored secret is none")?;
        let body = body_for(&webhook.format, &what.message.body);
        let at = self.clock.now().0.div_euclid(1000);
        let signature = signature(&key, &what.message.id, at, &body);
        let at = at.to_string();
        let headers = [
            ("content-type", "application/json"),
            ("webhook-id", &*what.message.id),
            ("webhook-timestamp", &*at),
            ("webhook-signature", &*signature),
        ];
        let ask = Ask {
            url: &secrets.url,
            headers: &headers,
            body: Some(body.into_bytes()),
            most: MAX_NOTIFICATION_ANSWER,
            any_success: true,
        };
        // The address may hold a secret (Slack, Teams): errors name the host alone.
        self.client.ask(ask).await.map(drop).map_err(|error| error.to_string())
    }
}

impl Sender {
    async fn mail(&self, url: &str, what: &Notification) -> Result<(), String> {
        let server = self.mail.as_ref();
        let server = server.ok_or("the gateway has no server of mail: see [mail]")?;
        let to = Mailbox::of_url(url).map_err(|error| error.to_string())?;
        let (subject, text) = mail_for(&what.message.body);
        let (id, at) = (&*what.message.id, what.created_at);
        let mail = Mail { to: &to, id, at, subject: &subject, text: &text };
        server.send(&mail).await.map_err(|error| error.to_string())
    }
}

/// What follows a failure: pauses that double, up to [`NOTIFICATION_PAUSE_MOST`].
fn after(failed: &Notification, now: UnixMillis) -> After {
    let is_old = now.0.saturating_sub(failed.created_at.0) >= millis(NOTIFICATION_LIFE);
    if is_old && failed.attempts + 1 >= NOTIFICATION_ATTEMPTS {
        return After::GiveUp;
    }
    let doubled = u32::try_from(failed.attempts).unwrap_or(u32::MAX).min(16);
    let pause = NOTIFICATION_PAUSE.saturating_mul(1 << doubled).min(NOTIFICATION_PAUSE_MOST);
    After::Again(now.plus(pause))
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use towline_store::Message;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn failed(attempts: i64) -> Notification {
        Notification {
            position: 1,
            message: Message { id: "m".into(), kind: "k".into(), body: "{}".into() },
            attempts,
            error: String::new(),
            created_at: NOW,
            next_at: NOW,
        }
    }

    #[test]
    fn a_receiver_that_was_removed_is_not_waited_for() {
        let mut receivers = Receivers::default();
        receivers.next.insert("removed since".into(), NOW);
        assert_eq!(receivers.wait(NOW), Duration::ZERO);
        receivers.look();
        assert_eq!(receivers.wait(NOW), NOTIFICATION_PAUSE_MOST);
    }

    #[test]
    fn time_without_attempts_gives_nothing_up() {
        let late = NOW.plus(NOTIFICATION_LIFE * 10);
        assert!(matches!(after(&failed(0), late), After::Again(_)), "the gateway was off for days");
        assert_eq!(after(&failed(NOTIFICATION_ATTEMPTS), late), After::GiveUp);
        let early = NOW.plus(NOTIFICATION_LIFE / 2);
        assert!(matches!(after(&failed(NOTIFICATION_ATTEMPTS), early), After::Again(_)));
    }
}
