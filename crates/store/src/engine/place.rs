//! The place of the one gateway that works with a store on a server.
//!
//! Data flow: [`Place::take`] -> an advisory lock on a connection of its own, and a new word in the
//! settings -> each write compares that word in its own transaction -> the connection is looked at,
//! and made again when it broke.
//!
//! # Invariants
//! - A gateway whose place was taken writes nothing more, whatever it believes: the word is
//!   compared under the writers' lock.
//! - Only another word says that the place was taken: the lock alone may be held by a former
//!   connection of this gateway that the server does not know to be lost. That one is ended.
//! - The server gives the place of a machine that vanished away after some seconds (TCP
//!   keep-alives).
//!
//! # Not here
//! - Several gateways at work at once: [`super::member`].

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use towline_host::entropy;

use super::backend::Backends;
use super::guard::WriteGuard;
use crate::limits::{PLACE_AGAIN, PLACE_LOOK, SERVER_PATIENCE};

/// The lock that the gateway at work holds: "place" in ASCII. Members of a cluster share it.
const LOCK: &str = "SELECT pg_try_advisory_lock(482989925221)";
/// The setting with the word of the gateway at work.
pub(crate) const WORD: &str = "store.place";

/// A place that is held. Dropped: given back.
#[derive(Debug)]
pub(crate) struct Place {
    lost: watch::Receiver<bool>,
    keeper: JoinHandle<()>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.keeper.abort(); // its connection goes with it
    }
}

impl Place {
    /// Takes the place, and gives what each write compares. `None`: another gateway has it.
    pub(crate) async fn take(
        options: &PgConnectOptions,
    ) -> Result<Option<(Self, WriteGuard)>, sqlx::Error> {
        let options = watched(options);
        let mut connection = options.connect().await?;
        let mut backends = Backends::default();
        backends.add(&mut connection).await?;
        if !locks(&mut connection).await? {
            return Ok(None);
        }
        let random: [u8; 16] = entropy::random()
            .map_err(|error| sqlx::Error::Io(std::io::Error::other(error.to_string())))?;
        let word: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        sqlx::query(
            "INSERT INTO settings (key, value) VALUES ($1, $2) \
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        )
        .bind(WORD)
        .bind(&word)
        .execute(&mut connection)
        .await?;
        let (tell, lost) = watch::channel(false);
        let guard = WriteGuard {
            statement: guard(&word),
            refusal: "another gateway works with this store now: this one writes nothing more",
        };
        let keeper = tokio::spawn(keep(options, (connection, backends), word, tell));
        Ok(Some((Self { lost, keeper }, guard)))
    }

    /// Waits until another gateway has taken the place.
    pub(crate) async fn lost(&self) {
        let mut lost = self.lost.clone();
        if lost.wait_for(|lost| *lost).await.is_err() {
            std::future::pending::<()>().await; // given back, not lost
        }
    }
}

/// Options of a connection whose loss the server notices after some seconds. One that stands still
/// in a transaction, with the writers' lock, holds up nobody for longer than a write may take.
pub(super) fn watched(options: &PgConnectOptions) -> PgConnectOptions {
    let patience = SERVER_PATIENCE.as_millis().to_string();
    options.clone().options([
        ("tcp_keepalives_idle", "5"),
        ("tcp_keepalives_interval", "2"),
        ("tcp_keepalives_count", "3"),
        ("idle_in_transaction_session_timeout", &*patience),
    ])
}

/// Whether this connection has the lock now; else another one has it.
async fn locks(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(LOCK).fetch_one(connection).await
}

/// Whether the word is still this one.
async fn is_ours(connection: &mut PgConnection, word: &str) -> Result<bool, sqlx::Error> {
    let now: Option<String> = sqlx::query_scalar("SELECT value FROM settings WHERE key = $1")
        .bind(WORD)
        .fetch_optional(connection)
        .await?;
    Ok(now.as_deref() == Some(word))
}

/// What became of a place whose connection was lost.
enum Again {
    /// It is held, by this connection.
    Held(PgConnection),
    /// The lock is not free yet.
    Later,
    /// Another gateway has taken it.
    Taken,
}

async fn again(
    options: &PgConnectOptions,
    word: &str,
    backends: &mut Backends,
) -> Result<Again, sqlx::Error> {
    let mut connection = options.connect().await?;
    backends.add(&mut connection).await?;
    let got = locks(&mut connection).await?;
    if !is_ours(&mut connection, word).await? {
        return Ok(Again::Taken);
    }
    if !got {
        backends.end_former(&mut connection).await?;
        return Ok(Again::Later);
    }
    backends.forget_former();
    Ok(Again::Held(connection))
}

async fn keep(
    options: PgConnectOptions,
    (first, mut backends): (PgConnection, Backends),
    word: String,
    tell: watch::Sender<bool>,
) {
    let mut held = Some(first);
    loop {
        sleep(if held.is_some() { PLACE_LOOK } else { PLACE_AGAIN }).await;
        if let Some(connection) = &mut held {
            if matches!(timeout(SERVER_PATIENCE, connection.ping()).await, Ok(Ok(()))) {
                continue;
            }
            held = None;
        }
        match timeout(SERVER_PATIENCE, again(&options, &word, &mut backends)).await {
            Ok(Ok(Again::Taken)) => {
                let _ = tell.send(true); // nobody waits when the store is being closed
                return;
            }
            Ok(Ok(Again::Held(connection))) => held = Some(connection),
            Ok(Ok(Again::Later)) => {}
            Ok(Err(_)) | Err(_) => {} // the server is away: the place is nobody's meanwhile
        }
    }
}

/// What begins a transaction that writes: it fails with [`super::guard::NOT_OURS`] when the word is
/// another one.
fn guard(word: &str) -> String {
    format!(
        "; SELECT 1 / (CASE WHEN (SELECT value FROM settings WHERE key = '{WORD}') = '{word}' \
         THEN 1 ELSE 0 END)"
    )
}
