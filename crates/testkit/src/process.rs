//! A child process that ends when its value is dropped, with its output in a file; and a child
//! that is run to its end with a deadline.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process, kill_process_group, test_kill_process_group};

use crate::{Outcome, Trouble, eventually, files};

/// How long a process gets to end after a polite signal.
const POLITE: Duration = Duration::from_secs(10);

/// A running program. Dropped: killed and reaped.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    log: PathBuf,
    /// It leads a process group of its own: what it starts gets its signals, too, and ends with it.
    group: bool,
}

impl Running {
    /// Starts `command` with stdout and stderr appended to `log`, stdin closed.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(name: &str, command: Command, log: &Path) -> Outcome<Self> {
        Self::begin(name, command, log, false)
    }

    /// The same for a program that starts others: they get each signal as well, and none of them
    /// outlives this value.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start_group(name: &str, mut command: Command, log: &Path) -> Outcome<Self> {
        command.process_group(0);
        Self::begin(name, command, log, true)
    }

    fn begin(name: &str, mut command: Command, log: &Path, group: bool) -> Outcome<Self> {
        let out = files::log(log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().map_err(|e| {
            Trouble::new(format!(
                "{name}: cannot start {}: {e}",
                command.get_program().to_string_lossy()
            ))
        })?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned(), group })
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
                None => {
                    ended.map(|status| Err(Trouble::new(format!("{what}: it ended ({status})"))))
                }
            }
        });
        found.and_then(|inner| inner).map_err(|e| {
            Trouble::new(format!(
                "{}: {e}; its log ends:\n{}",
                self.name,
                files::tail(&self.log, 30)
            ))
        })
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
        match self.group {
            true => Ok(kill_process_group(pid_of(self.child.id())?, signal)?),
            false => send(self.child.id(), signal),
        }
    }

    /// Whether a process of its group is there, itself included.
    #[must_use]
    pub fn has_group(&self) -> bool {
        pid_of(self.child.id()).is_ok_and(|pid| test_kill_process_group(pid).is_ok())
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
        // All fail only when it has ended already, which is what is wanted. The number of a group
        // is nobody else's while one of its processes is there.
        if self.group {
            let _ = self.signal(Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a program is: on the path, or in the system's own folders, which a person's path often
/// leaves out.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Runs `command` to its end, as [`Command::output`] does, but with nothing on its stdin and not
/// for ever.
///
/// # Errors
/// It cannot be started, or it did not end in time: it is killed, and what it said stands in the
/// error.
pub fn finish(mut command: Command, within: Duration) -> Outcome<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().map_err(|e| Trouble::new(format!("cannot start {name}: {e}")))?;
    finish_child(child, &name, within)
}

/// Reads what a child prints on its pipes and waits for its end, but not for ever.
///
/// # Errors
/// As [`finish`].
pub fn finish_child(mut child: Child, name: &str, within: Duration) -> Outcome<Output> {
    let (stdout, stderr) =
        (child.stdout.take().map(read_beside), child.stderr.take().map(read_beside));
    let status = eventually(&format!("{name} ends"), within, || child.try_wait().ok().flatten());
    if status.is_err() {
        child.kill()?;
        child.wait()?;
    }
    // A grandchild may still hold a pipe: what it says is waited for no longer than the child
    // itself was.
    let said = |reader: Option<Receiver<Vec<u8>>>| {
        reader.map_or(Ok(Vec::new()), |r| r.recv_timeout(within))
    };
    let (stdout, stderr) = (said(stdout), said(stderr));
    let text = |bytes: &Result<Vec<u8>, _>| {
        String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned()
    };
    let status = status.map_err(|e| {
        Trouble::new(format!("{e}; it said:\n{}\n{}", text(&stdout), text(&stderr)))
    })?;
    let held = |_| Trouble::new(format!("{name} has ended, but somebody holds its output open"));
    Ok(Output { status, stdout: stdout.map_err(held)?, stderr: stderr.map_err(held)? })
}

/// Reads to the end on a thread of its own, so that a full pipe holds nobody up.
fn read_beside(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (done, reader) = sync_channel(1);
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A pipe that breaks has ended; a test that has given up does not listen any more.
        let _ = pipe.read_to_end(&mut bytes);
        let _ = done.send(bytes);
    });
    reader
}

/// Sends a signal to a process of ours.
///
/// # Errors
/// The process is gone.
pub fn send(pid: u32, signal: Signal) -> Outcome {
    Ok(kill_process(pid_of(pid)?, signal)?)
}

fn pid_of(pid: u32) -> Outcome<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| Trouble::new("not a process id"))
}

/// Asks a process of ours to read its settings anew, or whatever SIGHUP means to it.
///
/// # Errors
/// The process is gone.
pub fn hang_up(pid: u32) -> Outcome {
    send(pid, Signal::HUP)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_a_program_says_on_both_pipes_is_read_however_much_it_is() {
        let out =
            finish(sh("head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; exit 3"), POLITE)
                .unwrap();
        assert_eq!(
            (out.stdout.len(), out.stderr.len(), out.status.code()),
            (300_000, 300_000, Some(3))
        );
    }

    #[test]
    fn a_program_that_does_not_end_is_killed_and_quoted() {
        let error = finish(sh("echo so far; exec sleep 1000"), Duration::from_secs(3))
            .unwrap_err()
            .to_string();
        assert!(error.contains("sh ends") && error.contains("so far"), "{error}");
    }
}
