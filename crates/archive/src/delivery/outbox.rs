//! The outbox: finished files on this disk, sent to the sink until they are there.
//!
//! Data flow: a file appears as `outbox/<key>` -> the sink -> it is removed here (or was moved, if
//! the sink is a folder on this disk). The folder is the queue: a restart forgets nothing, and a
//! file that is sent twice has the same bytes under the same key.
//!
//! # Invariants
//! - While the sink is unreachable nothing is given up. A file that fails repeatedly while *others*
//!   succeed goes to `quarantine/` and is recorded; it delays no other file.
//! - Files are sent one at a time. Waits grow as those of `queue` do.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Notify;

use super::error::SinkError;
use super::queue::next_wait;
use super::sink::Sink;
use crate::limits::{
    LOOK_FOR_FILES_EVERY, OUTBOX_IDLE, OUTBOX_LISTED, OUTBOX_PATIENCE, OUTBOX_ROUND,
};

/// Result of one round.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Round {
    pub(crate) sent: usize,
    pub(crate) failed: usize,
    pub(crate) quarantined: Vec<String>,
}

/// The outbox.
pub(crate) struct Outbox {
    folder: PathBuf,
    quarantine: PathBuf,
    sink: Sink,
    failures: HashMap<String, u32>,
}

impl Outbox {
    pub(crate) fn new(folder: &Path, quarantine: &Path, sink: Sink) -> Self {
        Self {
            folder: folder.to_owned(),
            quarantine: quarantine.to_owned(),
            sink,
            failures: HashMap::new(),
        }
    }

    /// Sends as long as the process lives. `more` announces a file; `lost` is called for a file
    /// that went to quarantine.
    pub(crate) async fn run(mut self, more: Arc<Notify>, lost: impl Fn(&str, &str)) {
        let mut wait = LOOK_FOR_FILES_EVERY;
        loop {
            let round = self.round().await;
            for key in &round.quarantined {
                lost(key, "the sink refused it repeatedly; the file is in quarantine");
            }
            wait = next_wait(wait, (round.sent, round.failed));
            let pause = if round.failed > 0 { wait } else { OUTBOX_IDLE };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = more.notified(), if round.failed == 0 => {}
            }
        }
    }

    /// Sends each waiting file once.
    pub(crate) async fn round(&mut self) -> Round {
        let mut round = Round::default();
        let mut failed = Vec::new();
        for path in waiting(&self.folder) {
            let Some(key) = key_of(&self.folder, &path) else { continue };
            match self.sink.hand_over(&key, &path).await {
                Ok(()) => {
                    round.sent += 1;
                    self.failures.remove(&key);
                    if let Err(error) = tokio::fs::remove_file(&path).await
                        && error.kind() != std::io::ErrorKind::NotFound
                    {
                        tracing::warn!(
                            key, %error,
                            "cannot remove a file that was sent: it will be sent again"
                        );
                    }
                }
                Err(error) => {
                    round.failed += 1;
                    tracing::warn!(key, %error, "cannot send a file to the sink; retrying");
                    let gone = matches!(&error, SinkError::Local(e) if e.kind() != std::io::ErrorKind::NotFound);
                    failed.push((key, path, gone));
                }
            }
        }
        for (key, path, unreadable) in failed {
            // A failure counts against the file only when another file succeeded.
            if round.sent == 0 && !unreadable {
                continue;
            }
            let failures = self.failures.entry(key.clone()).or_default();
            *failures += 1;
            if *failures >= OUTBOX_PATIENCE {
                self.failures.remove(&key);
                self.put_aside(&key, &path);
                round.quarantined.push(key);
            }
        }
        round
    }

    fn put_aside(&self, key: &str, path: &Path) {
        let target = self.quarantine.join(key.replace('/', "__"));
        if let Err(error) = std::fs::rename(path, &target) {
            tracing::error!(key, %error, "cannot move a file to quarantine");
        } else {
            tracing::error!(
                key,
                "a file was moved to quarantine: check it, then move it back to the outbox"
            );
        }
    }
}

/// Files that wait, oldest first, at most [`OUTBOX_ROUND`].
fn waiting(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<(std::time::SystemTime, PathBuf)> = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => folders.push(entry.path()),
                Ok(meta) => {
                    found.push((meta.modified().unwrap_or(std::time::UNIX_EPOCH), entry.path()))
                }
                Err(_) => {}
            }
        }
        if found.len() > OUTBOX_LISTED {
            break;
        }
    }
    found.sort();
    found.truncate(OUTBOX_ROUND);
    found.into_iter().map(|(_, path)| path).collect()
}

fn key_of(folder: &Path, path: &Path) -> Option<String> {
    path.strip_prefix(folder).ok()?.to_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::SinkSettings;

    struct Scene {
        dir: tempfile::TempDir,
        outbox: Outbox,
    }

    impl Scene {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            for name in ["outbox/a", "quarantine"] {
                std::fs::create_dir_all(dir.path().join(name)).unwrap();
            }
            let sink = Sink::open(
                &SinkSettings::Directory(dir.path().join("sink")),
                &towline_host::clock::Clock::system(),
            )
            .unwrap();
            let outbox =
                Outbox::new(&dir.path().join("outbox"), &dir.path().join("quarantine"), sink);
            Self { dir, outbox }
        }

        fn put(&self, name: &str) {
            std::fs::File::create(self.dir.path().join("outbox/a").join(name)).unwrap();
        }

        /// Makes `name` a folder in the sink: nothing can be written under that key.
        fn poison(&self, name: &str) {
            std::fs::create_dir_all(self.dir.path().join("sink/a").join(name).join("x")).unwrap();
        }
    }

    #[tokio::test]
    async fn what_was_sent_is_in_the_sink_and_no_longer_here() {
        let mut scene = Scene::new();
        scene.put("one");
        scene.put("two");
        assert_eq!(scene.outbox.round().await, Round { sent: 2, ..Round::default() });
        assert!(scene.dir.path().join("sink/a/one").is_file());
        assert_eq!(scene.outbox.round().await, Round::default());
    }

    #[tokio::test]
    async fn a_file_that_always_fails_goes_to_quarantine_and_delays_no_other() {
        let mut scene = Scene::new();
        scene.put("bad");
        scene.poison("bad");
        for n in 0..OUTBOX_PATIENCE {
            scene.put(&format!("good-{n}"));
            let round = scene.outbox.round().await;
            assert_eq!(round.sent, 1);
            assert_eq!(round.quarantined.len(), usize::from(n + 1 == OUTBOX_PATIENCE));
        }
        assert!(scene.dir.path().join("quarantine/a__bad").is_file());
    }

    #[tokio::test]
    async fn while_the_sink_is_unreachable_nothing_is_given_up() {
        let mut scene = Scene::new();
        scene.put("bad");
        scene.poison("bad");
        for _ in 0..3 * OUTBOX_PATIENCE {
            assert_eq!(scene.outbox.round().await, Round { failed: 1, ..Round::default() });
        }
        assert!(scene.dir.path().join("outbox/a/bad").is_file());
    }
}
