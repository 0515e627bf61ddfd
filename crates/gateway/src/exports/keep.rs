//! The task that exports both logs, and removes what is exported and beyond its bounds.
//!
//! # Invariants
//! - A row is removed when it is in a file and in the node's chain. When exports fail for so long
//!   that a table passes its bound for waiting rows, a signed record of the chain names the rows,
//!   and only then they are removed.
//! - The trail is exported when a file's worth of rows has come, not by time alone: a flood does
//!   not outrun it.

use std::sync::Arc;
use std::time::Duration;

use towline_archive::Recorder;
use towline_evidence::node::What;
use towline_host::clock::Clock;
use towline_ssm::ids::Realm;
use towline_store::{CommandBounds, Store, TrailBounds, TrailRooms};

use super::cursor::{Cursor, ExportError};
use super::{command_log, trail};
use crate::audit::{AuditLog, Event};
use crate::limits;

/// What exports work on.
pub struct Exports {
    /// The tables.
    pub store: Store,
    /// Takes the files.
    pub recorder: Arc<Recorder>,
    /// Region and account.
    pub realm: Realm,
    /// The time.
    pub clock: Clock,
}

/// Rows that one table keeps: exported ones, and ones that wait.
#[derive(Debug, Clone, Copy)]
struct Most<Rows> {
    rows: Rows,
    waiting: i64,
}

impl Exports {
    /// Exports and prunes as long as the process lives.
    pub async fn keep(self, audit: AuditLog) {
        let grown = audit.grown();
        while let Err(error) = self.catch_up().await {
            tracing::error!(%error, "cannot see how far exports have come; retrying");
            tokio::time::sleep(limits::TRAIL_EVERY).await;
        }
        loop {
            let all = tokio::select! {
                () = tokio::time::sleep(limits::TRAIL_EVERY) => true,
                () = grown.notified() => false,
            };
            self.trail(&audit).await;
            if all {
                self.commands(&audit).await;
            }
        }
    }

    /// Goes on where the gateway that worked with the store before stopped.
    async fn catch_up(&self) -> Result<(), ExportError> {
        for name in [trail::CURSOR, command_log::CURSOR] {
            Cursor::new(self.recorder.home(), name).catch_up(&self.store).await?;
        }
        Ok(())
    }

    async fn trail(&self, audit: &AuditLog) {
        loop {
            match trail::export(&self.store, &self.recorder, &self.realm, self.clock.now()).await {
                Ok(trail::FULL) => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::error!(%error, "cannot export the audit trail; retrying");
                    break;
                }
            }
        }
        let most = Most { rows: ROOMS, waiting: limits::AUDIT_MAX_WAITING_ROWS };
        match self.prune_trail(most).await {
            Ok(None) => {}
            Ok(Some(what)) => audit.write(gap(&what)).await,
            Err(error) => tracing::error!(%error, "cannot prune the audit trail; retrying"),
        }
    }

    async fn commands(&self, audit: &AuditLog) {
        loop {
            match command_log::export(&self.store, &self.recorder).await {
                Ok(command_log::FULL) => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::error!(%error, "cannot export the command log; retrying");
                    break;
                }
            }
        }
        let most = Most {
            rows: limits::COMMAND_LOG_MAX_ROWS,
            waiting: limits::COMMAND_LOG_MAX_WAITING_ROWS,
        };
        match self.prune_commands(most).await {
            Ok(removed) => {
                for what in removed {
                    audit.write(gap(&what)).await;
                }
            }
            Err(error) => tracing::error!(%error, "cannot prune the command log; retrying"),
        }
    }

    /// Prunes the trail. What had to go before it was exported, if anything.
    async fn prune_trail(&self, most: Most<TrailRooms>) -> Result<Option<String>, ExportError> {
        let cursor = Cursor::new(self.recorder.home(), trail::CURSOR);
        let (exported, last) = (cursor.read(), self.store.audit().last().await?);
        let mut gone = None;
        if last.saturating_sub(exported) > most.waiting {
            let to = last - most.waiting;
            let what = format!("audit trail, rows {} to {to}", exported.saturating_add(1));
            self.sign_gap(&what, most.waiting)?;
            cursor.write(to)?;
            self.store.audit().remove_to(to).await?;
            gone = Some(what);
        }
        let bounds = TrailBounds {
            exported: cursor.read(),
            before: self.clock.now().minus(age()),
            rooms: most.rows,
        };
        self.store.audit().prune(&bounds).await?;
        Ok(gone)
    }

    /// Prunes the command log. What had to go before it was exported.
    async fn prune_commands(&self, most: Most<i64>) -> Result<Vec<String>, ExportError> {
        let log = self.store.command_log();
        let exported = Cursor::new(self.recorder.home(), command_log::CURSOR).read();
        let before = self.clock.now().minus(age());
        log.prune(&CommandBounds { exported, before, rows: most.rows }).await?;
        let mut gone = Vec::new();
        for excess in log.excess(most.waiting).await? {
            let what = format!("command log of {}, {} rows", excess.device, excess.rows);
            self.sign_gap(&what, most.waiting)?;
            log.trim(&excess, i64::MAX).await?;
            gone.push(what);
        }
        Ok(gone)
    }

    /// Writes and signs that rows go without having been exported.
    fn sign_gap(&self, what: &str, most: i64) -> Result<(), ExportError> {
        let why = format!("not exported: over {most} rows waited while the export failed");
        tracing::error!(what, why, "rows are removed that no file holds");
        self.recorder.record(What::Lost { name: what.to_owned(), why })?;
        Ok(self.recorder.checkpoint()?)
    }
}

/// Rows of the trail.
const ROOMS: TrailRooms = TrailRooms {
    changes: limits::AUDIT_MAX_CHANGES,
    reads: limits::AUDIT_MAX_READS,
    devices: limits::AUDIT_MAX_DEVICE_ROWS,
    strangers: limits::AUDIT_MAX_STRANGER_ROWS,
};

/// How old rows may become.
fn age() -> Duration {
    Duration::from_secs(limits::AUDIT_MAX_DAYS.unsigned_abs() * 86_400)
}

fn gap(what: &str) -> Event {
    Event {
        source: "towline",
        name: "RowsRemoved".to_owned(),
        facts: vec![("what", what.to_owned()), ("why", "the export failed for too long".into())],
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use towline_archive::Archive;
    use towline_archive::settings::RawEvidence;
    use towline_host::clock::UnixMillis;
    use towline_store::testing::scratch;
    use towline_store::{AuditRow, CommandBatch, CommandRow, TrailRoom};

    async fn scene(dir: &Path, store: Store) -> Exports {
        let settings = RawEvidence::default().settings(dir).unwrap();
        let clock = Clock::manual(UnixMillis(1_700_000_000_000));
        let (archive, _events) = Archive::start(dir, settings, &clock).unwrap();
        let realm = Realm { region: "xx-towline-1".into(), account: "000000000000".into() };
        Exports { store, recorder: Arc::clone(&archive.recorder), realm, clock }
    }

    async fn rows(store: &Store, at: UnixMillis, count: usize) {
        let row = AuditRow {
            at,
            principal: String::new(),
            action: "towline:X".into(),
            outcome: "Done".into(),
            line: r#"{"eventName":"X","eventSource":"towline"}"#.into(),
            room: TrailRoom::Changes,
            whose: String::new(),
        };
        store.audit().append(&vec![row; count], &[]).await.unwrap();
    }

    fn of(most: i64) -> TrailRooms {
        TrailRooms { changes: most, reads: most, devices: most, strangers: most }
    }

    async fn left(store: &Store) -> usize {
        store.audit().list(0, 1_000_000).await.unwrap().len()
    }

    /// What stands in the signed segments of the node's chain.
    fn chain(folder: &Path) -> String {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries
            .map(|path| match path.is_dir() {
                true => chain(&path),
                false if path.extension().is_some_and(|kind| kind == "jsonl") => {
                    std::fs::read_to_string(path).unwrap()
                }
                false => String::new(),
            })
            .collect()
    }

    #[tokio::test]
    async fn rows_wait_for_their_export_and_a_signed_record_names_those_that_waited_too_long() {
        let (store, dir) = scratch().await;
        let exports = scene(dir.path(), store.clone()).await;
        rows(&store, exports.clock.now(), 30).await;
        let most = Most { rows: of(5), waiting: 100 };
        assert_eq!(exports.prune_trail(most).await.unwrap(), None);
        assert_eq!(left(&store).await, 30, "nothing was exported");
        let most = Most { rows: of(5), waiting: 10 };
        let gone = exports.prune_trail(most).await.unwrap();
        assert_eq!(gone.as_deref(), Some("audit trail, rows 1 to 20"));
        assert_eq!(left(&store).await, 10);
        let signed = chain(dir.path());
        assert!(
            signed.contains(r#""kind":"lost","name":"audit trail, rows 1 to 20""#)
                && signed.contains("checkpoint"),
            "{signed}"
        );
        let now = exports.clock.now();
        let done = trail::export(&store, &exports.recorder, &exports.realm, now).await.unwrap();
        assert_eq!((done, exports.prune_trail(most).await.unwrap()), (10, None));
        assert_eq!(left(&store).await, 5);
    }

    #[tokio::test]
    async fn the_command_log_waits_too_and_the_device_with_the_most_rows_loses_them() {
        let (store, dir) = scratch().await;
        let exports = scene(dir.path(), store.clone()).await;
        for (device, rows) in [("loud", 50), ("quiet", 5)] {
            let row = |number| CommandRow { number, covers: 1, kind: "line", ..Default::default() };
            let batch = CommandBatch {
                device: device.into(),
                boot: [1; 16],
                next: rows,
                rows: (0..rows).map(row).collect(),
            };
            store.command_log().append(&[batch], exports.clock.now()).await.unwrap();
        }
        let most = Most { rows: 10, waiting: 30 };
        let gone = exports.prune_commands(most).await.unwrap();
        assert_eq!(gone, ["command log of loud, 25 rows"]);
        assert!(chain(dir.path()).contains("command log of loud, 25 rows"));
        assert_eq!(command_log::export(&store, &exports.recorder).await.unwrap(), 30);
        assert!(exports.prune_commands(most).await.unwrap().is_empty());
        let kept = store.command_log().raw(0, 100).await.unwrap();
        assert_eq!(kept.iter().filter(|row| row.device == "quiet").count(), 5);
        assert_eq!(kept.len(), 10);
    }

    #[tokio::test]
    async fn an_export_takes_all_rows_however_many_have_come() {
        let (store, dir) = scratch().await;
        let exports = scene(dir.path(), store.clone()).await;
        let clock = exports.clock.clone();
        let (audit, _task) = AuditLog::start(store.clone(), clock.clone());
        rows(&store, clock.now(), 10_000).await;
        exports.trail(&audit).await;
        let cursor = Cursor::new(exports.recorder.home(), trail::CURSOR).read();
        assert_eq!(cursor, 10_000);
    }
}
