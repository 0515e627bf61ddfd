//! Starts the process of a session. All is prepared before the fork; each failure after it is
//! reported.
//!
//! Data flow: [`Request`] -> [`Plan::prepare`] (strings, paths, ids) -> [`Plan::start`]
//! (descriptors, fork) -> [`Child`], whose [`Report::outcome`] says that the program runs, or
//! which step failed.
//!
//! # Invariants
//! - The agent's ends of terminal and pipes never block; the session's ends do.

use super::environment::Environment;
use crate::limits;
use crate::pty::{self, Size};
use crate::sys::account::Account;
use crate::sys::calls;
use crate::sys::cgroup::Entrances;
use crate::sys::image::{Identity, Image, Stage, Strings};
use crate::sys::memory::unnamed_file;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Pid, Uid, fchown, pipe2, read, write};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use towline_wire::TELLS_PROGRAMS;
use towline_wire::message::RefusalCode;

/// What a session runs.
#[derive(Debug, Clone)]
pub enum Program {
    /// The account's shell, as a login shell.
    LoginShell,
    /// A line for the account's shell: `SHELL -c LINE`.
    Line(String),
    /// A program and its arguments, without a shell. The first is looked up in the session's
    /// `PATH`.
    Arguments(Vec<String>),
    /// A script for the interpreter that its first line names, or for `/bin/sh`. It is never in an
    /// argument, where others on the device could read it, nor in a file: the interpreter reads it
    /// from memory of the kernel.
    Script {
        /// Its bytes.
        text: Vec<u8>,
        /// Where it runs; empty: the account's home.
        directory: String,
    },
}

/// What is asked for.
#[derive(Debug)]
pub struct Request<'a> {
    /// Who it runs as.
    pub account: &'a Account,
    /// Without its home directory it does not run; else it runs in `/`.
    pub home_only: bool,
    /// What it runs.
    pub program: &'a Program,
    /// Its standard streams are `/dev/null`; those of the agent end at once.
    pub detached: bool,
    /// A terminal of this size, or three pipes.
    pub terminal: Option<Size>,
    /// Its whole environment.
    pub environment: &'a Environment,
    /// The ways into the session's cgroups, where it has some.
    pub cgroups: Option<&'a Entrances>,
}

/// Why a session did not start.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The command is empty, too long, or holds a zero byte.
    #[error("cannot run the command: {0}")]
    Command(&'static str),
    /// The system refused something that comes before the program.
    #[error("cannot start a session: {what}: {errno}")]
    System {
        /// The step that failed.
        what: &'static str,
        /// What the kernel said.
        errno: Errno,
    },
    /// The program itself cannot be started.
    #[error("cannot run {program}: {errno}")]
    Program {
        /// The path or name as asked for.
        program: String,
        /// What the kernel said.
        errno: Errno,
    },
}

impl SpawnError {
    /// The class that a gateway of this wire version is told.
    #[must_use]
    pub fn code(&self, version: u16) -> RefusalCode {
        match self {
            Self::Program { errno, .. } if version >= TELLS_PROGRAMS => match *errno {
                Errno::ENOENT | Errno::ENOTDIR => RefusalCode::ProgramNotFound,
                _ => RefusalCode::ProgramNotExecutable,
            },
            Self::Program { .. } | Self::Command(_) | Self::System { .. } => RefusalCode::Spawn,
        }
    }
}

fn system(what: &'static str) -> impl Fn(Errno) -> SpawnError {
    move |errno| SpawnError::System { what, errno }
}

/// All that the child will need, owned, ready before the fork.
pub struct Plan<'a> {
    argv: Strings,
    envp: Strings,
    candidates: Vec<CString>,
    directory: CString,
    elsewhere: bool,
    script: Option<OwnedFd>,
    groups: Vec<Gid>,
    gid: Gid,
    uid: Uid,
    login: String,
    user: String,
    program: String,
    terminal: Option<Size>,
    detached: bool,
    cgroups: Option<&'a Entrances>,
}

/// The agent's ends of a running session. None of them blocks.
#[derive(Debug)]
pub enum Io {
    /// The master end of the terminal.
    Terminal(OwnedFd),
    /// What goes to standard input, and what comes from standard output and standard error.
    Pipes {
        /// Written by the agent.
        stdin: OwnedFd,
        /// Read by the agent.
        stdout: OwnedFd,
        /// Read by the agent.
        stderr: OwnedFd,
    },
}

/// A started process. Dropping it neither ends nor reaps it: see [`super::ending`] and
/// [`super::reap`].
#[derive(Debug)]
pub struct Child {
    /// Its process id, also its process group and its session.
    pub pid: Pid,
    /// Its descriptors.
    pub io: Io,
    /// Whether its program runs.
    pub report: Report,
}

/// The report of a child between fork and exec.
#[derive(Debug)]
pub struct Report {
    pipe: OwnedFd,
    program: String,
}

impl<'a> Plan<'a> {
    /// Checks the request and makes all that the child needs.
    ///
    /// # Errors
    /// Only [`SpawnError::Command`]: nothing of the system is touched yet.
    pub fn prepare(request: &Request<'a>) -> Result<Self, SpawnError> {
        let account = request.account;
        let script = match request.program {
            Program::Script { text, .. } => Some(in_memory(text, account.uid)?),
            _ => None,
        };
        let (candidates, argv) =
            resolve(request.program, account, request.environment, script.as_ref())?;
        let directory = match request.program {
            Program::Script { directory, .. } if !directory.is_empty() => Some(directory.clone()),
            _ => None,
        };
        if argv.len() > limits::ARGUMENTS
            || argv.iter().map(String::len).sum::<usize>() > limits::ARGUMENT_BYTES
        {
            return Err(SpawnError::Command("its arguments are too long"));
        }
        let envp =
            request.environment.iter().map(|(name, value)| c_string(format!("{name}={value}")));
        Ok(Self {
            program: match request.program {
                Program::Arguments(arguments) => arguments.first().cloned(),
                _ => candidates.last().map(|path| path.display().to_string()),
            }
            .unwrap_or_default(),
            candidates: candidates
                .iter()
                .map(|path| c_string(path.as_os_str().as_bytes()))
                .collect::<Result<_, _>>()?,
            argv: Strings::new(argv.into_iter().map(c_string).collect::<Result<_, _>>()?),
            envp: Strings::new(envp.collect::<Result<_, _>>()?),
            elsewhere: directory.is_none() && !request.home_only,
            directory: match directory {
                Some(directory) => c_string(directory)?,
                None => c_string(account.home.as_os_str().as_bytes())?,
            },
            script,
            groups: account.groups.clone(),
            gid: account.gid,
            uid: account.uid,
            login: account.uid.to_string(),
            user: account.name.clone(),
            terminal: request.terminal,
            detached: request.detached,
            cgroups: request.cgroups,
        })
    }

    /// Opens the descriptors and forks.
    ///
    /// # Errors
    /// No free terminal, descriptor or process. A program that cannot run is told later, by
    /// [`Report::outcome`].
    pub fn start(self) -> Result<Child, SpawnError> {
        let (report, report_in_child) =
            pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).map_err(system("pipe"))?;
        let mut terminal = None;
        let (io, theirs) = match self.terminal {
            Some(size) => {
                let (master, slave, name) = pty::open(size, self.uid)
                    .map_err(|(what, errno)| SpawnError::System { what, errno })?;
                terminal = Some(name);
                (Io::Terminal(master), vec![slave])
            }
            None if self.detached => (open_pipes()?.0, vec![open_null()?]),
            None => open_pipes()?,
        };
        let own = nix::unistd::geteuid();
        let image = Image {
            candidates: &self.candidates,
            argv: &self.argv,
            envp: &self.envp,
            stdin: theirs[0].as_fd(),
            stdout: theirs[1 % theirs.len()].as_fd(),
            stderr: theirs[2 % theirs.len()].as_fd(),
            terminal: self.terminal.is_some(),
            cgroups: self.cgroups,
            identity: own.is_root().then_some(Identity {
                is_own: self.uid == own,
                login: self.login.as_bytes(),
                groups: &self.groups,
                gid: self.gid,
                uid: self.uid,
            }),
            directory: &self.directory,
            elsewhere: self.elsewhere,
            script: self.script.as_ref().map(OwnedFd::as_fd),
            report: report_in_child.as_fd(),
        };
        let pid = calls::fork_exec(&image).map_err(system("fork"))?;
        if let Some(terminal) = terminal {
            pty::log_in(&terminal, &self.user, pid);
        }
        Ok(Child { pid, io, report: Report { pipe: report, program: self.program } })
    }
}

/// Becomes readable when [`Report::outcome`] has something to say.
impl AsFd for Report {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl Report {
    /// The report of a child that the previous program started.
    #[must_use]
    pub fn of(pipe: OwnedFd, program: String) -> Self {
        Self { pipe, program }
    }

    /// What was to be started.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.program
    }

    /// Whether the program runs: `None` while the child is still on its way to it.
    pub fn outcome(&self) -> Option<Result<(), SpawnError>> {
        let mut report = [0; 5];
        match read(&self.pipe, &mut report) {
            Err(Errno::EAGAIN | Errno::EINTR) => None,
            Ok(5) => Some(Err(self.failure(report))),
            // The pipe closed by the exec; or the child was killed before it, which its exit status
            // tells.
            Ok(_) | Err(_) => Some(Ok(())),
        }
    }

    fn failure(&self, [stage, errno @ ..]: [u8; 5]) -> SpawnError {
        let errno = Errno::from_raw(i32::from_le_bytes(errno));
        let what = match Stage::from_byte(stage) {
            Some(Stage::Exec) | None => {
                return SpawnError::Program { program: self.program.clone(), errno };
            }
            Some(Stage::Session) => "new session",
            Some(Stage::Terminal) => "controlling terminal",
            Some(Stage::Descriptors) => "standard descriptors",
            Some(Stage::Groups) if errno == Errno::EPERM => {
                "set the groups (the agent needs CAP_SETGID)"
            }
            Some(Stage::Identity) if errno == Errno::EPERM => {
                "set the user (the agent needs CAP_SETUID)"
            }
            Some(Stage::Groups) => "set the groups",
            Some(Stage::Identity) => "set the user",
            Some(Stage::Directory) => "change to the working directory",
        };
        SpawnError::System { what, errno }
    }
}

fn c_string(bytes: impl Into<Vec<u8>>) -> Result<CString, SpawnError> {
    CString::new(bytes).map_err(|_| SpawnError::Command("it holds a zero byte"))
}

/// The paths to try, and the arguments with `argv[0]`.
fn resolve(
    program: &Program,
    account: &Account,
    environment: &Environment,
    script: Option<&OwnedFd>,
) -> Result<(Vec<PathBuf>, Vec<String>), SpawnError> {
    let shell = account.shell.clone();
    let shell_name = shell
        .file_name()
        .map_or_else(|| "sh".to_owned(), |name| name.to_string_lossy().into_owned());
    match program {
        Program::LoginShell => Ok((vec![shell], vec![format!("-{shell_name}")])),
        Program::Line(line) => Ok((vec![shell], vec![shell_name, "-c".to_owned(), line.clone()])),
        Program::Arguments(arguments) => {
            let name = arguments.first().filter(|name| !name.is_empty());
            let name = name.ok_or(SpawnError::Command("it is empty"))?;
            Ok((search(name, environment.get("PATH").unwrap_or_default()), arguments.clone()))
        }
        Program::Script { text, .. } => {
            let (interpreter, argument) = interpreter(text);
            let place =
                script.map_or_else(String::new, |fd| format!("/proc/self/fd/{}", fd.as_raw_fd()));
            let argv =
                [Some(interpreter.clone()), argument, Some(place)].into_iter().flatten().collect();
            Ok((vec![PathBuf::from(interpreter)], argv))
        }
    }
}

/// What a script's first line asks for, as the kernel reads it: a path, and the rest of the line as
/// one argument.
fn interpreter(script: &[u8]) -> (String, Option<String>) {
    let line = script.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let asked = line.strip_prefix("#!").map(str::trim).filter(|asked| !asked.is_empty());
    let Some(asked) = asked else { return ("/bin/sh".to_owned(), None) };
    match asked.split_once([' ', '\t']) {
        Some((path, argument)) => (path.to_owned(), Some(argument.trim().to_owned())),
        None => (asked.to_owned(), None),
    }
}

/// A file in memory that holds these bytes, and that the account may read.
fn in_memory(bytes: &[u8], reader: Uid) -> Result<OwnedFd, SpawnError> {
    let file = unnamed_file(c"towline-script").map_err(system("store the script in memory"))?;
    let _ = fchown(&file, Some(reader), None); // anybody may read what memfd_create makes
    let mut rest = bytes;
    while !rest.is_empty() {
        let n = write(&file, rest).map_err(system("store the script in memory"))?;
        rest = &rest[n..];
    }
    Ok(file)
}

/// Where a program may be: itself if it holds a slash, else in each directory of `path`.
fn search(name: &str, path: &str) -> Vec<PathBuf> {
    if name.contains('/') {
        return vec![PathBuf::from(name)];
    }
    path.split(':')
        .filter(|dir| dir.starts_with('/'))
        .map(|dir| Path::new(dir).join(name))
        .collect()
}

fn open_null() -> Result<OwnedFd, SpawnError> {
    let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC;
    open("/dev/null", flags, Mode::empty()).map_err(system("open /dev/null"))
}

fn open_pipes() -> Result<(Io, Vec<OwnedFd>), SpawnError> {
    let pipe = || pipe2(OFlag::O_CLOEXEC).map_err(system("pipe"));
    let ((in_theirs, stdin), (stdout, out_theirs), (stderr, err_theirs)) =
        (pipe()?, pipe()?, pipe()?);
    for end in [&stdin, &stdout, &stderr] {
        fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(system("pipe"))?;
    }
    Ok((Io::Pipes { stdin, stdout, stderr }, vec![in_theirs, out_theirs, err_theirs]))
}
