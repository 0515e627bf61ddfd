//! A PostgreSQL server in a scratch folder, as somebody who is not root: the server refuses root.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{Running, finish};
use crate::{Outcome, Trouble, eventually, trouble::ensure};

/// How long the server may take to begin, and a statement to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server. Dropped: killed, and its folder removed.
#[derive(Debug)]
pub struct Postgres {
    running: Running,
    folder: tempfile::TempDir,
    port: u16,
    bin: PathBuf,
}

impl Postgres {
    /// Name of the user who owns all databases.
    pub const USER: &str = "ann";

    /// Makes a server and starts it, with more settings such as `fsync=off`.
    ///
    /// # Errors
    /// No PostgreSQL, or the server does not start.
    pub fn start(settings: &[&str]) -> Outcome<Self> {
        let bin = programs()?;
        let folder = tempfile::Builder::new().prefix("towline-postgres-").tempdir()?;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777))?;
        let mut init = as_nobody(&bin.join("initdb"));
        init.args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]);
        init.arg(format!("--username={}", Self::USER)).arg("-D").arg(folder.path().join("data"));
        init.current_dir("/");
        let out = finish(init, PATIENCE)?;
        ensure(out.status.success(), || String::from_utf8_lossy(&out.stderr).into_owned())?;
        let settings_file = folder.path().join("data/postgresql.auto.conf");
        let mut lines = String::new();
        for setting in settings {
            lines.push_str(&format!("{setting}\n"));
        }
        crate::files::write(&settings_file, lines)?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let running = serve(&bin, folder.path(), port)?;
        let server = Self { running, folder, port, bin };
        server.waits_until_ready()?;
        Ok(server)
    }

    fn waits_until_ready(&self) -> Outcome {
        eventually("the database takes queries", PATIENCE, || {
            self.psql("postgres", "select 1").ok().map(drop)
        })
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The address of a database.
    #[must_use]
    pub fn address(&self, database: &str) -> String {
        format!("postgres://{}@127.0.0.1:{}/{database}", Self::USER, self.port)
    }

    /// A command of its client.
    #[must_use]
    pub fn client(&self, program: &str) -> Command {
        Command::new(self.bin.join(program))
    }

    /// What a statement answers: rows as lines.
    ///
    /// # Errors
    /// What the server said.
    pub fn psql(&self, database: &str, sql: &str) -> Outcome<String> {
        let mut command = self.client("psql");
        command.args(["-X", "-v", "ON_ERROR_STOP=1", "-At", "-c", sql]);
        command.arg(self.address(database));
        let out = finish(command, PATIENCE)?;
        ensure(out.status.success(), || {
            format!("{sql}: {}", String::from_utf8_lossy(&out.stderr))
        })?;
        Ok(String::from_utf8_lossy(&out.stdout).trim_end().to_owned())
    }

    /// Its process: the one that accepts connections.
    pub const fn process(&mut self) -> &mut Running {
        &mut self.running
    }

    /// Starts it again on the same port; it must not run any more.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_again(&mut self) -> Outcome {
        self.running = serve(&self.bin, self.folder.path(), self.port)?;
        self.waits_until_ready()
    }
}

fn serve(bin: &Path, folder: &Path, port: u16) -> Outcome<Running> {
    let mut server = as_nobody(&bin.join("postgres"));
    server.args(["-c", "listen_addresses=127.0.0.1", "-p", &port.to_string(), "-k"]).arg(folder);
    server.arg("-D").arg(folder.join("data")).current_dir("/");
    Running::start_group("postgres", server, &folder.join("postgres.log"))
}

/// The newest PostgreSQL of this machine.
fn programs() -> Outcome<PathBuf> {
    let none = || Trouble::new("no PostgreSQL: `cargo xtask test` installs the package postgresql");
    let mut all: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map_err(|_| none())?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    all.sort();
    all.pop().ok_or_else(none)
}

/// A command as somebody who is not root.
fn as_nobody(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(program);
    command
}
