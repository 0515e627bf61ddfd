//! A run in which link, agent and gateway are killed at random while a device executes programs,
//! and what its command log says afterwards.
//!
//! Data flow: a session that executes numbered programs and writes each number into a file (the
//! truth) -> kills -> the gateway's store, read as a database -> [`Balance`].
//!
//! # Invariants
//! - Chance comes from a seed, so that a run can be repeated as far as the machine's own chance
//!   allows.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::lab::{Device, Lab};
use crate::{Outcome, Trouble, eventually, trouble::pause};

/// How long the last records may take to reach the store.
const ARRIVES: Duration = Duration::from_secs(120);

/// Programs of our sessions: `/bin/true` and a zero byte. Not by `LIKE`, which some builds of
/// SQLite refuse to bytes.
const OURS: &str = "substr(arguments, 1, 10) = x'2f62696e2f7472756500'";

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kill {
    /// The link is cut.
    Link,
    /// The agent gets SIGKILL, and is started again.
    Agent,
    /// The gateway gets SIGKILL, and is started again.
    Gateway,
}

/// The outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Balance {
    /// Kills: of the link, of the agent, of the gateway.
    pub kills: [usize; 3],
    /// Sessions that executed.
    pub sessions: usize,
    /// Programs that were executed to their end.
    pub programs: usize,
    /// Of these on record.
    pub on_record: usize,
    /// Of these not on record, in a session whose agent was killed: behind its last record stands a
    /// gap.
    pub in_gaps: usize,
    /// Records of programs without arguments, which gaps count: as many of those above may be among
    /// them.
    pub unread: usize,
    /// Of these neither on record nor in a gap.
    pub nowhere: usize,
    /// On record more than once.
    pub doubled: usize,
    /// Rows of the store.
    pub rows: usize,
    /// Numbers that no row covers.
    pub holes: usize,
    /// Gap rows.
    pub gaps: usize,
}

/// Kills so many times, one after the other, the kind by chance.
///
/// # Errors
/// Something does not come back.
pub fn run(
    lab: &mut Lab,
    device: &mut Device,
    kills: usize,
    python: &Path,
    mut seed: u64,
) -> Outcome<Balance> {
    let mut balance = Balance::default();
    let truth = lab.directory().join("truth");
    let mut session = Session::start(lab, device, &truth, &mut balance)?;
    for _ in 0..kills {
        pause(Duration::from_millis(50 + chance(&mut seed) % 400));
        let kill = [Kill::Link, Kill::Agent, Kill::Gateway][(chance(&mut seed) % 3) as usize];
        balance.kills[kill as usize] += 1;
        match kill {
            Kill::Link => drop(device.relay.cut()),
            Kill::Agent => {
                device.process()?.kill()?;
                device.start()?;
                device.wait_online(&lab.admin())?;
            }
            Kill::Gateway => {
                lab.gateway.kill()?;
                lab.gateway.start_again()?;
            }
        }
        if !session.is_running()? {
            device.wait_online(&lab.admin())?;
            session = Session::start(lab, device, &truth, &mut balance)?;
        }
    }
    device.wait_online(&lab.admin())?;
    session.end()?;
    device.process()?.stop()?;
    device.start()?;
    device.wait_online(&lab.admin())?;
    let database = lab.gateway.directory().join("towline.db");
    settle(python, &database)?;
    count(python, &database, &truth, &mut balance)?;
    Ok(balance)
}

fn chance(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

/// A session that executes until it is ended.
struct Session(Child);

impl Session {
    fn start(lab: &Lab, device: &Device, truth: &Path, balance: &mut Balance) -> Outcome<Self> {
        balance.sessions += 1;
        let number = balance.sessions;
        let script = format!(
            "n=0; while [ ! -e {0}.stop ]; do /bin/true p{number}.$n && echo p{number}.$n >> {0}; \
             n=$((n+1)); sleep 0.02; done",
            truth.display()
        );
        let mut command =
            lab.admin().towline(&["exec", "-n", device.id(), "--", "sh", "-c", &script]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn()?))
    }

    fn is_running(&mut self) -> Outcome<bool> {
        Ok(self.0.try_wait()?.is_none())
    }

    fn end(&mut self) -> Outcome {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until the store gets no new rows for a while.
fn settle(python: &Path, database: &Path) -> Outcome {
    let (mut last, mut since) = (0, Instant::now());
    eventually("the store has all records", ARRIVES, || {
        let rows: usize = query(python, database, "SELECT COUNT(*) FROM command_log")
            .ok()?
            .trim()
            .parse()
            .ok()?;
        if rows != last {
            (last, since) = (rows, Instant::now());
        }
        (since.elapsed() > Duration::from_secs(2)).then_some(())
    })
}

/// Rows of a query, one a line, columns separated by `|`.
///
/// # Errors
/// The store cannot be read.
pub fn query(python: &Path, database: &Path, sql: &str) -> Outcome<String> {
    let program = "import sqlite3, sys\n\
        db = sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True, timeout=30)\n\
        [print('|'.join('' if c is None else c.hex() if isinstance(c, bytes) else str(c) for c in \
        row)) for row in db.execute(sys.argv[2])]";
    let out = Command::new(python).args(["-c", program]).arg(database).arg(sql).output()?;
    if !out.status.success() {
        return Err(Trouble::new(format!("the store: {}", String::from_utf8_lossy(&out.stderr))));
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

fn count(python: &Path, database: &Path, truth: &Path, balance: &mut Balance) -> Outcome {
    let rows = query(
        python,
        database,
        "SELECT boot, number, covers, kind FROM command_log ORDER BY boot, number",
    )?;
    let (mut boot, mut next) = (String::new(), 0);
    for row in rows.lines() {
        let fields: Vec<&str> = row.split('|').collect();
        let [of, number, covers, kind] = fields[..] else {
            return Err(Trouble::new(format!("a row: {row}")));
        };
        let (number, covers): (u64, u64) = (number.parse()?, covers.parse()?);
        if of != boot {
            (boot, next) = (of.to_owned(), 0);
        }
        balance.rows += 1;
        balance.holes += usize::from(number != next);
        balance.gaps += usize::from(kind == "gap");
        next = number + covers.max(1);
    }
    let sql = format!("SELECT boot, arguments FROM command_log WHERE kind = 'exec' AND {OURS}");
    let mut found = BTreeSet::new();
    for row in query(python, database, &sql)?.lines() {
        let word = row.split_once('|').map(|(_, hex)| word_of(hex)).unwrap_or_default();
        balance.doubled += usize::from(!found.insert(word));
    }
    // Sessions of boots behind whose last record an agent's sudden end is written down.
    let sql = format!(
        "SELECT DISTINCT arguments FROM command_log WHERE kind = 'exec' AND {OURS} \
         AND boot IN (SELECT boot FROM command_log WHERE kind = 'gap' AND covers = 0)"
    );
    let cut: BTreeSet<String> =
        query(python, database, &sql)?.lines().map(|hex| session_of(&word_of(hex))).collect();
    let all_sessions: BTreeSet<String> = found.iter().map(|word| session_of(word)).collect();
    for program in std::fs::read_to_string(truth)?.lines() {
        balance.programs += 1;
        let session = session_of(program);
        if found.contains(program) {
            balance.on_record += 1;
        } else if cut.contains(&session) || !all_sessions.contains(&session) {
            // or nothing of the session had been sent when its agent was killed
            balance.in_gaps += 1;
        } else {
            balance.nowhere += 1;
        }
    }
    let sql = "SELECT COUNT(*) FROM command_log WHERE kind = 'exec' AND length(arguments) = 0";
    balance.unread = query(python, database, sql)?.trim().parse()?;
    balance.nowhere = balance.nowhere.saturating_sub(balance.unread);
    Ok(())
}

/// The second argument, of arguments in hexadecimal digits.
fn word_of(hex: &str) -> String {
    let byte =
        |at| hex.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok()).unwrap_or(0);
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
    bytes
        .split(|byte| *byte == 0)
        .nth(1)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .unwrap_or_default()
}

fn session_of(word: &str) -> String {
    word.split('.').next().unwrap_or_default().to_owned()
}
