//! A process of ours in an attacker's hands: it makes the calls that a test tells it to, in the
//! program as it ships, behind the filters that it has (`tests/e2e/python/take_over.py`).
//!
//! Data flow: one line to the script, one line back. Dropped: the process goes on.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use towline_testkit::machine::python;
use towline_testkit::{Outcome, Trouble};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/e2e/python/take_over.py");
/// `EPERM`, as a call returns it.
pub(crate) const REFUSED: i64 = -1;
/// `EAGAIN`: there is nothing to receive, or no room to send.
pub(crate) const NOTHING: i64 = -11;
/// The process is dead, by `SIGKILL` or by `SIGSYS`.
pub(crate) const KILLED: &str = "dead 9";
pub(crate) const FILTERED: &str = "dead 31";

/// The process.
pub(crate) struct TakenOver {
    pub(crate) pid: u32,
    script: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl TakenOver {
    /// Takes a process over that waits in a call.
    pub(crate) fn take(pid: u32) -> Outcome<Self> {
        let mut script = python()
            .args([SCRIPT, &pid.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(orders), Some(answers)) = (script.stdin.take(), script.stdout.take()) else {
            return Err(Trouble::new("the script has no pipes"));
        };
        let mut this = Self { pid, script, orders, answers: BufReader::new(answers) };
        match this.answer()?.as_str() {
            "taken" => Ok(this),
            other => Err(Trouble::new(format!("process {pid} was not taken over: {other}"))),
        }
    }

    /// What came of an order: a result, or the process's death.
    pub(crate) fn told(&mut self, order: &str) -> Outcome<String> {
        // A script whose process is dead has said so, and reads no more.
        let _ = writeln!(self.orders, "{order}");
        self.answer()
    }

    fn answer(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        match line.trim() {
            "" => Err(Trouble::new("the script that took the process over broke")),
            line => Ok(line.to_owned()),
        }
    }

    /// A call's result, with the rest of its line.
    fn number(&mut self, order: &str) -> Outcome<(i64, String)> {
        let answer = self.told(order)?;
        let (number, rest) = answer.split_once(' ').unwrap_or((&answer, ""));
        let number = number
            .parse()
            .map_err(|_| Trouble::new(format!("{order:.80}: the process is {answer}")))?;
        Ok((number, rest.to_owned()))
    }

    /// One call.
    pub(crate) fn call(&mut self, number: u32, arguments: &[i64]) -> Outcome<i64> {
        let arguments: String = arguments.iter().map(|it| format!(" {it}")).collect();
        self.number(&format!("call {number}{arguments}")).map(|(result, _)| result)
    }

    /// Each call of these that is not refused, with arguments that no call can use.
    pub(crate) fn probe(&mut self, first: u32, last: u32, without: &[u32]) -> Outcome<Vec<u32>> {
        let without: String = without.iter().map(|it| format!(" {it}")).collect();
        let answer = self.told(&format!("probe {first} {last}{without}"))?;
        let refused = format!("={REFUSED}");
        answer
            .split_whitespace()
            .filter(|result| !result.ends_with(&refused))
            .map(|result| {
                let number = result.split('=').next().and_then(|it| it.parse().ok());
                number.ok_or_else(|| Trouble::new(format!("no result of a call: {result}")))
            })
            .collect()
    }

    /// Sends a datagram or bytes on a descriptor, and descriptors with it.
    pub(crate) fn send(&mut self, on: u32, bytes: &[u8], along: &[u32]) -> Outcome<i64> {
        let along: String = along.iter().map(|it| format!(" {it}")).collect();
        self.number(&format!("send {on} {}{along}", hex(bytes))).map(|(result, _)| result)
    }

    /// The same until there is no room: how often it worked.
    pub(crate) fn flood(&mut self, on: u32, bytes: &[u8], most: u32) -> Outcome<i64> {
        self.number(&format!("flood {on} {} {most}", hex(bytes))).map(|(count, _)| count)
    }

    /// What has arrived on a descriptor.
    pub(crate) fn receive(&mut self, on: u32) -> Outcome<Option<Vec<u8>>> {
        let (result, text) = self.number(&format!("receive {on} 16384"))?;
        if result == NOTHING {
            return Ok(None);
        }
        let digits = text.as_bytes().chunks(2);
        let bytes = digits.map(|two| {
            let two = str::from_utf8(two).unwrap_or_default();
            u8::from_str_radix(two, 16)
        });
        bytes.collect::<Result<_, _>>().map(Some).map_err(|_| Trouble::new("no hexadecimal digits"))
    }

    /// Its death within some seconds, or that it is alive.
    pub(crate) fn wait(&mut self, seconds: u32) -> Outcome<String> {
        self.told(&format!("wait {seconds}"))
    }

    /// Lets it go on as if nothing had been.
    pub(crate) fn go(mut self) -> Outcome {
        match self.told("go")?.as_str() {
            "gone" => Ok(()),
            other => Err(Trouble::new(format!("it does not go on: {other}"))),
        }
    }
}

impl Drop for TakenOver {
    fn drop(&mut self) {
        let _ = writeln!(self.orders, "go");
        let _ = self.script.wait();
    }
}

fn hex(bytes: &[u8]) -> String {
    match bytes {
        [] => "-".to_owned(),
        bytes => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}
