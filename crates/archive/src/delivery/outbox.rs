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
//! - A folder in which nothing waits does not stay: outputs of commands have three each, and each
//!   round looks into all of them.

use std::collections::HashMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use super::error::SinkError;
use super::queue::next_wait;
use super::sink::Sink;
use crate::limits::{
    LOOK_FOR_FILES_EVERY, OUTBOX_IDLE, OUTBOX_LISTED, OUTBOX_PATIENCE, OUTBOX_PUTS, OUTBOX_ROUND,
};

/// Moves a whole file into the outbox as `key`. Waits for the disk.
///
/// # Errors
/// The disk's: the file is still where it was.
pub fn put(outbox: &Path, key: &str, file: &Path) -> io::Result<()> {
    place(outbox, key, file, |from, to| fs::rename(from, to))
}

/// Gives a whole file a second name in the outbox. Waits for the disk.
///
/// # Errors
/// The disk's, also when the name is taken.
pub(crate) fn put_link(outbox: &Path, key: &str, file: &Path) -> io::Result<()> {
    place(outbox, key, file, |from, to| fs::hard_link(from, to))
}

fn place(
    outbox: &Path,
    key: &str,
    file: &Path,
    by: impl Fn(&Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    let target = outbox.join(key);
    let mut puts = 1;
    loop {
        let folder = target.parent().unwrap_or(outbox);
        match fs::create_dir_all(folder).and_then(|()| by(file, &target)) {
            // Another file was sent meanwhile, and left this folder or one above it empty.
            Err(error)
                if error.kind() == ErrorKind::NotFound && puts < OUTBOX_PUTS && file.exists() =>
            {
                puts += 1;
            }
            done => return done,
        }
    }
}

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
        let folder = self.folder.clone();
        let waiting = spawn_blocking(move || waiting(&folder)).await.unwrap_or_default();
        for path in waiting {
            let Some(key) = key_of(&self.folder, &path) else { continue };
            match self.sink.hand_over(&key, &path).await {
                Ok(()) => {
                    round.sent += 1;
                    self.failures.remove(&key);
                    if let Err(error) = tokio::fs::remove_file(&path).await
                        && error.kind() != ErrorKind::NotFound
                    {
                        tracing::warn!(
                            key, %error,
                            "cannot remove a file that was sent: it will be sent again"
                        );
                    }
                    remove_empty(&self.folder, &path);
                }
                Err(error) => {
                    round.failed += 1;
                    tracing::warn!(key, %error, "cannot send a file to the sink; retrying");
                    let gone =
                        matches!(&error, SinkError::Local(e) if e.kind() != ErrorKind::NotFound);
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

/// Removes the folders above a file that was sent, as far as they are empty.
fn remove_empty(outbox: &Path, path: &Path) {
    for folder in path.ancestors().skip(1).take_while(|folder| *folder != outbox) {
        if fs::remove_dir(folder).is_err() {
            return; // something else waits there
        }
    }
}

/// Files that wait, oldest first, at most [`OUTBOX_ROUND`]. Empty folders are removed.
fn waiting(outbox: &Path) -> Vec<PathBuf> {
    let mut found: Vec<(std::time::SystemTime, PathBuf)> = Vec::new();
    let mut folders = vec![outbox.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let mut is_empty = true;
        for entry in entries.flatten() {
            is_empty = false;
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => folders.push(entry.path()),
                Ok(meta) => {
                    found.push((meta.modified().unwrap_or(std::time::UNIX_EPOCH), entry.path()))
                }
                Err(_) => {}
            }
        }
        if is_empty && folder != outbox {
            let _ = fs::remove_dir(&folder); // somebody has put a file there meanwhile
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
    use std::sync::atomic::{AtomicBool, Ordering};

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
    async fn no_folder_stays_when_its_files_are_sent() {
        let mut scene = Scene::new();
        let outbox = scene.dir.path().join("outbox");
        for device in 0..3 {
            let file = scene.dir.path().join("output");
            fs::File::create(&file).unwrap();
            put(&outbox, &format!("commands/c/{device}/step/stdout"), &file).unwrap();
        }
        fs::create_dir_all(outbox.join("commands/left/by/an/older/version")).unwrap();
        assert_eq!(scene.outbox.round().await.sent, 3);
        assert!(!outbox.join("commands/c").exists(), "folders of what was sent are left");
        for _ in 0..5 {
            scene.outbox.round().await;
        }
        assert_eq!(fs::read_dir(&outbox).unwrap().count(), 0);
        assert!(scene.dir.path().join("sink/commands/c/2/step/stdout").is_file());
    }

    #[test]
    fn a_folder_that_goes_while_a_file_comes_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = dir.path().join("outbox");
        let over = AtomicBool::new(false);
        let come = |number| {
            let file = dir.path().join("file");
            let key = format!("commands/{number}/step/stdout");
            fs::File::create(&file)
                .and_then(|_| put(&outbox, &key, &file))
                .and_then(|()| fs::remove_file(outbox.join(key)))
        };
        let failed = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    waiting(&outbox);
                }
            });
            let failed = (0..2_000).find_map(|number| come(number).err());
            over.store(true, Ordering::Relaxed);
            failed
        });
        assert!(failed.is_none(), "{failed:?}");
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
