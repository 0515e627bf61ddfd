//! Queues of notes: a folder of files that wait to be sent, each with a note of where it goes and
//! how far that is.
//!
//! Way: a file gets a second name in the queue's folder, and a note beside it ([`add`]) -> in each
//! round its turn comes -> its [`Sender`] sends what there is -> when all is sent, its names go.
//! The folder is the queue: a restart forgets nothing.
//!
//! # Invariants
//! - A round takes at most [`Sender::ROUND`] names and goes on behind the last one of the round
//!   before: those that fail hold up nobody, however many they are.
//! - Nothing is given up while nothing gets through, unless the sender says that a failure is final
//!   by its nature.
//! - What is given up lies in `quarantine/`, and the node's chain names it.
//! - Waits grow to [`LONGEST_WAIT`] while everything fails.
//!
//! # Not here
//! - Files that need no note, since their place in the folder is their key: `outbox`.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;
use std::fs::{self, File};
use std::future::Future;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use towline_evidence::node::What;

use crate::recorder::recorder::Recorder;

/// How often a folder is looked at. Session Manager looks once a second, too.
pub(crate) const EVERY: Duration = Duration::from_secs(1);
/// Longest wait after failures.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What tells one queue's files from another's. A gateway that is upgraded finds its queue by
/// these: they stay as they are.
pub(crate) struct Place {
    /// The folder, below the evidence's own.
    pub(crate) folder: &'static str,
    /// Endings of the files of one name, without the dot. By the first one it is known that the
    /// name waits.
    pub(crate) files: &'static [&'static str],
    /// In front of a name in the node's chain, when it was given up.
    pub(crate) lost: &'static str,
}

/// What came of one name's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Calls that got through; none says nothing about the other end.
    pub(crate) through: usize,
    /// All is sent: its files may go.
    pub(crate) done: bool,
}

/// Sends what waits in one queue.
pub(crate) trait Sender: Send {
    /// Why something could not be sent.
    type Error: Display + Send;
    /// Where its files are.
    const PLACE: Place;
    /// Failures of one name that were held against it, until it is put aside.
    const PATIENCE: u32;
    /// Names of one round; the rest waits for the next.
    const ROUND: usize;

    /// One name's turn.
    fn send(&mut self, name: &str) -> impl Future<Output = Result<Turn, Self::Error>> + Send;

    /// Whether a failure is the name's own fault. As a rule: when something else got through in the
    /// same round.
    fn blames(_error: &Self::Error, others_got_through: bool) -> bool {
        others_got_through
    }

    /// Tells the log of a failure.
    fn say_waits(name: &str, error: &Self::Error);

    /// A name was put aside: tells the log, and forgets what it knows of it.
    fn put_aside(&mut self, name: &str, why: &Self::Error);
}

/// The folder of a queue.
fn folder(home: &Path, place: &Place) -> PathBuf {
    home.join(place.folder)
}

/// Writes a note; it appears whole.
pub(crate) fn write_note(folder: &Path, name: &str, note: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string(note).unwrap_or_default(); // plain data: cannot fail
    let fresh = folder.join(format!("{name}.new"));
    File::create(&fresh).and_then(|mut file| file.write_all(text.as_bytes()))?;
    fs::rename(fresh, folder.join(format!("{name}.note")))
}

/// Reads a note.
pub(crate) fn read_note<T: DeserializeOwned>(folder: &Path, name: &str) -> io::Result<T> {
    let text = fs::read_to_string(folder.join(format!("{name}.note")))?;
    serde_json::from_str(&text).map_err(io::Error::other)
}

/// Puts a file into a queue, under a second name and with its note, in the evidence's folder
/// `home`.
///
/// # Errors
/// The disk's; `AlreadyExists` when this name is in the queue.
pub(crate) fn add(
    home: &Path,
    place: &Place,
    name: &str,
    path: &Path,
    note: &impl Serialize,
) -> io::Result<()> {
    let folder = folder(home, place);
    let file = folder.join(format!("{name}.{}", place.files[0]));
    if file.exists() {
        return Err(io::ErrorKind::AlreadyExists.into()); // its note says how far it was sent
    }
    write_note(&folder, name, note)?;
    fs::hard_link(path, file)
}

/// See the module. `L` hears the name and the reason of what was given up.
pub(crate) struct Queue<S, L> {
    sender: S,
    folder: PathBuf,
    quarantine: PathBuf,
    lost: L,
    /// Failures that were held against a name.
    blamed: HashMap<String, u32>,
    /// The last name of the round before.
    last: String,
}

impl<S: Sender, L: Fn(String, String) + Send> Queue<S, L> {
    pub(crate) fn new(home: &Path, sender: S, lost: L) -> Self {
        let (folder, quarantine) = (folder(home, &S::PLACE), home.join("quarantine"));
        Self { sender, folder, quarantine, lost, blamed: HashMap::new(), last: String::new() }
    }

    /// Sends for ever.
    pub(crate) async fn run(mut self) {
        let mut wait = EVERY;
        loop {
            tokio::time::sleep(wait).await;
            wait = next_wait(wait, self.round().await);
        }
    }

    /// Gives names their turns; how many calls got through, and how many names failed.
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
            S::say_waits(&name, &error);
            if S::blames(&error, through > 0) {
                self.blame(&name, &error);
            }
        }
        // What was taken away by hand is nobody's fault any more.
        let (folder, first) = (&self.folder, S::PLACE.files[0]);
        self.blamed.retain(|name, _| folder.join(format!("{name}.{first}")).exists());
        (through, failed)
    }

    /// The names whose turn it is.
    fn names(&mut self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let ending = format!(".{}", S::PLACE.files[0]);
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
        self.blamed.remove(name);
        for ending in S::PLACE.files {
            let _ = fs::remove_file(self.folder.join(format!("{name}.{ending}"))); // what stays is sent once more
        }
    }

    fn blame(&mut self, name: &str, error: &S::Error) {
        let blamed = self.blamed.entry(name.to_owned()).or_default();
        *blamed += 1;
        if *blamed < S::PATIENCE {
            return;
        }
        self.blamed.remove(name);
        let place = S::PLACE;
        let mark = place.folder.replace('/', "__");
        for ending in place.files {
            let file = format!("{name}.{ending}");
            // Not every name has all its files. One that cannot be moved stays in the queue, and is
            // blamed anew.
            let _ = fs::rename(
                self.folder.join(&file),
                self.quarantine.join(format!("{mark}__{file}")),
            );
        }
        self.sender.put_aside(name, error);
        (self.lost)(format!("{}{name}", place.lost), error.to_string());
    }
}

/// How long to wait after a round, in which so many got through and so many failed.
pub(crate) fn next_wait(wait: Duration, (through, failed): (usize, usize)) -> Duration {
    if failed > 0 && through == 0 { (wait * 2).min(LONGEST_WAIT) } else { EVERY }
}

impl Recorder {
    /// Writes into the node's chain that something was given up.
    pub(crate) fn lost(&self, name: String, why: String) {
        if let Err(error) = self.record(What::Lost { name, why }) {
            tracing::error!(%error, "the node's chain cannot be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    const PLACE: Place =
        Place { folder: "some/logs", files: &["text", "note", "made"], lost: "some:logs:" };

    /// Sends what is not called `bad...`; `final...` fails for good.
    #[derive(Default)]
    struct Fake {
        turns: Vec<String>,
    }

    impl Sender for Fake {
        type Error = String;
        const PLACE: Place = PLACE;
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

        fn blames(error: &String, others_got_through: bool) -> bool {
            others_got_through || error == "never"
        }

        fn say_waits(_: &str, _: &String) {}

        fn put_aside(&mut self, name: &str, why: &String) {
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
            for name in [PLACE.folder, "quarantine"] {
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
            File::create(&path).unwrap();
            add(self.dir.path(), &PLACE, name, &path, &7).unwrap();
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
        File::create(scene.queue.folder.join("a.made")).unwrap();
        assert_eq!(scene.round().await, (2, 0));
        assert_eq!(scene.files(PLACE.folder), ["idle.note", "idle.text"]);
        assert_eq!(scene.round().await, (0, 0));
    }

    #[tokio::test]
    async fn a_name_is_not_put_into_the_queue_twice_and_its_note_stays() {
        let scene = Scene::new();
        scene.add("a");
        let again = add(scene.dir.path(), &PLACE, "a", &scene.dir.path().join("whole"), &8);
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read_note::<u8>(&scene.dir.path().join(PLACE.folder), "a").unwrap(), 7);
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
        assert_eq!(scene.files(PLACE.folder), [""; 0]);
        assert_eq!(*scene.lost.lock().unwrap(), [("some:logs:bad".to_owned(), "no".to_owned())]);
        assert_eq!(scene.queue.sender.turns.last().unwrap(), "bad aside: no");
        assert!(scene.queue.blamed.is_empty());
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
        assert_eq!(scene.files(PLACE.folder), ["bad.note", "bad.text", "idle.note", "idle.text"]);
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
        assert_eq!(scene.queue.blamed.len(), 1);
        fs::remove_file(scene.queue.folder.join("bad.text")).unwrap();
        scene.round().await;
        assert!(scene.queue.blamed.is_empty());
    }

    #[test]
    fn waits_grow_while_everything_fails_and_are_short_again_after_one_success() {
        let mut wait = EVERY;
        for seconds in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            wait = next_wait(wait, (0, 1));
            assert_eq!(wait, Duration::from_secs(seconds));
        }
        assert_eq!(next_wait(wait, (1, 9)), EVERY);
        assert_eq!(next_wait(wait, (0, 0)), EVERY);
    }
}
