//! Delivery of files that wait with a note beside them (see `spool`).
//!
//! Data flow: in each round a name gets its turn -> its [`Sender`] sends what there is -> when all
//! is sent, its files are removed.
//!
//! # Invariants
//! - A round takes at most [`Sender::ROUND`] names and continues after the last name of the round
//!   before: names that fail, however many, delay no other.
//! - While nothing gets through nothing is given up, unless the sender says that a failure is
//!   final.
//! - A name that is given up goes to `quarantine/`, and the node's chain records it.
//! - Waits grow to [`LONGEST_WAIT`] while everything fails.
//!
//! # Not here
//! - Files without a note, whose place in the folder is their key: `outbox`.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::limits::{LONGEST_WAIT, LOOK_FOR_FILES_EVERY};
use crate::spool::Spool;

/// Result of one name's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Calls that succeeded. None says nothing about the other side.
    pub(crate) through: usize,
    /// Everything is sent: the files can be removed.
    pub(crate) done: bool,
}

/// Delivers the files of one spool.
pub(crate) trait Sender: Send {
    /// Why sending failed.
    type Error: Display + Send;
    /// Where the files wait.
    const SPOOL: Spool;
    /// Failures that count against a name, until it goes to quarantine.
    const PATIENCE: u32;
    /// Names in one round; the rest waits for the next round.
    const ROUND: usize;

    /// Gives a name its turn.
    fn send(&mut self, name: &str) -> impl Future<Output = Result<Turn, Self::Error>> + Send;

    /// Whether a failure counts against the name: by default, when something else got through in
    /// the same round.
    fn counts(_error: &Self::Error, others_got_through: bool) -> bool {
        others_got_through
    }

    /// Logs a failure.
    fn log_failure(name: &str, error: &Self::Error);

    /// Logs that a name went to quarantine, and drops what is kept in memory about it.
    fn on_quarantine(&mut self, name: &str, why: &Self::Error);
}

/// The queue of one sender. `L` is called with name and reason of what was given up.
pub(crate) struct Queue<S, L> {
    sender: S,
    folder: PathBuf,
    quarantine: PathBuf,
    lost: L,
    /// Failures that count against a name.
    failures: HashMap<String, u32>,
    /// The last name of the round before.
    last: String,
}

impl<S: Sender, L: Fn(String, String) + Send> Queue<S, L> {
    pub(crate) fn new(home: &Path, sender: S, lost: L) -> Self {
        let (folder, quarantine) = (S::SPOOL.path(home), home.join("quarantine"));
        Self { sender, folder, quarantine, lost, failures: HashMap::new(), last: String::new() }
    }

    /// Sends as long as the process lives.
    pub(crate) async fn run(mut self) {
        let mut wait = LOOK_FOR_FILES_EVERY;
        loop {
            tokio::time::sleep(wait).await;
            wait = next_wait(wait, self.round().await);
        }
    }

    /// Gives names their turns. Returns how many calls succeeded, and how many names failed.
    async fn round(&mut self) -> (usize, usize) {
        let (mut through, mut failures) = (0, Vec::new());
        for name in self.names() {
            match self.sender.send(&name).await {
                Ok(turn) => {
                    through += turn.through;
                    if turn.done {
                        self.remove(&name);
                    }
                }
                Err(error) => failures.push((name, error)),
            }
        }
        let failed = failures.len();
        for (name, error) in failures {
            S::log_failure(&name, &error);
            if S::counts(&error, through > 0) {
                self.count_failure(&name, &error);
            }
        }
        // Files may be removed by hand: forget their failures.
        let (folder, first) = (&self.folder, S::SPOOL.files[0]);
        self.failures.retain(|name, _| folder.join(format!("{name}.{first}")).exists());
        (through, failed)
    }

    /// The names whose turn it is.
    fn names(&mut self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let ending = format!(".{}", S::SPOOL.files[0]);
        let (mut behind, mut before) = (BTreeSet::new(), BTreeSet::new());
        for entry in entries {
            let name = entry.file_name();
            let Some(name) = name.to_str().and_then(|name| name.strip_suffix(&ending)) else {
                continue;
            };
            let half = if name > self.last.as_str() { &mut behind } else { &mut before };
            half.insert(name.to_owned());
            if half.len() > S::ROUND {
                half.pop_last();
            }
        }
        let names: Vec<String> = behind.into_iter().chain(before).take(S::ROUND).collect();
        self.last = names.last().cloned().unwrap_or_default();
        names
    }

    fn remove(&mut self, name: &str) {
        self.failures.remove(name);
        for ending in S::SPOOL.files {
            // a file that stays is sent again
            let _ = fs::remove_file(self.folder.join(format!("{name}.{ending}")));
        }
    }

    fn count_failure(&mut self, name: &str, error: &S::Error) {
        let failures = self.failures.entry(name.to_owned()).or_default();
        *failures += 1;
        if *failures < S::PATIENCE {
            return;
        }
        self.failures.remove(name);
        let spool = S::SPOOL;
        let mark = spool.folder.replace('/', "__");
        for ending in spool.files {
            let file = format!("{name}.{ending}");
            // Not every name has all its files. One that cannot be moved stays in the queue, and is
            // failures anew.
            let _ = fs::rename(
                self.folder.join(&file),
                self.quarantine.join(format!("{mark}__{file}")),
            );
        }
        self.sender.on_quarantine(name, error);
        (self.lost)(format!("{}{name}", spool.lost), error.to_string());
    }
}

/// How long to wait after a round with so many successes and failures.
pub(crate) fn next_wait(wait: Duration, (through, failed): (usize, usize)) -> Duration {
    if failed > 0 && through == 0 { (wait * 2).min(LONGEST_WAIT) } else { LOOK_FOR_FILES_EVERY }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    use crate::spool::{self, read_note};

    const SPOOL: Spool =
        Spool { folder: "some/logs", files: &["text", "note", "made"], lost: "some:logs:" };

    /// Sends what is not called `bad...`; `final...` fails for good.
    #[derive(Default)]
    struct Fake {
        turns: Vec<String>,
    }

    impl Sender for Fake {
        type Error = String;
        const SPOOL: Spool = SPOOL;
        const PATIENCE: u32 = 3;
        const ROUND: usize = 4;

        async fn send(&mut self, name: &str) -> Result<Turn, String> {
            self.turns.push(name.to_owned());
            match name {
                _ if name.starts_with("bad") => Err("no".to_owned()),
                _ if name.starts_with("final") => Err("never".to_owned()),
                _ if name.starts_with("idle") => Ok(Turn { through: 0, done: false }),
                _ => Ok(Turn { through: 2, done: true }),
            }
        }

        fn counts(error: &String, others_got_through: bool) -> bool {
            others_got_through || error == "never"
        }

        fn log_failure(_: &str, _: &String) {}

        fn on_quarantine(&mut self, name: &str, why: &String) {
            self.turns.push(format!("{name} aside: {why}"));
        }
    }

    type Lost = Arc<Mutex<Vec<(String, String)>>>;

    struct Scene {
        dir: tempfile::TempDir,
        lost: Lost,
        queue: Queue<Fake, Box<dyn Fn(String, String) + Send>>,
    }

    impl Scene {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            for name in [SPOOL.folder, "quarantine"] {
                fs::create_dir_all(dir.path().join(name)).unwrap();
            }
            let lost = Lost::default();
            let told = Arc::clone(&lost);
            let hears: Box<dyn Fn(String, String) + Send> =
                Box::new(move |name, why| told.lock().unwrap().push((name, why)));
            let queue = Queue::new(dir.path(), Fake::default(), hears);
            Self { dir, lost, queue }
        }

        fn add(&self, name: &str) {
            let path = self.dir.path().join("whole");
            fs::File::create(&path).unwrap();
            spool::add(self.dir.path(), &SPOOL, name, &path, &7).unwrap();
        }

        async fn round(&mut self) -> (usize, usize) {
            self.queue.round().await
        }

        /// What lies in a folder.
        fn files(&self, folder: &str) -> Vec<String> {
            let entries = fs::read_dir(self.dir.path().join(folder)).unwrap();
            let mut names: Vec<String> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    #[tokio::test]
    async fn what_is_sent_leaves_nothing_behind_and_what_is_not_done_stays() {
        let mut scene = Scene::new();
        for name in ["a", "idle"] {
            scene.add(name);
        }
        assert_eq!(read_note::<u8>(&scene.queue.folder, "a").unwrap(), 7);
        fs::File::create(scene.queue.folder.join("a.made")).unwrap();
        assert_eq!(scene.round().await, (2, 0));
        assert_eq!(scene.files(SPOOL.folder), ["idle.note", "idle.text"]);
        assert_eq!(scene.round().await, (0, 0));
    }

    #[tokio::test]
    async fn what_fails_while_others_get_through_goes_to_quarantine_and_on_record() {
        let mut scene = Scene::new();
        scene.add("bad");
        for n in 0..Fake::PATIENCE {
            assert!(scene.lost.lock().unwrap().is_empty());
            scene.add(&format!("good-{n}"));
            assert_eq!(scene.round().await, (2, 1));
        }
        assert_eq!(scene.files("quarantine"), ["some__logs__bad.note", "some__logs__bad.text"]);
        assert_eq!(scene.files(SPOOL.folder), [""; 0]);
        assert_eq!(*scene.lost.lock().unwrap(), [("some:logs:bad".to_owned(), "no".to_owned())]);
        assert_eq!(scene.queue.sender.turns.last().unwrap(), "bad aside: no");
        assert!(scene.queue.failures.is_empty());
    }

    #[tokio::test]
    async fn while_nothing_gets_through_nothing_is_given_up_but_what_the_sender_calls_final() {
        let mut scene = Scene::new();
        for name in ["bad", "final", "idle"] {
            scene.add(name);
        }
        for _ in 0..3 * Fake::PATIENCE {
            assert_eq!(scene.round().await.0, 0);
        }
        assert_eq!(scene.files(SPOOL.folder), ["bad.note", "bad.text", "idle.note", "idle.text"]);
        assert_eq!(scene.files("quarantine"), ["some__logs__final.note", "some__logs__final.text"]);
    }

    #[tokio::test]
    async fn more_failures_than_a_round_has_names_hold_up_nobody() {
        let mut scene = Scene::new();
        for n in 0..3 * Fake::ROUND {
            scene.add(&format!("bad-{n:02}"));
        }
        scene.add("good");
        let mut through = 0;
        for _ in 0..4 {
            let (calls, failed) = scene.round().await;
            assert!(failed <= Fake::ROUND);
            through += calls;
        }
        assert_eq!(through, 2);
        let turns: BTreeSet<&String> = scene.queue.sender.turns.iter().collect();
        assert_eq!(turns.len(), 3 * Fake::ROUND + 1, "each had its turn");
    }

    #[tokio::test]
    async fn what_is_taken_away_by_hand_is_forgotten() {
        let mut scene = Scene::new();
        for name in ["bad", "good"] {
            scene.add(name);
        }
        scene.round().await;
        assert_eq!(scene.queue.failures.len(), 1);
        fs::remove_file(scene.queue.folder.join("bad.text")).unwrap();
        scene.round().await;
        assert!(scene.queue.failures.is_empty());
    }

    #[test]
    fn waits_grow_while_everything_fails_and_are_short_again_after_one_success() {
        let mut wait = LOOK_FOR_FILES_EVERY;
        for seconds in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            wait = next_wait(wait, (0, 1));
            assert_eq!(wait, Duration::from_secs(seconds));
        }
        assert_eq!(next_wait(wait, (1, 9)), LOOK_FOR_FILES_EVERY);
        assert_eq!(next_wait(wait, (0, 0)), LOOK_FOR_FILES_EVERY);
    }
}
