//! A child process that ends when its value is dropped, with its output in a file.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::{Outcome, Trouble, eventually, files};

/// How long a process gets to end after a polite signal.
const POLITE: Duration = Duration::from_secs(10);

/// A running program. Dropped: killed and reaped.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts `command` with stdout and stderr appended to `log`, stdin closed.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Outcome<Self> {
        let out = files::log(log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().map_err(|e| {
            Trouble::new(format!("{name}: cannot start {}: {e}", command.get_program().to_string_lossy()))
        })?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its output goes.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Everything it has printed.
    #[must_use]
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits for `find` to find something in what was printed after the first `skip` bytes.
    ///
    /// # Errors
    /// It did not come in time, or the process ended; with the end of its log.
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        skip: usize,
        within: Duration,
        find: impl Fn(&str) -> Option<T>,
    ) -> Outcome<T> {
        let mut ended = None;
        let found = eventually(what, within, || {
            ended = self.child.try_wait().ok().flatten();
            let printed = self.printed();
            match find(printed.get(skip..).unwrap_or_default()) {
                Some(found) => Some(Ok(found)),
                None => ended.map(|status| Err(Trouble::new(format!("{what}: it ended ({status})")))),
            }
        });
        found
            .and_then(|inner| inner)
            .map_err(|e| Trouble::new(format!("{}: {e}; its log ends:\n{}", self.name, files::tail(&self.log, 30))))
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// The process is gone.
    pub fn signal(&self, signal: Signal) -> Outcome {
        send(self.child.id(), signal)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It did not end in time.
    pub fn wait(&mut self, within: Duration) -> Outcome<ExitStatus> {
        let name = self.name.clone();
        eventually(&format!("{name} ends"), within, || self.child.try_wait().ok().flatten())
    }

    /// Ends it at once, as a power cut would.
    ///
    /// # Errors
    /// It could not be reaped.
    pub fn kill(&mut self) -> Outcome {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end (SIGTERM) and waits.
    ///
    /// # Errors
    /// It did not end in time.
    pub fn stop(&mut self) -> Outcome<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(POLITE)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process of ours.
///
/// # Errors
/// The process is gone.
pub fn send(pid: u32, signal: Signal) -> Outcome {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| Trouble::new("not a process id"))?;
    Ok(kill_process(pid, signal)?)
}

/// Asks a process of ours to read its settings anew, or whatever SIGHUP means to it.
///
/// # Errors
/// The process is gone.
pub fn hang_up(pid: u32) -> Outcome {
    send(pid, Signal::HUP)
}
