//! Programs that wait for a person to sign them in by a code.
//!
//! # Invariants
//! - Bounded in all and by subscriber; a full table refuses and forgets nothing that still counts.
//! - A request is decided once, and what was decided is taken once. A wrong challenge costs the
//!   request.
//!
//! # Not here
//! - The seal of credentials, the pace of polls: the gateway's.

use towline_host::clock::UnixMillis;

use crate::engine::{self, Row};
use crate::error::StoreError;
use crate::limits::{MAX_SIGN_IN_REQUESTS, MAX_SIGN_IN_REQUESTS_OF_SOURCE};
use crate::store::Store;

/// What a program asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInRequest {
    /// Digest of the code that the program polls with.
    pub digest: String,
    /// The code that a person enters.
    pub user_code: String,
    /// The program's challenge.
    pub challenge: String,
    /// Where it asked from.
    pub source_ip: String,
    /// Whose address that is: the address, or the network of a subscriber.
    pub subscriber: String,
    /// What it calls itself.
    pub client: String,
    /// The provider that it wants, by its id; empty when any will do.
    pub provider: String,
    /// The role that it wants.
    pub role: Option<String>,
    /// When it asked.
    pub asked_at: UnixMillis,
    /// When the request ends.
    pub ends_at: UnixMillis,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignInOutcome {
    /// The program gets nothing: a person rejected it.
    Rejected,
    /// It gets nothing: the gateway, or the person's provider, refused.
    Refused {
        /// The API's error code.
        code: String,
        /// In words.
        why: String,
    },
    /// It gets these credentials, sealed.
    Approved(Vec<u8>),
}

/// Characters of a request's digest that name it in an address, where it can be refused.
pub const SIGN_IN_REQUEST_MARK: usize = 10;

impl SignInOutcome {
    /// The columns `decision` and `sealed`. A gateway of before takes a refusal for a rejection.
    fn columns(&self) -> (&'static str, Option<Vec<u8>>) {
        match self {
            Self::Rejected => ("Reject", None),
            Self::Refused { code, why } => ("Reject", Some(format!("{code} {why}").into_bytes())),
            Self::Approved(sealed) => ("Approve", Some(sealed.clone())),
        }
    }

    fn of_columns(decision: &str, sealed: Option<Vec<u8>>) -> Self {
        match sealed {
            Some(sealed) if decision == "Approve" => Self::Approved(sealed),
            Some(text) => {
                let text = String::from_utf8_lossy(&text);
                let (code, why) = text.split_once(' ').unwrap_or((&text, ""));
                Self::Refused { code: code.to_owned(), why: why.to_owned() }
            }
            None => Self::Rejected,
        }
    }
}

/// What a poll finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignInPoll {
    /// No such request, or its challenge was wrong.
    Unknown,
    /// Nobody has decided yet.
    Open {
        /// The provider that the program wants, by its id; empty when any will do.
        provider: String,
    },
    /// Somebody has; the request is gone.
    Decided(SignInOutcome),
}

/// Operations on sign-in requests.
pub struct SignInRequests<'a> {
    store: &'a Store,
}

impl Store {
    /// Programs that wait for a sign-in.
    #[must_use]
    pub const fn sign_in_requests(&self) -> SignInRequests<'_> {
        SignInRequests { store: self }
    }
}

const COLUMNS: &str = "SELECT digest, user_code, challenge, source_ip, subscriber, client, \
                       provider, role, decision, \
     sealed, asked_at, ends_at FROM sign_in_requests";

fn request(row: &Row) -> Result<SignInRequest, sqlx::Error> {
    Ok(SignInRequest {
        digest: row.try_get("digest")?,
        user_code: row.try_get("user_code")?,
        challenge: row.try_get("challenge")?,
        source_ip: row.try_get("source_ip")?,
        subscriber: row.try_get("subscriber")?,
        client: row.try_get("client")?,
        provider: row.try_get("provider")?,
        role: row.try_get("role")?,
        asked_at: UnixMillis(row.try_get("asked_at")?),
        ends_at: UnixMillis(row.try_get("ends_at")?),
    })
}

impl SignInRequests<'_> {
    /// Keeps a request. `false`: there are too many, or a code is taken.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn keep(&self, new: &SignInRequest) -> Result<bool, StoreError> {
        let mut tx = self.store.writing().await?;
        engine::query("DELETE FROM sign_in_requests WHERE ends_at <= ?")
            .bind(new.asked_at.0)
            .execute(&mut *tx)
            .await?;
        let all: i64 = engine::query_scalar("SELECT COUNT(*) FROM sign_in_requests")
            .fetch_one(&mut *tx)
            .await?;
        let of_source: i64 =
            engine::query_scalar("SELECT COUNT(*) FROM sign_in_requests WHERE subscriber = ?")
                .bind(&new.subscriber)
                .fetch_one(&mut *tx)
                .await?;
        let taken: i64 =
            engine::query_scalar("SELECT COUNT(*) FROM sign_in_requests WHERE user_code = ?")
                .bind(&new.user_code)
                .fetch_one(&mut *tx)
                .await?;
        if taken > 0 || all >= MAX_SIGN_IN_REQUESTS || of_source >= MAX_SIGN_IN_REQUESTS_OF_SOURCE {
            return Ok(false);
        }
        engine::query(
            "INSERT INTO sign_in_requests \
             (digest, user_code, challenge, source_ip, subscriber, client, provider, role, \
             asked_at, ends_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&new.digest)
        .bind(&new.user_code)
        .bind(&new.challenge)
        .bind(&new.source_ip)
        .bind(&new.subscriber)
        .bind(&new.client)
        .bind(&new.provider)
        .bind(&new.role)
        .bind(new.asked_at.0)
        .bind(new.ends_at.0)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_insert("sign-in request"))?;
        tx.commit().await?;
        Ok(true)
    }

    /// What became of the request of a program. What was decided is taken.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn poll(
        &self,
        digest: &str,
        challenge: &str,
        now: UnixMillis,
    ) -> Result<SignInPoll, StoreError> {
        let sql = format!("{COLUMNS} WHERE digest = ? AND ends_at > ?");
        let found =
            engine::query(&sql).bind(digest).bind(now.0).fetch_optional(&self.store.pool).await?;
        let Some(row) = found else { return Ok(SignInPoll::Unknown) };
        let asked = request(&row)?;
        let is_right = asked.challenge == challenge;
        let decision: String = row.try_get("decision")?;
        if is_right && decision.is_empty() {
            return Ok(SignInPoll::Open { provider: asked.provider });
        }
        let taken = engine::query("DELETE FROM sign_in_requests WHERE digest = ?")
            .bind(digest)
            .execute(&self.store.pool)
            .await?;
        if taken.rows_affected() == 0 || !is_right {
            return Ok(SignInPoll::Unknown);
        }
        let sealed: Option<Vec<u8>> = row.try_get("sealed")?;
        Ok(SignInPoll::Decided(SignInOutcome::of_columns(&decision, sealed)))
    }

    /// The undecided request with this user code.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn look(
        &self,
        user_code: &str,
        now: UnixMillis,
    ) -> Result<Option<SignInRequest>, StoreError> {
        let sql = format!("{COLUMNS} WHERE user_code = ? AND decision = '' AND ends_at > ?");
        let row = engine::query(&sql)
            .bind(user_code)
            .bind(now.0)
            .fetch_optional(&self.store.pool)
            .await?;
        Ok(row.as_ref().map(request).transpose()?)
    }

    /// Decides. `false`: there is no undecided request with this user code.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn decide(
        &self,
        user_code: &str,
        outcome: &SignInOutcome,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let (decision, sealed) = outcome.columns();
        let done = engine::query(
            "UPDATE sign_in_requests SET decision = ?, sealed = ? \
             WHERE user_code = ? AND decision = '' AND ends_at > ?",
        )
        .bind(decision)
        .bind(sealed)
        .bind(user_code)
        .bind(now.0)
        .execute(&self.store.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Ends the undecided request with this mark. Without one, nothing happens.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn refuse(
        &self,
        mark: &str,
        outcome: &SignInOutcome,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let (decision, sealed) = outcome.columns();
        let sql = format!(
            "UPDATE sign_in_requests SET decision = ?, sealed = ? \
             WHERE substr(digest, 1, {SIGN_IN_REQUEST_MARK}) = ? AND decision = '' AND ends_at > ?"
        );
        let query = engine::query(&sql).bind(decision).bind(sealed).bind(mark).bind(now.0);
        query.execute(&self.store.pool).await?;
        Ok(())
    }

    /// Forgets the request of a program that gave up.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn withdraw(&self, digest: &str, challenge: &str) -> Result<(), StoreError> {
        engine::query("DELETE FROM sign_in_requests WHERE digest = ? AND challenge = ?")
            .bind(digest)
            .bind(challenge)
            .execute(&self.store.pool)
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const LATE: UnixMillis = UnixMillis(NOW.0 + 600_000);

    fn asked(digest: &str, user_code: &str, source: &str) -> SignInRequest {
        SignInRequest {
            digest: digest.into(),
            user_code: user_code.into(),
            challenge: "right".into(),
            source_ip: format!("{source}.{digest}"),
            subscriber: source.into(),
            client: "towline".into(),
            provider: String::new(),
            role: None,
            asked_at: NOW,
            ends_at: LATE,
        }
    }

    #[tokio::test]
    async fn credentials_are_taken_once_after_one_decision() {
        let (store, _dir) = scratch().await;
        let requests = store.sign_in_requests();
        assert!(requests.keep(&asked("d", "USER", "192.0.2.1")).await.unwrap());
        assert_eq!(
            requests.poll("d", "right", NOW).await.unwrap(),
            SignInPoll::Open { provider: String::new() }
        );
        let approved = SignInOutcome::Approved(b"sealed".to_vec());
        assert!(requests.decide("USER", &approved, NOW).await.unwrap());
        assert!(!requests.decide("USER", &SignInOutcome::Rejected, NOW).await.unwrap());
        assert_eq!(requests.look("USER", NOW).await.unwrap(), None);
        let taken = requests.poll("d", "right", NOW).await.unwrap();
        assert_eq!(taken, SignInPoll::Decided(approved));
        assert_eq!(requests.poll("d", "right", NOW).await.unwrap(), SignInPoll::Unknown);
    }

    #[tokio::test]
    async fn a_refusal_by_its_mark_is_taken_with_its_reason_and_changes_no_decision() {
        let (store, _dir) = scratch().await;
        let requests = store.sign_in_requests();
        let (one, other) = ("0123456789-one", "9876543210-other");
        assert!(requests.keep(&asked(one, "ONE", "192.0.2.1")).await.unwrap());
        assert!(requests.keep(&asked(other, "OTHER", "192.0.2.1")).await.unwrap());
        let refused = SignInOutcome::Refused { code: "AccessDenied".into(), why: "no role".into() };
        for mark in ["0123456780", "0123456789"] {
            requests.refuse(mark, &refused, NOW).await.unwrap();
        }
        requests.refuse("0123456789", &SignInOutcome::Rejected, NOW).await.unwrap();
        let taken = requests.poll(one, "right", NOW).await.unwrap();
        assert_eq!(taken, SignInPoll::Decided(refused));
        assert_eq!(
            requests.poll(other, "right", NOW).await.unwrap(),
            SignInPoll::Open { provider: String::new() }
        );
    }

    #[tokio::test]
    async fn a_request_is_withdrawn_by_its_program_alone() {
        let (store, _dir) = scratch().await;
        let requests = store.sign_in_requests();
        assert!(requests.keep(&asked("d", "USER", "192.0.2.1")).await.unwrap());
        requests.withdraw("d", "wrong").await.unwrap();
        assert!(requests.look("USER", NOW).await.unwrap().is_some());
        requests.withdraw("d", "right").await.unwrap();
        assert_eq!(requests.look("USER", NOW).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_wrong_challenge_costs_the_request_and_time_ends_it() {
        let (store, _dir) = scratch().await;
        let requests = store.sign_in_requests();
        assert!(requests.keep(&asked("d", "USER", "192.0.2.1")).await.unwrap());
        assert_eq!(requests.poll("d", "wrong", NOW).await.unwrap(), SignInPoll::Unknown);
        assert_eq!(requests.poll("d", "right", NOW).await.unwrap(), SignInPoll::Unknown);
        assert!(requests.keep(&asked("d", "USER", "192.0.2.1")).await.unwrap());
        assert_eq!(requests.look("USER", LATE).await.unwrap(), None);
        assert!(!requests.decide("USER", &SignInOutcome::Rejected, LATE).await.unwrap());
        assert_eq!(requests.poll("d", "right", LATE).await.unwrap(), SignInPoll::Unknown);
    }

    #[tokio::test]
    async fn there_are_so_many_of_a_source_and_so_many_in_all() {
        let (store, _dir) = scratch().await;
        let requests = store.sign_in_requests();
        let mut kept = 0;
        for source in 0..=MAX_SIGN_IN_REQUESTS / MAX_SIGN_IN_REQUESTS_OF_SOURCE {
            for number in 0..=MAX_SIGN_IN_REQUESTS_OF_SOURCE {
                let name = format!("{source}.{number}");
                let new = asked(&name, &name, &format!("192.0.2.{source}"));
                let is_kept = requests.keep(&new).await.unwrap();
                assert!(!is_kept || number < MAX_SIGN_IN_REQUESTS_OF_SOURCE);
                kept += i64::from(is_kept);
            }
        }
        assert_eq!(kept, MAX_SIGN_IN_REQUESTS);
        let new = SignInRequest { asked_at: LATE, ..asked("new", "new", "192.0.2.1") };
        assert!(requests.keep(&new).await.unwrap(), "ended ones make room");
    }
}
