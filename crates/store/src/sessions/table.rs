//! The table of sessions: rows are inserted, marked, ended and found.
//!
//! # Invariants
//! - Those of [`crate::sessions`].
//!
//! # Not here
//! - What a row holds: `rows`.

use std::time::Duration;

use super::rows::{
    COLUMNS, JUST_IN_TIME, NewSession, Session, SessionFilter, SessionStatus, as_millis, session,
};
use crate::engine::{self, QueryBuilder, Row};
use crate::error::StoreError;
use crate::identity_providers::person_is_let_in;
use crate::limits;
use crate::store::{Store, one_of};
use towline_host::clock::UnixMillis;

/// Some sessions of a list.
#[derive(Debug, Default)]
pub struct SessionPage {
    /// These.
    pub sessions: Vec<Session>,
    /// Where the next page begins after; `None`: there are no more.
    pub next: Option<(UnixMillis, String)>,
}

/// Operations on sessions.
pub struct SessionStore<'a> {
    pub(crate) store: &'a Store,
}

impl Store {
    /// Sessions.
    #[must_use]
    pub const fn sessions(&self) -> SessionStore<'_> {
        SessionStore { store: self }
    }
}

/// A session of a user, role and approved access that are there still; with the commands that the
/// device reported before.
const INSERT: &str = concat!(
    "INSERT INTO sessions (id, device_id, principal_arn, principal_name, \
     principal_id, \
     person_id, document, reason, run_as, source_ip, \
     access_type, access_request, session_type, output_url, input_recorded, status, \
     idle_ms, max_ms, started_at, node, start_facts, commands) \
     SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'Connecting', ?, ?, ?, ?, ?, \
     (SELECT SUM(CASE WHEN kind = 'exec' THEN 1 ELSE 0 END) FROM command_log \
     WHERE session = ? AND (kind = 'exec' OR (kind = 'begin' AND SUBSTR(detail, 1, 3) <> \
     'off'))) \
     WHERE (? = '' OR EXISTS (SELECT 1 FROM principals WHERE unique_id = ?) OR ",
    person_is_let_in!("?"),
    ") AND (? = '' OR EXISTS (SELECT 1 FROM principals WHERE unique_id = ?)) \
     AND (? = '' OR EXISTS (SELECT 1 FROM access_requests WHERE id = ? AND \
     status = 'Approved' AND expires_at > ?))"
);

impl SessionStore<'_> {
    /// Stores a session with status Connecting, and removes history that is too old. Commands that
    /// the device reported a moment earlier are counted.
    ///
    /// # Errors
    /// [`StoreError::Exists`] for an id that is taken; [`StoreError::Missing`] when the user behind
    /// it was removed after policy had allowed the session, or the approved access ended.
    pub async fn insert(&self, new: &NewSession, now: UnixMillis) -> Result<(), StoreError> {
        let mut tx = self.store.writing().await?;
        let keep = Duration::from_secs(limits::SESSION_HISTORY_DAYS.unsigned_abs() * 86_400);
        engine::query(
            "DELETE FROM sessions WHERE started_at < ? AND ended_at IS NOT NULL AND ended_at < ?",
        )
        .bind(now.minus(keep).0)
        .bind(now.minus(keep).0)
        .execute(&mut *tx)
        .await?;
        let stored = engine::query(INSERT)
            .bind(&new.id)
            .bind(&new.device_id)
            .bind(&new.principal_arn)
            .bind(&new.principal_name)
            .bind(&new.principal_id)
            .bind(&new.person_id)
            .bind(&new.document)
            .bind(&new.reason)
            .bind(&new.run_as)
            .bind(&new.source_ip)
            .bind(if new.just_in_time { JUST_IN_TIME } else { "Standard" })
            .bind(&new.access_request)
            .bind(&new.session_type)
            .bind(&new.output_url)
            .bind(new.input_recorded)
            .bind(as_millis(new.idle))
            .bind(new.max.map(as_millis))
            .bind(now.0)
            .bind(&*self.store.node)
            .bind(&new.start_facts)
            .bind(&new.id)
            .bind(&new.person_id)
            .bind(&new.person_id)
            .bind(&new.person_id)
            .bind(&new.principal_id)
            .bind(&new.principal_id)
            .bind(&new.access_request)
            .bind(&new.access_request)
            .bind(now.0)
            .execute(&mut *tx)
            .await
            .map_err(StoreError::on_insert("session"))?;
        if stored.rows_affected() == 0 {
            return Err(StoreError::Missing("user, role or approved access: it was removed"));
        }
        tx.commit().await?;
        Ok(())
    }

    /// Sets the status of a live session. `false`: it has ended, or does not exist.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn mark(&self, id: &str, status: SessionStatus) -> Result<bool, StoreError> {
        let done = engine::query(
            "UPDATE sessions SET status = ? WHERE id = ? AND node = ? AND ended_at IS NULL",
        )
        .bind(status.as_str())
        .bind(id)
        .bind(&*self.store.node)
        .execute(&self.store.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Stores what the data plane needs to resume a live session.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn set_resume_state(&self, id: &str, state: &[u8]) -> Result<bool, StoreError> {
        let done = engine::query(
            "UPDATE sessions SET resume_state = ? WHERE id = ? AND node = ? AND ended_at IS NULL",
        )
        .bind(state)
        .bind(id)
        .bind(&*self.store.node)
        .execute(&self.store.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Ends a live session: Terminated, or Failed when it never began. `code` says why, for
    /// programs; it is opaque here. `false`: it has ended before, or does not exist.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn end(
        &self,
        id: &str,
        failed: bool,
        code: &str,
        details: &str,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let status = if failed { SessionStatus::Failed } else { SessionStatus::Terminated };
        let done = engine::query(
            "UPDATE sessions SET status = ?, end_code = ?, details = ?, ended_at = ?, \
             resume_state = NULL WHERE id = ? AND node = ? AND ended_at IS NULL",
        )
        .bind(status.as_str())
        .bind(code)
        .bind(details)
        .bind(now.0)
        .bind(id)
        .bind(&*self.store.node)
        .execute(&self.store.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// The number of the part of a session's recording after the known one, which this gateway is
    /// about to begin. Asked again, because the answer was lost, it is the same.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when another part was begun since the known one was read.
    pub async fn next_recording_part(&self, id: &str, known: u32) -> Result<u32, StoreError> {
        let next = known.saturating_add(1);
        let done = engine::query(
            "UPDATE sessions SET recording_part = ? WHERE id = ? AND recording_part IN (?, ?)",
        )
        .bind(i64::from(next))
        .bind(id)
        .bind(i64::from(known))
        .bind(i64::from(next))
        .execute(&self.store.pool)
        .await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::Changed("the parts of a recording"));
        }
        Ok(next)
    }

    /// Stores the size of a part of its recording.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn add_recording_bytes(&self, id: &str, bytes: u64) -> Result<(), StoreError> {
        engine::query(
            "UPDATE sessions SET recording_bytes = COALESCE(recording_bytes, 0) + ? WHERE id = ?",
        )
        .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
        .bind(id)
        .execute(&self.store.pool)
        .await?;
        Ok(())
    }

    /// The session with this id.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn get(&self, id: &str) -> Result<Option<Session>, StoreError> {
        let row = engine::query(&format!("{COLUMNS} WHERE id = ?"))
            .bind(id)
            .fetch_optional(&self.store.pool)
            .await?;
        Ok(row.as_ref().map(session).transpose()?)
    }

    /// Up to `limit` sessions of this node that have not ended, with ids after `after`, by id. For
    /// the start of the data plane.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn list_active(&self, after: &str, limit: i64) -> Result<Vec<Session>, StoreError> {
        let rows = engine::query(&format!(
            "{COLUMNS} WHERE ended_at IS NULL AND node = ? AND id > ? ORDER BY id LIMIT ?"
        ))
        .bind(&*self.store.node)
        .bind(after)
        .bind(limit)
        .fetch_all(&self.store.pool)
        .await?;
        self.store.unreadable.sort(&rows)
    }

    /// Whether a session is known to have a row that this version cannot read.
    #[must_use]
    pub fn is_unreadable(&self, id: &str) -> bool {
        self.store.unreadable.has(id)
    }

    /// Ids of such sessions and why, each told once.
    #[must_use]
    pub fn newly_unreadable(&self) -> Vec<(String, String)> {
        self.store.unreadable.news()
    }

    /// Ids of such sessions that have not ended. Those that can be read by now are forgotten.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn unreadable(&self) -> Result<Vec<String>, StoreError> {
        let known = self.store.unreadable.ids();
        if known.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = QueryBuilder::new(COLUMNS);
        query.push(" WHERE ended_at IS NULL");
        one_of(&mut query, "id", &known);
        query.push(" ORDER BY id");
        let rows = query.build().fetch_all(&self.store.search).await?;
        let mut still = Vec::new();
        for row in rows.iter().filter(|row| session(row).is_err()) {
            still.push(row.try_get::<String, _>("id")?);
        }
        self.store.unreadable.looked(&known, &still);
        Ok(still)
    }

    /// Ids of the sessions of a user that have not ended and that this approved request permits;
    /// those of which it is not known which request does, too.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn live_by_approval(
        &self,
        person_id: &str,
        request: &str,
    ) -> Result<Vec<String>, StoreError> {
        Ok(engine::query_scalar(
            "SELECT id FROM sessions WHERE ended_at IS NULL AND person_id = ? AND access_type = ? \
             AND (access_request = ? OR access_request = '') ORDER BY id",
        )
        .bind(person_id)
        .bind(JUST_IN_TIME)
        .bind(request)
        .fetch_all(&self.store.pool)
        .await?)
    }

    /// Up to `limit` sessions that match, newest first, after the place where the page before
    /// ended. Where many rows cannot be read, a page has fewer, or none, and there are more.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn query(
        &self,
        filter: &SessionFilter,
        after: Option<(UnixMillis, &str)>,
        limit: i64,
    ) -> Result<SessionPage, StoreError> {
        let mut page = SessionPage::default();
        let mut after = after.map(|(at, id)| (at, id.to_owned()));
        for _ in 0..limits::UNREADABLE_ROUNDS {
            let place = after.as_ref().map(|(at, id)| (*at, &**id));
            let wanted = limit - i64::try_from(page.sessions.len()).unwrap_or(limit);
            let mut rows = self.rows(filter, place, wanted.saturating_add(1)).await?;
            let is_last = i64::try_from(rows.len()).is_ok_and(|read| read <= wanted);
            if !is_last {
                rows.pop(); // of the next page
            }
            page.sessions.extend(self.store.unreadable.sort(&rows)?);
            let Some(last) = rows.last().filter(|_| !is_last) else {
                return Ok(SessionPage { next: None, ..page });
            };
            after = Some((UnixMillis(last.try_get("started_at")?), last.try_get("id")?));
            page.next.clone_from(&after);
            if i64::try_from(page.sessions.len()) == Ok(limit) {
                break;
            }
        }
        Ok(page)
    }

    async fn rows(
        &self,
        filter: &SessionFilter,
        after: Option<(UnixMillis, &str)>,
        limit: i64,
    ) -> Result<Vec<Row>, StoreError> {
        let mut query: QueryBuilder = QueryBuilder::new(COLUMNS);
        query.push(if filter.ended {
            " WHERE ended_at IS NOT NULL"
        } else {
            " WHERE ended_at IS NULL"
        });
        let statuses: Vec<String> = filter.statuses.iter().map(|s| s.as_str().to_owned()).collect();
        one_of(&mut query, "id", &filter.ids);
        one_of(&mut query, "device_id", &filter.device_ids);
        one_of(&mut query, "principal_arn", &filter.owners);
        one_of(&mut query, "status", &statuses);
        one_of(&mut query, "document", &filter.documents);
        if let Some(end) = &filter.end {
            // Text sorts by bytes: what begins with it lies between it and it with the last
            // character.
            query.push(" AND details >= ").push_bind(end.clone());
            query.push(" AND details < ").push_bind(format!("{end}{}", char::MAX));
        }
        if let Some(at) = filter.invoked_after {
            query.push(" AND started_at >= ").push_bind(at.0);
        }
        if let Some(just_in_time) = filter.just_in_time {
            query.push(if just_in_time {
                " AND access_type = 'JustInTime'"
            } else {
                " AND access_type = 'Standard'"
            });
        }
        if let Some(at) = filter.invoked_before {
            query.push(" AND started_at <= ").push_bind(at.0);
        }
        if let Some((at, id)) = after {
            query.push(" AND (started_at < ").push_bind(at.0);
            query
                .push(" OR (started_at = ")
                .push_bind(at.0)
                .push(" AND id > ")
                .push_bind(id)
                .push("))");
        }
        query.push(" ORDER BY started_at DESC, id LIMIT ").push_bind(limit);
        Ok(query.build().fetch_all(&self.store.pool).await?)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::testing::scratch;

    pub(crate) fn new(id: &str, device: &str) -> NewSession {
        NewSession {
            id: id.into(),
            device_id: device.into(),
            principal_arn: "arn:aws:iam::000000000000:user/ann".into(),
            principal_name: "ann".into(),
            principal_id: String::new(),
            person_id: String::new(),
            document: "SSM-SessionManagerRunShell".into(),
            reason: String::new(),
            run_as: String::new(),
            source_ip: "192.0.2.1".into(),
            just_in_time: false,
            access_request: String::new(),
            session_type: "Standard_Stream".into(),
            output_url: String::new(),
            input_recorded: false,
            idle: Duration::from_secs(1200),
            max: Some(Duration::from_secs(3600)),
            start_facts: String::new(),
        }
    }

    fn ids(sessions: Vec<Session>) -> Vec<String> {
        sessions.into_iter().map(|s| s.new.id).collect()
    }

    fn of(page: SessionPage) -> Vec<String> {
        ids(page.sessions)
    }

    #[tokio::test]
    async fn the_first_reason_to_end_is_the_one_kept() {
        let (store, _dir) = scratch().await;
        let sessions = store.sessions();
        sessions.insert(&new("s", "mi-1"), UnixMillis(1)).await.unwrap();
        assert!(sessions.mark("s", SessionStatus::Connected).await.unwrap());
        assert!(sessions.set_resume_state("s", b"state").await.unwrap());
        assert!(sessions.end("s", false, "IdleTimeout", "idle", UnixMillis(5)).await.unwrap());
        assert!(!sessions.end("s", true, "Other", "other", UnixMillis(6)).await.unwrap());
        assert!(!sessions.mark("s", SessionStatus::Connected).await.unwrap());
        let ended = sessions.get("s").await.unwrap().unwrap();
        assert_eq!(
            (ended.status, ended.details.as_str(), ended.ended_at),
            (SessionStatus::Terminated, "idle", Some(UnixMillis(5)))
        );
        assert_eq!(ended.end_code, "IdleTimeout");
        assert_eq!(ended.resume_state, None);
        assert_eq!(ended.new.max, Some(Duration::from_secs(3600)));
    }

    #[tokio::test]
    async fn sessions_are_listed_newest_first_page_by_page() {
        let (store, _dir) = scratch().await;
        let sessions = store.sessions();
        for (id, at) in [("a", 10), ("b", 20), ("c", 20), ("d", 30)] {
            sessions.insert(&new(id, "mi-1"), UnixMillis(at)).await.unwrap();
        }
        sessions.end("d", false, "", "", UnixMillis(40)).await.unwrap();
        let active = SessionFilter::default();
        assert_eq!(of(sessions.query(&active, None, 2).await.unwrap()), ["b", "c"]);
        assert_eq!(
            of(sessions.query(&active, Some((UnixMillis(20), "b")), 2).await.unwrap()),
            ["c", "a"]
        );
        let history = SessionFilter { ended: true, ..SessionFilter::default() };
        assert_eq!(of(sessions.query(&history, None, 9).await.unwrap()), ["d"]);
        assert_eq!(ids(sessions.list_active("", 9).await.unwrap()), ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn filters_narrow_the_list() {
        let (store, _dir) = scratch().await;
        let sessions = store.sessions();
        sessions.insert(&new("a", "mi-1"), UnixMillis(10)).await.unwrap();
        sessions.insert(&new("b", "mi-2"), UnixMillis(20)).await.unwrap();
        for (filter, expected) in [
            (
                SessionFilter { device_ids: vec!["mi-2".into()], ..SessionFilter::default() },
                vec!["b"],
            ),
            (
                SessionFilter { invoked_before: Some(UnixMillis(10)), ..SessionFilter::default() },
                vec!["a"],
            ),
            (
                SessionFilter { invoked_after: Some(UnixMillis(11)), ..SessionFilter::default() },
                vec!["b"],
            ),
            (SessionFilter { owners: vec!["nobody".into()], ..SessionFilter::default() }, vec![]),
            (SessionFilter { documents: vec!["other".into()], ..SessionFilter::default() }, vec![]),
            (
                SessionFilter {
                    statuses: vec![SessionStatus::Connected],
                    ..SessionFilter::default()
                },
                vec![],
            ),
            (
                SessionFilter { ids: vec!["a".into(), "b".into()], ..SessionFilter::default() },
                vec!["b", "a"],
            ),
        ] {
            assert_eq!(of(sessions.query(&filter, None, 9).await.unwrap()), expected, "{filter:?}");
        }
    }

    #[tokio::test]
    async fn history_is_found_by_how_the_sentence_of_its_end_begins() {
        let (store, _dir) = scratch().await;
        let sessions = store.sessions();
        for (id, end) in [
            ("a", "terminated by ann"),
            ("b", "terminated"),
            ("c", "ended: 100 %_"),
            ("d", "the program ended"),
        ] {
            sessions.insert(&new(id, "mi-1"), UnixMillis(10)).await.unwrap();
            sessions.end(id, false, "", end, UnixMillis(20)).await.unwrap();
        }
        for (end, expected) in [
            ("terminated", vec!["a", "b"]),
            ("terminated by", vec!["a"]),
            ("ended: 100 %", vec!["c"]),
            ("%", vec![]),
            ("Terminated", vec![]),
        ] {
            let filter =
                SessionFilter { ended: true, end: Some(end.into()), ..SessionFilter::default() };
            assert_eq!(of(sessions.query(&filter, None, 9).await.unwrap()), expected, "{end}");
        }
    }

    #[tokio::test]
    async fn history_older_than_thirty_days_goes_when_a_new_session_comes() {
        let (store, _dir) = scratch().await;
        let sessions = store.sessions();
        let day = Duration::from_secs(86_400);
        sessions.insert(&new("old", "mi-1"), UnixMillis(0)).await.unwrap();
        sessions.insert(&new("old-but-alive", "mi-1"), UnixMillis(0)).await.unwrap();
        sessions.end("old", false, "", "", UnixMillis(1)).await.unwrap();
        sessions.insert(&new("new", "mi-1"), UnixMillis(0).plus(day * 31)).await.unwrap();
        assert!(sessions.get("old").await.unwrap().is_none());
        assert!(sessions.get("old-but-alive").await.unwrap().is_some());
    }

    async fn approved(store: &Store, id: &str, of: &str) {
        let request = crate::AccessRequest {
            id: id.into(),
            principal: "ann".into(),
            principal_id: of.into(),
            principal_arn: "arn:ann".into(),
            reason: "r".into(),
            targets: format!("[{id:?}]"),
            tags: "{}".into(),
            status: "Approved".into(),
            decided_by: "arn:boss".into(),
            created_at: UnixMillis(1),
            expires_at: UnixMillis(100),
            terms: crate::Terms::default(),
            minutes: 1,
        };
        store.access_requests().create(&request, None, UnixMillis(1)).await.unwrap();
    }

    #[tokio::test]
    async fn a_request_permits_its_own_sessions_as_long_as_it_is_approved() {
        let (store, _dir) = scratch().await;
        store.principals().create("ann", &[], UnixMillis(1)).await.unwrap();
        let ann = store.principals().get("ann").await.unwrap().unwrap().unique_id;
        for id in ["oi-1", "oi-2"] {
            approved(&store, id, &ann).await;
        }
        let by = |session: &str, request: &str| NewSession {
            person_id: ann.clone(),
            just_in_time: true,
            access_request: request.into(),
            ..new(session, "mi-1")
        };
        let sessions = store.sessions();
        for (session, request) in [("a", "oi-1"), ("b", "oi-2"), ("of-an-older-version", "")] {
            sessions.insert(&by(session, request), UnixMillis(2)).await.unwrap();
        }
        let live = sessions.live_by_approval(&ann, "oi-1").await.unwrap();
        assert_eq!(live, ["a", "of-an-older-version"]);
        for (session, request, now) in [("c", "oi-3", 2), ("d", "oi-1", 100)] {
            let late = sessions.insert(&by(session, request), UnixMillis(now)).await;
            assert!(matches!(late, Err(StoreError::Missing(_))), "{session}: {late:?}");
        }
    }

    #[tokio::test]
    async fn a_part_of_a_recording_is_counted_once_however_often_it_is_asked_for() {
        let (store, _dir) = scratch().await;
        let sessions = store.sessions();
        sessions.insert(&new("s", "mi-1"), UnixMillis(1)).await.unwrap();
        for (known, part) in [(1, 2), (1, 2), (2, 3)] {
            assert_eq!(sessions.next_recording_part("s", known).await.unwrap(), part);
            assert_eq!(sessions.get("s").await.unwrap().unwrap().recording_part, part);
        }
        let late = sessions.next_recording_part("s", 1).await;
        assert!(matches!(late, Err(StoreError::Changed(_))), "{late:?}");
    }
}
