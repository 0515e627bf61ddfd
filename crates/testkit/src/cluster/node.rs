//! One of several gateways, as a process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use crate::process::{Running, Signal};
use crate::trouble::ensure;
use crate::{Outcome, Trouble, files};

/// How long it may take to listen, and to end.
const PATIENCE: Duration = Duration::from_secs(90);

/// A gateway.
pub struct Node {
    program: PathBuf,
    name: String,
    home: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
    running: Option<Running>,
}

impl Node {
    pub(super) fn new(program: &Path, name: &str, home: &Path, address: SocketAddr) -> Self {
        let (program, name, home) = (program.to_owned(), name.to_owned(), home.to_owned());
        Self { program, name, home, address, running: None }
    }

    fn log(&self) -> PathBuf {
        self.home.with_extension("log")
    }

    /// Starts it; returns when it listens.
    ///
    /// # Errors
    /// With its log.
    pub fn start(&mut self) -> Outcome {
        let mut command = Command::new(&self.program);
        command.arg("serve").arg("--dir").arg(&self.home);
        command.args(["--listen", &self.address.to_string()]);
        let before = std::fs::metadata(self.log()).map_or(0, |log| log.len());
        let skip = usize::try_from(before)?;
        let mut running = Running::start(&self.name, command, &self.log())?;
        running.wait_for("it listens", skip, PATIENCE, |said| {
            said.contains("listening on").then_some(())
        })?;
        self.running = Some(running);
        Ok(())
    }

    /// The next start is this program's.
    pub(super) fn is_upgraded_to(&mut self, program: &Path) {
        program.clone_into(&mut self.program);
    }

    pub(super) fn is_named(&self, name: &str) -> bool {
        self.name == name
    }

    /// Whether its process runs.
    pub fn is_running(&mut self) -> bool {
        self.running.as_mut().is_some_and(Running::is_running)
    }

    pub(super) fn start_if_ended(&mut self) -> Outcome {
        if self.is_running() { Ok(()) } else { self.start() }
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It does not run.
    pub fn signal(&self, signal: Signal) -> Outcome {
        self.running.as_ref().ok_or_else(|| Trouble::new("it does not run"))?.signal(signal)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It goes on.
    pub fn wait(&mut self) -> Outcome<ExitStatus> {
        self.running.as_mut().ok_or_else(|| Trouble::new("it does not run"))?.wait(PATIENCE)
    }

    /// All that it has logged; an error when it has panicked.
    ///
    /// # Errors
    /// See above.
    pub fn has_not_panicked(&self) -> Outcome {
        let log = std::fs::read_to_string(self.log())?;
        let line = log.lines().find(|line| line.contains("panicked"));
        ensure(line.is_none(), || format!("{}: {}", self.name, line.unwrap_or_default()))
    }

    /// The end of its log.
    #[must_use]
    pub fn tail(&self) -> String {
        format!("{}:\n{}\n", self.name, files::tail(&self.log(), 60))
    }
}
