//! The journal of commands: no command starts twice, not even after a power failure.
//!
//! One line for each start of the agent (`boot NONCE`), one for each command that it starts
//! (`start SESSION`), synced before the process is made. When the gateway repeats a command that
//! it gave to an earlier start of this agent, [`Journal::admits`] permits it only if the journal
//! has that start, and no line of the command after it. A command keeps its line when the gateway
//! has its result: the gateway's database may lose that when another server takes its place.
//!
//! # Invariants
//! - A start of the agent is in the file only if all its commands are. If a line cannot be
//!   written, the whole file is removed (which needs no free space): a command that may have
//!   started does not start again, a command that has not started does.
//! - Without a writable state directory the agent runs commands, and only its memory guards
//!   them.
//! - The oldest lines are dropped first, so a missing line never means "not started". Lines of
//!   commands whose result the gateway has are dropped before all others: only a database that
//!   went back in time asks for those again. Where the last of them stood, a line is left, so that
//!   a gateway that asks for the whole time since a start ([`AND_LATER`]) hears the truth.
//!
//! # Known limit
//! - A disk that confirms a sync without writing, and loses the last lines when the power fails.

use super::{Dir, atomic};
use crate::limits;
use crate::logger;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use towline_wire::epoch::BootNonce;
use towline_wire::message::AND_LATER;

const FILE: &str = "journal";
/// In place of a session: [`Line::Dropped`]. Older agents read a command that nobody sends.
const DROPPED: &str = "-";

#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    Boot(BootNonce),
    Start(String),
    /// The gateway has the command's result. In the file it is a start.
    Ended(String),
    /// The last line of such a command that was dropped stood here.
    Dropped,
}

impl Line {
    fn is_start_of(&self, session: &str) -> bool {
        matches!(self, Self::Start(name) | Self::Ended(name) if name == session)
    }
}

/// Where lines go.
#[derive(Debug, PartialEq, Eq)]
enum Keeping {
    /// The file has this start, and all its commands.
    File,
    /// The file, if there is one, does not have this start: nothing can be proved of it later.
    Memory,
    /// The file has this start, cannot be written, and cannot be removed.
    Stuck,
}

/// Why a command is not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// It has a line.
    #[error("this command was started before and is not started again")]
    Started,
    /// An earlier start of the agent is not in the journal.
    #[error(
        "this command was given to an earlier start of the agent, and no journal tells whether \
         that started it: \
         it is not started again"
    )]
    Unknown,
}

/// The lines of the journal, and where they are kept.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    lines: VecDeque<Line>,
    /// Bytes in the file.
    length: usize,
    keeping: Keeping,
}

impl Journal {
    /// Reads what earlier starts left, and adds this one.
    #[must_use]
    pub fn open(dir: &Dir, boot: BootNonce) -> Self {
        let path = dir.file(FILE);
        let mut journal = Self { lines: read(&path), path, length: 0, keeping: Keeping::Memory };
        journal.push(Line::Boot(boot));
        match journal.rewrite() {
            Ok(()) => journal.keeping = Keeping::File,
            Err(error) => {
                logger::info!(
                    "no journal of commands ({error}): a command that a crash interrupts stays \
                     unknown"
                )
            }
        }
        journal
    }

    /// Whether a command may be started that these starts of the agent were given before.
    ///
    /// # Errors
    /// [`Doubt`].
    pub fn admits(&self, session: &str, given_to: &[BootNonce]) -> Result<(), Doubt> {
        if self.lines.iter().any(|line| line.is_start_of(session)) {
            return Err(Doubt::Started);
        }
        let is_whole = given_to.contains(&AND_LATER);
        let since = match self.lines.iter().rposition(|line| *line == Line::Dropped) {
            Some(dropped) if is_whole => dropped,
            _ => 0,
        };
        let known = |boot: &BootNonce| {
            let mut lines = self.lines.iter().skip(since);
            lines.any(|line| matches!(line, Line::Boot(known) if known == boot))
        };
        let mut starts = given_to.iter().filter(|boot| **boot != AND_LATER).peekable();
        let proves = !is_whole || starts.peek().is_some();
        if proves && starts.all(known) { Ok(()) } else { Err(Doubt::Unknown) }
    }

    /// Notes that a command is about to be started. Only then it may be.
    ///
    /// # Errors
    /// The line could not be written, nor the file removed; the command must not be started.
    pub fn note(&mut self, session: &str) -> io::Result<()> {
        if self.keeping != Keeping::Memory {
            let line = format!("start {session}\n");
            let full = self.length + line.len() > limits::JOURNAL_FILE;
            self.push(Line::Start(session.to_owned()));
            let written = if full || self.keeping == Keeping::Stuck {
                self.rewrite()
            } else {
                self.append(&line)
            };
            return match written {
                Ok(()) => {
                    self.keeping = Keeping::File;
                    Ok(())
                }
                Err(error) => self.give_up(&error),
            };
        }
        self.push(Line::Start(session.to_owned()));
        Ok(())
    }

    /// The gateway has the command's result. It asks for it again only when its database has lost
    /// that.
    pub fn ended(&mut self, session: &str) {
        for line in self.lines.iter_mut().filter(|line| line.is_start_of(session)) {
            *line = Line::Ended(session.to_owned());
        }
        let ended = |line: &Line| matches!(line, Line::Ended(_));
        if self.lines.iter().filter(|line| ended(line)).count() > limits::JOURNAL_ENDED {
            self.drop_oldest();
        }
    }

    fn push(&mut self, line: Line) {
        while self.lines.len() >= limits::JOURNAL {
            self.drop_oldest();
        }
        self.lines.push_back(line);
    }

    /// Drops the oldest line of a command whose result the gateway has, else the oldest one.
    fn drop_oldest(&mut self) {
        match self.lines.iter_mut().find(|line| matches!(line, Line::Ended(_))) {
            Some(ended) => {
                *ended = Line::Dropped;
                let mut before = self.lines.iter().filter(|line| **line == Line::Dropped).count();
                self.lines.retain(|line| {
                    before -= usize::from(*line == Line::Dropped);
                    *line != Line::Dropped || before == 0
                });
            }
            None => drop(self.lines.pop_front()),
        }
    }

    fn append(&mut self, line: &str) -> io::Result<()> {
        let mut file = File::options().append(true).open(&self.path)?;
        file.write_all(line.as_bytes())?;
        file.sync_data()?;
        self.length += line.len();
        Ok(())
    }

    fn rewrite(&mut self) -> io::Result<()> {
        let text: String = self.lines.iter().map(line_text).collect();
        atomic::replace(&self.path, text.as_bytes(), 0o600)?;
        self.length = text.len();
        Ok(())
    }

    /// A line could not be written: without the file nothing is proved by it.
    fn give_up(&mut self, error: &io::Error) -> io::Result<()> {
        logger::warning!(
            "the journal of commands cannot be written ({error}): it is given up until the next \
             start"
        );
        let removed = fs::remove_file(&self.path).and_then(|()| sync_folder(&self.path));
        self.keeping = match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Keeping::Stuck,
            _ => Keeping::Memory,
        };
        if self.keeping == Keeping::Memory {
            return Ok(());
        }
        self.lines.pop_back(); // it is not started
        Err(io::Error::new(error.kind(), error.to_string()))
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn line_text(line: &Line) -> String {
    match line {
        Line::Boot(boot) => {
            format!("boot {}\n", boot.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
        Line::Start(session) | Line::Ended(session) => format!("start {session}\n"),
        Line::Dropped => format!("start {DROPPED}\n"),
    }
}

/// The lines of a file; none if it cannot be read or has a line that is none. A last line without
/// its end was never synced.
fn read(path: &Path) -> VecDeque<Line> {
    let mut text = String::new();
    let most = limits::JOURNAL_FILE as u64 * 2;
    if File::open(path).and_then(|file| file.take(most).read_to_string(&mut text)).is_err() {
        return VecDeque::new();
    }
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines: Option<VecDeque<Line>> = whole.lines().map(parse).collect();
    let mut lines = lines.unwrap_or_else(|| {
        logger::warning!("the journal {} is damaged: it begins anew", path.display());
        VecDeque::new()
    });
    while lines.len() >= limits::JOURNAL {
        lines.pop_front();
    }
    lines
}

fn parse(line: &str) -> Option<Line> {
    if let Some(session) = line.strip_prefix("start ") {
        if session == DROPPED {
            return Some(Line::Dropped);
        }
        return (!session.is_empty()).then(|| Line::Start(session.to_owned()));
    }
    let hex = line.strip_prefix("boot ").filter(|hex| hex.len() == 32 && hex.is_ascii())?;
    let mut boot = BootNonce::default();
    for (at, byte) in boot.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(Line::Boot(boot))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const FIRST: BootNonce = [1; 16];
    const SECOND: BootNonce = [2; 16];

    fn scratch() -> (tempfile::TempDir, Dir) {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::at(temp.path());
        (temp, dir)
    }

    #[test]
    fn a_command_that_was_started_is_not_started_by_the_next_start_of_the_agent() {
        let (_temp, dir) = scratch();
        let mut first = Journal::open(&dir, FIRST);
        first.note("cmd-a").unwrap();
        assert_eq!(first.admits("cmd-a", &[FIRST]), Err(Doubt::Started));
        let second = Journal::open(&dir, SECOND);
        assert_eq!(second.admits("cmd-a", &[FIRST]), Err(Doubt::Started));
        assert_eq!(
            second.admits("cmd-b", &[FIRST]),
            Ok(()),
            "it was given to the first, which never started it"
        );
        assert_eq!(
            second.admits("cmd-b", &[[9; 16]]),
            Err(Doubt::Unknown),
            "a start that nobody wrote down"
        );
    }

    #[test]
    fn a_command_whose_result_has_arrived_is_not_started_again_whatever_the_gateway_has_lost() {
        let (_temp, dir) = scratch();
        let mut journal = Journal::open(&dir, FIRST);
        journal.note("cmd-a").unwrap();
        journal.ended("cmd-a");
        assert_eq!(journal.admits("cmd-a", &[]), Err(Doubt::Started));
        assert_eq!(Journal::open(&dir, SECOND).admits("cmd-a", &[FIRST]), Err(Doubt::Started));
    }

    #[test]
    fn commands_whose_results_have_arrived_drop_no_line_of_any_other() {
        let (_temp, dir) = scratch();
        let mut journal = Journal::open(&dir, FIRST);
        journal.note("cmd-open").unwrap();
        for n in 0..limits::JOURNAL * 3 {
            journal.note(&format!("cmd-{n}")).unwrap();
            journal.ended(&format!("cmd-{n}"));
        }
        assert_eq!(journal.lines.len(), limits::JOURNAL_ENDED + 3);
        assert_eq!(journal.admits("cmd-new", &[FIRST]), Ok(()));
        assert_eq!(journal.admits("cmd-open", &[FIRST]), Err(Doubt::Started));
    }

    #[test]
    fn the_whole_time_since_a_start_is_told_only_while_no_line_of_it_was_dropped() {
        let (_temp, dir) = scratch();
        let mut first = Journal::open(&dir, FIRST);
        first.note("cmd-a").unwrap();
        first.ended("cmd-a");
        let mut second = Journal::open(&dir, SECOND);
        assert_eq!(second.admits("cmd-b", &[FIRST, AND_LATER]), Ok(()), "no start was given it");
        assert_eq!(second.admits("cmd-a", &[FIRST, AND_LATER]), Err(Doubt::Started));
        assert_eq!(second.admits("cmd-b", &[AND_LATER]), Err(Doubt::Unknown), "since when?");
        assert_eq!(second.admits("cmd-b", &[[9; 16], AND_LATER]), Err(Doubt::Unknown));
        for n in 0..=limits::JOURNAL_ENDED {
            second.note(&format!("cmd-{n}")).unwrap();
            second.ended(&format!("cmd-{n}"));
        }
        let asked = [SECOND, AND_LATER];
        assert_eq!(second.admits("cmd-b", &asked), Err(Doubt::Unknown), "it may have been the one");
        assert_eq!(second.admits("cmd-b", &[SECOND]), Ok(()));
        second.rewrite().unwrap();
        let third = Journal::open(&dir, [3; 16]);
        assert_eq!(third.admits("cmd-b", &asked), Err(Doubt::Unknown), "its file tells so, too");
        assert_eq!(third.admits("cmd-b", &[[3; 16], AND_LATER]), Ok(()));
    }

    #[test]
    fn a_journal_that_was_lost_proves_nothing() {
        let (temp, dir) = scratch();
        Journal::open(&dir, FIRST).note("cmd-a").unwrap();
        fs::remove_file(temp.path().join(FILE)).unwrap();
        assert_eq!(Journal::open(&dir, SECOND).admits("cmd-b", &[FIRST]), Err(Doubt::Unknown));
    }

    #[test]
    fn a_line_that_cannot_be_written_gives_the_proof_up_and_not_the_command() {
        let (temp, dir) = scratch();
        let mut journal = Journal::open(&dir, FIRST);
        fs::remove_file(temp.path().join(FILE)).unwrap();
        journal.note("cmd-a").unwrap();
        assert_eq!(journal.admits("cmd-a", &[]), Err(Doubt::Started), "this process still knows");
        assert_eq!(Journal::open(&dir, SECOND).admits("cmd-b", &[FIRST]), Err(Doubt::Unknown));
    }

    #[test]
    fn a_file_that_can_be_neither_written_nor_removed_stops_commands_but_only_then() {
        let (temp, dir) = scratch();
        let mut journal = Journal::open(&dir, FIRST);
        let path = temp.path().join(FILE);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(journal.note("cmd-a").is_err());
        fs::remove_dir(&path).unwrap();
        journal.note("cmd-b").unwrap();
        assert_eq!(Journal::open(&dir, SECOND).admits("cmd-b", &[FIRST]), Err(Doubt::Started));
    }

    #[test]
    fn a_torn_last_line_was_never_started_and_a_damaged_file_proves_nothing() {
        let (temp, dir) = scratch();
        let path = temp.path().join(FILE);
        Journal::open(&dir, FIRST).note("cmd-a").unwrap();
        File::options().append(true).open(&path).unwrap().write_all(b"start cmd-b").unwrap();
        let journal = Journal::open(&dir, SECOND);
        assert_eq!(journal.admits("cmd-b", &[FIRST]), Ok(()));
        assert_eq!(journal.admits("cmd-a", &[FIRST]), Err(Doubt::Started));
        File::create(&path).unwrap().write_all(b"boot xyz\nstart cmd-a\n").unwrap();
        assert_eq!(Journal::open(&dir, [3; 16]).admits("cmd-a", &[FIRST]), Err(Doubt::Unknown));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn it_stays_small_and_what_falls_out_is_not_started_again() {
        let (temp, dir) = scratch();
        let mut journal = Journal::open(&dir, FIRST);
        for n in 0..limits::JOURNAL * 3 {
            journal.note(&format!("cmd-{n}-{}", "x".repeat(60))).unwrap();
        }
        assert!(fs::metadata(temp.path().join(FILE)).unwrap().len() <= limits::JOURNAL_FILE as u64);
        assert_eq!(journal.admits("cmd-0", &[FIRST]), Err(Doubt::Unknown));
    }
}
