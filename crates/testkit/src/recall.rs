//! How much of what a session executes stands in its command log: a workload of which every
//! execution is known, and the count of what came out.
//!
//! Data flow: [`Workload`] (a shell script; each program gets a number as its argument) -> `towline
//! exec` -> `towline commands -o json` -> [`Tally`].

use std::collections::HashMap;
use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::{Device, Operator};
use crate::{Outcome, Trouble, eventually};

/// How long the end of a session may take to reach the store: all its records go before it.
const ARRIVES: Duration = Duration::from_secs(120);

/// Executions by kind. Each is one program with a number of its own.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// One after the other, each ends at once with 0.
    pub short: usize,
    /// One after the other, each ends at once with 1.
    pub failing: usize,
    /// Two subshells deep.
    pub nested: usize,
    /// All at once.
    pub at_once: usize,
    /// In the background of a subshell, in a session of their own: orphans.
    pub daemons: usize,
}

impl Workload {
    /// The one whose figure is published: 5,000 programs.
    pub const WHOLE: Self =
        Self { short: 4000, failing: 400, nested: 200, at_once: 200, daemons: 200 };
    /// A tenth of it, for tests.
    pub const TENTH: Self = Self { short: 300, failing: 50, nested: 50, at_once: 50, daemons: 50 };

    /// Number of programs.
    #[must_use]
    pub const fn programs(&self) -> usize {
        self.short + self.failing + self.nested + self.at_once + self.daemons
    }

    /// The script.
    #[must_use]
    pub fn script(&self) -> String {
        let mut text = "n=0\n".to_owned();
        let mut end = 0;
        for (some, body, after) in [
            (self.short, "/bin/true x$n", ""),
            (self.failing, "/bin/false x$n", ""),
            (self.nested, "( ( /bin/true x$n ) )", ""),
            (self.at_once, "/bin/true x$n &", "wait"),
            (self.daemons, "( setsid /bin/true x$n & )", "sleep 1"),
        ] {
            end += some;
            let body = if body.ends_with('&') { format!("{body} ") } else { format!("{body}; ") };
            // into memory
            let _ = writeln!(text, "while [ $n -lt {end} ]; do {body}n=$((n+1)); done\n{after}");
        }
        text
    }

    fn code_of(&self, number: usize) -> i64 {
        i64::from((self.short..self.short + self.failing).contains(&number))
    }
}

/// What came out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Programs of the workload.
    pub programs: usize,
    /// Of these on record with their arguments.
    pub with_arguments: usize,
    /// Of these with the right exit code.
    pub with_code: usize,
    /// Records of a program without arguments.
    pub without_arguments: usize,
    /// Programs on record twice.
    pub doubled: usize,
    /// Records of programs that no session executed.
    pub foreign: usize,
    /// All records of programs.
    pub records: usize,
    /// Records without arguments as gaps count them.
    pub said: usize,
    /// Other gaps.
    pub gaps: usize,
    /// How long the workload took.
    pub lasted: Duration,
    /// How the session was logged.
    pub kernel: bool,
}

impl Tally {
    /// Whether the log is right, however much it knows: by the kernel's events each program has its
    /// record, with its own arguments and exit code or counted as being without; none is there
    /// twice, and nobody else's.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        let whole = self.with_arguments + self.without_arguments >= self.programs && self.gaps == 0;
        let right = self.with_code == self.with_arguments && self.doubled == 0;
        self.foreign == 0
            && self.said == self.without_arguments
            && (!self.kernel || (whole && right))
    }

    /// Share of the workload's programs on record with arguments and exit code.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // thousands
    pub fn recall(&self) -> f64 {
        self.with_code as f64 / self.programs.max(1) as f64
    }

    /// Share of the records that are of programs of the session.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // thousands
    pub fn precision(&self) -> f64 {
        (self.records - self.foreign) as f64 / self.records.max(1) as f64
    }
}

/// Runs a workload on a device while something else runs beside it, and counts.
///
/// # Errors
/// The session fails, or its end never reaches the store.
pub fn measure(admin: &Operator, device: &Device, workload: &Workload) -> Outcome<Tally> {
    let marker = format!("r{}", std::process::id());
    let mut outsider = Command::new("sh")
        .args(["-c", "while :; do /bin/true outsider; done"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let start = Instant::now();
    let ran = admin.run(&[
        "exec",
        "-n",
        "--reason",
        &marker,
        device.id(),
        "--",
        "sh",
        "-c",
        &workload.script(),
    ]);
    let lasted = start.elapsed();
    outsider.kill()?;
    outsider.wait()?;
    let ran = ran?;
    if !ran.status.success() {
        return Err(Trouble::new(format!(
            "the workload: {}",
            String::from_utf8_lossy(&ran.stderr)
        )));
    }
    let session = newest_session(admin, device)?;
    let records = eventually("the end of the session is on record", ARRIVES, || {
        let records = commands(admin, &session).ok()?;
        records.iter().any(|record| record["Kind"] == "End").then_some(records)
    })?;
    Ok(Tally { lasted, ..count(&records, workload) })
}

/// The id of the session that was opened last on a device.
///
/// # Errors
/// There is none.
pub fn newest_session(admin: &Operator, device: &Device) -> Outcome<String> {
    let mut found: Vec<(f64, String)> = Vec::new();
    for state in ["Active", "History"] {
        let body = serde_json::json!({ "State": state, "Filters": [{ "key": "Target", "value": device.id() }] });
        let answer = admin.api("AmazonSSM.DescribeSessions", &body)?;
        for session in answer["Sessions"].as_array().into_iter().flatten() {
            let id = session["SessionId"].as_str().unwrap_or_default().to_owned();
            found.push((session["StartDate"].as_f64().unwrap_or(0.0), id));
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found.pop().map(|(_, id)| id).ok_or_else(|| Trouble::new("the device had no session"))
}

/// The records of a session, as the command line gives them.
///
/// # Errors
/// The command line's.
pub fn commands(admin: &Operator, session: &str) -> Outcome<Vec<Value>> {
    let text = admin.text(&["commands", session, "-o", "json"])?;
    let answer: Value = serde_json::from_str(&text)?;
    Ok(answer["Commands"].as_array().cloned().unwrap_or_default())
}

/// How many programs a gap says to be without their arguments; `None` for another gap.
fn arguments_gone(gap: &Value) -> Option<usize> {
    gap["Detail"].as_str()?.strip_prefix("the arguments of ")?.split(' ').next()?.parse().ok()
}

fn count(records: &[Value], workload: &Workload) -> Tally {
    let mut tally = Tally { programs: workload.programs(), ..Tally::default() };
    let mut seen: HashMap<usize, bool> = HashMap::new();
    for record in records {
        match record["Kind"].as_str().unwrap_or_default() {
            "Gap" => match arguments_gone(record) {
                Some(programs) => tally.said += programs,
                None => tally.gaps += 1,
            },
            "Begin" => tally.kernel = record["Detail"].as_str() == Some("kernel events"),
            "Command" => {
                tally.records += 1;
                let arguments = record["Arguments"].as_array();
                let words: Vec<&str> =
                    arguments.into_iter().flatten().filter_map(Value::as_str).collect();
                tally.without_arguments += usize::from(words.is_empty());
                tally.foreign += usize::from(words.contains(&"outsider"));
                // `setsid` is a program with the number too; the one that is counted is what it
                // becomes.
                let own = words.first().is_some_and(|program| program.starts_with("/bin/"));
                let number = words
                    .get(1)
                    .and_then(|word| word.strip_prefix('x')?.parse().ok())
                    .filter(|_| own);
                if let Some(number) = number {
                    let right = record["ExitCode"].as_i64() == Some(workload.code_of(number));
                    tally.doubled += usize::from(seen.insert(number, right).is_some());
                }
            }
            _ => {}
        }
    }
    tally.with_arguments = seen.len();
    tally.with_code = seen.values().filter(|right| **right).count();
    tally
}
