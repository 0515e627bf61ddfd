//! Failures of strangers, as the gateways that work together tell each other.
//!
//! Data flow: a gateway tells what it has counted ([`Failures::tell`]) -> the others hear the sum
//! ([`Failures::hear`]) -> rows go some time after their window ([`Failures::prune`]).
//!
//! # Invariants
//! - A row is one process's alone: nobody waits for another one, and no number is added twice.
//! - What is told at once and what is heard is bounded by the caller; a row lasts as long as its
//!   window. So the table has a bound.
//!
//! # Not here
//! - What a number means: the gateway's throttles.

use std::fmt::Write as _;

use towline_host::clock::UnixMillis;

use crate::engine;
use crate::error::StoreError;
use crate::store::Store;

/// The failures of a source in its window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedFailures {
    /// Which kind of failure.
    pub kind: String,
    /// Whose.
    pub source: String,
    /// How many.
    pub number: u32,
    /// When the window ends.
    pub ends_at: UnixMillis,
}

/// Operations on failures.
pub struct Failures<'a> {
    store: &'a Store,
}

impl Store {
    /// Failures of strangers.
    #[must_use]
    pub const fn failures(&self) -> Failures<'_> {
        Failures { store: self }
    }
}

impl Failures<'_> {
    /// Tells what the process `teller` has counted, each source once. A number takes the place of
    /// the one before.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn tell(&self, teller: &str, all: &[CountedFailures]) -> Result<(), StoreError> {
        if all.is_empty() {
            return Ok(());
        }
        let mut sql =
            "INSERT INTO failures (kind, source, teller, number, ends_at) VALUES ".to_owned();
        for nth in 0..all.len() {
            let _ = write!(sql, "{}(?, ?, ?, ?, ?)", if nth == 0 { "" } else { ", " });
        }
        sql.push_str(
            " ON CONFLICT (kind, source, teller) DO UPDATE SET number = excluded.number, \
             ends_at = excluded.ends_at",
        );
        // A statement for each number of rows is not worth being kept.
        let mut query = engine::query(&sql).persistent(all.len() == 1);
        for one in all {
            query = query
                .bind(&one.kind)
                .bind(&one.source)
                .bind(teller)
                .bind(i64::from(one.number))
                .bind(one.ends_at.0);
        }
        query.execute(&self.store.pool).await?;
        Ok(())
    }

    /// What the others have counted in windows that last at `now`, up to `limit` sources of each
    /// kind, those that failed most: failures of one kind displace none of another.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn hear(
        &self,
        teller: &str,
        now: UnixMillis,
        limit: i64,
    ) -> Result<Vec<CountedFailures>, StoreError> {
        let rows: Vec<(String, String, i64, i64)> = engine::query_as(
            "SELECT kind, source, total, ends FROM (SELECT kind, source, \
             CAST(SUM(number) AS BIGINT) AS total, MAX(ends_at) AS ends, ROW_NUMBER() OVER \
             (PARTITION BY kind ORDER BY SUM(number) DESC, source) AS place FROM failures \
             WHERE teller <> ? AND ends_at > ? GROUP BY kind, source) AS counted \
             WHERE place <= ? ORDER BY total DESC, kind, source",
        )
        .bind(teller)
        .bind(now.0)
        .bind(limit)
        .fetch_all(&self.store.pool)
        .await?;
        let read = |(kind, source, number, ends_at): (_, _, i64, _)| {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            CountedFailures { kind, source, number, ends_at: UnixMillis(ends_at) }
        };
        Ok(rows.into_iter().map(read).collect())
    }

    /// Removes up to `most` windows that ended before this moment: a part that no writer waits for
    /// long. Fewer: there are no more.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn prune(&self, before: UnixMillis, most: i64) -> Result<u64, StoreError> {
        let done = engine::query(
            "DELETE FROM failures WHERE (kind, source, teller) IN (SELECT kind, source, teller \
             FROM failures WHERE ends_at < ? ORDER BY ends_at LIMIT ?)",
        )
        .bind(before.0)
        .bind(most)
        .execute(&self.store.pool)
        .await?;
        Ok(done.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch;

    fn counted(source: &str, number: u32, ends_at: i64) -> CountedFailures {
        let (kind, source) = ("requests".to_owned(), source.to_owned());
        CountedFailures { kind, source, number, ends_at: UnixMillis(ends_at) }
    }

    #[tokio::test]
    async fn each_gateway_hears_what_the_others_counted_together_and_not_its_own() {
        let (store, _dir) = scratch().await;
        let all = store.failures();
        all.tell("a", &[counted("192.0.2.1", 3, 100), counted("192.0.2.2", 1, 90)]).await.unwrap();
        all.tell("b", &[counted("192.0.2.1", 4, 110)]).await.unwrap();
        all.tell("b", &[counted("192.0.2.1", 5, 110)]).await.unwrap();
        all.tell("b", &[]).await.unwrap();
        let heard = |who: &'static str, now, limit| all.hear(who, UnixMillis(now), limit);
        let of_both = [counted("192.0.2.1", 8, 110), counted("192.0.2.2", 1, 90)];
        assert_eq!(heard("c", 1, 10).await.unwrap(), of_both);
        assert_eq!(heard("c", 1, 1).await.unwrap(), of_both[..1]);
        assert_eq!(heard("a", 1, 10).await.unwrap(), [counted("192.0.2.1", 5, 110)]);
        assert_eq!(heard("c", 100, 10).await.unwrap(), [counted("192.0.2.1", 5, 110)]);
        assert_eq!(all.prune(UnixMillis(101), 1).await.unwrap(), 1, "a part");
        assert_eq!(all.prune(UnixMillis(101), 10).await.unwrap(), 1);
        assert_eq!(heard("c", 1, 10).await.unwrap(), [counted("192.0.2.1", 5, 110)]);
    }

    #[tokio::test]
    async fn sources_of_one_kind_displace_none_of_another() {
        let (store, _dir) = scratch().await;
        let all = store.failures();
        let code = CountedFailures { kind: "codes".into(), ..counted("mine", 1, 100) };
        let flood: Vec<_> = (0..20).map(|n| counted(&format!("192.0.2.{n}"), 9, 100)).collect();
        all.tell("a", &flood).await.unwrap();
        all.tell("a", std::slice::from_ref(&code)).await.unwrap();
        let heard = all.hear("b", UnixMillis(1), 4).await.unwrap();
        assert_eq!(heard.len(), 5, "{heard:?}");
        assert!(heard.contains(&code));
    }
}
