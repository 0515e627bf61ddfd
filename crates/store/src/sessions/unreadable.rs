//! Sessions whose rows this version cannot read: another version has written them.
//!
//! Data flow: rows -> [`Unreadable::sort`] -> the others go on; ids and reasons wait here for the
//! log and for who asks (`SessionStore::newly_unreadable`, `SessionStore::unreadable`).
//!
//! # Invariants
//! - Such a row is not changed: a gateway that can read it takes it with the device.
//! - At most [`MAX_UNREADABLE`] are known at once.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::rows::{Session, session};
use crate::engine::Row;
use crate::error::StoreError;
use crate::limits::MAX_UNREADABLE;

/// One of them.
#[derive(Debug)]
struct Found {
    why: String,
    is_told: bool,
}

/// Those that were found, by id.
#[derive(Debug, Default)]
pub(crate) struct Unreadable(Mutex<BTreeMap<String, Found>>);

impl Unreadable {
    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Found>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows that this version can read; of the others, those that have not ended are noted.
    pub(crate) fn sort(&self, rows: &[Row]) -> Result<Vec<Session>, StoreError> {
        let mut readable = Vec::with_capacity(rows.len());
        for row in rows {
            match session(row).map_err(StoreError::from) {
                Ok(one) => readable.push(one),
                Err(error) if error.is_unreadable() => {
                    let id: String = row.try_get("id")?;
                    let ended: Option<i64> = row.try_get("ended_at")?;
                    let mut all = self.all();
                    if ended.is_none() && all.len() < MAX_UNREADABLE {
                        let found = Found { why: error.to_string(), is_told: false };
                        all.entry(id).or_insert(found);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(readable)
    }

    /// Whether a session is one of them.
    pub(super) fn has(&self, id: &str) -> bool {
        self.all().contains_key(id)
    }

    /// Ids of all of them.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.all().keys().cloned().collect()
    }

    /// Those that were not told yet, with the reasons. They count as told from now on.
    pub(super) fn news(&self) -> Vec<(String, String)> {
        let mut all = self.all();
        let fresh = all.iter_mut().filter(|(_, found)| !found.is_told);
        fresh
            .map(|(id, found)| {
                found.is_told = true;
                (id.clone(), found.why.clone())
            })
            .collect()
    }

    /// Of these, only those are left that still cannot be read.
    pub(crate) fn looked(&self, at: &[String], still: &[String]) {
        self.all().retain(|id, _| still.contains(id) || !at.contains(id));
    }
}

#[cfg(test)]
mod tests {
    use towline_host::clock::UnixMillis;

    use crate::sessions::tests::new;
    use crate::testing::scratch;
    use crate::{SessionFilter, engine};

    #[tokio::test]
    async fn a_row_of_another_version_holds_up_no_other_one_and_is_named() {
        let (store, _dir) = scratch().await;
        let sessions = store.sessions();
        for (at, id) in ["a", "b", "c"].into_iter().enumerate() {
            let at = UnixMillis(i64::try_from(at).unwrap());
            sessions.insert(&new(id, "mi-1"), at).await.unwrap();
        }
        let any_status = match store.is_shared() {
            true => "ALTER TABLE sessions DROP CONSTRAINT sessions_status_check",
            false => "PRAGMA ignore_check_constraints = 1",
        };
        let mut tx = store.writing().await.unwrap();
        for statement in [any_status, "UPDATE sessions SET status = 'Later' WHERE id = 'b'"] {
            engine::query(statement).execute(&mut *tx).await.unwrap();
        }
        tx.commit().await.unwrap();
        let ids = |all: Vec<crate::Session>| -> Vec<String> {
            all.into_iter().map(|one| one.new.id).collect()
        };
        assert_eq!(ids(sessions.list_active("", 9).await.unwrap()), ["a", "c"]);
        // A page is as long as it may be, so that the one after it is asked for.
        let all = SessionFilter::default();
        let page = sessions.query(&all, None, 2).await.unwrap();
        assert!(page.next.is_none() && ids(page.sessions) == ["c", "a"]);
        assert!(sessions.is_unreadable("b") && !sessions.is_unreadable("a"));
        let told = sessions.newly_unreadable();
        assert!(told[0].0 == "b" && told[0].1.contains("Later"), "{told:?}");
        assert!(sessions.newly_unreadable().is_empty(), "each is told once");
        assert_eq!(sessions.unreadable().await.unwrap(), ["b"]);
        let again = "UPDATE sessions SET status = 'Connected' WHERE id = 'b'";
        engine::query(again).execute(&store.pool).await.unwrap();
        assert!(sessions.unreadable().await.unwrap().is_empty());
        assert!(!sessions.is_unreadable("b"));
    }

    #[tokio::test]
    async fn a_page_ends_also_where_no_row_can_be_read_and_the_next_one_goes_on_behind() {
        let (store, _dir) = scratch().await;
        let sessions = store.sessions();
        for at in 0..20_i64 {
            sessions.insert(&new(&format!("s{at:02}"), "mi-1"), UnixMillis(at)).await.unwrap();
        }
        let any_status = match store.is_shared() {
            true => "ALTER TABLE sessions DROP CONSTRAINT sessions_status_check",
            false => "PRAGMA ignore_check_constraints = 1",
        };
        let mut tx = store.writing().await.unwrap();
        for statement in [any_status, "UPDATE sessions SET status = 'Later' WHERE id <> 's00'"] {
            engine::query(statement).execute(&mut *tx).await.unwrap();
        }
        tx.commit().await.unwrap();
        let (mut after, mut found, mut pages) = (None, Vec::new(), 0);
        loop {
            let place = after.as_ref().map(|(at, id): &(UnixMillis, String)| (*at, &**id));
            let page = sessions.query(&SessionFilter::default(), place, 1).await.unwrap();
            found.extend(page.sessions.into_iter().map(|one| one.new.id));
            pages += 1;
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        assert_eq!(found, ["s00"]);
        assert_eq!(pages, 20_u32.div_ceil(crate::limits::UNREADABLE_ROUNDS));
    }
}
